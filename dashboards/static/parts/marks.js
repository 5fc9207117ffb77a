// What stands in the plot: the step line, marks of every state, bars of seeds, names, the budget, rings around choices.

import { GROUPS, frontOf, kneeOf } from "../data/columns.js";
import { css } from "./dom.js";
import { drawMark } from "./pen.js";

export const MANY = 4000; // of a kind: from here on they are drawn as dots
const LANE = 13; // pixels above the lower edge where rows without a value stand

export function paints() {
  const colour = Object.fromEntries(GROUPS.map((group) => [group.name, css(`--${group.name}`)]));
  return { ...colour, ink: css("--ink"), soft: css("--soft"), line: css("--line"), paper: css("--paper"), pick: css("--pick") };
}

// Where every row stands in the plot, in pixels; NaN for what has no place on x or is not shown.
export function placeRows(columns, selection, state, frame) {
  const xs = columns.of[state.x], ys = columns.of[state.y], n = columns.n;
  const px = new Float32Array(n).fill(NaN), py = new Float32Array(n);
  for (let row = 0; row < n; row++) {
    if (!selection.shown[row]) continue;
    const x = frame.x(xs[row]);
    if (!Number.isFinite(x)) continue;
    const y = frame.y(ys[row]);
    px[row] = x;
    py[row] = Number.isFinite(y) ? y : frame.bottom - LANE;
  }
  return { px, py };
}

const within = (frame, x, y, room = 0) => x >= frame.left - room && x <= frame.right + room && y >= frame.top - room && y <= frame.bottom + room;

export function frontRows(columns, selection, state) {
  const rows = [];
  for (let row = 0; row < columns.n; row++) {
    const group = columns.group[row];
    if ((group === 0 || group === 1) && selection.inside[row]) rows.push(row);
  }
  const members = frontOf(columns, rows, state.x, state.y);
  return { members, knee: kneeOf(columns, members, state.x, state.y, state.xlog) };
}

export function bestWithin(columns, members, state) {
  if (state.budget === null) return null;
  const fitting = members.filter((row) => columns.of[state.x][row] <= state.budget);
  return fitting.length ? fitting.at(-1) : null;
}

export function drawMarks(pen, { columns, selection, state, frame, places, front, overlays, systems, references, colours }) {
  const { px, py } = places;
  let above = -Infinity;
  const levels = state.y === "mean" ? Object.entries(references ?? {}).sort((a, b) => b[1] - a[1]) : [];
  for (const [name, accuracy] of levels) {
    const y = frame.y(accuracy);
    if (y < frame.top || y > frame.bottom) continue;
    pen.style({ stroke: colours.soft, width: 1, dash: [2, 4] });
    pen.path([[frame.left, y], [frame.right, y]]);
    // The name stands above its line, or below where another's is in the way.
    const label = y - 8 - above < 13 || y - 14 < frame.top ? y + 8 : y - 8;
    above = label;
    pen.style({ fill: colours.soft });
    pen.text(frame.left + 6, label, `${name} ${accuracy.toFixed(3)}`);
  }
  for (const group of [6, 5, 4, 1, 3]) drawGroup(pen, group, columns, selection, frame, px, py, colours);
  for (const overlay of overlays) {
    pen.style({ stroke: overlay.colour, width: 1.6, dash: [6, 3] });
    drawSteps(pen, overlay.points.map(([x, y]) => [frame.x(x), frame.y(y)]), frame);
  }
  pen.style({ stroke: colours.front, width: 2 });
  drawSteps(pen, front.members.map((row) => [frame.x(columns.of[state.x][row]), frame.y(columns.of[state.y][row])]), frame);
  if (state.y === "mean" || state.y === "test") drawBars(pen, columns, selection, state, frame, px, colours);
  drawGroup(pen, 2, columns, selection, frame, px, py, colours);
  drawGroup(pen, 0, columns, selection, frame, px, py, colours);
  drawNames(pen, columns, selection, frame, places, colours, systems, state);
  if (front.knee !== null) {
    const x = px[front.knee], y = py[front.knee];
    if (within(frame, x, y)) {
      pen.style({ stroke: colours.front, width: 1.4 });
      pen.circle(x, y, 10);
      pen.style({ fill: colours.ink });
      pen.text(x + 13, y + 11, "knee");
    }
  }
  const best = bestWithin(columns, front.members, state);
  if (state.budget !== null) {
    const x = frame.x(state.budget);
    pen.style({ stroke: colours.pick, width: 1.4, dash: [5, 4] });
    if (x >= frame.left && x <= frame.right) pen.path([[x, frame.top], [x, frame.bottom]]);
    if (best !== null && within(frame, px[best], py[best])) {
      pen.style({ stroke: colours.pick, width: 2.4 });
      pen.circle(px[best], py[best], 12);
    }
  }
}

