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
  test: { title: "test", long: "test accuracy (retrained in full, mean over seeds)", better: "more", digits: 4, log: false },
  test_low: { title: "test from", long: "lower end of the 95 % interval of the test accuracy", better: "more", digits: 4, log: false },
  test_high: { title: "test to", long: "upper end of the 95 % interval of the test accuracy", better: "more", digits: 4, log: false },
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
    this.built = new Map(); // choice -> its column
    this.uses = new Map(); // choice -> rows that took it, and its values
    this.used = null; // their names, most used first
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
    for (const [name, encoded] of Object.entries(answer.columns)) {
      const values = decodeColumn(encoded), column = this.of[name] = lengthened(this.of[name], answer.rows, values.constructor);
      for (let i = 0; i < index.length; i++) column[index[i]] = values[i];
    }
    this.n = answer.rows;
    this.revision = answer.revision;
    this.generation = answer.generation;
    const { macs } = this.of, flops = this.of.flops = lengthened(this.of.flops, this.n, Float64Array);
    for (const row of index) flops[row] = 2 * macs[row];
    this.regroup(index);
    if (answer.texts) this.mergeTexts(answer.texts, answer.texts.index ? decodeColumn(answer.texts.index) : index);
    return index;
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
    for (const [name, column] of this.built) if (column.choice < 0) this.built.delete(name); // it may be there now
    for (let i = 0; i < flat.length; i += 2) { flat[i] = choice[flat[i]]; flat[i + 1] = value[flat[i + 1]]; }
    for (let i = 0; i < index.length; i++) {
      const row = index[i];
      this.sentence[row] = texts.sentence[i];
      this.key[row] = texts.key[i];
      this.name[row] = names[i] < 0 ? null : texts.name.texts[names[i]];
      this.reason[row] = reasons[i] < 0 ? null : texts.reason.texts[reasons[i]];
      const told = this.taken[row]?.length > 0; // choices of a trial never change once they are there
      this.taken[row] = flat.subarray(i ? ends[i - 1] : 0, ends[i]);
      if (!told && this.taken[row].length) this.count(row);
    }
  }

  // Takes a row's choices into what was built of all rows.
  count(row) {
    const pairs = this.taken[row];
    if (this.group[row] !== HIDDEN) {
      for (let i = 0; i < pairs.length; i += 2) {
        let use = this.uses.get(pairs[i]);
        if (!use) this.uses.set(pairs[i], use = { n: 0, values: new Set() });
        use.n += 1;
        use.values.add(pairs[i + 1]);
      }
      this.used = null;
    }
    for (const [name, column] of this.built) {
      const value = valueOf(pairs, column.choice);
      if (value < 0) continue;
      if (column.rank.has(value)) column.at[row] = column.rank.get(value);
      else this.built.delete(name); // a value that is new has a place among the others
    }
  }

  get written() { return this.sentence.length === this.n; }

  regroup(index) {
    const { kind, status, front, seeds } = this.of;
    this.group = lengthened(this.group, this.n, Uint8Array);
    for (const row of index) {
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

  // Whether any architecture was retrained and measured on the test part.
  get tested() {
    for (const value of this.of.test ?? []) if (Number.isFinite(value)) return true;
    return false;
  }

  // A choice as a column: for each row the place of its value among the choice's own, -1 where it was not taken.
  choice(name) {
    let column = this.built.get(name);
    if (!column) {
      const choice = this.choiceNames.indexOf(name), values = new Set();
      for (const pairs of this.taken) {
        const value = pairs ? valueOf(pairs, choice) : -1;
        if (value >= 0) values.add(value);
      }
      const order = [...values].sort((a, b) => compareValues(this.choiceValues[a], this.choiceValues[b]));
      const rank = new Map(order.map((value, i) => [value, i]));
      column = { choice, rank, at: new Int32Array(0), values: order.map((value) => this.choiceValues[value]) };
      this.built.set(name, column);
    }
    const { length } = column.at;
    column.at = lengthened(column.at, this.n, Int32Array);
    for (let row = length; row < this.n; row++) column.at[row] = this.taken[row] ? column.rank.get(valueOf(this.taken[row], column.choice)) ?? -1 : -1;
    return column;
  }

  // Names of choices, those that most rows took first; what has one value tells nothing.
  choicesByUse() {
    this.used ??= [...this.uses].filter(([, use]) => use.values.size > 1).sort((a, b) => b[1].n - a[1].n || a[0] - b[0]).map(([choice]) => this.choiceNames[choice]);
    return this.used;
  }
}

function valueOf(pairs, choice) {
  for (let i = 0; i < pairs.length; i += 2) if (pairs[i] === choice) return pairs[i + 1];
  return -1;
}

// The column with room for so many rows: in the same memory while it suffices, else in half as much again.
function lengthened(column, rows, Type) {
  if (column?.length === rows) return column;
  if (column && rows * Type.BYTES_PER_ELEMENT <= column.buffer.byteLength) return new Type(column.buffer, 0, rows);
  const longer = new Type(column?.length ? Math.ceil(1.5 * rows) : rows);
  if (column) longer.set(column);
  return longer.subarray(0, rows);
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
