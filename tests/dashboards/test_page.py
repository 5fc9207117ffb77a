"""The page in a real browser: selection, card, comparison, address, exports, keyboard, live news."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from metamixer.dashboards.runs import Runs

from .conftest import HOSTILE, Served, Tab, record, searched, serve

pytestmark = pytest.mark.browser
Open = Callable[..., Tab]


@pytest.fixture
def tab(open_tab: Open, served: Served) -> Tab:
    opened = open_tab(f"{served.address}/#run=again")
    opened.ready()
    opened.drawn()
    return opened


def place(tab: Tab, row: int) -> tuple[float, float]:
    """Where a trial's mark is on the screen: by the axes of the chart, and by the numbers of the record."""
    found = tab.page.evaluate(
        """async (row) => {
          const gd = document.querySelector("#plot .chart"), box = gd.getBoundingClientRect();
          const data = await (await fetch("/data?run=again&since=-1")).json();
          const of = (name) => {
            const { type, data: text } = data.columns[name];
            const bytes = Uint8Array.from(atob(text), (l) => l.charCodeAt(0));
            return (type === "float32" ? new Float32Array(bytes.buffer) : new Float64Array(bytes.buffer))[row];
          };
          const { xaxis, yaxis } = gd._fullLayout, x = xaxis.l2p(Math.log10(2 * of("macs")));
          return [box.x + xaxis._offset + x, box.y + yaxis._offset + yaxis.l2p(of("mean"))];
        }""",
        row,
    )
    return found[0], found[1]


def front(served: Served) -> list[int]:
    table, means = served.runs.view("again").table()
    members = [int(n) for n in table["number"][means["front"] == 1]]
    return sorted(members, key=lambda n: table["macs"][n])


def test_counts_agree_in_plot_filters_axes_and_table(tab: Tab, served: Served) -> None:
    table, means = served.runs.view("again").table()
    shown = (table["kind"] != 2) & (table["kind"] != 4)
    assert tab.count() == [int(shown.sum()), int(shown.sum()), len(front(served))]
    assert tab.page.get_attribute("#table", "aria-rowcount") == str(int(shown.sum()) + 1)

    tab.page.fill("#query", "macs < 500k accuracy >= 0.8")
    wanted = shown & (table["macs"] < 500_000) & (means["mean"].round(6) >= 0.8)
    assert 0 < wanted.sum() < shown.sum()
    tab.wait(f"document.querySelector('#count').textContent.startsWith('{wanted.sum()} of')")
    assert tab.page.get_attribute("#table", "aria-rowcount") == str(wanted.sum() + 1)
    rows = tab.page.eval_on_selector_all("#table tr[data-row]", "rows => rows.map(row => Number(row.dataset.row))")
    assert sorted(rows) == table["number"][wanted].tolist()

    # The same by ranges on the axes, without the filter's text.
    tab.page.fill("#query", "")
    tab.page.click("#tab-axes")
    tab.page.click(".axes-tools summary:text('Ranges')")
    fields = tab.page.locator(".axes-tools fieldset", has_text="FLOPs").locator("input")
    fields.nth(1).fill("999999")
    fields.nth(1).press("Tab")
    accuracy = tab.page.locator(".axes-tools fieldset", has_text="accuracy").locator("input")
    accuracy.nth(0).fill("0.8")
    accuracy.nth(0).press("Tab")
    tab.wait(f"document.querySelector('#count').textContent.startsWith('{wanted.sum()} of')")
    tab.page.click("#reset")
    tab.wait(f"document.querySelector('#count').textContent.startsWith('{shown.sum()} of')")


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("contains att", lambda text: "att" in text),
        ("without att", lambda text: "att" not in text),
        ("kernel >= 3 contains dw", lambda text: "dw(3)" in text),
        ("heads = 2", lambda text: "@h(2)" in text),
    ],
)
def test_filters_by_words_and_sizes(open_tab: Open, served: Served, query: str, test: Callable[[str], bool]) -> None:
    opened = open_tab(f"{served.address}/#run=again&query={quote(query)}")
    opened.ready()
    opened.drawn()
    texts = served.runs.view("again").texts()["sentence"]
    table, _ = served.runs.view("again").table()
    wanted = sorted(
        int(n) for n in table["number"] if table["kind"][n] not in (2, 4) and test(texts[n]) and texts[n] != HOSTILE
    )
    opened.wait("document.querySelectorAll('#table tr[data-row] td.code').length > 0")
    rows = opened.page.eval_on_selector_all("#table tr[data-row]", "rows => rows.map(row => Number(row.dataset.row))")
    assert sorted(row for row in rows if texts[row] != HOSTILE) == wanted


