// A space without training: its rules as a tree, its size, what its networks cost, and which known systems it holds.

import { brief, exact, facts, failure, h, note, put, s, several, simpleTable } from "../parts/dom.js";

export class SpaceView {
  constructor(app) {
    this.app = app;
    this.element = h("div", { class: "page space-view" }, h("p", { class: "empty", role: "status" }, "Drawing from the space …"));
  }

  close() { this.closed = true; }

  async show() {
    const { run } = this.app.columns();
    if (this.run === run) return;
    this.run = run;
    while (!this.closed && this.run === run) {
      let space;
      try {
        space = await this.app.fresh("/space", { run });
      } catch (error) {
        put(this.element, failure(error));
        return;
      }
      this.fill(space);
      if (!this.app.source.live || (space.profile.draws >= space.wanted && Array.isArray(space.members))) return;
      await new Promise((done) => { setTimeout(done, 900); });
    }
  }

  fill(space) {
    const { profile } = space, members = Array.isArray(space.members) ? space.members : null;
    if (!this.built) {
      this.head = h("div", {});
      this.costs = h("div", { class: "columns" });
      this.catalog = h("section", {});
      this.built = true;
      put(this.element, this.head, this.costs, h("section", {}, h("h2", {}, "Rules from the start"), note("Each rule is opened where it is met first, nearest to the start."), h("ul", { class: "tree" }, branch(space.tree, new Map(space.rules.map((rule) => [rule.name, rule]))))), this.catalog,
        h("section", {}, h("h2", {}, "Rules as written"), simpleTable([["rule", "code"], ["sentence", "code"], ["choices", "number"]], space.rules.map((rule) => [rule.name, rule.body, String(rule.choices.length)]), "Rules")));
    }
    put(this.head, h("h1", {}, `The space ${space.name}`), facts([["derivations", space.digits > 9 ? `${space.size[0]}.${space.size.slice(1, 3)} × 10^${space.digits - 1}` : exact(Number(space.size))], ["input", [...space.input.grid, space.input.channels].join("×")], ["classes", String(space.input.classes)], ["rules", String(space.rules.length)], ["deepest recursion", String(space.max_depth)], ["draws", `${exact(profile.draws)} of ${exact(space.wanted)}`]]),
      profile.draws < space.wanted && this.app.source.live ? h("progress", { value: profile.draws, max: space.wanted, "aria-label": "draws made" }) : null);
    put(this.costs, ["macs", "params"].map((name) => h("section", {}, h("h2", {}, { macs: "MACs of draws", params: "Parameters of draws" }[name]), histogramChart(profile[name].histogram, (members ?? []).filter((one) => one.member), name), quantilesLine(profile[name].quantiles))));
    if (members === null) put(this.catalog, h("h2", {}, "The catalogue in this space"), h("p", { class: "note", role: "status" }, "Looking whether its systems are sentences of the space …"));
    else if (!this.listed) { this.listed = true; put(this.catalog, h("h2", {}, "The catalogue in this space"), note(`${members.filter((one) => one.member).length} of ${members.length} systems that read this input can be drawn from it.`), simpleTable([["system", "words"], ["", "words"], ["MACs", "number"], ["parameters", "number"], ["where it leaves the space", "code"]], members.map((one) => [one.name, one.member ? "in the space" : "not in it", exact(one.macs), exact(one.params), one.reason ?? ""]), "Systems of the catalogue")); }
  }
}

function branch(node, rules) {
  const rule = rules.get(node.rule), title = [h("code", {}, node.rule), h("span", { class: "note" }, ` ${node.choices ? several(node.choices, "choice") : "no choice"}${node.again ? ", opened above" : ""}${rule?.recursive ? ", recursive" : ""}`)];
  const body = rule && !node.again ? h("div", { class: "sentence" }, rule.body) : null;
  if (!node.children.length) return h("li", {}, title, body);
  return h("li", {}, h("details", { open: true }, h("summary", {}, title), body, h("ul", { class: "tree" }, node.children.map((child) => branch(child, rules)))));
}

function histogramChart({ edges, counts }, members, name) {
  if (!counts.length) return note("No draw yet.");
  const width = 540, height = 190, [left, right, top, bottom] = [8, 8, 10, 26], high = Math.max(...counts), low = Math.log(edges[0]), span = Math.log(edges.at(-1)) - low || 1;
  const x = (value) => left + ((Math.log(Math.max(value, edges[0])) - low) / span) * (width - left - right), y = (count) => height - bottom - (count / high) * (height - top - bottom);
  const ticks = [];
  for (let power = Math.ceil(Math.log10(edges[0])); 10 ** power <= edges.at(-1); power++) ticks.push(10 ** power);
  return s("svg", { class: "line-chart", viewBox: `0 0 ${width} ${height}`, style: `max-width:${width}px`, role: "img", "aria-label": `histogram of ${name} over draws, from ${brief(edges[0])} to ${brief(edges.at(-1))}` },
    counts.map((count, i) => s("rect", { class: "histogram", x: x(edges[i]), y: y(count), width: Math.max(0.5, x(edges[i + 1]) - x(edges[i]) - 0.6), height: height - bottom - y(count) }, s("title", {}, `${brief(edges[i])} to ${brief(edges[i + 1])}: ${count}`))),
    members.map((one) => s("path", { class: "member", d: `M${x(one[name]).toFixed(1)} ${height - bottom} l-5 -9 h10 z` }, s("title", {}, `${one.name}: ${exact(one[name])}`))),
    s("line", { class: "rule", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }),
    ticks.map((value) => s("text", { x: x(value), y: height - 8, "text-anchor": "middle" }, brief(value))));
}

function quantilesLine(quantiles) {
  const entries = Object.entries(quantiles);
  if (!entries.length) return null;
  return h("p", { class: "note" }, entries.map(([share, value]) => `${(100 * Number(share)).toFixed(0)} %: ${brief(value)}`).join(" · "), ". Triangles: systems of the catalogue that are in the space.");
}
