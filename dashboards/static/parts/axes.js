// Parallel axes on a canvas of our own: ranges are brushed, categories are clicked, and what an architecture was never
// asked (a conditional choice that is absent) has a tick of its own below the axis.

import { MEASURES } from "../data/columns.js";
import { brief, css, h, put, replace } from "./dom.js";
import { columnTitle } from "./table.js";

const TOP = 34, BOTTOM = 16, GAP = 24, MOST = 2500;
const STANDARD = ["mean", "flops", "params", "seconds"];
export const standardAxes = (columns) => [...STANDARD, ...columns.choicesByUse().slice(0, 4)];

export class Axes {
  constructor(hooks) {
    this.hooks = hooks; // ranges(ranges), hover(row), pick(row), axes(names)
    this.canvas = h("canvas", { "aria-hidden": "true" });
    this.titles = h("div", { class: "axis-titles" });
    this.stage = h("div", { class: "axes-stage" }, this.canvas, this.titles);
    this.said = h("span", { class: "note" });
    this.tools = h("div", { class: "axes-tools" });
    this.element = h("div", { class: "axes", id: "axes" }, this.stage);
    this.canvas.addEventListener("pointerdown", (event) => this.begin(event));
    this.canvas.addEventListener("pointermove", (event) => this.drag(event));
    this.canvas.addEventListener("pointerup", (event) => this.end(event));
    this.canvas.addEventListener("pointerleave", () => { if (!this.brush) this.hooks.hover(null); });
    this.watch = new ResizeObserver(() => this.paint());
    this.watch.observe(this.stage);
  }

  close() { this.watch.disconnect(); }

  show(columns, selection, state) {
    Object.assign(this, { columns, selection, state });
    const names = state.axes ?? standardAxes(columns);
    this.list = names.filter((name) => MEASURES[name] || columns.choiceNames.includes(name)).map((name) => this.axis(name));
    this.stage.style.minWidth = `${88 * this.list.length}px`; // narrower ones scroll
    this.paint();
    // Fields stay while they are used; only other axes or values make other fields.
    const shape = JSON.stringify([this.list.map((axis) => [axis.name, axis.values]), columns.choicesByUse().length]);
    if (shape !== this.shape) { this.shape = shape; this.controls(); }
    for (const sync of this.syncs) sync(state.ranges);
  }

