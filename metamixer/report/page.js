"use strict";
(function () {
  const config = JSON.parse(document.getElementById("config").textContent);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Text, grid and hover labels follow the page's theme; the traces' colours serve both.
  function themed(layout) {
    const changes = { "font.color": css("--ink"), "hoverlabel.bgcolor": css("--stripe"), "hoverlabel.font.color": css("--ink"),
      "hoverlabel.bordercolor": css("--line") };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) {
        changes[key + ".linecolor"] = css("--line");
        changes[key + ".gridcolor"] = css("--line");
      }
    }
    return changes;
  }

  const plots = [...document.querySelectorAll(".plot")];
  function draw(element) {
    if (element.dataset.drawn) return Promise.resolve();
    element.dataset.drawn = "1";
    const figure = JSON.parse(element.querySelector("script").textContent);
    return Plotly.newPlot(element, figure.data, figure.layout, config).then(() => Plotly.relayout(element, themed(figure.layout)));
  }
  // Curves are drawn when they come near the window.
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); draw(entry.target); }
  }, { rootMargin: "400px" });
  const front = document.getElementById("front-plot");
  for (const element of plots) if (element !== front) near.observe(element);
  window.addEventListener("beforeprint", () => plots.forEach(draw));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const element of plots) if (element.dataset.drawn) Plotly.relayout(element, themed(element.layout));
  });

  function go(number) {
    const target = document.getElementById("architecture-" + number) || document.getElementById("row-" + number);
    if (!target) return;
    const folded = target.closest("details");
    if (folded) folded.open = true;
    location.hash = target.id;
    target.scrollIntoView({ block: "start" });
    target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
  }
  draw(front).then(() => {
    front.on("plotly_click", (event) => { if (event.points.length && event.points[0].customdata !== undefined) go(event.points[0].customdata); });
    document.documentElement.dataset.ready = "1";
  });

  // The front, step by step, for those who have no pointer.
  const members = [...document.querySelectorAll("#all tr.front")].map((row) => row.dataset.number)
    .sort((a, b) => Number(document.getElementById("row-" + a).dataset.flops) - Number(document.getElementById("row-" + b).dataset.flops));
  const said = document.getElementById("said");
  let at = -1;
  function step(by) {
    if (!members.length) return;
    at = (at + by + members.length) % members.length;
    const number = Number(members[at]);
    const curve = front.data.findIndex((trace) => trace.meta === "points" && trace.customdata && [...trace.customdata].includes(number));
    const point = [...front.data[curve].customdata].indexOf(number);
    Plotly.Fx.hover(front, [{ curveNumber: curve, pointNumber: point }]);
    const row = document.getElementById("row-" + number);
    said.textContent = "Front " + (at + 1) + " of " + members.length + ": trial " + number + ", accuracy " + row.dataset.accuracy + ", " +
      Number(row.dataset.flops).toLocaleString("en") + " FLOPs. ";
    const link = document.createElement("a");
    link.href = "#architecture-" + number;
    link.textContent = "see it";
    said.append(link);
  }
  document.getElementById("next").addEventListener("click", () => step(1));
  document.getElementById("previous").addEventListener("click", () => step(at < 0 ? 0 : -1));

  // Sorting: numbers by value, text by text, what is missing always last.
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      if (!button) return;
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => {
          const [x, y] = [value(a), value(b)];
          if (x === "" || y === "") return (x === "") - (y === "");
          const order = isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y;
          return up ? order : -order;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }
})();
