// What is taken home: the selection as CSV and JSON, figures, architectures; files are made in the page.

import { GROUPS, MEASURES } from "../data/columns.js";
import { announce, h } from "./dom.js";
import { cellText } from "./table.js";

export function save(name, content, type) {
  const address = typeof content === "string" && content.startsWith("data:") ? content : URL.createObjectURL(new Blob([content], { type }));
  const link = h("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  if (address.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(address), 10_000);
  announce(`${name} is saved`);
}

// A cell that a spreadsheet would run as a formula is kept a text.
const quoted = (value) => {
  const text = String(value ?? "");
  const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
};

const FIELDS = ["number", "group", "name", "mean", "error", "seeds", "test", "test_low", "test_high", "flops", "macs", "params", "elementwise", "activations", "loss", "seconds", "epochs", "key", "reason", "sentence"];

function plain(columns, name, row) {
  if (!MEASURES[name]) return name === "group" ? GROUPS[columns.group[row]].name : cellText(columns, name, row) || null;
  const value = columns.of[name][row];
  if (!Number.isFinite(value) || (name === "epochs" && value < 0) || (name === "seeds" && value === 0)) return null;
  return Number(value.toPrecision(7 + 9 * Number(Number.isInteger(value))));
}

const titled = (name) => ({ mean: "accuracy", error: "standard_error", test: "test_accuracy", group: "state" })[name] ?? name;
const choicesOf = (columns, row) => {
  const pairs = columns.taken[row] ?? [], found = {};
  for (let i = 0; i < pairs.length; i += 2) found[columns.choiceNames[pairs[i]]] = columns.choiceValues[pairs[i + 1]];
  return found;
};

export function asCsv(columns, rows) {
  const choices = columns.choicesByUse();
  const head = [...FIELDS.map(titled), ...choices].map(quoted).join(",");
  const lines = rows.map((row) => {
    const taken = choicesOf(columns, row);
    return [...FIELDS.map((name) => quoted(plain(columns, name, row))), ...choices.map((name) => quoted(taken[name]))].join(",");
  });
  return [head, ...lines].join("\r\n") + "\r\n";
}

export function asJson(columns, rows) {
  const trials = rows.map((row) => ({ ...Object.fromEntries(FIELDS.map((name) => [titled(name), plain(columns, name, row)])), choices: choicesOf(columns, row) }));
  return JSON.stringify({ run: columns.run, trials }, null, 1);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`${what} is copied`);
    return true;
  } catch {
    return false; // without permission, or in a file that the browser does not trust
  }
}

// Buttons that copy or save a text; a copy that the browser refuses shows the text to be copied by hand.
export function takeAway(title, text, file, type = "text/plain") {
  const button = h("button", { type: "button", onclick: async () => {
    if (await copy(text, title)) {
      button.textContent = `${title} ✓`;
      setTimeout(() => { button.textContent = title; }, 1500);
    } else save(file, text, type);
  }, title: `Copy the ${title}` }, title);
  return h("span", { class: "pair" }, button, h("button", { type: "button", class: "small", "aria-label": `Save the ${title} as ${file}`, title: `Save as ${file}`, onclick: () => save(file, text, type) }, "⤓"));
}
