from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys

from metamixer import record
from metamixer.errors import RecordError, StudyError
from metamixer.record import Trial, front
from metamixer.search.execution import dispatcher
from metamixer.search.execution.interrupt import Interrupted
from metamixer.search.progress import Lines
from metamixer.search.pruning.extrapolation import FLOOR, MIN_TRAININGS, Extrapolation, logarithm
from metamixer.search.pruning.successive_halving import behind, promoted, rungs
from metamixer.search.study import Study

Load = Callable[..., Study]
BASELINES = 'baselines.names=["vit_digits", "ffnet_digits"]'
HALVING = (
    "pruning.rule=successive-halving",
    "pruning.first=1",
    "pruning.margin=0",
    "training.epochs=9",
    "study.budget=18",
)
needs_ray = pytest.mark.skipif(dispatcher.unavailable() is not None, reason="no Ray here")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((9, 1, 3), (1, 3)),
        ((9, 1, 3, 1), (3,)),
        ((9, 1, 3, 2), ()),
        ((10, 2, 2), (2, 4, 8)),
        ((1, 1, 3), ()),
        ((9, None, 3), (5,)),
        ((9, None, 3, 1), ()),
        ((12, None, 3), (6,)),
        ((1, None, 2), ()),
    ],
)
def test_rungs_lie_a_factor_apart_below_the_full_number(arguments: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert rungs(*arguments) == expected


@pytest.mark.parametrize("reduction", [2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 30])
def test_the_front_and_one_of_so_many_go_on(count: int, reduction: int) -> None:
    for seed in range(5):
        points = [tuple(point) for point in np.random.default_rng(seed).random((count, 2)).round(1)]
        on = {i for i in range(count) if promoted(i, points, reduction)}
        best = {int(i) for i in front.efficient(points)}
        if count < reduction:
            assert len(on) == count
            continue
        assert on >= best
        assert len(on) == max(len(best), math.ceil(count / reduction))
        # Nobody goes while another that it dominates stays.
        for a, f in (points[i] for i in set(range(count)) - on):
            assert not any(points[i] != (a, f) and points[i][0] <= a and points[i][1] >= f for i in on)


def test_a_layer_that_does_not_fit_is_thinned_evenly() -> None:
    # One point dominates nine others that do not dominate each other; four of the ten may go on: it, the most accurate
    # of the others, the cheapest, and the one in the middle.
    points = [(1.0, 1.0), *((0.1 * i, 20.0 + 10.0 * i) for i in range(9))]
    assert [i for i in range(10) if promoted(i, points, 3)] == [0, 1, 5, 9]
    # What is dominated by everything has no place.
    assert not promoted(10, [*points, (0.0, 200.0)], 3)


def test_only_what_is_behind_by_more_than_the_rung_leaves_open_is_behind() -> None:
    line = Extrapolation(slope=1.0, intercept=0.0, variance=0.04)  # a deviation of 0.2 of the logarithm of the error

    def error(ahead: float, by: float) -> float:
        return math.exp(logarithm(ahead) + by) - FLOOR

    for by, expected in ((0.29, False), (0.31, True)):
        points = [(0.9, 10.0), (1 - error(0.1, by), 10.0)]
        assert behind(1, points, [None, None], line, margin=1.5) is expected
        assert not behind(0, points, [None, None], line, margin=1.5)
        # A dearer one is nobody's rival, and what one ended with counts, not what it had at the rung.
        assert not behind(1, [(0.9, 11.0), points[1]], [None, None], line, margin=1.5)
        assert behind(1, [(0.5, 10.0), points[1]], [0.9, None], line, margin=1.5) is expected
        assert not behind(1, points, [0.5, None], line, margin=1.5)
    # Where the rung says nothing of the end, nobody is behind by what it says.
    flat = Extrapolation(slope=0.0, intercept=logarithm(0.1), variance=0.04)
    assert not behind(1, [(0.9, 10.0), (0.2, 10.0)], [None, None], flat, margin=1.5)


def test_nothing_is_stopped_while_there_is_doubt(load: Load) -> None:
    rows = {}
    for evaluate in ("fast", "crossing"):
        for margin in (0, 1.5):
            options = (f"search.evaluate=toys:{evaluate}", f"pruning.margin={margin}", "search.sampler=random")
            study = load(*HALVING, *options, "study.budget=30", "study.confirm=1", name=f"{evaluate}{margin}")
            study.run("inline")
            rows[evaluate, margin] = record.read(study.path)
    stopped = {run: [row.number for row in found if row.stopped] for run, found in rows.items()}
    # Trials run one after the other here: those before the first one that is stopped are what a rung is known by.
    for evaluate in ("fast", "crossing"):
        assert min(stopped[evaluate, 0]) < MIN_TRAININGS <= min(stopped[evaluate, 1.5], default=MIN_TRAININGS)
    # Flat curves tell the end from the first epoch on; shaken ones leave margin.
    assert len(stopped["crossing", 1.5]) < len(stopped["fast", 1.5])
    assert len(stopped["crossing", 1.5]) < len(stopped["crossing", 0]) / 2


def optuna_trials(study: Study) -> list[Any]:
    import optuna

    return optuna.load_study(study_name=None, storage=f"sqlite:///{study.path}/study.db").trials


def test_a_study_that_stops_early(load: Load) -> None:
    lines: list[str] = []
    study = load(*HALVING, BASELINES)
    outcome = study.run("inline", view=Lines(lines.append))
    rows = record.read(study.path)
    searched = [row for row in rows if row.kind == "searched"]
    stopped = [row for row in searched if row.stopped]
    assert (outcome.state, outcome.trained, outcome.stopped, outcome.failed) == ("finished", 18, len(stopped), 0)
    assert {row.state for row in searched} == {"complete", "pruned"}
    assert 1 in {row.epochs for row in stopped} <= {1, 3}
    for row in stopped:
        assert row.reason == f"stopped at epoch {row.epochs} of 9"
        assert len(row.curve) == row.epochs
        assert (row.accuracy, row.loss, row.weights) == (None, None, None)
        assert (row.device, row.versions) == ("cpu", {"toys": "1"})
        assert row.seconds is not None
    # All that has a value was trained to the end, and baselines and replicates always are.
    for row in rows:
        if row.state == "complete":
            assert row.epochs == 9
    assert {row.state for row in rows if row.kind in ("baseline", "replicate")} == {"complete"}
    assert {p.number for p in front.summary(rows)}.isdisjoint(row.number for row in stopped)
    # The toy's curves are flat: what is best at the rung is best in the end.
    last = {row.number: row.curve[-1]["validation_accuracy"] for row in searched}
    assert searched[0].kind == "searched"
    assert max(last.values()) == max(row.accuracy for row in searched if row.accuracy is not None)
    assert not (study.path / "weights" / f"{stopped[0].number}.safetensors").exists()

    # Optuna holds them as pruned, with no value at all: intermediate values would break TPE's next proposal.
    for row, trial in zip(rows, optuna_trials(study), strict=True):
        if row.stopped:
            assert (trial.state.name, trial.values, trial.intermediate_values) == ("PRUNED", None, {})
    assert f"{len(stopped)} stopped early" in lines[-1]


def told(rows: list[Trial]) -> list[tuple[object, ...]]:
    return [
        (r.number, r.kind, r.state, r.sentence, r.accuracy, r.epochs, r.reason, r.seed, r.replicate_of) for r in rows
    ]


@pytest.mark.parametrize(("brackets", "margin", "budget"), [(1, 0, 18), (2, 0, 18), (1, 1, 24)])
def test_rungs_survive_a_restart(
    load: Load, monkeypatch: pytest.MonkeyPatch, brackets: int, margin: int, budget: int
) -> None:
    monkeypatch.setattr(toys, "interrupted", toys.crossing, raising=False)
    options = [*HALVING, 'search.evaluate="toys:interrupted"', f"pruning.brackets={brackets}"]
    options += [f"pruning.margin={margin}", f"study.budget={budget}"]
    straight = load(*options, name="straight")
    straight.run("inline")
    ended = 0

    def evaluate(job: dict[str, Any], report: toys.Report) -> dict[str, Any]:
        nonlocal ended
        ended += 1

        def counted(epoch: dict[str, Any]) -> bool | None:
            if ended % 4 == 0 and epoch["epoch"] == 1:
                raise Interrupted
            return report(epoch)

        return toys.crossing(job, counted)

    monkeypatch.setattr(toys, "interrupted", evaluate)
    stopped = load(*options, name="stopped")
    states = [stopped.run("inline").state]
    while states[-1] == "interrupted":
        states.append(stopped.run("inline").state)
    assert len(states) > 5
    assert told(record.read(stopped.path)) == told(record.read(straight.path))
    epochs = {row.epochs for row in record.read(stopped.path) if row.stopped}
    assert epochs
    assert epochs <= {1, 3}


def test_trials_that_do_not_listen_are_what_they_are(load: Load) -> None:
    headstrong = load(*HALVING, "study.confirm=1", "search.evaluate=toys:headstrong", name="headstrong")
    assert headstrong.run("inline").stopped == 0
    assert {row.epochs for row in record.read(headstrong.path) if row.kind == "searched"} == {9}
    silent = load(*HALVING, "study.confirm=1", "search.evaluate=toys:silent", name="silent")
    assert silent.run("inline").stopped > 0
    assert all(row.epochs == 9 for row in record.read(silent.path) if row.state == "complete")


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "gp"])
def test_samplers_go_on_after_stopped_trials(load: Load, sampler: str) -> None:
    study = load(*HALVING, "study.confirm=1", f"search.sampler={sampler}", "search.startup=3", "study.budget=9")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome = study.run("inline")
    assert (outcome.state, outcome.trained) == ("finished", 9)
    assert outcome.stopped > 2


