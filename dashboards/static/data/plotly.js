// plotly.js, 5 MB: asked for by the first figure that needs it, after the table and the card are there.

let loading = null;

// Settles when Plotly is there: at once in a file, which holds it.
export function plotlyLoaded() {
  if (window.Plotly) return Promise.resolve();
  loading ??= new Promise((done, failed) => {
    const element = document.createElement("script");
    element.src = document.querySelector("meta[name=plotly]").content;
    element.onload = done;
    element.onerror = () => {
      loading = null; // the next figure asks anew
      element.remove();
      failed(Object.assign(new Error("The dashboard does not send plotly.js, which draws the plot."), { advice: "Is metamixer dashboard still running? The table and the other views work without it." }));
    };
    // The browser paints what is there first: parsing it holds everything up.
    requestAnimationFrame(() => setTimeout(() => document.head.append(element)));
  });
  return loading;
}
