// The filter's language: conditions side by side, all of which hold.
//   contains softmax · without conv · kernel >= 7 · macs < 1M · accuracy >= 0.95 · state = failed · any text

import { MEASURES, GROUPS } from "./columns.js";

const TERM = /\s*(?:(?:and|,|&)\s+)?(?:(contains|has|without|lacks)\s+("[^"]*"|\S+)|([A-Za-z_][\w .±/#~]*?)\s*(<=|>=|!=|==|=|<|>)\s*("[^"]*"|[^\s,&]+)|("[^"]*"|\S+))/gyi;
const UNITS = { k: 1e3, m: 1e6, g: 1e9, t: 1e12 };
const NAMES = { accuracy: "mean", acc: "mean", trial: "number", parameters: "params", mac: "macs", time: "seconds" };
// Sizes that words are written with: "kernel" is any size of a kernel, #7 or the first number of dw(7), conv2(7), ..
const SIZES = {
  kernel: /#(\d+)|\b(?:dw|conv|fconv|avg|max|pool)\w*\((?:[^()]*?,)?\s*#?(\d+)/g,
  heads: /@h\((\d+)\)/g,
  window: /@(?:win|grid|N)\((\d+)/g,
  ffn: /\bffn\w*\((\d+(?:\.\d+)?)/g,
  patch: /\bpatch\((\d+)/g,
  width: /\b(?:patch|fconv|down)\(\d+,\s*(\d+)/g,
  depth: /\^(\d+)/g,
};

export class QueryError extends Error {}
const bare = (text) => (text.startsWith('"') ? text.slice(1, -1) : text);

function numberOf(text) {
  const found = /^(-?\d*\.?\d+(?:e[-+]?\d+)?)([kmgt%]?)$/i.exec(text);
  if (!found) return NaN;
  return found[2] === "%" ? found[1] / 100 : found[1] * (UNITS[found[2].toLowerCase()] ?? 1);
}

const COMPARE = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b,
  "=": (a, b) => a === b, "==": (a, b) => a === b, "!=": (a, b) => a !== b,
};

function wordTest(word) {
  const escaped = word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const edge = (letter) => (/\w/.test(letter ?? "") ? "\\b" : "");
  return new RegExp(edge(word[0]) + escaped + edge(word.at(-1)));
}

function sizesIn(sentence, pattern) {
  const found = [];
  for (const match of sentence.matchAll(pattern)) found.push(Number(match.slice(1).find((group) => group !== undefined)));
  return found;
}

// The text as a list of (columns, row) -> boolean.
export function parseQuery(text) {
  const tests = [];
  let at = 0;
  while (at < text.trimEnd().length) {
    TERM.lastIndex = at;
    const found = TERM.exec(text);
    if (!found) throw new QueryError(`“${text.slice(at).trim()}” is not understood`);
    at = TERM.lastIndex;
    const [, verb, object, left, sign, right, plain] = found;
    if (verb) tests.push(contains(bare(object), /^(without|lacks)$/i.test(verb)));
    else if (left !== undefined) tests.push(compared(left.trim(), sign, bare(right)));
    else if (!/^(and|&|,)$/i.test(plain)) tests.push(anywhere(bare(plain).toLowerCase()));
  }
  return tests;
}

function contains(word, negated) {
  if (!word) throw new QueryError("contains what? Write contains softmax");
  const pattern = wordTest(word);
  return (columns, row) => pattern.test(columns.sentence[row] ?? "") !== negated;
}

function anywhere(text) {
  return (columns, row) => [columns.sentence[row], columns.name[row], columns.reason[row], columns.key[row]].some((one) => one && one.toLowerCase().includes(text));
}

function compared(left, sign, right) {
  const lower = left.toLowerCase();
  if (lower === "state" || lower === "group") {
    const at = GROUPS.findIndex((group) => group.name === right.toLowerCase());
    if (at < 0) throw new QueryError(`no state ${right}; there are ${GROUPS.map((group) => group.name).join(", ")}`);
    return (columns, row) => COMPARE[sign](columns.group[row], at);
  }
  const wanted = numberOf(right);
  const measure = NAMES[lower] ?? Object.keys(MEASURES).find((name) => name === lower || MEASURES[name].title.toLowerCase() === lower);
  if (measure) {
    if (Number.isNaN(wanted)) throw new QueryError(`${left} is compared with a number: ${left} ${sign} 1M`);
    return (columns, row) => COMPARE[sign](measure === "mean" ? Math.round(columns.of.mean[row] * 1e6) / 1e6 : columns.of[measure][row], wanted);
  }
  if (SIZES[lower]) {
    if (Number.isNaN(wanted)) throw new QueryError(`${left} is compared with a number: ${left} ${sign} 7`);
    return (columns, row) => sizesIn(columns.sentence[row] ?? "", SIZES[lower]).some((size) => COMPARE[sign](size, wanted));
  }
  return (columns, row) => {
    const place = columns.choiceNames.indexOf(left), pairs = columns.taken[row] ?? [];
    for (let i = 0; i < pairs.length; i += 2) {
      if (pairs[i] !== place) continue;
      const value = columns.choiceValues[pairs[i + 1]];
      return COMPARE[sign](typeof value === "number" ? value : String(value), typeof value === "number" ? wanted : right);
    }
    if (place < 0 && columns.written) throw new QueryError(`nothing is called ${left}; measures: accuracy, macs, params, …; sizes: ${Object.keys(SIZES).join(", ")}; or a choice`);
    return false;
  };
}
