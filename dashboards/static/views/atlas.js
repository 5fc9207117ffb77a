// The atlas: all mixers of the catalogue by where their scores come from, how they are normalised, what is summed, where.

import { setState, state } from "../data/url.js";
import { sentenceOf, roleLegend } from "../parts/architecture.js";
import { facts, failure, h, note, pictured, put, several } from "../parts/dom.js";
import { fillLater } from "../parts/intervals.js";

const ATLAS_AXES = { score: "Scores from", normaliser: "Normalised by", value: "Values from", place: "Place" };

export class AtlasView {
  constructor(app) {
    this.app = app;
    this.table = h("div", {});
    this.one = h("div", { class: "atlas-one", id: "atlas-one" });
    this.element = h("div", { class: "page atlas-view" }, h("h1", {}, "Atlas of mixers"), note("Every mixer of the catalogue in its cell: rows say where its scores come from and how they are normalised, columns over which tokens it sums; the small word what it sums. Nothing is trained."), this.one, this.table);
  }

  close() { this.closed = true; }

  async show() {
    if (!this.asked) {
      this.asked = true;
      await fillLater(this.table, () => this.app.fresh("/atlas", {}), (atlas) => { this.atlas = atlas; return this.periodic(atlas); }, () => !this.closed);
    }
    if (this.atlas) await this.chosen();
  }

  periodic(atlas) {
    const rows = [];
    for (const score of atlas.axes.score) for (const normaliser of atlas.axes.normaliser) {
      const inRow = atlas.mixers.filter((mixer) => mixer.cell.score === score && mixer.cell.normaliser === normaliser);
      if (inRow.length) rows.push([score, normaliser, inRow]);
    }
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Atlas" }, h("table", { class: "periodic" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "scores from, normalised by"), atlas.axes.place.map((place) => h("th", { scope: "col" }, place)))),
      h("tbody", {}, rows.map(([score, normaliser, inRow], i) => h("tr", { class: rows[i - 1]?.[0] !== score ? "first" : "" }, h("th", { scope: "row" }, score, h("div", { class: "note" }, normaliser === "none" ? "not normalised" : normaliser)),
        atlas.axes.place.map((place) => h("td", {}, inRow.filter((mixer) => mixer.cell.place === place).map((mixer) => this.element_(mixer)))))))));
  }

  element_(mixer) {
    const growth = mixer.locked ? "locked" : mixer.growth === null ? "" : `N^${mixer.growth.toFixed(1)}`;
    return h("button", { type: "button", class: "mixer", id: `mixer-${mixer.name}`, "aria-pressed": String(state.cell === mixer.name), title: mixer.sentence, onclick: () => { setState({ cell: state.cell === mixer.name ? null : mixer.name }); } }, h("span", {}, mixer.name.replace(/_block$/, "").replaceAll("_", " ")), h("span", { class: "note" }, [mixer.cell.value, growth].filter(Boolean).join(" · ")));
  }

  async chosen() {
    for (const button of this.table.querySelectorAll(".mixer")) button.setAttribute("aria-pressed", String(button.id === `mixer-${state.cell}`));
    const mixer = this.atlas.mixers.find((one) => one.name === state.cell);
    if (!mixer) { put(this.one, note(`${several(this.atlas.mixers.length, "mixer")} in ${several(this.atlas.cells.length, "cell")}. Choose one to see it.`)); return; }
    if (this.shown === mixer.name) return;
    this.shown = mixer.name;
    const drawing = h("div", { class: "drawing", tabindex: 0, role: "region", "aria-label": `drawing of ${mixer.name}` });
    put(this.one, h("div", { class: "row" }, h("h2", {}, mixer.name), h("span", { class: "note" }, `${mixer.family}; ${mixer.source}`)), sentenceOf(mixer.sentence, mixer.roles), roleLegend(), drawing,
      facts([...Object.entries(ATLAS_AXES).map(([axis, title]) => [title, mixer.cell[axis]]), ["activation", mixer.activation.join(", ") || "none"], ["MACs grow with tokens", mixer.locked ? "locked to its grid" : mixer.growth === null ? "not known here" : `N^${mixer.growth.toFixed(2)}`], ["looked at on", [...mixer.input.grid, mixer.input.channels].join("×")]]));
    try {
      put(drawing, pictured((await this.app.source.more(`/atlas/${encodeURIComponent(mixer.name)}`)).drawing));
    } catch (error) {
      put(drawing, failure(error));
    }
    this.one.scrollIntoView({ block: "nearest" });
  }
}
