// The plot of a front. plotly.js has axes, zoom and regions; the marks are drawn above it on a canvas of our own: its
// WebGL traces need eval, which the page's content security policy forbids, and an own hit test is faster.

import { MEASURES, HIDDEN } from "../data/columns.js";
import { plotlyLoaded } from "../data/plotly.js";
import { announce, css, failure, h, put } from "./dom.js";
import { drawMarks, frontRows, paints, placeRows } from "./marks.js";
import { canvasPen, svgPen } from "./pen.js";

const REACH = 14; // pixels from a mark within which it is meant
const CONFIG = { showSendToCloud: false, displaylogo: false, displayModeBar: false, responsive: true, doubleClick: false, scrollZoom: false };

// Round values in a range, of logarithms where it is log; `room` is how many fit beside each other.
export function tickValues(range, log, room = 12) {
  const [low, high] = log ? range.map((power) => 10 ** power) : range;
  if (log && high / low > 4) {
    const decades = range[1] - range[0], digits = 3 * decades > room || high / low > 1e4 ? [1] : [1, 2, 5], found = [];
    for (let power = Math.floor(range[0]); power <= range[1]; power++) for (const digit of digits) found.push(digit * 10 ** power);
    return found.filter((value) => value >= low && value <= high);
  }
  const span = high - low, step = 10 ** Math.floor(Math.log10(span / 4)), times = [1, 2, 5, 10].find((one) => span / (one * step) <= Math.min(7, room));
  const found = [];
  for (let value = Math.ceil(low / (step * times)) * step * times; value <= high; value += step * times) found.push(Number(value.toPrecision(12)));
  return found;
}

