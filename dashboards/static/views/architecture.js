// The page of one architecture.

import { setState, state } from "../data/url.js";
import { badges, commandOf, curvesOf, derivationTable, differences, drawingOf, figures, roleLegend, seedsTable, sentenceOf, stagesTable, takeHome, testedTable, titleOf, typesTable, wordsTable } from "../parts/architecture.js";
import { exact, failure, h, note, put, simpleTable } from "../parts/dom.js";
import { toggled } from "./front.js";

const CHILDREN = 12; // children that are listed

export class ArchitectureView {
  constructor(app) {
    this.app = app;
    this.element = h("div", { class: "page architecture-view" });
  }

  close() {}

  async show() {
    const columns = this.app.columns(), row = state.arch ?? state.pin;
    if (row === null || row >= columns.n) {
      put(this.element, h("p", { class: "empty" }, "No architecture is chosen: pin one in the front, or open it from its card."));
      return;
    }
    const mark = `${columns.run} ${row} ${columns.of.seeds[row]} ${columns.of.test[row]} ${columns.group[row]} ${columns.of.epochs[row]} ${state.compare.includes(row)} ${columns.written}`;
    if (mark === this.mark) return;
    this.mark = mark;
    let detail;
    try {
      detail = await this.app.detail(row);
    } catch (error) {
      if (mark === this.mark) put(this.element, failure(error));
      return;
    }
    if (mark === this.mark) put(this.element, this.heading(columns, row, detail), ...this.parts(columns, detail));
  }

  heading(columns, row, detail) {
    const members = this.app.front(), at = members.indexOf(row), compared = state.compare.includes(row);
    const go = (to, title) => h("button", { type: "button", disabled: to === undefined, onclick: () => setState({ arch: to, pin: to }, { push: true }) }, title);
    return h("header", { class: "architecture-head" },
      h("div", { class: "row" }, h("h1", {}, titleOf(columns, row)), badges(columns, row, null), h("span", { class: "grow" }),
        at >= 0 ? [go(members[at - 1], "← cheaper"), h("span", { class: "note" }, `front ${at + 1} of ${members.length}`), go(members[at + 1], "dearer →")] : null,
        h("button", { type: "button", "aria-pressed": String(compared), onclick: () => setState({ compare: toggled(state.compare, row, 4) }) }, compared ? "Compared" : "Compare"),
        columns.of.seeds[row] ? h("button", { type: "button", onclick: () => setState({ view: "why", pin: row }, { push: true }) }, "Why?") : null,
        h("button", { type: "button", class: "main", onclick: () => setState({ view: "front", pin: row }, { push: true }) }, "In the front")),
      sentenceOf(detail.sentence, detail.roles), detail.roles ? roleLegend() : null, figures(columns, row), takeHome(detail));
  }

  parts(columns, detail) {
    const counted = detail.counted && detail.cost && detail.counted.macs !== detail.cost.macs;
    return [
      detail.traceback || detail.status === "failed" ? h("section", {}, h("h2", {}, "Failure"), h("p", { class: "reason" }, detail.reason ?? ""), detail.traceback ? h("pre", { tabindex: 0, class: "trace" }, detail.traceback) : null) : null,
      h("section", {}, h("h2", {}, "Drawing"), drawingOf(detail)),
      h("div", { class: "columns" },
        h("section", { class: "learning" }, h("h2", {}, "Learning curves"), curvesOf(detail, { width: 285, height: 180 }), seedsTable(detail), testedTable(detail)),
        h("section", {}, h("h2", {}, "Cost"), counted ? note("The record has other MACs: it was counted by another version.") : null, stagesTable(detail), wordsTable(detail))),
      detail.tree ? h("section", {}, h("h2", {}, "Types along the way"), typesTable(detail)) : null,
      h("div", { class: "columns" },
        h("section", {}, h("h2", {}, "Where it came from"), this.origin(columns, detail), derivationTable(detail)),
        h("section", {}, h("h2", {}, "Properties"), detail.attributes ? simpleTable([["property", "words"], ["value", "words"]], detail.attributes, "Derived from the sentence") : note("The sentence cannot be read here."),
          h("h2", {}, "Train it again"), detail.commands?.reproduce ? commandOf("in a shell, with the packages of the record; on the CPU with one thread it gives the same numbers", detail.commands.reproduce) : note("It was never trained: there is nothing to reproduce."))),
    ];
  }

