// In a file: what the server alone works out, and how to see it.

import { h } from "../parts/dom.js";

export class ElsewhereView {
  constructor(app) {
    this.app = app;
    this.element = h("div", { class: "page elsewhere-view" });
  }

  close() {}

  async show() {
    this.element.replaceChildren(h("h1", {}, "Not inside this file"), h("p", {}, "Why, Space and Atlas are worked out by the dashboard's server; to see them, run ", h("code", {}, "metamixer dashboard"), ` with the folder of the run ${this.app.columns().run}.`));
  }
}
