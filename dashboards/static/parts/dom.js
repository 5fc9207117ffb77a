// Elements, numbers as text, and what is said to screen readers. Text of a record becomes text nodes, never markup.

export const byId = (id) => document.getElementById(id);

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name === "style") for (const [property, setting] of Object.entries(value)) element.style.setProperty(property, setting);
    else if (["value", "checked", "selected", "disabled", "open", "hidden", "indeterminate"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function put(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return parent;
}

// Replaces children and gives the focus back to the one of the same id or place, so that a keyboard does not lose its way.
export function replace(parent, ...children) {
  const focused = document.activeElement, had = parent !== focused && parent.contains(focused);
  const at = had ? [...parent.querySelectorAll("button, input, select, summary, a, [tabindex]")].indexOf(focused) : -1;
  put(parent, ...children);
  if (!had) return parent;
  const same = focused.id ? parent.querySelector(`#${CSS.escape(focused.id)}`) : null;
  (same ?? parent.querySelectorAll("button, input, select, summary, a, [tabindex]")[at])?.focus({ preventScroll: true });
  return parent;
}

const SPACE = "http://www.w3.org/2000/svg";
export function s(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(name, String(value));
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

// A drawing that metamixer made: read as XML, so that a text inside it cannot become anything else.
export function pictured(text) {
  const parsed = new DOMParser().parseFromString(text, "image/svg+xml");
  const root = parsed.documentElement;
  if (root.nodeName !== "svg") return h("p", { class: "note" }, "The drawing cannot be read.");
  for (const element of root.querySelectorAll("script, foreignObject, a, use, image")) element.remove();
  return document.importNode(root, true);
}

let lastSaid = "";
export function announce(text) {
  if (text === lastSaid) return;
  lastSaid = text;
  byId("said").textContent = text;
}

const missing = (value) => value === null || value === undefined || Number.isNaN(value) || value === "";
export const known = (value) => !missing(value);
export const exact = (value) => (missing(value) ? "–" : Math.round(value).toLocaleString("en"));
export const decimal = (value, digits = 4) => (missing(value) ? "–" : value.toFixed(digits));

export function brief(value) {
  if (missing(value)) return "–";
  const size = Math.abs(value);
  for (const [unit, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit) return `${Number((value / unit).toPrecision(3))}${letter}`;
  }
  return String(Number(value.toPrecision(3)));
}

export function lasting(seconds) {
  if (missing(seconds)) return "–";
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

export const several = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

export function note(...children) {
  return h("p", { class: "note" }, ...children);
}

// What went wrong; `again`, where asking once more may help, is what its button does.
export function failure(error, again = null) {
  return h("div", { class: "failure", role: "alert" }, h("strong", {}, error.message),
    error.place ? h("pre", {}, error.place) : null, error.advice ? h("p", {}, error.advice) : null,
    again ? h("button", { type: "button", class: "again", onclick: again }, "Try again") : null);
}

// A table of a few rows; heads are [title, class].
export function simpleTable(heads, rows, caption) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, h("table", { class: "simple" },
    h("caption", { class: "quiet" }, caption),
    h("thead", {}, h("tr", {}, heads.map(([title, kind]) => h("th", { scope: "col", class: kind }, title)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, i) => h("td", { class: heads[i][1] }, cell)))))));
}

export function debounce(action, wait) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), wait);
  };
}
