// A run as columns in the browser: numbers in typed arrays, texts in lists, merged from what the source sends.

const ARRAYS = { float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array };
export const STATUS = ["complete", "running", "stopped", "failed", "refused"];
export const KIND = ["searched", "baseline", "replicate", "imported", "rejected", "retrained"];
export const VERDICT = ["", "dominated", "undecided", "not dominated"];

// What a row is to a reader; the chips, the marks and the table speak of these.
export const GROUPS = [
  { name: "front", one: "on the front", title: "On the front", mark: "diamond" },
  { name: "dominated", one: "dominated", title: "Dominated", mark: "circle" },
  { name: "baseline", one: "baseline", title: "Baselines", mark: "square" },
  { name: "running", one: "running", title: "Running", mark: "ring" },
  { name: "stopped", one: "stopped early", title: "Stopped early", mark: "triangle" },
  { name: "failed", one: "failed", title: "Failed", mark: "cross" },
  { name: "refused", one: "refused", title: "Refused", mark: "dash" },
];
const FRONT = 0, DOMINATED = 1, BASELINE = 2, RUNNING = 3, STOPPED = 4, FAILED = 5, REFUSED = 6;
export const HIDDEN = 255; // replicates stand with the trial that they repeat

// Numeric columns that can be an axis, a range, a column of the table.
export const MEASURES = {
  mean: { title: "accuracy", long: "validation accuracy (mean over seeds)", better: "more", digits: 4, log: false },
  flops: { title: "FLOPs", long: "FLOPs of one input (2 × MACs)", better: "less", log: true },
  macs: { title: "MACs", long: "multiply-accumulates of one input", better: "less", log: true },
  params: { title: "parameters", long: "trained parameters", better: "less", log: true },
  elementwise: { title: "elementwise", long: "elementwise results of one input", better: "less", log: true },
  activations: { title: "activations", long: "activations of one input", better: "less", log: true },
  loss: { title: "loss", long: "validation loss (first seed)", better: "less", digits: 4, log: false },
  seconds: { title: "seconds", long: "training time in seconds", better: "less", digits: 1, log: true },
  error: { title: "± s.e.", long: "standard error of the accuracy", better: "less", digits: 4, log: false },
  seeds: { title: "seeds", long: "seeds trained", better: null, log: false },
  epochs: { title: "epochs", long: "epochs trained", better: null, log: false },
  reached: { title: "last accuracy", long: "accuracy after the last epoch trained", better: "more", digits: 4, log: false },
  number: { title: "trial", long: "number of the trial", better: null, log: false },
};

export function decodeColumn(encoded) {
  const bytes = Uint8Array.from(atob(encoded.data), (letter) => letter.charCodeAt(0));
  return new ARRAYS[encoded.type](bytes.buffer);
}

export class Columns {
  constructor(run) {
    this.run = run;
    this.forget();
  }

  forget() {
    this.revision = -1;
    this.generation = "";
    this.n = 0;
    this.of = {};
    this.group = new Uint8Array(0);
    this.sentence = [];
    this.name = [];
    this.reason = [];
    this.key = [];
    this.taken = []; // row -> Int32Array of (choice, value) pairs
    this.choiceNames = [];
    this.choiceValues = [];
    this.places = { names: new Map(), values: new Map() };
    this.built = new Map();
    this.study = null;
    this.progress = null;
  }

  // Takes in an answer of the source; returns the rows that changed, null where none did.
  merge(answer) {
    if (answer.index === undefined) return null;
    if (answer.whole) this.forget();
    if (answer.study) this.study = answer.study;
    this.progress = answer.progress;
    const index = decodeColumn(answer.index);
    for (const [name, encoded] of Object.entries(answer.columns)) this.write(name, index, decodeColumn(encoded), answer.rows);
    this.n = answer.rows;
    this.revision = answer.revision;
    this.generation = answer.generation;
    const macs = this.of.macs;
    this.of.flops = Float64Array.from(macs, (value) => 2 * value);
    this.regroup();
    if (answer.texts) this.mergeTexts(answer.texts, answer.texts.index ? decodeColumn(answer.texts.index) : index);
    this.built.clear();
    return index;
  }

  write(name, index, values, rows) {
    let column = this.of[name];
    if (!column || column.length !== rows) {
      const longer = new values.constructor(rows);
      if (column) longer.set(column.subarray(0, Math.min(rows, column.length)));
      column = this.of[name] = longer;
    }
    for (let i = 0; i < index.length; i++) column[index[i]] = values[i];
  }

