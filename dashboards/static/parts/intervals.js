// Changes with their intervals as small pictures, on one scale; and answers that take their time.

import { failure, h, put, s } from "./dom.js";

// change: { mean, low, high }; scale: the largest that is drawn
export function intervalBar(change, scale, verdict) {
  const width = 170, height = 18, middle = width / 2, x = (value) => middle + (Math.max(-1, Math.min(1, value / scale)) * (width - 12)) / 2;
  const text = `${signed(change.mean)}, 95 % interval ${signed(change.low)} to ${signed(change.high)}`;
  return s("svg", { width, height, class: `interval ${verdict}`, role: "img", "aria-label": text }, s("title", {}, text),
    s("line", { class: "rule", x1: middle, x2: middle, y1: 1, y2: height - 1 }),
    s("line", { class: "reach", x1: x(change.low), x2: x(change.high), y1: height / 2, y2: height / 2 }),
    s("circle", { cx: x(change.mean), cy: height / 2, r: 4 }));
}

export const signed = (value, digits = 3) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
export const scaleOf = (changes) => Math.min(0.3, Math.max(0.01, ...changes.map((change) => Math.max(Math.abs(change.mean) * 2.5, Math.min(Math.abs(change.low), Math.abs(change.high))))));

export const VERDICTS = { better: "better", worse: "worse", undecided: "undecided", best: "best", improvable: "could be better", only: "no alternative" };
export const verdictBadge = (verdict) => h("span", { class: `badge verdict-${verdict}`, title: verdict === "undecided" ? "the data do not decide" : null }, VERDICTS[verdict] ?? verdict);

// Fills an element with what a question answers, asking again while it is being worked out.
export async function fillLater(element, ask, show, alive = () => element.isConnected) {
  for (;;) {
    let answer;
    try {
      answer = await ask();
    } catch (error) {
      if (alive()) put(element, failure(error));
      return;
    }
    if (!alive()) return;
    if (answer?.working === undefined) {
      put(element, show(answer));
      return;
    }
    put(element, h("p", { class: "note", role: "status" }, h("progress", { "aria-label": "working" }), ` The dashboard works it out, for ${answer.working.toFixed(0)} s now. It takes some seconds, on a busy machine a minute.`));
    await new Promise((done) => { setTimeout(done, 700); });
  }
}
