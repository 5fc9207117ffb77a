"""The page in a real browser, with the network cut off."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metamixer.record.run import load
from metamixer.report import figure, image

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


class Opened:
    """The page opened offline, and what the browser complained about."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.complaints: list[str] = []
        self.asked: list[str] = []


@pytest.fixture(scope="module")
def opened(browser: str, page: Path) -> Iterator[Opened]:
    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=arguments)
        context = started.new_context(offline=True, color_scheme="dark", viewport={"width": 1300, "height": 900})
        tab = context.new_page()
        found = Opened(tab)
        tab.on("console", lambda m: found.complaints.append(m.text) if m.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: found.complaints.append(str(error)))

        def gate(route: Any) -> None:
            if route.request.url == page.as_uri():
                route.continue_()
            else:
                found.asked.append(route.request.url)
                route.abort()

        tab.route("**/*", gate)
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready='1']")  # not wait_for_function: the page's policy forbids its eval
        yield found
        started.close()


def test_opens_offline_without_asking_or_complaining(opened: Opened) -> None:
    opened.tab.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    opened.tab.wait_for_timeout(300)
    opened.tab.evaluate("window.scrollTo(0, 0)")
    assert opened.asked == []
    assert opened.complaints == []


def test_points_drawn_are_the_rows_of_the_record(opened: Opened, run_folder: Path) -> None:
    run = load(run_folder)
    expected = len(run.points) + len(run.failed)
    drawn = opened.tab.evaluate(
        """() => { const plot = document.getElementById('front-plot');
           const traces = plot.data.map((trace, i) => trace.meta === 'points' ? i : -1).filter((i) => i >= 0);
           const groups = [...plot.querySelectorAll('.scatterlayer .trace')];
           return groups.map((group) => group.querySelectorAll('.points path').length)
             .filter((n, i) => traces.includes(i)).reduce((a, b) => a + b, 0); }"""
    )
    assert drawn == expected
    assert opened.tab.locator("#all tbody tr").count() == expected


def test_hover_tells_the_sentence_and_the_numbers(opened: Opened, run_folder: Path) -> None:
    member = load(run_folder).front[0]
    opened.tab.click("#next")
    text = "".join(opened.tab.locator("#front-plot .hoverlayer .hovertext text").all_text_contents())
    assert member.sentence[:40] in text
    assert f"{member.accuracy:.4f}" in text
    assert f"{member.flops:,} FLOPs" in text
    said = opened.tab.locator("#said").text_content()
    assert f"trial {member.number}" in said
    assert f"{member.flops:,} FLOPs" in said


def test_a_click_on_a_point_leads_to_its_architecture(opened: Opened, run_folder: Path) -> None:
    number = load(run_folder).front[-1].number
    # The browser's own event: synthetic pointer positions depend on fonts.
    opened.tab.evaluate(
        f"document.getElementById('front-plot').emit('plotly_click', {{points: [{{customdata: {number}}}]}})"
    )
    assert opened.tab.evaluate("location.hash") == f"#architecture-{number}"
    assert opened.tab.evaluate("document.activeElement.id") == f"architecture-{number}"


def test_the_table_sorts_by_keyboard(opened: Opened) -> None:
    def column(index: int) -> list[str]:
        return opened.tab.locator(f"#all tbody tr td:nth-child({index})").evaluate_all(
            "cells => cells.map((cell) => cell.dataset.value ?? '')"
        )

    button = opened.tab.locator("#all thead button", has_text="accuracy")
    button.focus()
    opened.tab.keyboard.press("Enter")
    values = [float(v) for v in column(4) if v]
    assert values == sorted(values)
    assert column(4)[-1] == ""  # failed: no accuracy, last in both directions
    opened.tab.keyboard.press("Enter")
    values = [float(v) for v in column(4) if v]
    assert values == sorted(values, reverse=True)
    assert column(4)[-1] == ""
    assert opened.tab.locator("#all th[aria-sort=descending]").count() == 1


def test_the_theme_follows_the_system(opened: Opened) -> None:
    def colours() -> tuple[str, str]:
        return (
            opened.tab.evaluate("getComputedStyle(document.body).backgroundColor"),
            opened.tab.evaluate("document.getElementById('front-plot').layout.font.color"),
        )

    dark = colours()
    opened.tab.emulate_media(color_scheme="light")
    light = colours()
    for _ in range(50):
        if light[1] != dark[1]:
            break
        opened.tab.wait_for_timeout(100)
        light = colours()
    assert dark[0] != light[0]
    assert dark[1] != light[1]


def test_curves_are_drawn_when_they_come_into_view(opened: Opened, run_folder: Path) -> None:
    number = load(run_folder).front[-1].number
    opened.tab.locator(f"#curve-{number}").scroll_into_view_if_needed()
    opened.tab.wait_for_selector(f"#curve-{number} .scatterlayer .trace")
    opened.tab.locator("details summary", has_text="vit").first.click()
    opened.tab.locator("details[open] .plot").first.scroll_into_view_if_needed()
    opened.tab.wait_for_selector("details[open] .plot .scatterlayer .trace")
    assert opened.complaints == []


def test_a_png_of_the_front(browser: str, run_folder: Path, tmp_path: Path) -> None:
    run = load(run_folder)
    written = image.png(figure.front(run.points, title="front"), tmp_path / "front.png", width=400, height=300, scale=2)
    head = written.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (800, 600)
    assert written.stat().st_size > 5000  # a blank page of that size has less