  mergeTexts(texts, index) {
    const names = decodeColumn(texts.name.at), reasons = decodeColumn(texts.reason.at);
    const flat = decodeColumn(texts.choices.flat), ends = decodeColumn(texts.choices.ends);
    const place = (pool, list, value) => {
      const key = `${typeof value} ${value}`;
      if (!pool.has(key)) pool.set(key, list.push(value) - 1);
      return pool.get(key);
    };
    const choice = texts.choices.names.map((name) => place(this.places.names, this.choiceNames, name));
    const value = texts.choices.values.map((one) => place(this.places.values, this.choiceValues, one));
    for (let i = 0; i < flat.length; i += 2) { flat[i] = choice[flat[i]]; flat[i + 1] = value[flat[i + 1]]; }
    for (let i = 0; i < index.length; i++) {
      const row = index[i];
      this.sentence[row] = texts.sentence[i];
      this.key[row] = texts.key[i];
      this.name[row] = names[i] < 0 ? null : texts.name.texts[names[i]];
      this.reason[row] = reasons[i] < 0 ? null : texts.reason.texts[reasons[i]];
      this.taken[row] = flat.subarray(i ? ends[i - 1] : 0, ends[i]);
    }
    this.built.clear();
  }

  get written() { return this.sentence.length === this.n; }

  regroup() {
    const { kind, status, front, seeds } = this.of;
    this.group = new Uint8Array(this.n);
    for (let row = 0; row < this.n; row++) {
      let group = HIDDEN;
      if (kind[row] !== 2 && kind[row] !== 5) {
        if (status[row] === 4 || kind[row] === 4) group = REFUSED;
        else if (status[row] === 1) group = RUNNING;
        else if (status[row] === 2) group = STOPPED;
        else if (status[row] === 3) group = FAILED;
        else if (kind[row] === 1) group = BASELINE;
        else group = front[row] && seeds[row] ? FRONT : DOMINATED;
      }
      this.group[row] = group;
    }
  }

  // A choice as a column: for each row the place of its value among the choice's own, -1 where it was not taken.
  choice(name) {
    if (this.built.has(name)) return this.built.get(name);
    const wanted = this.choiceNames.indexOf(name), found = new Int32Array(this.n).fill(-1), used = new Map();
    for (let row = 0; row < this.n; row++) {
      const pairs = this.taken[row];
      if (!pairs) continue;
      for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === wanted) { found[row] = pairs[i + 1]; used.set(pairs[i + 1], (used.get(pairs[i + 1]) ?? 0) + 1); break; }
    }
    const values = [...used.keys()].map((place) => this.choiceValues[place]);
    const order = [...used.keys()].sort((a, b) => compareValues(this.choiceValues[a], this.choiceValues[b]));
    const rank = new Map(order.map((place, i) => [place, i]));
    for (let row = 0; row < this.n; row++) if (found[row] >= 0) found[row] = rank.get(found[row]);
    const column = { at: found, values: order.map((place) => this.choiceValues[place]), n: values.length };
    this.built.set(name, column);
    return column;
  }

  // Names of choices, those that most rows took first; what has one value tells nothing.
  choicesByUse() {
    if (this.built.has(" use")) return this.built.get(" use");
    const uses = new Map();
    for (let row = 0; row < this.n; row++) {
      const pairs = this.taken[row];
      if (!pairs || this.group[row] === HIDDEN) continue;
      for (let i = 0; i < pairs.length; i += 2) {
        const use = uses.get(pairs[i]) ?? { n: 0, values: new Set() };
        use.n += 1;
        use.values.add(pairs[i + 1]);
        uses.set(pairs[i], use);
      }
    }
    const names = [...uses].filter(([, use]) => use.values.size > 1).sort((a, b) => b[1].n - a[1].n).map(([place]) => this.choiceNames[place]);
    this.built.set(" use", names);
    return names;
  }
}

export function compareValues(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

// Rows that no other one of these rows beats in both measures, by rising x.
export function frontOf(columns, rows, x, y) {
  const xs = columns.of[x], ys = columns.of[y];
  const sx = MEASURES[x].better === "more" ? -1 : 1, sy = MEASURES[y].better === "less" ? -1 : 1;
  const finite = rows.filter((row) => Number.isFinite(xs[row]) && Number.isFinite(ys[row]));
  finite.sort((a, b) => sx * (xs[a] - xs[b]) || sy * (ys[b] - ys[a]));
  const members = [];
  let best = -Infinity;
  for (const row of finite) {
    if (sy * ys[row] > best) { best = sy * ys[row]; members.push(row); }
  }
  return members;
}

// The member farthest above the straight line between the ends, in the plane as it is drawn.
export function kneeOf(columns, members, x, y, xlog) {
  if (members.length < 3) return null;
  const px = members.map((row) => (xlog ? Math.log(columns.of[x][row]) : columns.of[x][row])), py = members.map((row) => columns.of[y][row]);
  const last = members.length - 1, dx = px[last] - px[0] || 1, dy = py[last] - py[0] || 1;
  const sign = MEASURES[y].better === "less" ? -1 : 1;
  let knee = null, farthest = 0;
  members.forEach((row, i) => {
    const above = ((py[i] - py[0]) / dy - (px[i] - px[0]) / dx) * (sign * dy > 0 ? 1 : -1);
    if (above > farthest) { farthest = above; knee = row; }
  });
  return knee;
}
