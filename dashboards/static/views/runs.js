// All runs: how far each is, what went wrong, and the fronts of those that are ticked over each other.

import { plotlyLoaded } from "../data/plotly.js";
import { frontOf } from "../data/columns.js";
import { setState, state } from "../data/url.js";
import { css, decimal, failure, h, lasting, put, s, several } from "../parts/dom.js";
import { tickValues } from "../parts/plot.js";
import { toggled } from "./front.js";

const RUN_NUMBERS = ["best", "front", "hypervolume", "time left"];
const RUN_COLOURS = ["--front", "--baseline", "--stopped", "--running", "--pick", "--dominated"];
const RUN_DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];

export class RunsView {
  constructor(app) {
    this.app = app;
    this.table = h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Runs" });
    this.chart = h("div", { class: "runs-chart" });
    this.said = h("p", { class: "note" });
    this.element = h("div", { class: "page runs-view" }, h("h1", {}, "Runs"), this.table, h("section", {}, h("h2", {}, "Fronts over each other"), this.said, this.chart));
    this.follow = window.setInterval(() => this.refresh(), app.source.live ? 2000 : 1e9);
    this.resize = new ResizeObserver(() => { if (this.started) Plotly.Plots.resize(this.chart); });
    this.resize.observe(this.chart);
  }

  close() {
    this.closed = true;
    clearInterval(this.follow);
    this.resize.disconnect();
    if (this.started) Plotly.purge(this.chart);
  }

  async show() { await this.refresh(true); }

  async refresh(anew = false) {
    try {
      const { runs, place } = await this.app.source.runs();
      this.app.runs = runs;
      const text = JSON.stringify([runs, state.overlay, state.run]);
      if (text === this.text && !anew) return;
      this.text = text;
      if (!runs.length) {
        put(this.table, h("p", { class: "empty" }, `There is no run in ${place} yet. Start one with `, h("code", {}, "metamixer search digits"), "; it appears here by itself."));
        return;
      }
      this.fill(runs);
      await this.draw(runs);
    } catch (error) {
      put(this.table, failure(error));
    }
  }

  fill(runs) {
    const focused = document.activeElement?.id;
    const heads = ["over", "run", "state", "progress", "best", "front", "hypervolume", "time left", "failures"];
    put(this.table, h("table", { class: "simple runs" }, h("thead", {}, h("tr", {}, heads.map((title) => h("th", { scope: "col", class: RUN_NUMBERS.includes(title) ? "number" : null }, title)))), h("tbody", {}, runs.map((run) => this.line(run)))));
    if (focused) document.getElementById(focused)?.focus();
  }

  line(run) {
    if (run.error) return h("tr", {}, h("td", {}), h("td", {}, run.name), h("td", { colspan: 7 }, h("pre", {}, run.error)));
    const { study, progress } = run, share = progress.budget && Number.isFinite(Number(progress.budget)) ? Math.min(1, progress.trained / progress.budget) : null;
    const chosen = run.name === state.run || state.overlay.includes(run.name);
    return h("tr", { class: run.name === state.run ? "current" : "" },
      h("td", {}, h("input", { type: "checkbox", id: `over-${run.name}`, checked: chosen, disabled: run.name === state.run, "aria-label": `Draw the front of ${run.name}`, onchange: () => setState({ overlay: toggled(state.overlay, run.name) }) })),
      h("td", {}, h("button", { type: "button", class: "link", onclick: () => setState({ run: run.name, view: "front", overlay: state.overlay.filter((name) => name !== run.name), pin: null, compare: [], zoom: null, arch: null }, { push: true }) }, run.name), h("div", { class: "note" }, `${study.task?.name ?? "?"}, ${study.space?.name ?? "?"}, ${study.search?.sampler ?? "?"}, seed ${study.study?.seed ?? "?"}`)),
      h("td", {}, stateOf(run)),
      h("td", {}, share === null ? `${progress.trained} trained` : h("span", {}, h("progress", { value: share, max: 1, "aria-label": "budget used" }), ` ${progress.trained} of ${progress.budget}`), h("div", { class: "note" }, [progress.running ? `${progress.running} running` : null, progress.stopped ? `${progress.stopped} stopped early` : null, progress.replicates ? `${progress.replicates} more seeds` : null].filter(Boolean).join(", "))),
      h("td", { class: "number" }, decimal(progress.best)), h("td", { class: "number" }, String(progress.front)),
      h("td", { class: "number" }, decimal(progress.hypervolume.share.at(-1) ?? null, 3), spark(progress.hypervolume)),
      h("td", { class: "number" }, progress.seconds_left === null ? "–" : lasting(progress.seconds_left)),
      h("td", {}, reasonsOf(progress)));
  }

