// The table: the plot's equal twin. Only the rows in sight are in the document; arrows, Home, End and pages walk it.

import { GROUPS, MEASURES, compareValues } from "../data/columns.js";
import { brief, decimal, h, put, replace } from "./dom.js";

const ROW = 30; // pixels
const TEXTS = { group: "state", sentence: "sentence", name: "name", reason: "reason", key: "key", interval: "test, 95 %" };
const WIDTHS = { group: 112, sentence: 0, name: 130, reason: 180, key: 140, number: 58, mean: 94, error: 66, seeds: 58, test: 68, interval: 118, flops: 76, params: 98 };

export const columnTitle = (name) => TEXTS[name] ?? MEASURES[name]?.title ?? name.replace(/^.*\//, "");
// What stands in the table unless other columns are chosen.
export const standardColumns = (columns) => ["group", "mean", "error", "seeds", ...(columns.tested ? ["test", "interval", "flops"] : ["flops", "params"]), "sentence"];
export const allColumns = (columns) => [...Object.keys(TEXTS), ...Object.keys(MEASURES).filter((name) => name !== "number"), ...columns.choicesByUse()];

export function cellText(columns, name, row) {
  if (name === "group") return GROUPS[columns.group[row]].one;
  if (name === "interval") return Number.isFinite(columns.of.test[row]) ? `${columns.of.test_low[row].toFixed(3)} to ${columns.of.test_high[row].toFixed(3)}` : "";
  if (TEXTS[name]) return columns[name][row] ?? "";
  if (MEASURES[name]) {
    const value = columns.of[name][row];
    if (name === "epochs" && value < 0) return "";
    if (name === "seeds" && value === 0) return "";
    if (!Number.isFinite(value)) return "";
    return MEASURES[name].digits ? decimal(value, MEASURES[name].digits) : name === "number" || name === "seeds" ? String(value) : brief(value);
  }
  const choice = columns.choice(name);
  return choice.at[row] < 0 ? "" : String(choice.values[choice.at[row]]);
}

export function cellValue(columns, name, row) {
  if (name === "group") return columns.group[row];
  if (name === "interval") return Number.isFinite(columns.of.test[row]) ? columns.of.test_low[row] : null;
  if (TEXTS[name]) return columns[name][row] || null;
  if (MEASURES[name]) return Number.isFinite(columns.of[name][row]) ? columns.of[name][row] : null;
  const choice = columns.choice(name);
  return choice.at[row] < 0 ? null : choice.at[row];
}

export function sortedRows(columns, rows, name, descending) {
  const sign = descending ? -1 : 1;
  if (!TEXTS[name] || name === "group" || name === "interval") {
    // Numbers by row in one array: a map of boxed values is slower at 100,000 rows.
    const values = new Float64Array(columns.n).fill(NaN);
    for (const row of rows) values[row] = cellValue(columns, name, row) ?? NaN;
    return Array.from(Int32Array.from(rows).sort((a, b) => {
      const x = values[a], y = values[b], lacks = Number.isNaN(x) - Number.isNaN(y);
      return lacks || (Number.isNaN(x) ? 0 : sign * (x - y)) || a - b;
    }));
  }
  const values = new Map(rows.map((row) => [row, cellValue(columns, name, row)]));
  return rows.sort((a, b) => {
    const x = values.get(a), y = values.get(b);
    if (x === null || y === null) return (x === null) - (y === null) || a - b;
    return sign * compareValues(x, y) || a - b;
  });
}

export class Table {
  constructor(hooks) {
    this.hooks = hooks; // hover(row), pick(row), compare(row), sort(name)
    this.head = h("tr", { role: "row" });
    this.body = h("tbody", { role: "rowgroup" });
    this.above = h("tr", { class: "space", "aria-hidden": "true" }, h("td", {}));
    this.below = h("tr", { class: "space", "aria-hidden": "true" }, h("td", {}));
    this.widths = h("colgroup", {});
    this.grid = h("table", { class: "grid", role: "none" }, this.widths, h("thead", { role: "rowgroup" }, this.head), this.body);
    this.element = h("div", { class: "window", id: "table", tabindex: 0, role: "grid", "aria-label": "Table of the selection: arrows walk, Enter pins, C compares" }, this.grid);
    this.rows = [];
    this.at = 0;
    this.element.addEventListener("scroll", () => requestAnimationFrame(() => this.fill()), { passive: true });
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("blur", () => this.hooks.leave());
    this.body.addEventListener("pointerover", (event) => this.hooks.hover(this.rowOf(event)));
    this.body.addEventListener("pointerleave", () => this.hooks.hover(null));
    this.body.addEventListener("click", (event) => { const row = this.rowOf(event); if (row !== null) { this.at = this.rows.indexOf(row); event.target.closest(".tick") ? this.hooks.compare(row) : this.hooks.pick(row); } });
    this.watch = new ResizeObserver(() => this.fill());
    this.watch.observe(this.element);
  }

  close() { this.watch.disconnect(); }

  rowOf(event) {
    const line = event.target.closest("tr[data-row]");
    return line ? Number(line.dataset.row) : null;
  }

  show(columns, rows, state) {
    const current = this.rows[this.at];
    Object.assign(this, { columns, state, rows: sortedRows(columns, rows, state.sort, state.descending) });
    const moved = this.rows.indexOf(current);
    this.at = moved >= 0 ? moved : Math.min(this.at, Math.max(0, rows.length - 1));
    this.names = ["number", ...(state.columns ?? standardColumns(columns)).filter((name) => name !== "number")];
    this.element.setAttribute("aria-rowcount", String(rows.length + 1));
    put(this.widths, h("col", { style: { width: "34px" } }), this.names.map((name) => h("col", { style: { width: WIDTHS[name] === 0 ? "auto" : `${WIDTHS[name] ?? (MEASURES[name] ? 88 : 120)}px` } })));
    this.grid.style.minWidth = `${34 + this.names.reduce((sum, name) => sum + (WIDTHS[name] === 0 ? 260 : WIDTHS[name] ?? (MEASURES[name] ? 88 : 120)), 0)}px`;
    replace(this.head, h("th", { scope: "col", role: "columnheader" }, h("span", { class: "quiet" }, "compare")), this.names.map((name) => {
      const sorted = state.sort === name ? (state.descending ? "descending" : "ascending") : null;
      return h("th", { scope: "col", role: "columnheader", "aria-sort": sorted, class: this.kind(name), title: MEASURES[name]?.long ?? name },
        h("button", { type: "button", onclick: () => this.hooks.sort(name) }, columnTitle(name), h("span", { "aria-hidden": "true" }, sorted ? (state.descending ? " ↓" : " ↑") : "")));
    }));
    this.fill(true);
  }

  kind(name) { return MEASURES[name] ? "number" : name === "sentence" || name === "key" ? "code" : "words"; }

  fill(anew = false) {
    if (!this.columns) return;
    const height = this.element.clientHeight || 300, first = Math.max(0, Math.floor(this.element.scrollTop / ROW) - 8);
    const end = Math.min(this.rows.length, first + Math.ceil(height / ROW) + 16);
    if (!anew && first === this.first && end === this.end) return;
    Object.assign(this, { first, end });
    const width = String(this.names.length + 1);
    for (const [space, n] of [[this.above, first], [this.below, this.rows.length - end]]) {
      space.firstChild.colSpan = width;
      space.style.height = `${n * ROW}px`;
    }
    if (!this.rows.length) {
      put(this.body, h("tr", { role: "row" }, h("td", { colspan: width, role: "gridcell", class: "empty" }, this.columns.n ? "No trial fits the filters." : "No trial yet.")));
      return;
    }
    const lines = [];
    for (let i = first; i < end; i++) lines.push(this.line(this.rows[i], i));
    put(this.body, this.above, lines, this.below);
    this.marked();
  }

  line(row, i) {
    const { state, columns } = this, compared = state.compare.includes(row);
    return h("tr", { "data-row": row, id: `row-${row}`, role: "row", "aria-rowindex": i + 2, "aria-selected": String(state.pin === row), class: `${GROUPS[columns.group[row]].name}${state.pin === row ? " pinned" : ""}` },
      h("td", { class: "tick", role: "gridcell", title: "compare" }, h("span", { class: compared ? "on" : "", "aria-label": compared ? "compared" : "not compared", role: "img" })),
      this.names.map((name) => {
        const text = cellText(columns, name, row);
        return h("td", { class: this.kind(name), role: "gridcell", title: text.length > 16 ? text : null }, text);
      }));
  }

  marked() {
    for (const line of this.body.querySelectorAll("tr[data-row]")) line.classList.toggle("current", this.rows[this.at] === Number(line.dataset.row));
    if (this.rows.length) this.element.setAttribute("aria-activedescendant", `row-${this.rows[this.at]}`);
    else this.element.removeAttribute("aria-activedescendant");
  }

  highlight(row) {
    for (const line of this.body.querySelectorAll("tr.hovered")) line.classList.remove("hovered");
    this.body.querySelector(`tr[data-row="${row}"]`)?.classList.add("hovered");
  }

  reveal(i) {
    const top = i * ROW, height = this.element.clientHeight - 34;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW > this.element.scrollTop + height) this.element.scrollTop = top + ROW - height;
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 2), last = this.rows.length - 1;
    const to = { ArrowDown: this.at + 1, ArrowUp: this.at - 1, PageDown: this.at + page, PageUp: this.at - page, Home: 0, End: last }[event.key];
    if (event.target !== this.element || !this.rows.length) return;
    if (to !== undefined) {
      event.preventDefault();
      this.at = Math.min(last, Math.max(0, to));
      this.reveal(this.at);
      this.fill();
      this.marked();
      this.hooks.hover(this.rows[this.at], true);
    } else if (event.key === "Enter") this.hooks.pick(this.rows[this.at]);
    else if (event.key.toLowerCase() === "c" && !event.ctrlKey && !event.metaKey) this.hooks.compare(this.rows[this.at]);
  }
}
