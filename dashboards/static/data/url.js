// The whole view as the address: what differs from the defaults stands after the #, and is read back from there.

import { MEASURES } from "./columns.js";

export const DEFAULTS = {
  view: "front", run: "", x: "flops", y: "mean", xlog: true, ylog: false, query: "", hidden: ["refused"], ranges: {},
  region: null, only: null, without: [], budget: null, pin: null, compare: [], sort: "mean", descending: true,
  columns: null, lower: "table", axes: null,
  overlay: [], published: false, zoom: null, arch: null, cell: null, tool: "zoom",
};

// What may stand in the address; anything else keeps its default, since an address may come from anywhere.
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);
const isRow = (value) => Number.isInteger(value) && value >= 0;
const isPair = (value) => Array.isArray(value) && value.length === 2 && value.every(isNumber);
const isMeasure = (value) => Object.hasOwn(MEASURES, value);
const texts = (value) => value.every((one) => typeof one === "string");
const ALLOWED = {
  x: isMeasure, y: isMeasure, lower: (value) => ["table", "axes"].includes(value), tool: (value) => ["zoom", "box", "lasso", "pan"].includes(value),
  hidden: texts, columns: texts, overlay: texts, axes: texts, budget: isNumber, pin: isRow, arch: isRow, compare: (value) => value.every(isRow) && value.length <= 4,
  zoom: (value) => isPair(value.x) && isPair(value.y), cell: (value) => typeof value === "string",
  ranges: (value) => Object.entries(value).every(([name, range]) => (isMeasure(name) ? isPair(range) : Array.isArray(range))),
  region: (value) => isMeasure(value.x) && isMeasure(value.y) && Array.isArray(value.xs) && Array.isArray(value.ys) && value.xs.length === value.ys.length && [...value.xs, ...value.ys].every(isNumber),
};

export const state = structuredClone(DEFAULTS);
const listeners = new Set();

export const onState = (listener) => { listeners.add(listener); return () => listeners.delete(listener); };

const listed = (rows) => {
  // 1,2,3,7 as 1-3,7
  const parts = [], sorted = [...rows].sort((a, b) => a - b);
  for (let i = 0; i < sorted.length; i++) {
    const from = sorted[i];
    while (sorted[i + 1] === sorted[i] + 1) i++;
    parts.push(from === sorted[i] ? `${from}` : `${from}-${sorted[i]}`);
  }
  return parts.join(",");
};
const unlisted = (text) => text.split(",").filter(Boolean).flatMap((part) => {
  const [from, to = from] = part.split("-").map(Number);
  return Number.isInteger(from) && Number.isInteger(to) && to - from < 1e6 ? Array.from({ length: to - from + 1 }, (_, i) => from + i) : [];
});
const ROWS = ["only", "without"];

export function written(current = state) {
  const parts = new URLSearchParams();
  for (const [name, normal] of Object.entries(DEFAULTS)) {
    const value = current[name];
    if (JSON.stringify(value) === JSON.stringify(normal)) continue;
    parts.set(name, ROWS.includes(name) ? listed(value ?? []) : typeof value === "string" ? value : JSON.stringify(value));
  }
  return parts.toString();
}

export function readUrl() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const read = structuredClone(DEFAULTS);
  for (const [name, text] of parts) {
    if (!(name in DEFAULTS)) continue;
    try {
      const normal = DEFAULTS[name];
      const value = ROWS.includes(name) ? unlisted(text) : typeof normal === "string" ? text : JSON.parse(text);
      const fits = normal === null || (value !== null && typeof value === typeof normal && Array.isArray(value) === Array.isArray(normal));
      if (fits && (value === null || (ALLOWED[name]?.(value) ?? true))) read[name] = value;
    } catch {
      // a part that cannot be read keeps its default
    }
  }
  Object.assign(state, read);
}

let pending = 0;
export function setState(patch, { push = false } = {}) {
  const changed = Object.keys(patch).filter((name) => JSON.stringify(state[name]) !== JSON.stringify(patch[name]));
  if (!changed.length) return;
  Object.assign(state, patch);
  const write = () => {
    pending = 0;
    const hash = `#${written()}`;
    if (hash !== location.hash) history[push ? "pushState" : "replaceState"](null, "", hash);
  };
  clearTimeout(pending);
  if (push) write();
  else pending = setTimeout(write, 150); // a slider that is dragged would flood the history
  for (const listener of [...listeners]) listener(new Set(changed));
}
