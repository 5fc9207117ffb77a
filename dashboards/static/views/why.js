// Why is this on the front? Which choices move the front, and which words stand on it.

import { setState, state } from "../data/url.js";
import { roleLegend, scoreText, sentenceOf, titleOf } from "../parts/architecture.js";
import { h, note, put, simpleTable } from "../parts/dom.js";
import { fillLater, intervalBar, scaleOf, signed, verdictBadge } from "../parts/intervals.js";

const SHOWN = { best: 4, improvable: 4, undecided: 1 }; // alternatives of a choice before the rest is folded

export class WhyView {
  constructor(app) {
    this.app = app;
    this.choose = h("select", { id: "why-trial", onchange: (event) => setState({ pin: Number(event.target.value) }) });
    this.one = h("div", {});
    this.effects = h("div", {});
    this.words = h("div", {});
    this.element = h("div", { class: "page why-view" },
      h("div", { class: "row" }, h("h1", {}, h("label", { for: "why-trial" }, "Why is this on the front?")), this.choose),
      note("What the model of the search expects if one choice were taken otherwise at equal cost, over all trials of this run. Nothing is trained for it. An interval that crosses zero decides nothing, and says so."),
      this.one, h("section", {}, h("h2", {}, "Which choices move the front"), note("Mean change of accuracy of the front members that took something else there, had they taken this at equal cost."), this.effects),
      h("section", {}, h("h2", {}, "Words on the front"), note("How often a word stands in architectures of the front, of all that was trained, and of the space as it draws, with 95 % intervals."), this.words));
  }

  close() { this.closed = true; }

  async show() {
    const columns = this.app.columns(), members = this.app.front();
    if (!members.length) { put(this.one, h("p", { class: "empty" }, "Nothing is on the front yet.")); return; }
    const row = state.pin !== null && columns.of.seeds[state.pin] ? state.pin : members[Math.floor(members.length / 2)];
    const listed = members.includes(row) ? members : [row, ...members];
    const mark = `${columns.run} ${listed.join(",")} ${row} ${columns.written}`;
    if (mark === this.mark) return;
    this.mark = mark;
    put(this.choose, listed.map((one) => h("option", { value: one, selected: one === row }, `${titleOf(columns, one)}: ${scoreText(columns, one)}`)));
    const alive = () => !this.closed && this.mark === mark, ask = (path) => () => this.app.fresh(path, { run: columns.run });
    const later = fillLater(this.one, ask(`/why/${row}`), (answer) => this.answer(columns, row, answer), alive);
    if (this.run !== columns.run) {
      this.run = columns.run;
      await later;
      await fillLater(this.effects, ask("/effects"), (answer) => effectsTable(answer), () => !this.closed);
      await fillLater(this.words, ask("/words"), (answer) => wordsOnFront(answer), () => !this.closed);
    }
  }

