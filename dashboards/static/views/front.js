// The front: plot, table or axes below it, the card beside it, and everything that narrows the selection.

import { GROUPS, MEASURES, frontOf } from "../data/columns.js";
import { insideRows, selectRows } from "../data/selection.js";
import { setState, state } from "../data/url.js";
import { spoken, titleOf } from "../parts/architecture.js";
import { Axes } from "../parts/axes.js";
import { Card } from "../parts/card.js";
import { announce, brief, css, debounce, h, put, s } from "../parts/dom.js";
import { asCsv, asJson, save } from "../parts/exports.js";
import { bestWithin, frontRows } from "../parts/marks.js";
import { FrontPlot } from "../parts/plot.js";
import { drawMark, svgPen } from "../parts/pen.js";
import { Table, allColumns, columnTitle, standardColumns } from "../parts/table.js";

const PLOT_AXES = ["flops", "macs", "params", "elementwise", "activations", "mean", "test", "loss", "seconds", "number"];
export const toggled = (list, one, most = Infinity) => (list.includes(one) ? list.filter((other) => other !== one) : [...list, one].slice(-most));

export class FrontView {
  constructor(app) {
    this.app = app; // columns(), detail(row), overlays(), systems(), redraw()
    const hover = (row, reveal) => this.hover(row, reveal), leave = () => this.leave();
    const pick = (row) => setState({ pin: state.pin === row ? null : row });
    const compare = (row) => { setState({ compare: toggled(state.compare, row, 4) }); announce(`${state.compare.length} compared`); };
    this.plot = new FrontPlot({ hover, leave, pick, compare, say: (row) => spoken(app.columns(), row), region: (region) => setState({ region }), zoom: (zoom) => setState({ zoom }), whole: () => this.whole() });
    this.table = new Table({ hover, leave, pick, compare, sort: (name) => setState({ sort: name, descending: state.sort === name ? !state.descending : Boolean(MEASURES[name]?.better === "more") }) });
    this.axes = new Axes({ hover, pick, ranges: (ranges) => setState({ ranges }), axes: (axes) => setState({ axes }) });
    this.card = new Card({ detail: (row) => app.detail(row), pin: (row) => setState({ pin: row }), compare, open: (row) => setState({ view: "architecture", arch: row }, { push: true }) });
    this.bar = h("div", { class: "toolbar" });
    this.filter = h("div", { class: "toolbar filters" });
    this.warn = h("div", { class: "warnings" });
    this.lower = h("div", { class: "lower" });
    this.element = h("div", { class: "front-view" }, h("section", { class: "stage", "aria-label": "Front" }, h("div", { class: "controls" }, h("h1", { class: "quiet" }, "Front"), this.bar, this.filter, this.warn), this.plot.element, this.lower), this.card.element);
    this.build();
  }

  close() { this.plot.close(); this.table.close(); this.axes.close(); }

  // -- controls, built once; their values follow the state -------------------------------------------------------------

