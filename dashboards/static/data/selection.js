// One selection for all views: state chips, the filter's text, ranges on axes, a region of the plot, kept and left out.

import { GROUPS, HIDDEN, MEASURES } from "./columns.js";
import { parseQuery, QueryError } from "./query.js";

// Which rows are in: `shown` by their state alone, `inside` by everything.
export function selectRows(columns, state) {
  const n = columns.n, shown = new Uint8Array(n), inside = new Uint8Array(n);
  const open = GROUPS.map((group) => !state.hidden.includes(group.name));
  let tests = [], error = null;
  try {
    tests = parseQuery(state.query);
  } catch (problem) {
    if (!(problem instanceof QueryError)) throw problem;
    error = problem.message;
  }
  const ranges = Object.entries(state.ranges).map(([name, range]) => rangeTest(columns, name, range));
  const region = state.region ? regionTest(columns, state.region) : null;
  const only = state.only ? new Set(state.only) : null, without = new Set(state.without);
  const counts = { shown: 0, inside: 0, front: 0, all: 0, by: GROUPS.map(() => 0) };
  for (let row = 0; row < n; row++) {
    const group = columns.group[row];
    if (group === HIDDEN) continue;
    counts.all += 1;
    counts.by[group] += 1;
    if (!open[group]) continue;
    shown[row] = 1;
    counts.shown += 1;
    if (without.has(row) || (only && !only.has(row))) continue;
    if (!ranges.every((test) => test(row)) || (region && !region(row))) continue;
    try {
      if (!tests.every((test) => test(columns, row))) continue;
    } catch (problem) {
      if (!(problem instanceof QueryError)) throw problem;
      error = problem.message;
      tests = [];
    }
    inside[row] = 1;
    counts.inside += 1;
    if (group === 0) counts.front += 1;
  }
  return { shown, inside, counts, error };
}

function rangeTest(columns, name, range) {
  if (MEASURES[name]) {
    const values = columns.of[name], [low, high] = range;
    return (row) => values[row] >= low && values[row] <= high;
  }
  const choice = columns.choice(name), wanted = new Set(range);
  return (row) => wanted.has(choice.at[row] < 0 ? null : choice.values[choice.at[row]]);
}

// A polygon in the plane of two measures; a box is one of four corners.
function regionTest(columns, region) {
  const xs = columns.of[region.x], ys = columns.of[region.y];
  const turn = region.xlog ? Math.log10 : (value) => value, up = region.ylog ? Math.log10 : (value) => value;
  const px = region.xs.map(turn), py = region.ys.map(up);
  return (row) => {
    const x = turn(xs[row]), y = up(ys[row]);
    if (!Number.isFinite(x) || !Number.isFinite(y)) return false;
    let odd = false;
    for (let i = 0, j = px.length - 1; i < px.length; j = i++) {
      if (py[i] > y !== py[j] > y && x < ((px[j] - px[i]) * (y - py[i])) / (py[j] - py[i]) + px[i]) odd = !odd;
    }
    return odd;
  };
}

export const insideRows = (selection) => {
  const rows = [];
  for (let row = 0; row < selection.inside.length; row++) if (selection.inside[row]) rows.push(row);
  return rows;
};