def test_a_wrong_filter_says_what_is_wrong(tab: Tab) -> None:
    tab.page.fill("#query", "macs < many")
    tab.page.wait_for_selector(".wrong:has-text('compared with a number')")
    tab.page.fill("#query", "kernle >= 7")
    tab.page.wait_for_selector(".wrong:has-text('nothing is called kernle')")


def test_a_box_on_the_plot_selects_in_the_table(tab: Tab, served: Served) -> None:
    member = front(served)[1]
    x, y = place(tab, member)
    tab.page.click("label.tool:has-text('Box')")
    tab.page.mouse.move(x - 9, y - 9)
    tab.page.mouse.down()
    tab.page.mouse.move(x + 9, y + 9, steps=6)
    tab.page.mouse.up()
    tab.wait("location.hash.includes('region')")
    rows = tab.page.eval_on_selector_all("#table tr[data-row]", "rows => rows.map(row => Number(row.dataset.row))")
    assert member in rows
    assert tab.count()[0] == len(rows) < tab.count()[1]
    tab.page.click("#exclude")
    tab.wait("location.hash.includes('without')")
    assert tab.count()[0] == tab.count()[1] - len(rows)


def test_hover_shows_the_card_and_a_click_pins_it(tab: Tab, served: Served) -> None:
    first, second = front(served)[:2]
    tab.page.mouse.move(*place(tab, first), steps=4)
    tab.page.wait_for_selector(f"#card[data-row='{first}'] svg.mm-drawing")
    sentence = served.runs.view("again").texts()["sentence"][first]
    assert tab.page.inner_text("#card .sentence") == sentence
    tab.page.mouse.click(*place(tab, second))
    tab.page.wait_for_selector(f"#card[data-row='{second}'] #pin[aria-pressed=true]")
    tab.wait("location.hash.includes('pin=')")
    assert tab.state()["pin"] == second
    tab.page.mouse.move(*place(tab, first), steps=4)
    tab.page.wait_for_selector(f"#card[data-row='{first}']")
    tab.page.mouse.move(5, 5)
    tab.page.wait_for_selector(f"#card[data-row='{second}']")


def test_by_keyboard_alone_from_opening_to_the_export_of_an_architecture(tab: Tab, served: Served) -> None:
    page, members = tab.page, front(served)

    def tab_to(selector: str, most: int = 80) -> None:
        for _ in range(most):
            if page.evaluate("(wanted) => document.activeElement.matches(wanted)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{selector} is not reached")

    tab_to("#plot")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#card[data-row='{members[1]}']")
    assert f"Front 2 of {len(members)}" in page.inner_text("#said")
    page.keyboard.press("c")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pin[aria-pressed=true]")
    tab_to("#table")
    page.keyboard.press("Home")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("c")
    tab.wait("new URLSearchParams(location.hash.slice(1)).get('compare')?.includes(',')")
    assert len(tab.state()["compare"]) == 2
    tab_to("#card button[aria-label^='Save the Python']")
    with page.expect_download() as saved:
        page.keyboard.press("Enter")
    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert "import metamixer as mm" in text
    assert served.runs.view("again").texts()["sentence"][members[1]] in text


def test_the_address_holds_the_whole_view(tab: Tab, open_tab: Open, served: Served) -> None:
    tab.page.select_option("#axis-x", "params")
    tab.page.check("#log-y")
    tab.page.click("button.chip:has-text('Baselines')")
    tab.page.fill("#query", "contains att")
    tab.page.click("#tab-axes")
    tab.wait("location.hash.includes('lower=axes')")
    time.sleep(0.3)
    address, said = tab.page.url, tab.page.inner_text("#count")
    again = open_tab(address)
    again.ready()
    again.drawn()
    again.wait(f"document.querySelector('#count').textContent === {json.dumps(said)}")
    assert again.page.input_value("#axis-x") == "params"
    assert again.page.is_checked("#log-y")
    assert again.page.input_value("#query") == "contains att"
    assert again.page.get_attribute("button.chip:has-text('Baselines')", "aria-pressed") == "false"
    assert again.page.get_attribute("#tab-axes", "aria-selected") == "true"


@pytest.mark.parametrize("part", ["x=1", "ranges=7", "pin={", "region=[]", 'compare="a"', "view=nothing", "run=none"])
def test_a_broken_address_opens_the_page_all_the_same(open_tab: Open, served: Served, part: str) -> None:
    opened = open_tab(f"{served.address}/#run=again&{part}")
    opened.ready()
    opened.page.wait_for_selector("#plot, .page")


