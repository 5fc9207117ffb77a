// Learning curves and bars as small SVG pictures: no library, so that a card is there at once and prints.

import { decimal, h, s } from "./dom.js";

const CURVE_COLOURS = ["--front", "--baseline", "--stopped", "--failed"];

// lines: [{ name, x: [], y: [], dash?, colour? }]
export function lineChart(lines, { width = 320, height = 150, title, y = "", x = "epoch", digits = 3 }) {
  const points = lines.flatMap((line) => line.y.map((value, i) => [line.x[i], value]).filter(([, value]) => Number.isFinite(value)));
  if (!points.length) return h("p", { class: "note" }, "No epoch is recorded yet.");
  const [left, right, top, bottom] = [44, 10, 10, 30];
  const span = (values) => { const low = Math.min(...values), high = Math.max(...values); return high > low ? [low, high] : [low - 0.5, high + 0.5]; };
  const [x0, x1] = span(points.map(([value]) => value)), [y0, y1] = span(points.map(([, value]) => value));
  const px = (value) => left + ((value - x0) / (x1 - x0)) * (width - left - right), py = (value) => height - bottom - ((value - y0) / (y1 - y0)) * (height - top - bottom);
  const ticks = [y0, (y0 + y1) / 2, y1];
  const single = new Set(points.map(([value]) => value)).size === 1;
  return s("svg", { class: "line-chart", viewBox: `0 0 ${width} ${height}`, style: `max-width:${width}px`, role: "img", "aria-label": title },
    s("title", {}, title),
    ticks.map((value) => [s("line", { class: "rule", x1: left, x2: width - right, y1: py(value), y2: py(value) }), s("text", { x: left - 5, y: py(value) + 4, "text-anchor": "end" }, value.toFixed(digits))]),
    [...new Set(single ? [points[0][0]] : [x0, x1])].map((value) => s("text", { x: px(value), y: height - bottom + 14, "text-anchor": value === x0 && !single ? "start" : "end" }, String(value))),
    s("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, `${y ? `${y} by ` : ""}${x}`),
    lines.map((line, i) => {
      const drawn = line.y.map((value, at) => [line.x[at], value]).filter(([, value]) => Number.isFinite(value));
      const stroke = `var(${line.colour ?? CURVE_COLOURS[i % CURVE_COLOURS.length]})`;
      const d = drawn.map(([a, b], at) => `${at ? "L" : "M"}${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join("");
      return [s("path", { d, fill: "none", style: `stroke:${stroke}`, "stroke-width": line.width ?? 1.8, "stroke-dasharray": line.dash ?? null }, s("title", {}, line.name)),
        drawn.length < 30 ? drawn.map(([a, b]) => s("circle", { cx: px(a), cy: py(b), r: 2.4, style: `fill:${stroke}` }, s("title", {}, `${line.name}: ${decimal(b)}, ${x} ${a}`))) : null];
    }));
}

export function seedCurves(seeds, what, options) {
  const lines = [];
  seeds.forEach((seed, i) => {
    for (const [part, dash, colour] of [["train", "2 3", "--soft"], ["validation", null, "--front"]]) {
      const values = seed.curve[`${part}_${what}`] ?? [];
      lines.push({ name: `${part === "train" ? "training" : "validation"}, seed ${seed.seed}`, x: seed.curve.epoch, y: values.map((value) => value ?? NaN), dash, colour, width: i ? 1 : 1.8 });
    }
  });
  return lineChart(lines, { y: what, title: `${what} by epoch, ${seeds.length} seeds: validation solid, training dotted`, ...options });
}

export function legend(items) {
  return h("p", { class: "legend" }, items.map(([name, colour, dash]) => h("span", {}, s("svg", { width: 22, height: 8, "aria-hidden": "true" }, s("line", { x1: 0, x2: 22, y1: 4, y2: 4, style: `stroke:var(${colour})`, "stroke-width": 2.4, "stroke-dasharray": dash ?? null })), name)));
}

export function bar(share) {
  return h("span", { class: "bar" }, h("span", { style: { width: `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%` } }));
}
