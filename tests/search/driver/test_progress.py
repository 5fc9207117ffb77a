from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from metamixer.record import Trial
from metamixer.search.driver import progress
from metamixer.search.driver.progress import Progress
from metamixer.search.driver.running import Running

EPOCH = {"epoch": 4, "validation_accuracy": 0.81}
NOW = Progress(
    phase="search",
    trained=3,
    budget=40,
    jobs_done=11,
    jobs=90,
    failed=1,
    refused=7,
    running=(
        Running(Trial(12, "running", "searched", sentence="lin >> [gelu]"), 0.0, "here/1", EPOCH),
        Running(Trial(13, "running", "baseline", sentence="x", name="vit"), 0.0, None, None),
    ),
    best=0.9512,
    front=5,
    hypervolume=0.7123,
    disk=1_200_000,
    seconds_left=600.0,
)


def drawn(now: Progress) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    with progress.Panel(console, "metamixer search digits") as panel:
        panel.say("a remark")
        panel.show(lambda: now, 1)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_panel_shows_everything() -> None:
    text = drawn(NOW)
    for part in ("3 of 40 searched", "7 refused", "1 failed", "best 0.9512", "front 5", "hypervolume 0.712", "1.2 MB"):
        assert part in text
    assert "10 min left" in text
    assert "epoch 4" in text
    assert "lin >> [gelu]" in text
    assert "starting" in text
    assert "vit" in text
    assert "a remark" in text


def test_the_panel_before_the_first_trial() -> None:
    empty = Progress("baselines", 0, 40, 0, 64, 0, 0, (), None, 0, 0.0, 0, None)
    assert "best -" in drawn(empty)
    assert "left" not in drawn(empty)


def test_plain_lines_come_when_a_trial_has_ended() -> None:
    lines: list[str] = []
    view = progress.Lines(lines.append)
    for ended in (0, 0, 1, 1, 2):
        view.show(lambda: NOW, ended)
    assert len(lines) == 2
    assert lines[0] == (
        "search: 11/90 trained (3/40 searched), best 0.9512, front 5, hypervolume 0.712, 1 failed, disk 1.2 MB,"
        " 10 min left"
    )


def test_no_panel_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (False, True):
        view = progress.view("title", as_json)
        assert isinstance(view, progress.Lines)
        view.say("a remark")
        captured: Any = capsys.readouterr()
        assert (captured.err if as_json else captured.out) == "a remark\n"
        assert (captured.out if as_json else captured.err) == ""


@pytest.mark.parametrize(("seconds", "text"), [(4.2, "4 s"), (600, "10 min"), (9000, "2.5 h")])
def test_durations(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text