  origin(columns, detail) {
    const link = (row, title = `trial ${row}`) => h("button", { type: "button", class: "link", onclick: () => setState({ arch: row, pin: row }, { push: true }) }, title);
    const lines = [], { origin, children } = detail, named = origin.parents.filter((row) => !detail.parents.some((parent) => parent.number === row));
    if (detail.kind === "baseline") lines.push(h("p", {}, `A baseline: ${detail.name ?? "unnamed"} of the catalogue, trained under this study's recipe.`));
    else if (detail.kind === "imported") lines.push(h("p", {}, `Trained by an earlier run: ${detail.source ?? "not recorded"}.`));
    else if (detail.name) lines.push(h("p", {}, `An initial point that the study names: ${detail.name}.`));
    else if (detail.kind !== "retrained") lines.push(h("p", {}, `Proposed by the sampler ${columns.study?.search?.sampler ?? "of the study"}: ${origin.text}.`));
    if (detail.duplicate_of !== null) lines.push(h("p", {}, "The same architecture as ", link(detail.duplicate_of), "."));
    if (detail.retrains !== null) lines.push(h("p", {}, "Trained in full, on training and validation part together: ", link(detail.retrains), detail.test ? ` has a test accuracy of ${detail.test.accuracy.toFixed(4)} by it.` : "."));
    if (detail.original !== null) lines.push(h("p", {}, "Another seed of ", link(detail.original), "."));
    for (const { number, difference } of detail.parents) lines.push(h("section", { class: "parent" }, h("h3", {}, link(number, `← parent: trial ${number}`)), difference ? descended(number, detail.number, difference) : this.unlike(columns, detail, number)));
    if (named.length) lines.push(note(`Parents ${named.join(", ")}: their differences are not inside this page.`));
    if (children.length) lines.push(h("p", { class: "children" }, `${children.length === 1 ? "Its child" : `Its ${children.length} children`}: `, children.slice(0, CHILDREN).map((row) => [link(row, `trial ${row} →`), " "]), children.length > CHILDREN ? `and ${children.length - CHILDREN} more` : null));
    if (!origin.parents.length && detail.kind === "searched" && !detail.name) lines.push(this.nearest(columns, detail));
    return lines;
  }

  unlike(columns, detail, row) {
    const other = {}, pairs = columns.taken[row] ?? [];
    for (let i = 0; i < pairs.length; i += 2) other[columns.choiceNames[pairs[i]]] = columns.choiceValues[pairs[i + 1]];
    const differ = differences(other, detail.choices);
    if (!differ.length) return note("no choice");
    return simpleTable([["choice", "code"], [`trial ${row}`, "code"], [`trial ${detail.number}`, "code"]], differ.map(([name, a, b]) => [name, a === null ? "absent" : String(a), b === null ? "absent" : String(b)]), "Difference to the parent");
  }

  // Without parents: the earlier trial whose choices differ least, said to be just that.
  nearest(columns, detail) {
    const own = new Map(Object.entries(detail.choices));
    let best = null, fewest = Infinity;
    for (let row = 0; row < Math.min(detail.number, columns.n); row++) {
      const pairs = columns.taken[row];
      if (!pairs?.length || columns.group[row] > 1) continue;
      let same = 0;
      for (let i = 0; i < pairs.length; i += 2) if (own.get(columns.choiceNames[pairs[i]]) === columns.choiceValues[pairs[i + 1]]) same += 1;
      const differ = own.size + pairs.length / 2 - 2 * same;
      if (differ < fewest) { fewest = differ; best = row; }
    }
    if (best === null) return null;
    return h("details", {}, h("summary", {}, `The most similar trial before it is trial ${best}`), this.unlike(columns, detail, best));
  }
}

// What a parent and its child do not share: stages, choices and costs.
function descended(parent, child, { same, stages, choices, costs }) {
  if (same) return note("The same architecture, drawn another way.");
  const rows = stages.filter((stage) => stage.verdict !== "same").map((stage) => [stage.verdict, stage.parent?.text ?? "–", stage.child?.text ?? "–"]);
  const changed = [...choices.changed.map((one) => [one.name, String(one.from), String(one.to)]), ...choices.dropped.map((one) => [one.name, String(one.value), "absent"]), ...choices.added.map((one) => [one.name, "absent", String(one.value)])];
  const heads = [`trial ${parent}`, `trial ${child}`].map((title) => [title, "code"]);
  return [rows.length ? simpleTable([["stage", "words"], ...heads], rows, "Stages that differ from the parent") : null,
    changed.length ? simpleTable([["choice", "code"], ...heads], changed, "Choices that differ from the parent") : null,
    note(["macs", "params"].map((name) => `${{ macs: "MACs", params: "parameters" }[name]} ${exact(costs[0][name])} → ${exact(costs[1][name])}`).join(", "))];
}
