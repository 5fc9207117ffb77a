// The card beside the plot: what is pointed at, or what is pinned.

import { announce, debounce, failure, h, put, replace } from "./dom.js";
import { badges, curvesOf, drawingOf, figures, roleLegend, sentenceOf, spoken, takeHome, titleOf } from "./architecture.js";

export class Card {
  constructor(hooks) {
    this.hooks = hooks; // detail(row), pin(row), compare(row), open(row)
    this.element = h("aside", { class: "card", id: "card", "aria-label": "Architecture" });
    this.row = undefined;
    this.load = debounce(() => this.details(), 60);
    this.later = debounce((columns, state, knee) => this.show(columns, null, state, knee), 250);
  }

  // The hovered row, else the pinned one. Leaving a mark keeps its card for a moment, so that it can be reached.
  point(columns, hovered, state, knee) {
    if (hovered === null && state.pin === null && this.row !== undefined) return; // it stays, to be reached
    if (hovered === null) this.later(columns, state, knee);
    else this.show(columns, hovered, state, knee);
  }

  show(columns, hovered, state, knee, anew = false) {
    // With nothing chosen the knee is a good first look.
    const row = hovered ?? state.pin ?? knee;
    const mark = row === null || row >= columns.n ? null : `${row} ${state.pin === row} ${state.compare.includes(row)} ${columns.of.seeds[row]} ${columns.of.test[row]} ${columns.group[row]} ${columns.of.epochs[row]} ${columns.written}`;
    if (mark === this.mark && !anew) return;
    Object.assign(this, { columns, row: row ?? undefined, mark, pinned: state.pin === row });
    if (mark === null) {
      this.row = undefined;
      put(this.element, h("p", { class: "empty" }, "Point at a mark, or walk the front with the arrow keys, to see its architecture. A click or Enter pins it."));
      return;
    }
    const compared = state.compare.includes(row);
    const actions = h("div", { class: "actions" },
      h("button", { type: "button", id: "pin", "aria-pressed": String(this.pinned), onclick: () => this.hooks.pin(this.pinned ? null : row) }, this.pinned ? "Unpin" : "Pin"),
      h("button", { type: "button", id: "card-compare", "aria-pressed": String(compared), onclick: () => this.hooks.compare(row) }, compared ? "Compared" : "Compare"),
      h("button", { type: "button", id: "card-open", class: "main", onclick: () => this.hooks.open(row) }, "Open"));
    this.inner = h("div", { class: "card-detail" }, h("p", { class: "note" }, "…"));
    replace(this.element, h("div", { class: "row" }, h("h2", {}, titleOf(columns, row)), badges(columns, row, knee)), actions, figures(columns, row),
      columns.reason[row] ? h("p", { class: "reason" }, columns.reason[row]) : null, this.inner);
    this.element.dataset.row = String(row);
    if (this.shown?.number === row && this.shown.mark === mark.replace(/ (true|false)/g, "")) this.fill(this.shown.detail);
    else this.load();
  }

  async details() {
    const { row, mark } = this;
    if (row === undefined) return;
    try {
      const detail = await this.hooks.detail(row);
      if (mark === this.mark) this.fill(detail);
    } catch (error) {
      if (mark === this.mark) put(this.inner, failure(error));
    }
  }

  fill(detail) {
    this.shown = { number: this.row, mark: this.mark.replace(/ (true|false)/g, ""), detail };
    put(this.inner, drawingOf(detail), sentenceOf(detail.sentence, detail.roles), detail.roles ? roleLegend() : null, takeHome(detail), curvesOf(detail, { width: 330, height: 130 }));
    if (this.pinned) announce(`Pinned: ${spoken(this.columns, this.row)}`);
  }
}