  answer(columns, row, answer) {
    if (answer.reason) return note(answer.reason);
    const choices = answer.choices.filter((choice) => choice.alternatives.length), all = choices.flatMap((choice) => choice.alternatives.map((one) => one.change));
    const scale = scaleOf(all), order = { best: 0, improvable: 1, undecided: 2 };
    choices.sort((a, b) => (order[a.verdict] ?? 3) - (order[b.verdict] ?? 3));
    const decided = choices.filter((choice) => choice.verdict !== "undecided").length;
    const sentence = h("div", {}, sentenceOf(columns.sentence[row] ?? ""));
    this.app.detail(row).then((detail) => put(sentence, sentenceOf(detail.sentence, detail.roles), detail.roles?.length ? roleLegend() : null), () => {});
    return [sentence,
      h("p", {}, `${choices.length} choices could have been taken otherwise; the data decide ${decided === 0 ? "none" : decided} of them.`, ` The bars reach from ${signed(-scale)} to ${signed(scale)} of accuracy.`),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Choices and their alternatives" }, h("table", { class: "simple why" },
        h("thead", {}, h("tr", {}, ["choice", "taken", "otherwise", "expected change", "cost", "trials that say so"].map((title) => h("th", { scope: "col" }, title)))),
        choices.map((choice) => this.choice(choice, scale))))];
  }

  choice(choice, scale) {
    const shown = choice.alternatives.slice(0, SHOWN[choice.verdict] ?? 1), rest = choice.alternatives.slice(SHOWN[choice.verdict] ?? 1);
    const body = h("tbody", {});
    const lines = (alternatives, first) => alternatives.map((one, i) => h("tr", {}, first && i === 0 ? [h("th", { scope: "rowgroup", rowspan: shown.length, class: "code", title: choice.name }, choice.slot, h("div", {}, verdictBadge(choice.verdict))), h("td", { rowspan: shown.length, class: "code" }, String(choice.taken))] : first ? null : [h("td", {}), h("td", {})],
      h("td", { class: "code" }, String(one.value)), h("td", {}, intervalBar(one.change, scale, one.verdict), h("div", { class: "note numbers" }, `${signed(one.change.mean)} (${signed(one.change.low)} to ${signed(one.change.high)})`)),
      h("td", {}, `× ${one.cost_ratio.toFixed(2)}`, one.comparable ? null : h("div", { class: "note" }, "too far to compare")), h("td", {}, this.evidence(one))));
    put(body, lines(shown, true));
    if (rest.length) {
      const more = h("tr", {}, h("td", { colspan: 6 }, h("button", { type: "button", class: "link", onclick: () => { more.replaceWith(...lines(rest, false)); } }, `${rest.length} more alternatives of ${choice.slot}`)));
      body.append(more);
    }
    return body;
  }

  evidence(one) {
    const trial = (number) => h("button", { type: "button", class: "link", onclick: () => setState({ view: "architecture", arch: number }, { push: true }) }, `${number}`);
    const measured = one.measured.map((pair) => h("div", {}, "measured: trial ", trial(pair.number), ` ${signed(pair.change)}`));
    const listed = one.evidence.slice(0, 4).map((item, i) => [i ? ", " : "", trial(item.number), item.says === "better" ? " ↑" : " ↓"]);
    return [measured, listed.length ? h("div", {}, listed) : note("none"), note(one.tried ? `${one.tried} trained took it` : "none trained took it")];
  }
}

function effectsTable(answer) {
  if (answer.reason) return note(answer.reason);
  if (!answer.effects.length) return note("No choice of the front has a comparable alternative.");
  const scale = scaleOf(answer.effects.map((effect) => effect.change));
  const rows = answer.effects.slice(0, 40).map((effect) => [effect.slot, String(effect.value), h("span", {}, intervalBar(effect.change, scale, effect.verdict), h("div", { class: "note numbers" }, `${signed(effect.change.mean)} (${signed(effect.change.low)} to ${signed(effect.change.high)})`)), verdictBadge(effect.verdict), effect.instead_of.map((one) => `${one.value} (${one.count})`).join(", "), String(effect.tried)]);
  return [simpleTable([["choice", "code"], ["taking", "code"], ["changes accuracy by", "bars"], ["", "words"], ["of members that took", "code"], ["trained with it", "number"]], rows, "Choices that move the front"), answer.effects.length > 40 ? note(`${answer.effects.length - 40} more, all smaller.`) : null];
}

function share({ share: value, low, high }) {
  return h("span", { class: "share", title: `${(100 * low).toFixed(0)} to ${(100 * high).toFixed(0)} %` }, h("span", { class: "share-bar" }, h("span", { class: "share-low", style: { left: `${100 * low}%`, width: `${100 * (high - low)}%` } }), h("span", { class: "share-at", style: { left: `${100 * value}%` } })), ` ${(100 * value).toFixed(0)} %`);
}

function wordsOnFront(answer) {
  if (!answer.words.length) return note("No word to count yet.");
  const decided = answer.words.filter((word) => word.verdict !== "undecided"), others = answer.words.length - decided.length;
  const table = (words, title) => simpleTable([["word", "code"], [`front (${answer.front})`, "bars"], [`trained (${answer.trained})`, "bars"], [`space (${answer.draws} draws)`, "bars"], ["lift", "number"], ["", "words"]],
    words.map((word) => [word.word, share(word.front), share(word.trained), share(word.space), `× ${word.lift.toFixed(1)}`, word.verdict === "undecided" ? verdictBadge("undecided") : h("span", { class: "badge" }, `${word.verdict} on the front`)]), title);
  return [decided.length ? table(decided, "Words that stand more or less often on the front") : note("For no word the data decide."), others ? h("details", {}, h("summary", {}, `${others} words for which the data do not decide`), table(answer.words.filter((word) => word.verdict === "undecided"), "Undecided words")) : null];
}
