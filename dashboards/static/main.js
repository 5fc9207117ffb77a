// The page: which view is seen, whose data it shows, and how news reaches it.

import { Columns, decodeColumn, frontOf } from "./data/columns.js";
import { openSource } from "./data/source.js";
import { onState, readUrl, setState, state } from "./data/url.js";
import { announce, byId, failure, h, put, replace } from "./parts/dom.js";
import { AtlasView } from "./views/atlas.js";
import { ArchitectureView } from "./views/architecture.js";
import { CompareView } from "./views/compare.js";
import { DetailsView } from "./views/details.js";
import { ElsewhereView } from "./views/elsewhere.js";
import { FrontView } from "./views/front.js";
import { helpDialog } from "./views/help.js";
import { RunsView } from "./views/runs.js";
import { SpaceView } from "./views/space.js";
import { WhyView } from "./views/why.js";

const POLL = 1000, PATIENCE = 5000; // milliseconds between questions, and when the dashboard is away
const VIEWS = { front: ["Front", FrontView], runs: ["Runs", RunsView], architecture: ["Architecture", ArchitectureView], compare: ["Compare", CompareView], why: ["Why", WhyView], space: ["Space", SpaceView], atlas: ["Atlas", AtlasView], details: ["Settings", DetailsView] };

const WORKED_OUT = ["why", "space", "atlas"]; // by the server alone: a file has no space to draw from

const source = openSource();
const loaded = new Map(); // run -> Columns
const app = {
  source,
  runs: [],
  columns: () => columnsOf(state.run),
  load: async (run) => { const columns = columnsOf(run); if (columns.revision < 0) await update(columns); return columns; },
  detail: (row) => { const { of, group } = app.columns(); return source.architecture(state.run, row, `${group[row]}.${of.seeds[row]}.${of.test[row]}.${of.epochs[row]}`); },
  overlays: () => state.overlay.filter((name) => name !== state.run).map((name) => ({ name, columns: columnsOf(name) })).filter(({ columns }) => columns.revision >= 0),
  systems: () => systems ?? { systems: [], warning: null },
  fresh: (path, parameters) => source.fresh(path, parameters),
  front: () => { const columns = app.columns(); return frontOf(columns, [...columns.group.keys()].filter((row) => columns.group[row] === 0), "flops", "mean"); },
};
let view = null, shown = "", shownTabs = "", systems = null;

function columnsOf(run) {
  if (!loaded.has(run)) loaded.set(run, new Columns(run));
  return loaded.get(run);
}

// Takes in what is new of a run; whether something was.
async function update(columns) {
  const answer = await source.data(columns.run, columns.revision, columns.generation);
  const changed = columns.merge(answer);
  return changed !== null;
}

async function fetchTexts(columns) {
  if (columns.written || columns.revision < 0) return false;
  const { generation } = columns, texts = await source.texts(columns.run);
  if (texts.generation !== undefined && texts.generation !== generation) return false;
  columns.mergeTexts(texts, decodeColumn(texts.index));
  return true;
}

function show() {
  if (!VIEWS[state.view]) state.view = "front";
  if (shown !== state.view) {
    view?.close();
    const [title, Own] = VIEWS[state.view], View = !source.live && WORKED_OUT.includes(state.view) ? ElsewhereView : Own;
    view = new View(app);
    shown = state.view;
    put(byId("content"), view.element);
    document.title = `${title} · ${state.run} · metamixer`;
    if (document.activeElement === document.body || document.activeElement?.closest("#content")) byId("content").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
  header();
  Promise.resolve(view.show()).catch((error) => put(byId("content"), failure(error)));
}

function header() {
  const columns = app.columns(), { progress, study } = columns;
  const tabs = `${state.view} ${state.arch !== null} ${state.compare.length}`;
  if (tabs !== shownTabs) replace(byId("tabs"), Object.entries(VIEWS).filter(([name]) => (name !== "architecture" || state.arch !== null || state.view === name)).map(([name, [title]]) =>
    h("button", { type: "button", "aria-current": state.view === name ? "page" : null, onclick: () => setState({ view: name }, { push: true }) }, name === "compare" && state.compare.length ? `${title} (${state.compare.length})` : title)));
  shownTabs = tabs;
  const select = byId("run"), names = app.runs.map((run) => run.name);
  if (!names.includes(state.run) && state.run) names.unshift(state.run);
  if (names.join("\n") !== [...select.options].map((option) => option.value).join("\n")) put(select, names.map((name) => h("option", { value: name }, name)));
  select.value = state.run;
  const live = byId("live");
  live.className = study?.alive ? "live on" : "live";
  live.textContent = !progress ? "" : away ? "not answering" : `${study?.alive ? "running" : source.live ? "at rest" : "offline file"} · ${progress.trained}${progress.budget ? ` of ${progress.budget}` : ""} trained${progress.running ? ` · ${progress.running} running` : ""}`;
}

let away = false;
async function poll() {
  let wait = POLL;
  try {
    const columns = app.columns();
    const before = columns.n, changed = state.run ? await update(columns) : false;
    const texts = await fetchTexts(columns);
    for (const { columns: other } of app.overlays()) await update(other);
    if (away) { away = false; header(); }
    if (changed || texts) {
      show();
      if (columns.n > before) announce(`${columns.n - before} new trials`);
    }
  } catch (error) {
    if (!away) { away = true; header(); announce(error.message); }
    wait = PATIENCE;
  }
  if (source.live) setTimeout(poll, document.hidden ? 5 * wait : wait);
}

async function changedRun() {
  const columns = app.columns();
  if (columns.revision < 0) {
    await update(columns);
    show();
    if (await fetchTexts(columns)) show();
  }
}

async function overlaid() {
  for (const name of state.overlay) if (app.runs.some((run) => run.name === name)) await app.load(name);
  show();
}

onState((changed) => {
  if (changed.has("run")) changedRun().then(show, (error) => put(byId("content"), failure(error)));
  else if (changed.has("overlay")) overlaid();
  else if (changed.has("published") && state.published && systems === null) source.more("/published", { run: state.run }).then((found) => { systems = found; show(); }, () => show());
  else show();
});

async function start() {
  readUrl();
  byId("run").addEventListener("change", (event) => setState({ run: event.target.value, pin: null, compare: [], arch: null, zoom: null, ranges: {}, region: null, only: null, without: [] }, { push: true }));
  byId("help").addEventListener("click", helpDialog);
  window.addEventListener("popstate", () => { readUrl(); changedRun().then(show); });
  window.addEventListener("hashchange", () => { readUrl(); changedRun().then(show); });
  document.addEventListener("keydown", (event) => { if (event.key === "?" && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) helpDialog(); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show());
  document.addEventListener("click", (event) => { for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); } });
  try {
    const { runs } = await source.runs();
    app.runs = runs;
    if (!runs.length) {
      state.view = "runs";
      show();
    } else {
      if (!runs.some((run) => run.name === state.run)) state.run = (runs.find((run) => run.study?.alive) ?? runs.find((run) => !run.error) ?? runs[0]).name;
      await update(app.columns());
      show();
      if (await fetchTexts(app.columns())) show();
      if (state.overlay.length) await overlaid();
      if (state.published) { systems = await source.more("/published", { run: state.run }); show(); }
    }
    document.documentElement.dataset.ready = "1";
  } catch (error) {
    put(byId("content"), failure(error, () => location.reload()));
  }
  if (source.live) setTimeout(poll, POLL);
}

start();