// A front as steps: level from each member to the next dearer one, and on to the edge.
export function drawSteps(pen, points, frame) {
  const corners = [];
  points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y)).forEach(([x, y]) => {
    if (corners.length) corners.push([x, corners.at(-1)[1]]);
    corners.push([x, y]);
  });
  if (!corners.length) return;
  corners.push([Math.max(frame.right, corners.at(-1)[0]), corners.at(-1)[1]]);
  pen.path(corners);
}

function drawGroup(pen, group, columns, selection, frame, px, py, colours) {
  const { name, mark } = GROUPS[group], colour = colours[name];
  const rows = [];
  for (let row = 0; row < columns.n; row++) if (columns.group[row] === group && within(frame, px[row], py[row], 8)) rows.push(row);
  const many = rows.length > MANY && group !== 0 && group !== 2;
  const filled = group === 0 || (group === 2 ? colours.paper : undefined);
  for (const chosen of [0, 1]) {
    const alpha = chosen ? (group === 1 ? 0.75 : 1) : 0.16;
    pen.style({ stroke: colour, fill: many || filled === true ? colour : filled ?? "transparent", width: group === 2 ? 2 : 1.4, alpha });
    for (const row of rows) {
      if (selection.inside[row] !== chosen) continue;
      if (many) pen.dot(px[row], py[row], 3);
      else drawMark(pen, mark, px[row], py[row], group === 0 ? 6.5 : group === 2 ? 5 : 4.2);
    }
  }
}

// One standard error over seeds; of test accuracies their 95 % interval.
function drawBars(pen, columns, selection, state, frame, px, colours) {
  const { mean, error, test_low: from, test_high: to } = columns.of, tests = state.y === "test";
  for (let row = 0; row < columns.n; row++) {
    const group = columns.group[row];
    if ((group !== 0 && group !== 2) || !(px[row] >= frame.left && px[row] <= frame.right)) continue;
    const high = Math.max(frame.top, frame.y(tests ? to[row] : mean[row] + error[row])), low = Math.min(frame.bottom, frame.y(tests ? from[row] : mean[row] - error[row]));
    if (!(high < low)) continue;
    pen.style({ stroke: colours[GROUPS[group].name], width: 1.3, alpha: selection.inside[row] ? 1 : 0.16 });
    pen.path([[px[row], high], [px[row], low]]);
    for (const y of [high, low]) pen.path([[px[row] - 3, y], [px[row] + 3, y]]);
  }
}

// Names of baselines and published systems, each where it hides least; one that finds no room is told by the card.
function drawNames(pen, columns, selection, frame, { px, py }, colours, systems, state) {
  const taken = [], named = [];
  for (let row = 0; row < columns.n; row++) {
    const group = columns.group[row];
    if (group > 2 || !within(frame, px[row], py[row])) continue;
    if (group !== 1) taken.push([px[row] - 7, px[row] + 7, py[row] - 7, py[row] + 7]);
    if (group === 2 && columns.name[row]) named.push([px[row], py[row], columns.name[row], selection.inside[row] ? 1 : 0.3]);
  }
  for (const system of systems) {
    const x = frame.x(state.x === "flops" ? 2 * system.macs : system[state.x]), y = frame.y(system.accuracy);
    if (state.y !== "mean" || !within(frame, x, y)) continue;
    pen.style({ stroke: colours.soft, fill: colours.paper, width: 1.6 });
    drawMark(pen, "star", x, y, 7);
    taken.push([x - 7, x + 7, y - 7, y + 7]);
    named.push([x, y, system.name, 1]);
  }
  const clash = (box) => taken.some((other) => box[0] < other[1] && other[0] < box[1] && box[2] < other[3] && other[2] < box[3]);
  for (const [x, y, name, alpha] of named) {
    const width = 6.1 * name.length;
    const spots = [["left", x + 9, y, [x + 9, x + 9 + width]], ["right", x - 9, y, [x - 9 - width, x - 9]],
      ["center", x, y - 14, [x - width / 2, x + width / 2]], ["center", x, y + 14, [x - width / 2, x + width / 2]]];
    for (const [align, at, level, [from, to]] of spots) {
      const box = [from, to, level - 7, level + 7];
      if (from < frame.left || to > frame.right || clash(box)) continue;
      taken.push(box);
      pen.style({ fill: colours.ink, alpha });
      pen.text(at, level, name, align);
      break;
    }
  }
}
