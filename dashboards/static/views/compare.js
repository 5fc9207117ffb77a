// Two to four architectures side by side: only what differs.

import { setState, state } from "../data/url.js";
import { badges, drawingOf, scoreText, sentenceOf, takeHome, testText, titleOf } from "../parts/architecture.js";
import { bar, legend, lineChart } from "../parts/curves.js";
import { brief, exact, failure, h, lasting, note, put } from "../parts/dom.js";
import { toggled } from "./front.js";

const COMPARED_COLOURS = ["--front", "--baseline", "--stopped", "--running"];
const COMPARED_DASHES = [null, "6 3", "2 3", "8 3 2 3"];

export class CompareView {
  constructor(app) {
    this.app = app;
    this.element = h("div", { class: "page compare-view" });
  }

  close() {}

  async show() {
    const columns = this.app.columns(), rows = state.compare.filter((row) => row < columns.n);
    const mark = `${columns.run} ${rows.map((row) => `${row} ${columns.of.seeds[row]} ${columns.of.test[row]} ${columns.of.epochs[row]}`).join("|")} ${columns.written}`;
    if (mark === this.mark) return;
    this.mark = mark;
    if (rows.length < 2) {
      put(this.element, h("h1", {}, "Compare"), h("p", { class: "empty" }, "Choose two to four architectures: Compare in the card, the circles in the table, or C on the keyboard."));
      return;
    }
    try {
      const details = await Promise.all(rows.map((row) => this.app.detail(row)));
      if (mark === this.mark) this.fill(columns, rows, details);
    } catch (error) {
      if (mark === this.mark) put(this.element, failure(error));
    }
  }

  fill(columns, rows, details) {
    this.element.style.setProperty("--n", rows.length);
    const heads = rows.map((row, i) => h("div", { class: "compared", style: { "border-top-color": `var(${COMPARED_COLOURS[i]})` } },
      h("div", { class: "row" }, h("h2", {}, titleOf(columns, row)), badges(columns, row, null)),
      h("div", { class: "actions" }, h("button", { type: "button", class: "main", onclick: () => setState({ view: "architecture", arch: row }, { push: true }) }, "Open"), h("button", { type: "button", onclick: () => setState({ compare: toggled(state.compare, row) }) }, "Take away")),
      sentenceOf(details[i].sentence, details[i].roles), drawingOf(details[i]), takeHome(details[i])));
    put(this.element, h("h1", {}, `Compare ${rows.length}`), this.costs(columns, rows), this.choices(rows, details), this.stages(rows, details), this.curves(columns, rows, details), h("div", { class: "side-by-side" }, heads));
  }

  heading(rows, columns, first = true) {
    return h("tr", {}, first ? h("td", {}) : null, rows.map((row, i) => h("th", { scope: "col", style: { color: `var(${COMPARED_COLOURS[i]})` } }, titleOf(columns ?? this.app.columns(), row))));
  }

  costs(columns, rows) {
    const lines = ["flops", "params", "elementwise", "activations"].map((name) => {
      const values = rows.map((row) => columns.of[name][row]), most = Math.max(...values.filter(Number.isFinite), 1);
      return h("tr", {}, h("th", { scope: "row" }, { flops: "FLOPs", params: "parameters" }[name] ?? name), values.map((value) => h("td", { class: "bars" }, bar(value / most), ` ${brief(value)}`)));
    });
    return h("section", {}, h("h2", {}, "Accuracy and cost"), scrolled("accuracy and cost", this.heading(rows, columns),
      [h("tr", {}, h("th", { scope: "row" }, "accuracy"), rows.map((row) => h("td", {}, scoreText(columns, row)))),
        rows.some((row) => testText(columns, row)) ? h("tr", {}, h("th", { scope: "row" }, "test accuracy (95 %)"), rows.map((row) => h("td", {}, testText(columns, row)?.join(", ") ?? "not retrained"))) : null, lines,
        h("tr", {}, h("th", { scope: "row" }, "training time"), rows.map((row) => h("td", {}, lasting(columns.of.seconds[row]))))]));
  }

  choices(rows, details) {
    const names = [...new Set(details.flatMap((detail) => Object.keys(detail.choices)))];
    const differ = names.filter((name) => new Set(details.map((detail) => JSON.stringify(detail.choices[name] ?? null))).size > 1);
    if (!names.length) return null;
    const without = rows.filter((_, i) => !Object.keys(details[i].choices).length).map((row) => titleOf(this.app.columns(), row));
    if (without.length) return h("section", {}, h("h2", {}, "Choices that differ"), note(`${without.join(", ")} ${without.length === 1 ? "was" : "were"} not drawn from the space, so there are no choices to compare; the stages below show what differs.`));
    if (!differ.length) return h("section", {}, h("h2", {}, "Choices"), note("All of them were taken alike."));
    return h("section", {}, h("h2", {}, "Choices that differ"), note(`${names.length - differ.length} others are the same.`),
      scrolled("choices that differ", this.heading(rows), differ.map((name) => h("tr", {}, h("th", { scope: "row", class: "code" }, name), details.map((detail) => h("td", { class: `code${detail.choices[name] === undefined ? " absent" : ""}` }, detail.choices[name] === undefined ? "absent" : String(detail.choices[name])))))));
  }

