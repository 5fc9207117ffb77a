"""Figures of a run, as data: what is drawn, and how it is told apart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from metamixer.record.run import Run, load
from metamixer.report import figure, image

from .conftest import BASELINES, SENTENCES


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return load(run_folder)


def test_stopped_trials_are_drawn_as_what_they_are(run: Run) -> None:
    curve = run.trials[0].curve[:3]
    early = replace(run.failed[0], state="pruned", reason="stopped at epoch 3 of 9", curve=curve, epochs=3)
    seen = replace(run, trials=[early if row.number == early.number else row for row in run.trials])
    assert (seen.stopped, seen.failed) == ([early], [])
    assert ("stopped", "stopped at epoch 3 of 9", 1) in seen.reasons
    picture = figure.front(seen.points, seen.failed, seen.references, stopped=seen.stopped)
    (trace,) = [trace for trace in picture.data if "stopped early" in (trace.name or "")]
    assert list(trace.customdata) == [early.number]
    assert f"with {curve[2]['validation_accuracy']:.4f}" in trace.hovertext[0]
    assert trace.marker.symbol not in {other.marker.symbol for other in picture.data if other is not trace}


def test_the_front_figure_draws_every_finished_architecture_once(run: Run) -> None:
    picture = figure.front(run.points, run.failed, run.references)
    numbers = [number for trace in picture.data if trace.meta == "points" for number in trace.customdata]
    assert sorted(numbers) == sorted([p.number for p in run.points] + [row.number for row in run.failed])
    assert len(run.points) == len(SENTENCES) + len(BASELINES)
    assert picture.layout.xaxis.type == "log"
    assert picture.layout.xaxis.title.text == (
        "FLOPs per image = 2 × MACs of matrix products and convolutions, closed form"
    )


def test_the_front_is_a_step_line_through_its_members(run: Run) -> None:
    picture = figure.front(run.points, run.failed, run.references)
    (line,) = [trace for trace in picture.data if trace.meta == "front line"]
    assert line.line.shape == "hv"
    assert list(line.x[:-1]) == [p.flops for p in run.front]
    assert list(line.y[:-1]) == [p.accuracy for p in run.front]
    assert list(line.y) == sorted(line.y)
    assert line.x[-1] > max(p.flops for p in run.points)


def test_kinds_and_verdicts_differ_by_shape(run: Run) -> None:
    picture = figure.front(run.points, run.failed, run.references)
    symbols = [trace.marker.symbol for trace in picture.data if trace.meta == "points"]
    assert len(symbols) == len(set(symbols)) >= 4
    dashes = [trace.line.dash for trace in picture.data if trace.meta == "reference"]
    assert len(dashes) == len(set(dashes)) == len(run.references)


def test_bars_are_the_standard_errors(run: Run) -> None:
    picture = figure.front(run.points)
    errors = {p.number: p.error or 0.0 for p in run.points}
    for trace in picture.data:
        if trace.meta == "points":
            assert list(trace.error_y.array) == [errors[n] for n in trace.customdata]
    assert any(errors.values())


def test_what_lies_far_below_is_announced_not_hidden(run: Run) -> None:
    picture = figure.front(run.points, run.failed, run.references)
    bottom, top = picture.layout.yaxis.range
    assert all(bottom < value < top for value in [*run.references.values(), *(p.accuracy for p in run.points)])
    assert not picture.layout.annotations
    low = [replace(p, accuracy=0.2) if p in run.dominated[:2] else p for p in run.points]
    picture = figure.front(low, run.failed, run.references)
    assert picture.layout.yaxis.range == (bottom, top)
    assert [a.text for a in picture.layout.annotations] == ["2 more below: double-click shows all"]


def test_the_axis_is_labelled_over_narrow_and_wide_ranges() -> None:
    assert list(figure._ticks(9e4, 3e6).values()) == ["100k", "200k", "500k", "1M", "2M"]
    assert list(figure._ticks(1e3, 2e9).values()) == ["1k", "10k", "100k", "1M", "10M", "100M", "1G"]


def test_names_stand_where_they_are_not_cut_off_and_hide_no_other_name() -> None:
    from metamixer.record.front import Point

    def point(number: int, flops: int, name: str) -> Point:
        return Point(number, "baseline", name, "x", "k", {"macs": flops // 2}, 0.9, 0.0, 1, False, "dominated")

    named = [point(0, 1_000, "first"), point(1, 100_000, "beside_the_edge"), point(2, 99_000, "behind_it")]
    places = figure._places(named, [], (900, 110_000), (0.5, 1.0))
    assert places[0] == "middle right"
    assert places[1] != "middle right"
    assert places[2] not in ("middle right", places[1])


@pytest.mark.browser
def test_a_png_of_the_front(browser: str, run: Run, tmp_path: Path) -> None:
    written = image.png(figure.front(run.points, title="front"), tmp_path / "front.png", width=400, height=300, scale=2)
    head = written.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (800, 600)
    assert written.stat().st_size > 5000  # a blank page of that size has less
