"""What is new reaches the page without loading it again, and what does not come is said and asked for once more."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metamixer.dashboards.view import View
from metamixer.record import location

from .conftest import Served, Tab, record, searched

pytestmark = pytest.mark.browser
Open = Callable[..., Tab]

PLOTLY = "**/plotly.js?v=*"  # the library, not the module that loads it
MERGE = """async ([answers, whole]) => {
  const { Columns } = await import("/static/data/columns.js");
  const seen = (columns) => ({
    n: columns.n, group: [...columns.group], sentence: columns.sentence, name: columns.name, reason: columns.reason,
    of: Object.fromEntries(Object.entries(columns.of).map(([name, column]) => [name, [...column].map(String)])),
    uses: columns.choicesByUse(),
    choices: columns.choiceNames.map((name) => [name, columns.choice(name).values, [...columns.choice(name).at]]),
  });
  const step = new Columns("a"), once = new Columns("a");
  let moved = 0;
  for (const answer of answers) {
    const before = step.of.mean?.buffer;
    step.merge(answer);
    if (before && before !== step.of.mean.buffer) moved += 1;
    seen(step);  // what is built of the columns on the way must follow what comes later
  }
  once.merge(whole);
  return [seen(step), seen(once), moved];
}"""


@pytest.fixture(scope="module")
def page(chromium: Any, served: Served) -> Iterator[Any]:
    """One page for the tests that ask nothing but its modules."""
    context = chromium.new_context()
    opened = context.new_page()
    opened.goto(f"{served.address}/static/page.css")
    yield opened
    context.close()


def test_columns_that_grew_by_news_are_those_of_the_whole_record(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metamixer.dashboards.view.FRESH_SECONDS", 0.0)
    store, rng = record(tmp_path / "grown"), random.Random(5)
    view, answers, running = View(location.find(tmp_path / "grown"), "grown"), [], []
    for _ in range(40):
        view.refresh()
        answers.append(view.since(answers[-1]["revision"] if answers else -1, view.generation if answers else ""))
        choices = {f"network#{i}": rng.randrange(6) for i in range(rng.randint(1, 4))}
        choices |= {"network/mixer": rng.choice(("att", "conv", 3))}
        new = searched(
            store, f"patch(2,{rng.randint(2, 30)}) >> norm", rng.randint(10**4, 10**6), None, choices=choices
        )
        running.append(new)
        while len(running) > rng.randint(0, 3):
            ended = running.pop(0)
            state = rng.choice(("complete", "complete", "failed"))
            store.finish(replace(ended, state=state, reason="nan" if state == "failed" else None, epochs=1,
                                 accuracy=rng.random() if state == "complete" else None))  # fmt: skip
    view.refresh()
    answers.append(view.since(answers[-1]["revision"], view.generation))
    grown, whole, moved = page.evaluate(MERGE, [answers, view.since(-1)])
    store.close()
    assert grown == whole
    assert whole["n"] > 60
    assert moved < 6, "news are appended: columns are not copied for each"


def test_a_plot_without_plotly_says_so_and_comes_when_it_is_asked_for_again(open_tab: Open, served: Served) -> None:
    opened = open_tab(f"{served.address}/static/page.css")
    opened.page.route(PLOTLY, lambda route: route.abort())
    opened.page.goto(f"{served.address}/#run=again")
    opened.ready()
    opened.page.wait_for_selector("#plot .failure:has-text('plotly.js')")
    assert opened.page.locator("#table tr[data-row]").count() > 5  # its twin is there
    opened.page.click("#tabs button:has-text('Runs')")
    opened.page.wait_for_selector(".runs-chart .failure")
    opened.page.click("#tabs button:has-text('Front')")
    opened.page.wait_for_selector("#plot .failure")
    opened.page.unroute(PLOTLY)
    opened.page.click("#plot .again")
    opened.drawn()
    assert not opened.page.locator("#plot .plot-trouble").is_visible()
    opened.complaints[:] = [one for one in opened.complaints if "ERR_FAILED" not in one]  # the browser's own


def test_views_that_are_left_while_plotly_comes_draw_nothing_any_more(open_tab: Open, served: Served) -> None:
    opened, held = open_tab(f"{served.address}/static/page.css"), []
    opened.page.route(PLOTLY, lambda route: held.append(route))
    opened.page.goto(f"{served.address}/#run=again")
    opened.ready()
    opened.page.evaluate("window.left = document.querySelector('#plot')")
    opened.page.click("#tabs button:has-text('Runs')")
    opened.page.wait_for_selector(".runs-view tbody tr")
    opened.page.evaluate("window.chart = document.querySelector('.runs-chart')")
    opened.page.click("#tabs button:has-text('Settings')")
    opened.page.wait_for_selector(".details-view h1")
    held[0].continue_()
    opened.wait("window.Plotly")
    opened.page.click("#tabs button:has-text('Front')")
    opened.drawn()
    drawn = "[left, chart].filter((one) => one.querySelector('.plot-container')).length + ' ' + left.dataset.drawn"
    assert opened.page.evaluate(drawn) == "0 undefined"
