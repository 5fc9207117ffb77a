// Pieces that show one architecture: in the card, on its own page, in comparisons.

import { GROUPS, VERDICT } from "../data/columns.js";
import { brief, decimal, exact, facts, h, lasting, note, pictured, several, simpleTable } from "./dom.js";
import { bar, legend, seedCurves } from "./curves.js";
import { copy, takeAway } from "./exports.js";

export const ROLES = { query: "query", key: "key", activation: "activation", value: "value", place: "place" };

export function titleOf(columns, row) {
  const name = columns.name[row];
  return name && columns.group[row] === 2 ? name : `Trial ${row}`;
}

export function scoreText(columns, row) {
  const { mean, error, seeds, reached } = columns.of;
  if (Number.isFinite(mean[row])) return `${mean[row].toFixed(4)}${error[row] > 0 ? ` ± ${error[row].toFixed(4)}` : ""} (${several(seeds[row], "seed")})`;
  if (Number.isFinite(reached[row])) return `${reached[row].toFixed(4)} after ${several(Math.max(0, columns.of.epochs[row]), "epoch")}`;
  return "none";
}

// Mean test accuracy over seeds and its 95 % interval; null for what was not retrained.
export function testText(columns, row) {
  const { test, test_low: low, test_high: high } = columns.of;
  return Number.isFinite(test[row]) ? [test[row].toFixed(4), `${low[row].toFixed(4)} to ${high[row].toFixed(4)}`] : null;
}

export function spoken(columns, row) {
  const { flops, params } = columns.of;
  return `${titleOf(columns, row)}, ${GROUPS[columns.group[row]].one}, accuracy ${scoreText(columns, row)}, ${brief(flops[row])} FLOPs, ${brief(params[row])} parameters`;
}

export function badges(columns, row, knee) {
  const group = GROUPS[columns.group[row]], verdict = VERDICT[columns.of.verdict[row]];
  return h("span", { class: "badges" }, h("span", { class: `badge ${group.name}` }, group.one),
    verdict ? h("span", { class: "badge" }, verdict) : null, row === knee ? h("span", { class: "badge" }, "knee") : null);
}

export function figures(columns, row) {
  const { of } = columns, test = testText(columns, row);
  return facts([
    [test ? "validation accuracy" : "accuracy", scoreText(columns, row)],
    test ? ["test accuracy", test[0]] : null,
    test ? ["its 95 % interval", test[1]] : null,
    ["FLOPs", brief(of.flops[row])],
    ["MACs", exact(of.macs[row])],
    ["parameters", exact(of.params[row])],
    ["activations", exact(of.activations[row])],
    ["training time", lasting(of.seconds[row])],
  ]);
}

// The sentence; where its parts are known by role, in their colours and with the role said to who sees none.
export function sentenceOf(text, parts) {
  if (!parts?.length) return h("p", { class: "sentence" }, text);
  return h("p", { class: "sentence" }, parts.map((part) => (part.role && ROLES[part.role] ? h("span", { class: `role-${part.role}`, title: ROLES[part.role] }, part.text) : part.text)));
}

export function roleLegend() {
  return h("p", { class: "legend roles" }, Object.entries(ROLES).map(([role, title]) => h("span", { class: `role-${role}` }, title)));
}

export function drawingOf(detail) {
  if (detail.drawing) return h("div", { class: "drawing", tabindex: 0, role: "region", "aria-label": `drawing of trial ${detail.number}` }, pictured(detail.drawing));
  if (detail.unreadable) return h("div", {}, h("p", { class: "note" }, "This sentence has no drawing here:"), h("pre", {}, detail.unreadable));
  return h("p", { class: "note" }, detail.sentence ? "Its drawing is not inside this file: metamixer show draws it." : "There is no sentence to draw.");
}

export function stagesTable(detail) {
  if (!detail.stages) return null;
  return simpleTable([["stage", "code"], ["share of MACs", "bars"], ["MACs", "number"], ["parameters", "number"], ["activations", "number"]],
    detail.stages.map((stage) => [stage.text + (stage.times > 1 ? `   × ${stage.times}` : ""), [bar(stage.share), ` ${(100 * stage.share).toFixed(1)} %`], exact(stage.macs), exact(stage.params), exact(stage.activations)]), "Cost by stage");
}