def test_exports_hold_the_selection(tab: Tab) -> None:
    tab.page.fill("#query", "macs < 500k")
    tab.wait("Number(document.querySelector('#count').textContent.split(' ')[0]) < 15")
    selected = tab.page.eval_on_selector_all("#table tr[data-row]", "rows => rows.map(row => Number(row.dataset.row))")

    def saved(title: str) -> bytes:
        tab.page.click(".lower summary:has-text('Export')")
        with tab.page.expect_download() as download:
            tab.page.click(f"button:text('{title}')")
        return Path(download.value.path()).read_bytes()

    rows = list(csv.DictReader(io.StringIO(saved("Selection as CSV").decode())))
    assert sorted(int(row["number"]) for row in rows) == sorted(selected)
    assert all(int(row["macs"]) < 500_000 for row in rows)
    trials = json.loads(saved("Selection as JSON"))["trials"]
    assert sorted(trial["number"] for trial in trials) == sorted(selected)
    assert any(trial["choices"] for trial in trials)
    svg = saved("Figure as SVG").decode()
    assert svg.startswith("<svg")
    assert "validation accuracy" in svg
    png = saved("Figure as PNG")
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(png) > 10_000


def test_a_page_for_each_architecture_and_a_comparison(open_tab: Open, served: Served) -> None:
    a, b = front(served)[:2]
    opened = open_tab(f"{served.address}/#run=again&view=architecture&arch={a}")
    opened.ready()
    opened.page.wait_for_selector(".architecture-view h1")
    text = opened.page.inner_text(".architecture-view")
    for expected in ("Cost", "Types along the way", "Learning curves", "network/block/mixer#1", "evaluate", "8×8×1"):
        assert expected in text
    cells = opened.page.eval_on_selector_all(
        "[aria-label='Cost by stage'] tbody tr td:nth-child(3)", "cells => cells.map(cell => cell.textContent)"
    )
    table, _ = served.runs.view("again").table()
    assert sum(int(cell.replace(",", "")) for cell in cells) == table["macs"][a]
    cells = opened.page.eval_on_selector_all(
        "[aria-label='Cost by word'] tbody tr td:nth-child(4)", "cells => cells.map(cell => cell.textContent)"
    )
    assert sum(int(cell.replace(",", "")) for cell in cells) == table["macs"][a]

    opened = open_tab(f"{served.address}/#run=again&view=compare&compare=[{a},{b}]")
    opened.ready()
    opened.page.wait_for_selector(".compare-view .compared")
    text = opened.page.inner_text(".compare-view")
    assert "Stages that differ" in text
    assert "Choices that differ" in text
    assert opened.page.locator(".compared svg.mm-drawing").count() == 2


def test_a_failed_trial_shows_its_trace_as_text(open_tab: Open, served: Served) -> None:
    table, _ = served.runs.view(HOSTILE).table()
    failed = int(table["number"][table["status"] == 3][-1])
    opened = open_tab(f"{served.address}/#run={quote(HOSTILE)}&view=architecture&arch={failed}")
    opened.ready()
    opened.page.wait_for_selector(".trace")
    assert opened.page.inner_text(".trace") == f"at {HOSTILE}"
    assert opened.page.inner_text("h1") == f"Trial {failed}"
    assert HOSTILE in opened.page.inner_text(".architecture-view .sentence")
    opened.page.click("#tabs button:has-text('Front')")
    opened.page.fill("#query", HOSTILE)
    opened.page.wait_for_selector(f"#table tr[data-row='{failed}']")
    opened.page.click("#tabs button:has-text('Settings')")
    opened.page.wait_for_selector("h1")
    assert opened.page.inner_text("h1") == HOSTILE
    opened.page.click("#tabs button:has-text('Runs')")
    opened.page.wait_for_selector(".runs-view .link")
    assert opened.page.locator("img").count() == 0


def test_runs_over_each_other_become_a_band_of_seeds(open_tab: Open, served: Served) -> None:
    opened = open_tab(f"{served.address}/#run=again&view=runs")
    opened.ready()
    opened.page.wait_for_selector(".runs-chart .scatterlayer .trace")
    opened.page.check(f"input[id={json.dumps('over-' + HOSTILE)}]")
    opened.page.wait_for_selector(".runs-view .note:has-text('1 band over seeds')")
    assert opened.page.evaluate("document.querySelector('.runs-chart').data.length") == 3
    rows = opened.page.inner_text(".runs-view tbody")
    assert "known-cost" in rows or "tpe" in rows
    assert "failed" in rows


