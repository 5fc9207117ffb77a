"""Choosing with the plot: the best under a budget, and published systems over the front."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metamixer.dashboards.published import systems

from .conftest import Served, Tab

pytestmark = pytest.mark.browser


@pytest.fixture
def tab(open_tab: Callable[..., Tab], served: Served) -> Tab:
    opened = open_tab(f"{served.address}/#run=again")
    opened.ready()
    opened.drawn()
    return opened


@pytest.fixture(scope="module")
def columns(served: Served) -> dict[str, np.ndarray]:
    table, means = served.runs.view("again").table()
    return {"number": table["number"], "flops": 2 * table["macs"], "mean": means["mean"], "front": means["front"]}


@pytest.fixture(scope="module")
def front(columns: dict[str, np.ndarray]) -> list[int]:
    members = columns["number"][columns["front"] == 1]
    return sorted(map(int, members), key=lambda number: columns["flops"][number])


def test_the_best_under_a_budget_follows_the_slider_and_is_pinned_by_a_click(
    tab: Tab, columns: dict[str, np.ndarray], front: list[int]
) -> None:
    slide = """(at) => {
      const slider = document.querySelector("#budget");
      slider.value = at;
      slider.dispatchEvent(new Event("input"));
    }"""
    tab.page.evaluate(slide, 600)
    tab.wait("location.hash.includes('budget')")
    budget = tab.state()["budget"]
    best = max((n for n in front if columns["flops"][n] <= budget), key=lambda n: columns["mean"][n])
    said = tab.page.inner_text("#best")
    assert said.startswith("≤ ")
    assert said.endswith(f"trial {best}")
    assert f"best is Trial {best}," in (tab.page.get_attribute("#budget", "aria-valuetext") or "")
    tab.page.click("#best")
    tab.page.wait_for_selector(f"#card[data-row='{best}'] #pin[aria-pressed=true]")


def test_published_systems_are_laid_over_the_front_with_a_warning(tab: Tab) -> None:
    tab.page.check("#published")
    tab.page.wait_for_selector(".warning:has-text('ImageNet-1k')")
    assert "Heights do not compare" in tab.page.inner_text(".warnings")
    dearest = max(2 * system["macs"] for system in systems())
    tab.wait(f"10 ** document.querySelector('.chart')._fullLayout.xaxis.range[1] > {dearest}")
    with tab.page.expect_download() as saved:
        tab.page.click(".lower summary:has-text('Export')")
        tab.page.click("button:text('Figure as SVG')")
    svg = Path(saved.value.path()).read_text(encoding="utf-8")
    inside = base64.b64decode(re.findall(r'href="data:image/svg\+xml;base64,([^"]+)"', svg)[0]).decode()
    assert any(f">{system['name']}<" in inside for system in systems())
    tab.page.uncheck("#published")
    tab.page.wait_for_selector(".warnings", state="hidden")
