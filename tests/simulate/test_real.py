"""How benchmarks/real.py scores searches: by seeds that they did not see, and by what they had taken."""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from metamixer.record import Trial


@pytest.fixture(scope="module")
def real(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_real", repository / "benchmarks" / "real.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def trained(number: int, key: str, accuracy: float | None, macs: int, clock: float, **more: Any) -> Trial:
    state = "pruned" if accuracy is None else "complete"
    cost = {"macs": macs, "params": 1, "elementwise": 0, "activations": 0}
    more = {"epochs": 9, "seconds": 10.0, "cpu_seconds": 8.0, **more}
    return Trial(number, state, "searched", key=key, accuracy=accuracy, cost=cost, clock=clock, **more)


def test_a_search_is_seen_as_its_trainings_end(real: ModuleType) -> None:
    rows = [
        trained(0, "a", 0.8, 50, 30.0),
        trained(1, "b", 0.7, 60, 20.0),
        Trial(2, "pruned", "rejected", reason="duplicate of 0", clock=21.0),
        trained(3, "c", None, 10, 35.0, epochs=1, cpu_seconds=None, seconds=1.0),  # stopped early
        trained(4, "d", 0.9, 90, 50.0),
        Trial(5, "running", "searched", key="e", clock=51.0),
    ]
    found = real.steps(rows)
    assert [step.front for step in found] == [("b",), ("a",), ("a",), ("a", "d")]
    assert [step.taken["wall-clock"] for step in found] == [20.0, 30.0, 35.0, 50.0]
    assert [step.taken["epochs"] for step in found] == [9, 18, 19, 28]
    assert [step.recommended for step in found] == [step.front for step in found]
    # What was stopped had the share of a processor that the others had.
    assert [step.taken["processor"] for step in found] == pytest.approx([8.0, 16.0, 16.8, 24.8])


def test_what_a_model_recommends_is_recommended_besides(real: ModuleType) -> None:
    rows = [trained(0, "a", 0.8, 50, 30.0), trained(1, "b", 0.7, 60, 20.0), trained(2, "c", 0.5, 70, 40.0)]
    held = {0: [1], 1: [], 2: [2, 0]}
    found = real.steps(rows, lambda row: held[row.number])
    assert [step.front for step in found] == [("b",), ("a",), ("a",)]
    assert [step.recommended for step in found] == [("b",), ("a", "b"), ("a", "c")]


def test_fronts_are_worth_what_fresh_seeds_say(real: ModuleType) -> None:
    def taken(seconds: float) -> dict[str, float]:
        return dict.fromkeys(real.MEASURES, seconds)

    def step(seconds: float, *front: str, more: str | None = None) -> Any:
        return real.Step(taken(seconds), front, front if more is None else (*front, more))

    points = {"lucky": (0.5, 10), "good": (0.9, 10), "dear": (0.9, 60)}
    searches = {
        real.OURS: [step(10, "lucky"), step(20, "lucky", "good")],
        real.PLAIN: [step(10, "lucky"), step(40, "lucky", more="dear")],
        real.RIVAL: [step(50, "good"), step(90, "good", "dear")],
    }
    counts = dict.fromkeys(searches, (2, 0))
    found = real.scored(searches, points, (0.1, 110.0), counts)
    worth = [80 / 99, (40 + 20) / 99, 80 / 99]  # of accuracies above 0.1 and FLOPs below 110
    assert [found[arm].worth for arm in searches] == pytest.approx(worth)
    assert found[real.OURS].to_target == taken(20)
    assert found[real.RIVAL].to_target == taken(50)  # not 90: it had it before its end
    assert found[real.RIVAL].in_all == taken(90)
    assert found[real.PLAIN].to_target["epochs"] == math.inf
    assert real.ratio(found, real.OURS, real.RIVAL, "epochs") == pytest.approx(0.4)
    assert real.ratio(found, real.PLAIN, real.RIVAL, "epochs") == math.inf
    observed = real.scored(searches, points, (0.1, 110.0), counts, observed=True)
    assert observed[real.PLAIN].worth == pytest.approx(40 / 99)
    medians = real.show({0: found})
    assert medians[f"{real.OURS} / {real.RIVAL}"] == pytest.approx(0.4)
    assert medians[f"{real.OURS} / {real.WHOLE}"] == pytest.approx(20 / 90)


def test_all_fresh_seeds_must_be_there(real: ModuleType) -> None:
    def again(number: int, of: int, accuracy: float) -> Trial:
        return Trial(number, "complete", "replicate", replicate_of=of, accuracy=accuracy)

    rows = [trained(0, "a", 0.8, 5, 1.0), again(1, 0, 0.7), again(2, 0, 0.9), Trial(3, "failed", "searched", key="b")]
    points = real.fresh(rows, 0.1)
    assert points["a"] == (pytest.approx(0.8), 10)
    assert points["b"][0] == 0.1
    with pytest.raises(SystemExit, match="have not all of their 3 seeds"):
        real.fresh(rows[:2], 0.1)


def test_the_starting_points_of_a_pair_are_one_list(real: ModuleType) -> None:
    first = real.starts("digits", [], 0)
    assert first == real.starts("digits", [], 0)
    assert len(set(first)) == real.STARTS
    assert not set(first) & set(real.starts("digits", [], 1))
