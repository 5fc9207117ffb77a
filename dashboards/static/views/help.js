// What keys do and how filters are written.

import { h } from "../parts/dom.js";

const KEYS = [["Tab", "to the next control; the plot and the table are one stop each"], ["← →", "on the plot: along the front"], ["↑ ↓ PgUp PgDn Home End", "in the table: from row to row"], ["Enter", "pins or unpins what is pointed at"], ["C", "adds it to the comparison, up to four"], ["Escape", "closes a menu"], ["?", "this help"]];
const FILTERS = [["contains softmax", "its sentence has the word"], ["without conv", "it has not"], ["kernel >= 7", "a kernel of that size; also heads, window, patch, width, ffn, depth"], ["macs < 1M  params <= 50k", "costs"], ["accuracy >= 95%", "its mean"], ["state = stopped", "front, dominated, baseline, running, stopped, failed, refused"], ["network#1 = large", "a choice, by its name"], ["\"any text\"", "in sentence, name, reason or key"]];

export function helpDialog() {
  const table = (title, rows) => [h("h2", {}, title), h("dl", { class: "help" }, rows.map(([name, means]) => [h("dt", {}, h("code", {}, name)), h("dd", {}, means)]))];
  const dialog = h("dialog", { "aria-label": "Help" }, table("Keys", KEYS), table("Filters", FILTERS), h("p", { class: "note" }, "Conditions side by side all hold. The address of the page holds the whole view: share it, or keep it."), h("button", { type: "button", class: "main", onclick: () => dialog.close() }, "Close"));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