  // Stages aligned with those of the first; what all have alike is left out.
  stages(rows, details) {
    if (details.some((detail) => !detail.stages)) return null;
    const lists = details.map((detail) => folded(detail.stages.map((stage) => ({ text: stage.text + (stage.times > 1 ? `  × ${stage.times}` : ""), macs: stage.macs }))));
    const lines = merged(aligned(lists.map((list) => list.map((stage) => stage.text)))), differ = lines.filter((line) => new Set(line).size > 1);
    const macs = (i, text) => lists[i].find((stage) => stage.text === text).macs;
    return h("section", {}, h("h2", {}, "Stages that differ"), note(differ.length ? `${lines.length - differ.length} stages are the same in all.` : "All stages are the same."),
      differ.length ? scrolled("stages that differ", this.heading(rows, undefined, false), differ.map((line) => h("tr", {}, line.map((text, i) => h("td", { class: `code${text === null ? " absent" : ""}` }, text === null ? "absent" : text, text === null ? null : h("div", { class: "note" }, `${exact(macs(i, text))} MACs`)))))) : null);
  }

  curves(columns, rows, details) {
    const charts = ["accuracy", "loss"].map((what) => lineChart(rows.flatMap((row, i) => details[i].seeds.filter((seed) => seed.curve.epoch?.length).map((seed, j) => ({ name: `${titleOf(columns, row)}, seed ${seed.seed}`, x: seed.curve.epoch, y: seed.curve[`validation_${what}`].map((value) => value ?? NaN), colour: COMPARED_COLOURS[i], dash: COMPARED_DASHES[i], width: j ? 1 : 2 }))), { title: `validation ${what} by epoch`, y: `validation ${what}`, width: 480, height: 210 }));
    return h("section", {}, h("h2", {}, "Learning curves"), h("div", { class: "columns" }, charts), legend(rows.map((row, i) => [titleOf(columns, row), COMPARED_COLOURS[i], COMPARED_DASHES[i]])));
  }
}

function scrolled(label, head, body) {
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, h("table", { class: "simple" }, h("thead", {}, head), h("tbody", {}, body)));
}

// Longest common subsequences of each list with the first, as rows of equal or differing cells.
export function aligned(lists) {
  const [first, ...others] = lists;
  const slots = Array.from({ length: first.length + 1 }, () => lists.map(() => []));
  const same = first.map((text) => lists.map((_, i) => (i ? null : text)));
  others.forEach((list, k) => {
    const table = Array.from({ length: first.length + 1 }, () => new Int32Array(list.length + 1));
    for (let i = first.length - 1; i >= 0; i--) for (let j = list.length - 1; j >= 0; j--) table[i][j] = first[i] === list[j] ? table[i + 1][j + 1] + 1 : Math.max(table[i + 1][j], table[i][j + 1]);
    let i = 0, j = 0;
    while (i < first.length || j < list.length) {
      if (i < first.length && j < list.length && first[i] === list[j]) { same[i][k + 1] = list[j]; i++; j++; }
      else if (j < list.length && (i === first.length || table[i][j + 1] >= table[i + 1][j])) slots[i][k + 1].push(list[j++]);
      else i++;
    }
  });
  const lines = [];
  for (let i = 0; i <= first.length; i++) {
    // What only others have before stage i stands beside the stages that they lack.
    const extra = Math.max(...slots[i].map((slot) => slot.length));
    for (let n = 0; n < extra; n++) lines.push(slots[i].map((slot) => slot[n] ?? null));
    if (i < first.length) lines.push(same[i]);
  }
  return lines;
}

// Blocks of stages that repeat one after the other, as one: a, b, a, b -> a >> b × 2.
export function folded(stages) {
  const found = [];
  for (let i = 0; i < stages.length;) {
    let best = { period: 1, times: 1 };
    for (let period = 1; period <= 4; period++) {
      let times = 1;
      const same = (offset) => Array.from({ length: period }, (_, k) => stages[i + k]?.text === stages[i + offset + k]?.text).every(Boolean);
      while (i + (times + 1) * period <= stages.length && same(times * period)) times += 1;
      if (times > 1 && times * period > best.times * best.period) best = { period, times };
    }
    const block = stages.slice(i, i + best.period), all = stages.slice(i, i + best.period * best.times);
    const text = block.map((stage) => stage.text).join(" >> ");
    found.push({ text: best.times > 1 ? `${best.period > 1 ? `(${text})` : text}  × ${best.times}` : text, macs: all.reduce((sum, stage) => sum + stage.macs, 0) });
    i += all.length;
  }
  return found;
}

// Neighbouring lines that fill each other's gaps stand beside each other.
export function merged(lines) {
  const found = [];
  for (const line of lines) {
    const last = found.at(-1);
    if (last && line.every((text, i) => text === null || last[i] === null)) line.forEach((text, i) => { last[i] ??= text; });
    else found.push([...line]);
  }
  return found;
}