def test_news_arrive_within_two_seconds_and_keep_zoom_selection_and_hover(open_tab: Open, tmp_path: Path) -> None:
    store = record(tmp_path / "live")
    server = serve(tmp_path)
    try:
        opened = open_tab(f"{server.address}/#query=contains+att")
        opened.ready()
        opened.drawn()
        assert "running" in opened.page.inner_text("#live")
        opened.page.evaluate(
            "Plotly.relayout(document.querySelector('.chart'), {'xaxis.range': [5, 6.5], 'yaxis.range': [0.8, 1]})"
        )
        opened.wait("location.hash.includes('zoom')")
        opened.page.focus("#plot")
        opened.page.keyboard.press("ArrowRight")
        hovered, before = opened.page.get_attribute("#card", "data-row"), opened.count()
        trial = searched(store, "patch(2,24) >> res(norm >> att(lin,lin,lin)@h(4) >> lin) >> norm", 400_000, None)
        opened.page.wait_for_selector("button.chip:has-text('Running'):not([hidden])")
        begun = time.monotonic()
        store.finish(replace(trial, state="complete", accuracy=0.93, epochs=1))
        opened.wait(f"document.querySelector('#table tr[data-row=\"{trial.number}\"]')?.textContent.includes('0.9300')")
        assert time.monotonic() - begun < 2.0
        assert opened.count()[0] == before[0] + 1
        axes = "(({xaxis, yaxis}) => [xaxis.range, yaxis.range])(document.querySelector('.chart')._fullLayout)"
        ranges = opened.page.evaluate(axes)
        assert ranges == [[5, 6.5], [0.8, 1]]
        assert opened.page.input_value("#query") == "contains att"
        assert opened.page.get_attribute("#card", "data-row") == hovered
        assert opened.page.evaluate("document.activeElement.id") == "plot"
    finally:
        server.stop()
        store.close()


def test_empty_folders_and_a_server_that_is_gone_say_what_to_do(open_tab: Open, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    server = serve(tmp_path / "runs")
    opened = open_tab(server.address)
    opened.page.wait_for_selector(".empty:has-text('metamixer search digits')")
    record(tmp_path / "runs" / "born").close()
    opened.page.wait_for_selector(".runs-view .link:has-text('born')")
    opened.page.click(".runs-view .link")
    opened.drawn()
    server.stop()
    opened.page.wait_for_selector("#live:has-text('not answering')")
    # A browser reports each answer that it does not get; it is not the page that complains.
    opened.complaints[:] = [one for one in opened.complaints if "ERR_CONNECTION_REFUSED" not in one]


def test_the_theme_follows_the_system_and_nothing_is_cut_off(open_tab: Open, served: Served) -> None:
    for scheme in ("light", "dark"):
        opened = open_tab(f"{served.address}/#run=again", color_scheme=scheme)
        opened.ready()
        opened.drawn()
        ink = opened.page.evaluate("getComputedStyle(document.body).color")
        assert (sum(map(int, ink[4:-1].split(","))) > 384) == (scheme == "dark")
        size = opened.page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        assert size == [1280, 720]
        for part in ("#plot", "#table", "#card"):
            box = opened.page.locator(part).bounding_box()
            assert box["y"] + box["height"] <= 720
            assert box["x"] + box["width"] <= 1280
    phone = open_tab(f"{served.address}/#run=again", viewport={"width": 390, "height": 844})
    phone.ready()
    phone.drawn()
    assert phone.page.evaluate("document.documentElement.scrollWidth") == 390


def test_parents_and_children_of_an_architecture_are_told_and_walked(open_tab: Open, tmp_path: Path) -> None:
    store = record(tmp_path / "kin")
    parent = searched(store, "patch(2,32) >> res(norm >> ffn(2)) >> norm", 1_111, 0.8, origin="prior", choices={"a": 1})
    child = searched(
        store,
        "patch(2,32) >> res(norm >> ffn(3)) >> norm",
        1_222,
        0.9,
        origin="mutation",
        parents=(parent.number,),
        choices={"a": 2},
    )
    store.close()
    detail = Runs(tmp_path).architecture("kin", str(child.number))
    assert detail is not None
    assert detail["origin"]["text"] == f"a mutation of trial {parent.number}"
    (told,) = detail["parents"]
    assert told["number"] == parent.number
    assert [stage["verdict"] for stage in told["difference"]["stages"]] == ["same", "changed", "same"]
    server = serve(tmp_path)
    try:
        opened = open_tab(f"{server.address}/#view=architecture&arch={child.number}")
        opened.ready()
        opened.page.wait_for_selector(".parent td:has-text('res(norm >> ffn(2))')")
        assert "most similar" not in opened.page.inner_text(".architecture-view")
        opened.page.click(".parent button.link")
        opened.page.wait_for_selector(f".children button:has-text('trial {child.number}')")
        assert opened.page.inner_text("h1") == f"Trial {parent.number}"
        opened.page.click(".children button.link")
        opened.page.wait_for_selector(".parent")
        opened.page.close()
    finally:
        server.stop()


def test_a_space_that_cannot_be_read_is_a_message_and_no_failed_request(open_tab: Open, served: Served) -> None:
    opened = open_tab(f"{served.address}/#run=again&view=space")
    opened.ready()
    opened.page.wait_for_selector(".space-view .failure")