  build() {
    const axis = (side) => h("span", { class: "field" }, h("label", { for: `axis-${side}` }, side),
      h("select", { id: `axis-${side}`, onchange: (event) => setState({ [side]: event.target.value, [`${side}log`]: MEASURES[event.target.value].log, zoom: null, region: null, budget: side === "x" ? null : state.budget }) }, PLOT_AXES.map((name) => h("option", { value: name }, MEASURES[name].title))),
      h("label", { class: "check" }, h("input", { type: "checkbox", id: `log-${side}`, onchange: (event) => setState({ [`${side}log`]: event.target.checked, zoom: null }) }), "log"));
    const tools = [["zoom", "Zoom"], ["box", "Box"], ["lasso", "Lasso"], ["pan", "Pan"]].map(([tool, title]) =>
      h("label", { class: "tool" }, h("input", { type: "radio", name: "tool", value: tool, onchange: () => setState({ tool }) }), title));
    this.budget = h("input", { type: "range", id: "budget", min: 0, max: 1000, value: 1000, oninput: (event) => this.setBudget(Number(event.target.value)), "aria-label": "Budget: the dearest that is allowed" });
    this.best = h("button", { type: "button", class: "best", id: "best", onclick: () => this.pinBest() });
    put(this.bar, axis("x"), axis("y"), h("fieldset", { class: "tools" }, h("legend", { class: "quiet" }, "What dragging on the plot does"), tools),
      h("button", { type: "button", id: "whole", title: "Show everything; again: what matters (double-click)", onclick: () => this.whole() }, "Fit"),
      h("span", { class: "field budget" }, h("label", { for: "budget" }, "budget"), this.budget, this.best));
    this.published = h("label", { class: "check", title: "Systems of the catalogue with their published numbers" }, h("input", { type: "checkbox", id: "published", onchange: (event) => setState({ published: event.target.checked, zoom: null }) }), "published");
    this.exports = this.menu("Export", [["Selection as CSV", () => this.saveRows("csv")], ["Selection as JSON", () => this.saveRows("json")], ["Figure as SVG", () => this.saveFigure("svg")], ["Figure as PNG", () => this.saveFigure("png")]]);
    const later = debounce((text) => { this.typing = false; setState({ query: text }); }, 120);
    this.query = h("input", { type: "search", id: "query", placeholder: "Filter: contains softmax   kernel >= 7   macs < 1M", "aria-label": "Filter", autocomplete: "off", spellcheck: "false", oninput: (event) => { this.typing = true; later(event.target.value); } });
    this.wrong = h("span", { class: "wrong", role: "alert" });
    this.count = h("output", { class: "count", id: "count" });
    this.chips = GROUPS.map((group, i) => {
      const n = h("span", { class: "n" });
      const chip = h("button", { type: "button", class: `chip ${group.name}`, "aria-pressed": "true", onclick: () => setState({ hidden: toggled(state.hidden, group.name) }) }, chipMark(group), group.title, n);
      return { chip, n, i };
    });
    const narrow = (how) => () => this.narrow(how);
    put(this.filter, this.query, this.wrong, h("span", { class: "chips", role: "group", "aria-label": "States that are shown" }, this.chips.map(({ chip }) => chip)), this.published);
    const counted = h("span", { class: "counted" }, this.count, h("button", { type: "button", id: "keep", title: "Only the selected rows from now on", onclick: narrow("keep") }, "Keep"),
      h("button", { type: "button", id: "exclude", title: "Without the selected rows from now on", onclick: narrow("exclude") }, "Exclude"), h("button", { type: "button", id: "reset", title: "Everything again", onclick: narrow("reset") }, "Reset"));
    this.tabs = [["table", "Table"], ["axes", "Parallel axes"]].map(([name, title]) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": "below", onclick: () => setState({ lower: name }) }, title));
    this.columnsMenu = h("div", { class: "menu-list wide" });
    this.columnsButton = h("details", { class: "menu up", ontoggle: () => this.fillColumns() }, h("summary", {}, "Columns"), this.columnsMenu);
    this.compared = h("button", { type: "button", id: "compared", onclick: () => setState({ view: "compare" }, { push: true }) });
    this.below = h("div", { id: "below", class: "below", role: "tabpanel" });
    put(this.lower, h("div", { class: "toolbar tabs" }, h("div", { role: "tablist", "aria-label": "Below the plot" }, this.tabs), counted, h("span", { class: "grow" }), this.compared, this.axes.tools, this.columnsButton, this.exports), this.below);
  }

  menu(title, entries) {
    const menu = h("details", { class: "menu up" }, h("summary", {}, title), h("div", { class: "menu-list" }, entries.map(([name, action]) => h("button", { type: "button", onclick: () => { menu.open = false; action(); } }, name))));
    return menu;
  }

  fillColumns() {
    if (!this.columnsButton.open) return;
    const names = state.columns ?? standardColumns(this.app.columns());
    put(this.columnsMenu, allColumns(this.app.columns()).slice(0, 120).map((name) => h("label", { title: name }, h("input", { type: "checkbox", checked: names.includes(name), onchange: () => { setState({ columns: toggled(state.columns ?? names, name) }); } }), MEASURES[name] || columnTitle(name) === name ? columnTitle(name) : name)));
  }

  // -- showing ---------------------------------------------------------------------------------------------------------

  show() {
    const columns = this.app.columns();
    this.selection = selectRows(columns, state);
    this.app.selection = this.selection;
    for (const side of ["x", "y"]) {
      this.bar.querySelector(`#axis-${side}`).value = state[side];
      this.bar.querySelector(`#log-${side}`).checked = state[`${side}log`];
    }
    this.bar.querySelector(`input[value="${state.tool}"]`).checked = true;
    this.published.firstChild.checked = state.published;
    if (!this.typing && document.activeElement !== this.query) this.query.value = state.query;
    this.wrong.textContent = this.selection.error ?? "";
    this.query.setAttribute("aria-invalid", String(Boolean(this.selection.error)));
    const { counts } = this.selection;
    for (const { chip, n, i } of this.chips) {
      chip.setAttribute("aria-pressed", String(!state.hidden.includes(GROUPS[i].name)));
      chip.hidden = counts.by[i] === 0 && i > 2;
      n.textContent = counts.by[i].toLocaleString("en");
    }
    const said = `${counts.inside.toLocaleString("en")} of ${counts.shown.toLocaleString("en")} selected, ${counts.front.toLocaleString("en")} on the front`;
    if (this.count.textContent !== said) { this.count.textContent = said; announce(said); }
    this.rows = insideRows(this.selection);
    this.systems = state.published ? this.app.systems() : { systems: [], warning: null };
    this.warnings();
    const given = { columns, selection: this.selection, state, overlays: this.overlays(), systems: this.systems.systems, references: columns.study?.references };
    this.plot.show(given);
    this.showLower();
    this.front = frontRows(columns, this.selection, state);
    this.showBudget(this.front.members);
    this.card.show(columns, this.plot.hovered, state, this.front.knee);
  }

  showLower() {
    const columns = this.app.columns(), table = state.lower === "table";
    this.tabs.forEach((tab) => tab.setAttribute("aria-selected", String(tab.id === `tab-${state.lower}`)));
    this.compared.hidden = !state.compare.length;
    this.compared.textContent = state.compare.length < 2 ? "Compare: choose one more" : `Compare ${state.compare.length}`;
    this.compared.disabled = state.compare.length < 2;
    this.columnsButton.hidden = !table;
    this.axes.tools.hidden = table;
    this.lower.parentElement.classList.toggle("with-axes", !table);
    const wanted = table ? this.table.element : this.axes.element;
    if (this.below.firstChild !== wanted) put(this.below, wanted);
    if (table) this.table.show(columns, [...this.rows], state);
    else this.axes.show(columns, this.selection, state);
  }

  overlays() {
    const dashes = ["--stopped", "--running", "--baseline", "--pick"];
    return this.app.overlays().map(({ name, columns }, i) => {
      const rows = [...columns.group.keys()].filter((row) => columns.group[row] < 2);
      return { name, colour: css(dashes[i % dashes.length]), points: frontOf(columns, rows, state.x, state.y).map((row) => [columns.of[state.x][row], columns.of[state.y][row]]) };
    });
  }

  warnings() {
    const columns = this.app.columns(), lines = [];
    if (this.systems.warning) lines.push(this.systems.warning);
    for (const { name, columns: other } of this.app.overlays()) {
      const differ = ["task", "training"].filter((part) => JSON.stringify(other.study?.[part]) !== JSON.stringify(columns.study?.[part]));
      if (differ.length) lines.push(`${name} differs in ${differ.map((part) => ({ task: "its data", training: "its training recipe" })[part]).join(" and ")}: its heights do not compare.`);
    }
    put(this.warn, lines.map((line) => h("p", { class: "warning", role: "note" }, `⚠ ${line}`)));
    this.warn.hidden = !lines.length;
  }

  hover(row, fromTable = false) {
    const columns = this.app.columns();
    if (this.plot.hovered !== row) { this.plot.hovered = row; this.plot.ring(); }
    this.table.highlight(row);
    this.card.point(columns, row, state, this.front?.knee ?? null);
    if (fromTable && row !== null) announce(spoken(columns, row));
  }

  // The keyboard goes elsewhere: to the card, say, which then shows what is pinned.
  leave() {
    if (state.pin === null) return;
    this.plot.hovered = null;
    this.plot.ring();
    this.card.show(this.app.columns(), null, state, this.front?.knee ?? null);
  }

  whole() {
    if (this.plot.given) setState({ zoom: state.zoom ? null : this.plot.fitting(true) });
  }

  // -- budget, export, narrowing ---------------------------------------------------------------------------------------

  scale() {
    const columns = this.app.columns(), values = this.rows.map((row) => columns.of[state.x][row]).filter((value) => Number.isFinite(value) && value > 0);
    return values.length ? [values.reduce((a, b) => Math.min(a, b)), values.reduce((a, b) => Math.max(a, b))] : [1, 10];
  }

  setBudget(at) {
    const [low, high] = this.scale();
    setState({ budget: at >= 1000 ? null : Number((low * (high / low) ** (at / 1000)).toPrecision(4)) });
  }

  showBudget(members) {
    const columns = this.app.columns(), [low, high] = this.scale(), unit = MEASURES[state.x].title;
    if (document.activeElement !== this.budget) this.budget.value = state.budget === null ? 1000 : Math.round(1000 * (Math.log(state.budget / low) / (Math.log(high / low) || 1)));
    const best = bestWithin(columns, members, state);
    this.best.disabled = best === null;
    this.best.textContent = state.budget === null ? "any budget" : best === null ? `none ≤ ${brief(state.budget)}` : `≤ ${brief(state.budget)}: ${titleOf(columns, best).toLowerCase()}`;
    this.budget.setAttribute("aria-valuetext", state.budget === null ? "no budget" : `${brief(state.budget)} ${unit}${best === null ? ", nothing fits" : `, best is ${spoken(columns, best)}`}`);
    this.bestRow = best;
  }

  pinBest() { if (this.bestRow !== null) setState({ pin: this.bestRow }); }

  narrow(how) {
    if (how === "reset") { this.typing = false; this.query.value = ""; setState({ query: "", ranges: {}, region: null, only: null, without: [], budget: null }); return; }
    if (how === "keep") setState({ only: [...this.rows], region: null });
    else setState({ without: [...new Set([...state.without, ...this.rows])], region: null });
  }

  saveRows(format) {
    const columns = this.app.columns();
    if (format === "csv") save(`${columns.run}.csv`, asCsv(columns, this.rows), "text/csv");
    else save(`${columns.run}.json`, asJson(columns, this.rows), "application/json");
  }

  async saveFigure(format) {
    if (!this.plot.drawn) { announce("There is no figure yet: plotly.js has not come"); return; }
    save(`${this.app.columns().run}.${format}`, await this.plot.picture(format));
  }
}

function chipMark(group) {
  const pen = svgPen(14, 14);
  pen.style({ stroke: "currentColor", fill: group.name === "front" ? "currentColor" : undefined, width: 1.6 });
  drawMark(pen, group.mark, 7, 7, 4.6);
  const parsed = new DOMParser().parseFromString(pen.done(), "image/svg+xml").documentElement;
  return s("svg", { width: 14, height: 14, class: "mark", "aria-hidden": "true" }, [...document.importNode(parsed, true).childNodes]);
}