export function wordsTable(detail) {
  if (!detail.words) return null;
  const total = Math.max(1, detail.words.reduce((sum, word) => sum + word.macs, 0));
  return simpleTable([["word", "code"], ["times", "number"], ["share of MACs", "bars"], ["MACs", "number"], ["parameters", "number"]],
    detail.words.map((word) => [word.word, exact(word.n), [bar(word.macs / total), ` ${((100 * word.macs) / total).toFixed(1)} %`], exact(word.macs), exact(word.params)]), "Cost by word");
}

export function typesTable(detail) {
  if (!detail.tree) return null;
  return simpleTable([["phrase", "code"], ["what comes out", "code"], ["MACs", "number"], ["parameters", "number"]],
    detail.tree.map((line) => [h("span", { style: { "padding-left": `${line.depth * 14}px` } }, line.times > 1 ? `${line.times} × ` : "", line.text), line.type, exact(line.macs), exact(line.params)]), `Types along the way, input ${detail.input}`);
}

// Its trainings in full: each on the training and validation part together, measured on the test part once.
export function testedTable(detail) {
  const { tested } = detail;
  if (!tested) return null;
  const spread = tested.deviation === null ? "" : `, standard deviation over seeds ${tested.deviation.toFixed(4)}`;
  return h("section", {}, h("h2", {}, "Test"),
    facts([["test accuracy", tested.accuracy.toFixed(4)], ["95 % interval", `${tested.interval[0].toFixed(4)} to ${tested.interval[1].toFixed(4)}`], ["images of the test part", exact(tested.images)]]),
    note(`Retrained on training and validation part together, ${several(tested.epochs ?? 0, "epoch")} each, and measured on the test part once${spread}. The interval is Wilson's, of the mean accuracy on so many images.`),
    simpleTable([["trial", "number"], ["test accuracy", "number"]], tested.trials.map((number, i) => [String(number), tested.accuracies[i].toFixed(4)]), "Trainings in full"));
}

export function derivationTable(detail) {
  const choices = Object.entries(detail.choices);
  if (!choices.length) return h("p", { class: "note" }, "It was not drawn from the space: no choices are recorded.");
  return simpleTable([["choice", "code"], ["taken", "code"]], choices.map(([name, value]) => [name, String(value)]), `Derivation: ${several(choices.length, "choice")}`);
}

export function seedsTable(detail) {
  return simpleTable([["trial", "number"], ["seed", "number"], ["state", "words"], ["accuracy", "number"], ["loss", "number"], ["epochs", "number"], ["time", "number"], ["device", "words"]],
    detail.seeds.map((seed) => [String(seed.number), told(seed.seed), seed.status, decimal(seed.accuracy), decimal(seed.loss), told(seed.epochs), lasting(seed.seconds), seed.device ?? "–"]), "Trainings");
}

const told = (value) => (value === null || value === undefined ? "–" : String(value));

export function curvesOf(detail, size = {}) {
  const seeds = detail.seeds.filter((seed) => seed.curve.epoch?.length);
  if (!seeds.length) return h("p", { class: "note" }, "No epoch is recorded.");
  return h("div", { class: "curves" }, seedCurves(seeds, "accuracy", size), seedCurves(seeds, "loss", size), legend([["validation", "--front"], ["training", "--soft", "2 3"]]));
}

export function takeHome(detail) {
  const { commands = {}, sentence, number } = detail;
  if (!sentence) return null;
  return h("div", { class: "take", role: "group", "aria-label": "Take this architecture home" },
    takeAway("Sentence", sentence, `trial-${number}.txt`), takeAway("TOML", commands.toml, `trial-${number}.toml`), takeAway("Python", commands.python, `trial-${number}.py`, "text/x-python"));
}

export function commandOf(title, text) {
  if (!text) return null;
  const button = h("button", { type: "button", class: "small", onclick: async () => { button.textContent = (await copy(text, title)) ? "copied" : "select and copy"; } }, "copy");
  return h("div", { class: "command" }, h("div", { class: "row" }, h("span", {}, title), button), h("pre", { tabindex: 0 }, text));
}

// Choices that two derivations took differently.
export function differences(a, b) {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  return names.filter((name) => a[name] !== b[name]).map((name) => [name, a[name] ?? null, b[name] ?? null]);
}