export class FrontPlot {
  constructor(hooks) {
    this.hooks = hooks; // hover(row), pick(row), region(region), zoom(zoom), whole()
    this.canvas = h("canvas", { class: "cloud", "aria-hidden": "true" });
    this.over = h("canvas", { class: "cloud", "aria-hidden": "true" });
    this.chart = h("div", { class: "chart" });
    this.element = h("div", { class: "plot", id: "plot", tabindex: 0, role: "application",
      "aria-label": "Plot of the front. Left and right walk along the front, Enter pins, C compares. The table below holds the same rows." },
    this.chart, this.canvas, this.over);
    this.trouble = h("div", { class: "plot-trouble", hidden: true });
    this.element.append(this.trouble);
    this.drawing = Promise.resolve();
    this.hovered = null;
    this.drawn = null;
    this.down = null;
    this.element.addEventListener("pointerdown", (event) => { this.down = [event.clientX, event.clientY]; }, true);
    this.up = (event) => this.released(event);
    window.addEventListener("pointerup", this.up, true);
    this.chart.addEventListener("pointermove", (event) => this.moved(event));
    this.chart.addEventListener("pointerleave", () => this.point(null));
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.element.addEventListener("blur", () => this.hooks.leave());
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.element);
  }

  close() {
    this.closed = true;
    this.watch.disconnect();
    window.removeEventListener("pointerup", this.up, true);
    if (this.started) Plotly.purge(this.chart);
  }

  // Draws what is given anew; zoom, region and hover stay.
  show(given) {
    this.given = given;
    if (this.down) { this.late = true; return; }
    if (!this.queued) {
      this.queued = true;
      this.drawing = this.drawing.then(() => this.draw());
    }
    return this.drawing;
  }

  // One drawing at a time, of what was given last. Where plotly.js does not come the plot says so, and asks again when
  // it is told to, or with the next news.
  async draw() {
    try {
      await plotlyLoaded();
    } catch (error) {
      this.queued = false;
      this.trouble.hidden = false;
      put(this.trouble, failure(error, () => { put(this.trouble, h("p", { role: "status" }, "Loading …")); this.show(this.given); }));
      return;
    }
    this.queued = false;
    if (this.closed) return; // another view was opened meanwhile
    this.trouble.hidden = true;
    const ranges = this.given.state.zoom ?? this.fitting(false);
    await Plotly.react(this.chart, [{ x: [], y: [], mode: "markers", type: "scatter" }], this.layout(ranges), CONFIG);
    if (this.closed) { Plotly.purge(this.chart); return; }
    if (!this.started) this.listen();
    this.paint();
  }

  listen() {
    this.started = true;
    this.chart.on("plotly_relayout", (change) => {
      if (Object.keys(change).some((name) => /^[xy]axis\.range/.test(name))) this.hooks.zoom({ x: [...this.chart.layout.xaxis.range], y: [...this.chart.layout.yaxis.range] });
    });
    this.chart.on("plotly_relayouting", () => this.paint());
    this.chart.on("plotly_doubleclick", () => this.hooks.whole());
    this.chart.on("plotly_selected", (event) => this.selected(event));
    this.chart.on("plotly_deselect", () => this.hooks.region(null));
  }

  selected(event) {
    if (!event || (!event.range && !event.lassoPoints)) return;
    const { state } = this.given, { range, lassoPoints } = event;
    const xs = range ? [range.x[0], range.x[1], range.x[1], range.x[0]] : lassoPoints.x;
    const ys = range ? [range.y[0], range.y[0], range.y[1], range.y[1]] : lassoPoints.y;
    const short = (value) => Number(value.toPrecision(6));
    this.hooks.region({ x: state.x, y: state.y, xlog: state.xlog, ylog: state.ylog, xs: [...xs].map(short), ys: [...ys].map(short) });
  }

  // Ranges of the axes: all of x; of y what matters, unless everything is asked for.
  fitting(everything) {
    const { columns, selection, state, systems } = this.given;
    const xs = columns.of[state.x], ys = columns.of[state.y];
    const seen = { x: [], y: [], front: [] };
    for (let row = 0; row < columns.n; row++) {
      if (!selection.shown[row]) continue;
      if (Number.isFinite(xs[row]) && (!state.xlog || xs[row] > 0)) seen.x.push(xs[row]);
      if (Number.isFinite(ys[row]) && (!state.ylog || ys[row] > 0)) seen.y.push(ys[row]);
      if (columns.group[row] === 0 || columns.group[row] === 2) seen.front.push(ys[row]);
    }
    for (const system of systems) { seen.x.push(state.x === "flops" ? 2 * system.macs : system[state.x] ?? NaN); if (state.y === "mean") { seen.y.push(system.accuracy); seen.front.push(system.accuracy); } }
    if (state.y === "mean") for (const accuracy of Object.values(this.given.references ?? {})) seen.front.push(accuracy);
    const side = (values, log, focus) => {
      const fit = values.filter((value) => Number.isFinite(value) && (!log || value > 0)).map((value) => (log ? Math.log10(value) : value));
      if (!fit.length) return log ? [5, 7] : [0, 1];
      let low = fit.reduce((a, b) => Math.min(a, b)), high = fit.reduce((a, b) => Math.max(a, b));
      if (focus) {
        const main = focus.filter((value) => Number.isFinite(value) && (!log || value > 0)).map((value) => (log ? Math.log10(value) : value));
        if (main.length > 1) low = Math.max(low, Math.min(...main) - 0.35 * (Math.max(...main) - Math.min(...main)));
      }
      const pad = (high - low || Math.abs(high) || 1) * 0.06;
      return [low - pad, high + pad * 1.4];
    };
    return { x: side(seen.x, state.xlog, null), y: side(seen.y, state.ylog, !everything && MEASURES[state.y].better === "more" ? seen.front : null) };
  }

  layout(ranges) {
    const { state } = this.given, ink = css("--ink"), line = css("--line");
    const axis = (name, range, log, room) => {
      const values = tickValues(range, log, room), big = Math.max(...values.map(Math.abs), 0) >= 1000;
      return {
        type: log ? "log" : "linear", range: [...range], autorange: false, gridcolor: line, zeroline: false, linecolor: line, tickcolor: line,
        tickangle: 0, title: { text: MEASURES[name].long, standoff: 8, font: { size: 12 } }, tickmode: "array", tickvals: values,
        ticktext: values.map((value) => (big ? Number((value / (value >= 1e9 ? 1e9 : value >= 1e6 ? 1e6 : value >= 1e3 ? 1e3 : 1)).toPrecision(4)) + (value >= 1e9 ? "G" : value >= 1e6 ? "M" : value >= 1e3 ? "k" : "") : String(value))),
      };
    };
    return {
      margin: { l: 58, r: 14, t: 10, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
      font: { family: "system-ui, sans-serif", size: 12, color: ink }, hovermode: false, spikedistance: 0, uirevision: "same",
      dragmode: { zoom: "zoom", box: "select", lasso: "lasso", pan: "pan" }[state.tool], selectdirection: "any",
      xaxis: axis(state.x, ranges.x, state.xlog, (this.element.clientWidth || 900) / 60), yaxis: axis(state.y, ranges.y, state.ylog, (this.element.clientHeight || 320) / 40), selections: this.outlines(),
      newselection: { line: { color: css("--pick"), width: 1.5, dash: "dash" } },
    };
  }

  outlines() {
    const { region, x, y } = this.given.state;
    if (!region || region.x !== x || region.y !== y) return [];
    const path = `M${region.xs.map((value, i) => `${value},${region.ys[i]}`).join("L")}Z`;
    return [{ type: "path", path, line: { color: css("--pick"), width: 1.5, dash: "dash" }, xref: "x", yref: "y" }];
  }

  frame() {
    const size = this.chart._fullLayout._size, { state } = this.given, { xaxis, yaxis } = this.chart._fullLayout;
    const scale = (range, log, from, length) => {
      const span = range[1] - range[0];
      return (value) => from + (((log ? Math.log10(value) : value) - range[0]) / span) * length;
    };
    return { left: size.l, right: size.l + size.w, top: size.t, bottom: size.t + size.h,
      x: scale(xaxis.range, state.xlog, size.l, size.w), y: scale(yaxis.range, state.ylog, size.t + size.h, -size.h) };
  }

  paint() {
    if (!this.started || !this.given) return;
    const { columns, selection, state } = this.given;
    const context = this.sized(this.canvas), frame = this.frame();
    const places = placeRows(columns, selection, state, frame), front = frontRows(columns, selection, state);
    this.drawn = { frame, places, front };
    context.save();
    context.beginPath();
    context.rect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
    context.clip();
    drawMarks(canvasPen(context), { ...this.given, frame, places, front, colours: paints() });
    context.restore();
    this.ring();
    this.element.dataset.drawn = String(columns.revision);
  }

  // What is hovered, pinned and compared, on a layer of its own: a move of the pointer draws nothing else.
  ring() {
    if (!this.drawn) return;
    const context = this.sized(this.over), pen = canvasPen(context), { px, py } = this.drawn.places, { state } = this.given;
    const around = (row, width, r) => {
      if (row === null || !(px[row] >= this.drawn.frame.left - 1 && px[row] <= this.drawn.frame.right + 1)) return;
      pen.style({ stroke: css("--pick"), width });
      pen.circle(px[row], py[row], r);
    };
    for (const row of state.compare) around(row, 1.6, 10);
    around(state.pin, 3, 10);
    around(this.hovered, 2, 9);
  }

  sized(canvas) {
    const { clientWidth: width, clientHeight: height } = this.element, ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }

  resized() {
    if (!this.started || !this.element.clientWidth) return;
    Plotly.Plots.resize(this.chart).then(() => this.paint());
  }

  // -- pointer and keys ------------------------------------------------------------------------------------------------

  nearest(event) {
    if (!this.drawn) return null;
    const box = this.element.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    const { px, py } = this.drawn.places, { columns } = this.given;
    let best = null, closest = REACH ** 2;
    for (let row = 0; row < px.length; row++) {
      const dx = px[row] - x, dy = py[row] - y;
      // Of marks that hide each other the front and the baselines are meant.
      const far = (dx * dx + dy * dy) * (columns.group[row] === 0 || columns.group[row] === 2 ? 0.5 : 1);
      if (far < closest && columns.group[row] !== HIDDEN) { closest = far; best = row; }
    }
    return best;
  }

  moved(event) {
    if (this.down && event.buttons) return;
    this.point(this.nearest(event));
  }

  point(row) {
    if (row === this.hovered) return;
    this.hovered = row;
    this.ring();
    this.chart.classList.toggle("pointing", row !== null);
    this.hooks.hover(row);
  }

  released(event) {
    if (!this.down) return;
    // Not by the event's target: while the pointer is down plotly.js covers the page.
    const [x, y] = this.down, click = Math.hypot(event.clientX - x, event.clientY - y) < 4;
    this.down = null;
    const row = click ? this.nearest(event) : null;
    if (row !== null) this.hooks.pick(row);
    if (this.late) { this.late = false; this.show(this.given); }
  }

  key(event) {
    const members = this.drawn?.front.members ?? [];
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (step && members.length) {
      event.preventDefault();
      const at = members.indexOf(this.hovered);
      const next = at < 0 ? (step > 0 ? 0 : members.length - 1) : Math.min(members.length - 1, Math.max(0, at + step));
      this.point(members[next]);
      announce(`Front ${next + 1} of ${members.length}: ${this.hooks.say(members[next])}`);
    } else if (event.key === "Enter" && this.hovered !== null) this.hooks.pick(this.hovered);
    else if (event.key.toLowerCase() === "c" && this.hovered !== null && !event.ctrlKey && !event.metaKey) this.hooks.compare(this.hovered);
    else if (event.key === "Escape") this.point(null);
  }

  // -- export ----------------------------------------------------------------------------------------------------------

  // The figure as it is seen, on the page's paper; `format` is svg or png.
  async picture(format) {
    const width = this.element.clientWidth, height = this.element.clientHeight, pen = svgPen(width, height);
    drawMarks(pen, { ...this.given, ...this.drawn, colours: paints() });
    const { frame } = this.drawn, size = this.chart._fullLayout._size;
    const inside = pen.done().replace(/^<svg [^>]*>/, `<svg xmlns="http://www.w3.org/2000/svg" width="${size.w}" height="${size.h}" viewBox="${frame.left} ${frame.top} ${size.w} ${size.h}">`);
    const source = `data:image/svg+xml;base64,${btoa(String.fromCharCode(...new TextEncoder().encode(inside)))}`;
    const layout = { ...this.layout({ x: [...this.chart._fullLayout.xaxis.range], y: [...this.chart._fullLayout.yaxis.range] }), paper_bgcolor: css("--paper"), selections: [],
      images: [{ source, xref: "paper", yref: "paper", x: 0, y: 1, sizex: 1, sizey: 1, sizing: "stretch", layer: "above" }] };
    return Plotly.toImage({ data: [{ x: [], y: [], mode: "markers", type: "scatter" }], layout, config: CONFIG }, { format, width, height, scale: format === "png" ? 2 : 1 });
  }
}
