// How a run was made: study, task, recipe, versions, rules, and every reason for which a trial has no value.

import { facts, h, lasting, note, put, simpleTable } from "../parts/dom.js";

export class DetailsView {
  constructor(app) {
    this.app = app;
    this.element = h("div", { class: "page details-view" });
  }

  close() {}

  async show() {
    const columns = this.app.columns(), { study, progress } = columns;
    if (!study) { put(this.element, h("p", { class: "empty" }, "The record has no settings yet.")); return; }
    const mark = JSON.stringify([study, progress]);
    if (mark === this.mark) return;
    this.mark = mark;
    const { of } = columns, seeds = [...new Set([...(of.seed ?? [])].filter(Number.isFinite))].sort((a, b) => a - b);
    const task = study.task, started = progress.started;
    put(this.element, h("h1", {}, study.name),
      h("p", {}, `Accuracy against FLOPs of architectures searched in the space ${study.space?.name} on the task ${task?.name} (inputs ${[...(task?.grid ?? []), task?.channels].join("×")}, ${task?.classes} classes). All accuracies are on the validation part${columns.tested ? ", but for those that are called test: of architectures retrained on both" : ""}.`),
      facts([["architectures trained", `${progress.trained} of ${progress.budget}`], ["stopped early", String(progress.stopped)], ["on the front", String(progress.front)], ["baselines trained", String(progress.baselines)], ["more seeds", String(progress.replicates)], progress.retrained ? ["retrained", String(progress.retrained)] : null, ["refused", String(progress.refused)], ["failed", String(progress.failed)], ["training time", lasting(progress.seconds)], ["study seed", String(study.study?.seed)],
        ["first trial", started === null ? "none" : `${new Date(started * 1000).toISOString().slice(0, 16).replace("T", " ")} UTC`]]),
      this.references(study, progress),
      h("section", {}, h("h2", {}, "Failed, stopped and refused"), progress.reasons.length ? simpleTable([["what", "words"], ["reason", "words"], ["trials", "number"]], progress.reasons.map((reason) => [reason.what, reason.why, String(reason.n)]), "Reasons") : note("None.")),
      h("section", {}, h("h2", {}, "Versions"), facts(Object.entries(study.versions)), note(`git: ${study.git ? (typeof study.git === "string" ? study.git : JSON.stringify(study.git)) : "not recorded"}`), note(`training seeds: ${seeds.slice(0, 12).join(", ")}${seeds.length > 12 ? ` and ${seeds.length - 12} more` : ""}`), note(`record: ${study.place}`)),
      h("section", {}, h("h2", {}, "Settings"), simpleTable([["setting", "code"], ["value", "code"]], [...flat({ study: study.study, training: study.training, limits: study.limits, search: study.search, pruning: study.pruning, baselines: study.baselines, task: study.task, fingerprints: study.fingerprints })], "Settings")),
      h("section", {}, h("h2", {}, "Rules of the space"), simpleTable([["rule", "code"], ["sentence", "code"]], Object.entries(study.space?.rules ?? {}), "Rules")));
  }

  references(study, progress) {
    const entries = Object.entries(study.references);
    if (!entries.length || progress.best === null) return null;
    return h("section", {}, h("h2", {}, "Reference classifiers on the same images"), simpleTable([["classifier", "words"], ["accuracy", "number"], ["by the best of the front", "words"]], entries.sort((a, b) => b[1] - a[1]).map(([name, accuracy]) => [name, accuracy.toFixed(4), progress.best > accuracy ? "beaten" : "not beaten"]), "Reference classifiers"));
  }
}

function* flat(value, name = "") {
  if (value !== null && typeof value === "object" && !Array.isArray(value) && Object.keys(value).length) for (const [key, inner] of Object.entries(value)) yield* flat(inner, name ? `${name}.${key}` : key);
  else yield [name, typeof value === "string" ? value : JSON.stringify(value) ?? "none"];
}