def test_stopping_may_be_changed_when_a_study_is_continued(load: Load) -> None:
    load(*HALVING, "study.confirm=1").run("inline")
    more = load(*HALVING, "pruning.rule=none", "study.confirm=1", "study.budget=24")
    outcome = more.run("inline")
    rows = [row for row in record.read(more.path) if row.kind == "searched"]
    assert outcome.trained == 24
    assert {row.state for row in rows[18:]} == {"complete"}
    with pytest.raises(StudyError, match="unknown rule 'halves'"):
        load("pruning.rule=halves")


@needs_ray
def test_ray_stops_early_and_uses_its_workers_again(load: Load, tmp_path: Path) -> None:
    study = load(*HALVING, "study.budget=14", "study.confirm=1", "search.sampler=random")
    outcome = study.run("ray")
    rows = record.read(study.path)
    stopped = [row for row in rows if row.stopped]
    assert (outcome.state, outcome.trained, outcome.failed) == ("finished", 14, 0)
    assert len(stopped) == outcome.stopped > 3
    for row in stopped:
        assert row.reason == f"stopped at epoch {row.epochs} of 9"
        assert [epoch["epoch"] for epoch in row.curve] == list(range(1, (row.epochs or 0) + 1))
        assert row.epochs in (1, 3)
        assert row.accuracy is None
        assert row.versions["python"]
        assert row.attempts == 1
    assert len({row.worker for row in rows if row.kind == "searched"}) <= 2
    assert json.loads(json.dumps(stopped[0].curve)) == stopped[0].curve


RUN = """
import sys
from metamixer.search.study import Study
Study(Study.load(sys.argv[1], sys.argv[3:]).config, sys.argv[2]).run("inline")
"""


def test_rungs_survive_a_driver_that_is_killed(file: Path) -> None:
    options = [*HALVING, "study.budget=12", "study.confirm=1", "search.evaluate=toys:crossing", "search.sampler=tpe"]
    runs = {name: file.parent / name for name in ("straight", "killed")}
    Study(Study.load(file, options).config, runs["straight"]).run("inline")
    expected = record.read(runs["straight"] / "small")

    def ended() -> int:
        try:
            return sum(row.finished for row in record.read(runs["killed"] / "small") if row.kind == "searched")
        except RecordError:
            return 0  # it is being created

    for kill_at in (3, 8):
        arguments = [sys.executable, "-c", RUN, str(file), str(runs["killed"]), *options]
        process = subprocess.Popen(arguments, env={**os.environ, "TOY_SECONDS": "0.05"})
        while ended() < kill_at and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        process.wait()
    Study(Study.load(file, options).config, runs["killed"]).run("inline")
    rows = record.read(runs["killed"] / "small")
    assert told(rows) == told(expected)
    assert {row.epochs for row in rows if row.stopped} >= {1}