  axis(name) {
    const { columns, selection } = this;
    if (!MEASURES[name]) {
      const choice = columns.choice(name), n = choice.values.length;
      return { name, title: columnTitle(name), values: choice.values, at: (row) => (choice.at[row] < 0 ? null : n < 2 ? 0.5 : choice.at[row] / (n - 1)), of: (row) => (choice.at[row] < 0 ? null : choice.values[choice.at[row]]) };
    }
    const column = columns.of[name], log = MEASURES[name].log;
    let low = Infinity, high = -Infinity;
    for (let row = 0; row < columns.n; row++) {
      const value = column[row];
      if (!selection.shown[row] || !Number.isFinite(value) || (log && value <= 0)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (low > high) [low, high] = [0, 1];
    const turn = log ? Math.log : (value) => value, span = turn(high) - turn(low) || 1;
    return { name, title: MEASURES[name].title, low, high, at: (row) => (Number.isFinite(column[row]) && (!log || column[row] > 0) ? (turn(column[row]) - turn(low)) / span : null),
      back: (share) => (log ? Math.exp(turn(low) + share * span) : low + share * span), to: (value) => (turn(Math.max(value, log ? low : value)) - turn(low)) / span };
  }

  // The same ranges by keyboard: numbers and lists.
  controls() {
    const { list } = this;
    this.syncs = [];
    this.clear = h("button", { type: "button", onclick: () => this.hooks.ranges({}) }, "Clear ranges");
    this.syncs.push((ranges) => { this.clear.hidden = !Object.keys(ranges).length; });
    const choose = h("details", { class: "menu" }, h("summary", {}, "Axes"), h("div", { class: "menu-list" }, [...Object.keys(MEASURES), ...this.columns.choicesByUse().slice(0, 60)].map((name) =>
      h("label", { title: name }, h("input", { type: "checkbox", checked: list.some((axis) => axis.name === name), onchange: (event) => {
        const names = list.map((axis) => axis.name);
        this.hooks.axes(event.target.checked ? [...names, name] : names.filter((one) => one !== name));
      } }), MEASURES[name] ? columnTitle(name) : name))));
    const open = [...this.tools.querySelectorAll("details")].map((menu) => menu.open);
    const ranges = h("details", { class: "menu" }, h("summary", {}, "Ranges"), h("div", { class: "menu-list wide" }, list.map((axis) => this.rangeField(axis))));
    replace(this.tools, choose, ranges, this.clear, this.said);
    [choose, ranges].forEach((menu, i) => { menu.open = open[i] ?? false; });
  }

  rangeField(axis) {
    if (axis.values) {
      return h("fieldset", {}, h("legend", {}, axis.title), [...axis.values, null].map((value) => {
        const box = h("input", { type: "checkbox", onchange: (event) => this.toggle(axis, value, event.target.checked) });
        this.syncs.push((ranges) => { box.checked = !ranges[axis.name] || ranges[axis.name].includes(value); });
        return h("label", {}, box, value === null ? "absent" : String(value));
      }));
    }
    const change = (side) => (event) => {
      const ends = [axis.low, axis.high], next = [...(this.state.ranges[axis.name] ?? ends)];
      next[side] = event.target.value === "" ? ends[side] : Number(event.target.value);
      this.setRange(axis.name, next);
    };
    return h("fieldset", {}, h("legend", {}, axis.title), ["from", "to"].map((title, side) => {
      const field = h("input", { type: "number", step: "any", placeholder: brief([axis.low, axis.high][side]), onchange: change(side) });
      this.syncs.push((ranges) => { if (document.activeElement !== field) field.value = ranges[axis.name] ? ranges[axis.name][side] : ""; });
      return h("label", {}, title, field);
    }));
  }

  toggle(axis, value, on) {
    const all = [...axis.values, null], now = this.state.ranges[axis.name] ?? all;
    const next = on ? [...now, value] : now.filter((one) => one !== value);
    this.setRange(axis.name, next.length >= all.length ? null : next);
  }

  setRange(name, range) {
    const ranges = { ...this.state.ranges };
    if (range === null) delete ranges[name];
    else ranges[name] = range;
    this.hooks.ranges(ranges);
  }

  // -- drawing ---------------------------------------------------------------------------------------------------------

  place(axis, row) {
    const at = axis.at(row);
    if (at === null) axis.absent = true;
    return at === null ? this.foot : this.foot - GAP - at * (this.foot - GAP - TOP);
  }

  paint() {
    const width = this.stage.clientWidth, height = this.stage.clientHeight;
    if (!this.columns || !width || !height) return;
    const ratio = window.devicePixelRatio || 1, context = this.canvas.getContext("2d");
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.foot = height - BOTTOM;
    const edge = Math.min(70, width * 0.12);
    this.list.forEach((axis, i) => { axis.x = this.list.length < 2 ? width / 2 : edge + ((width - 2 * edge) * i) / (this.list.length - 1); });
    for (const axis of this.list) axis.absent = false;
    const rows = { out: [], in: [] };
    for (let row = 0; row < this.columns.n; row++) if (this.selection.shown[row]) (this.selection.inside[row] ? rows.in : rows.out).push(row);
    const thin = (list, keep) => { const every = Math.max(1, Math.ceil(list.length / MOST)); return every === 1 ? list : list.filter((row, i) => keep(row) || i % every === 0); };
    const front = (row) => this.columns.group[row] === 0;
    const chosen = thin(rows.in, front), others = thin(rows.out, () => false);
    const total = rows.in.length + rows.out.length, drawn = chosen.length + others.length;
    this.said.textContent = drawn < total ? `${drawn.toLocaleString("en")} of ${total.toLocaleString("en")} lines are drawn, the front among them` : "";
    this.lines(context, others, css("--line"), 0.7, 1);
    this.lines(context, chosen.filter((row) => !front(row)), css("--dominated"), 0.55, 1.1);
    for (const row of chosen.filter(front)) this.lines(context, [row], css("--front"), 1, 1.8);
    if (this.state.pin !== null) this.lines(context, [this.state.pin], css("--pick"), 1, 2.6);
    this.scales(context);
    put(this.titles, this.list.map((axis) => h("span", { style: { left: `${axis.x}px` }, title: axis.name, class: this.state.ranges[axis.name] ? "ranged" : "" }, axis.title)));
  }

  lines(context, rows, stroke, alpha, width) {
    context.strokeStyle = stroke;
    context.globalAlpha = alpha;
    context.lineWidth = width;
    context.beginPath();
    for (const row of rows) this.list.forEach((axis, i) => { const y = this.place(axis, row); i ? context.lineTo(axis.x, y) : context.moveTo(axis.x, y); });
    context.stroke();
    context.globalAlpha = 1;
  }

  scales(context) {
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const axis of this.list) {
      const head = this.foot - GAP, right = axis.x > this.stage.clientWidth - 60;
      context.strokeStyle = css("--soft");
      context.lineWidth = 1.2;
      context.beginPath();
      context.moveTo(axis.x, TOP);
      context.lineTo(axis.x, head);
      context.stroke();
      const label = (text, y) => {
        const words = text.length > 18 ? `${text.slice(0, 17)}…` : text;
        context.textAlign = right ? "right" : "left";
        context.lineWidth = 3;
        context.strokeStyle = css("--paper");
        context.strokeText(words, axis.x + (right ? -6 : 6), y);
        context.fillStyle = css("--ink");
        context.fillText(words, axis.x + (right ? -6 : 6), y);
      };
      if (axis.values) axis.values.forEach((value, i) => label(String(value), axis.values.length < 2 ? (TOP + head) / 2 : head - (i / (axis.values.length - 1)) * (head - TOP)));
      else for (const [value, y] of [[axis.high, TOP], [axis.low, head]]) label(MEASURES[axis.name].digits ? value.toFixed(MEASURES[axis.name].digits) : brief(value), y);
      if (axis.absent || this.state.ranges[axis.name]?.includes(null)) {
        context.fillStyle = css("--soft");
        context.fillRect(axis.x - 5, this.foot - 1, 10, 2);
        label("absent", this.foot);
      }
      this.brushed(context, axis);
    }
  }

  brushed(context, axis) {
    const range = this.state.ranges[axis.name];
    if (!range) return;
    context.fillStyle = css("--pick");
    context.globalAlpha = 0.35;
    const head = this.foot - GAP;
    if (axis.values) for (const value of range) { const i = axis.values.indexOf(value); const y = value === null ? this.foot : axis.values.length < 2 ? (TOP + head) / 2 : head - (i / (axis.values.length - 1)) * (head - TOP); context.fillRect(axis.x - 7, y - 7, 14, 14); }
    else { const [low, high] = range.map((value) => head - Math.min(1, Math.max(0, axis.to(value))) * (head - TOP)); context.fillRect(axis.x - 7, high, 14, Math.max(3, low - high)); }
    context.globalAlpha = 1;
  }

  // -- brushing --------------------------------------------------------------------------------------------------------

  here(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  begin(event) {
    const { x, y } = this.here(event), axis = this.list.find((one) => Math.abs(one.x - x) < 18);
    if (!axis) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.brush = { axis, from: y, to: y };
  }

  drag(event) {
    const { x, y } = this.here(event);
    if (this.brush) {
      this.brush.to = y;
      this.canvas.style.cursor = "ns-resize";
      if (!this.brush.axis.values && Math.abs(this.brush.to - this.brush.from) > 4) this.apply();
      return;
    }
    this.canvas.style.cursor = this.list.some((one) => Math.abs(one.x - x) < 18) ? "ns-resize" : "default";
  }

  end(event) {
    if (!this.brush) return;
    const { axis, from } = this.brush, { y } = this.here(event);
    this.brush.to = y;
    if (axis.values) this.category(axis, Math.min(from, y) - 9, Math.max(from, y) + 9);
    else if (Math.abs(y - from) <= 4) this.setRange(axis.name, null); // a click without a drag takes the range away
    else this.apply();
    this.brush = null;
  }

  apply() {
    const { axis, from, to } = this.brush, head = this.foot - GAP;
    const share = (y) => Math.min(1, Math.max(0, (head - y) / (head - TOP)));
    const ends = [axis.back(share(Math.max(from, to))), axis.back(share(Math.min(from, to)))];
    // The whole of the axis is the whole of the axis, whatever rounding says.
    if (share(Math.max(from, to)) === 0) ends[0] = axis.low;
    if (share(Math.min(from, to)) === 1) ends[1] = axis.high;
    this.setRange(axis.name, ends.map((value) => Number(value.toPrecision(8))));
  }

  category(axis, top, bottom) {
    const head = this.foot - GAP, n = axis.values.length;
    const level = (i) => (n < 2 ? (TOP + head) / 2 : head - (i / (n - 1)) * (head - TOP));
    const hit = axis.values.filter((value, i) => level(i) >= top && level(i) <= bottom);
    if (this.foot >= top && this.foot <= bottom) hit.push(null);
    if (!hit.length) return;
    const now = this.state.ranges[axis.name];
    const next = hit.length === 1 && now ? (now.includes(hit[0]) ? now.filter((one) => one !== hit[0]) : [...now, hit[0]]) : hit;
    this.setRange(axis.name, next.length ? next : null);
  }
}