  async draw(runs) {
    const names = [state.run, ...state.overlay].filter((name) => runs.some((run) => run.name === name && !run.error));
    const loaded = await Promise.all(names.map((name) => this.app.load(name)));
    const groups = new Map();
    loaded.forEach((columns) => { const key = columns.study?.group; groups.set(key, [...(groups.get(key) ?? []), columns]); });
    const traces = [];
    let i = 0;
    for (const members of groups.values()) {
      const colour = css(RUN_COLOURS[i % RUN_COLOURS.length]), dash = RUN_DASHES[i % RUN_DASHES.length];
      const fronts = members.map((columns) => frontOf(columns, [...columns.group.keys()].filter((row) => columns.group[row] < 2), "flops", "mean").map((row) => [columns.of.flops[row], columns.of.mean[row]]));
      if (members.length > 1) traces.push(...band(fronts, members, colour, dash));
      else traces.push({ x: fronts[0].map(([x]) => x), y: fronts[0].map(([, y]) => y), mode: "lines+markers", name: members[0].run, line: { shape: "hv", color: colour, dash, width: 2 }, marker: { symbol: ["diamond", "square", "circle", "triangle-up"][i % 4], size: 7 } });
      i += 1;
    }
    const bands = [...groups.values()].filter((members) => members.length > 1).length;
    this.said.textContent = names.length < 2 ? "Tick runs above to lay their fronts over this one. Runs that differ in nothing but their seed become one band: what every one, the median and the best of them attain." : `${several(names.length, "run")}, ${several(bands, "band")} over seeds.`;
    const flops = traces.flatMap((trace) => [...trace.x]).filter((value) => value > 0), range = flops.length ? [Math.log10(Math.min(...flops)) - 0.05, Math.log10(Math.max(...flops)) + 0.05] : [5, 7];
    const ticks = tickValues(range, true, (this.chart.clientWidth || 900) / 60), line = css("--line");
    const layout = { height: 380, margin: { l: 58, r: 14, t: 8, b: 46 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { family: "system-ui, sans-serif", size: 12, color: css("--ink") }, spikedistance: 0, hovermode: "closest",
      xaxis: { type: "log", range, tickangle: 0, title: { text: "FLOPs of one input (2 × MACs)" }, tickvals: ticks, ticktext: ticks.map((value) => (value >= 1e9 ? `${value / 1e9}G` : value >= 1e6 ? `${value / 1e6}M` : `${value / 1e3}k`)), gridcolor: line }, yaxis: { title: { text: "validation accuracy" }, gridcolor: line, zeroline: false }, legend: { x: 0.99, xanchor: "right", y: 0.02, yanchor: "bottom", bgcolor: css("--paper") }, showlegend: true, uirevision: "runs" };
    try {
      await plotlyLoaded();
    } catch (error) {
      put(this.chart, failure(error, () => this.refresh(true)));
      return;
    }
    if (this.closed) return; // another view was opened meanwhile
    if (!this.started) put(this.chart);
    await Plotly.react(this.chart, traces, layout, { showSendToCloud: false, displayModeBar: false, responsive: true });
    if (this.closed) Plotly.purge(this.chart);
    else this.started = true;
  }
}

// Attainment over seeds at a grid of costs: worst, median and best accuracy that a run has reached at no more than that.
export function attainment(fronts) {
  const costs = [...new Set(fronts.flat().map(([x]) => x))].sort((a, b) => a - b);
  return costs.map((cost) => {
    const reached = fronts.map((front) => front.filter(([x]) => x <= cost).reduce((best, [, y]) => Math.max(best, y), -Infinity)).sort((a, b) => a - b);
    return [cost, reached[0], reached[Math.floor((reached.length - 1) / 2)], reached.at(-1)];
  });
}

function band(fronts, members, colour, dash) {
  const points = attainment(fronts), whole = points.filter(([, low]) => Number.isFinite(low)), some = points.filter(([, , middle]) => Number.isFinite(middle));
  const name = `${members.length} seeds: ${members.map((columns) => columns.run).join(", ")}`;
  const edge = (at, extra) => ({ x: whole.map(([x]) => x), y: whole.map((point) => point[at]), mode: "lines", line: { shape: "hv", width: 0, color: colour }, hoverinfo: "skip", showlegend: false, legendgroup: name, ...extra });
  const [r, g, b] = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
  return [edge(1, {}), edge(3, { fill: "tonexty", fillcolor: `rgba(${r},${g},${b},0.2)` }),
    { x: some.map(([x]) => x), y: some.map(([, , y]) => y), mode: "lines", name, legendgroup: name, line: { shape: "hv", color: colour, dash, width: 2 } }];
}

export function stateOf({ study, progress }) {
  if (study.alive) return h("span", { class: "live on" }, "running");
  const whole = progress.budget && progress.trained >= progress.budget;
  return h("span", { class: "live" }, whole ? "finished" : progress.running ? "interrupted" : "stopped");
}

function reasonsOf(progress) {
  const lost = progress.reasons.filter((reason) => reason.what !== "stopped"), n = lost.reduce((sum, reason) => sum + reason.n, 0);
  if (!n) return "none";
  return h("details", {}, h("summary", {}, `${progress.failed} failed, ${progress.refused} refused`), h("ul", {}, lost.slice(0, 20).map((reason) => h("li", {}, `${reason.n} × ${reason.what}: ${reason.why}`))));
}

function spark({ n, share }) {
  if (n.length < 2) return null;
  const low = Math.min(...share), high = Math.max(...share), span = high - low || 1;
  const d = n.map((at, i) => `${i ? "L" : "M"}${((at / n.at(-1)) * 70).toFixed(1)} ${(18 - ((share[i] - low) / span) * 16).toFixed(1)}`).join("");
  return s("svg", { width: 72, height: 20, class: "spark", role: "img", "aria-label": `hypervolume from ${share[0].toFixed(3)} to ${share.at(-1).toFixed(3)}` }, s("path", { d, fill: "none" }));
}
