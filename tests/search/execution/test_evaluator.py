"""What users' code returns is checked where the trial runs, before anything is written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
import toys

from metamixer import record
from metamixer.search.execution import returned
from metamixer.search.execution.evaluator import run
from metamixer.search.study import Study

Load = Callable[..., Study]
WHOLE: dict[str, Any] = {"state": "finished", "accuracy": 0.5, "curve": []}


@pytest.mark.parametrize("number", [np.float32(0.5), np.array(0.5), torch.tensor(0.5), np.float64(0.5)])
def test_real_numbers_of_any_library_are_taken(number: Any) -> None:
    told: list[dict[str, Any]] = []

    def evaluate(job: dict[str, Any], report: toys.Report) -> dict[str, Any]:
        report({"epoch": np.int64(1), "validation_accuracy": number})
        return {**WHOLE, "accuracy": number, "curve": [{"epoch": np.int64(1), "validation_accuracy": number}]}

    result = run(evaluate, {}, lambda epoch: told.append(epoch))
    assert json.loads(json.dumps(result)) == result
    assert result["accuracy"] == 0.5
    assert told == result["curve"] == [{"epoch": 1, "validation_accuracy": 0.5}]
    assert type(told[0]["epoch"]) is int


ONE = {"epoch": 1, "validation_accuracy": 0.5}


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "returned a NoneType, not a dict"),
        (0.5, "returned a float, not a dict"),
        ([WHOLE], "returned a list, not a dict"),
        ({"accuracy": 0.5}, "returned no 'state'; it is one of 'finished', 'stopped', 'failed'"),
        ({**WHOLE, "state": "done"}, "returned 'state' 'done'; it is one of"),
        ({"state": "finished"}, "returned 'accuracy' as a NoneType, not a number"),
        ({**WHOLE, "accuracy": "0.5"}, "returned 'accuracy' as a str, not a number"),
        ({**WHOLE, "accuracy": True}, "returned 'accuracy' as a bool, not a number"),
        ({**WHOLE, "accuracy": 87.5}, "returned 'accuracy' as 87.5; it is a share in 0..1, not per cent"),
        ({**WHOLE, "accuracy": np.zeros(2)}, "returned 'accuracy' as a ndarray, which a record cannot hold"),
        ({**WHOLE, "curve": [{**ONE, "epoch": {1}}]}, "returned 'curve' 'epoch' as a set, which a record cannot hold"),
        ({**WHOLE, "curve": [{"epoch": 1}]}, "returned 'curve' an epoch without 'validation_accuracy'"),
        ({**WHOLE, "curve": 3}, "returned 'curve' as a int, not a list"),
        ({**WHOLE, "loss": 1j}, "returned 'loss' as a complex, which a record cannot hold"),
        ({**WHOLE, "seconds": "long"}, "returned 'seconds' as a str, not a number"),
        ({**WHOLE, "versions": "1.2"}, "returned 'versions' as a str, not a dict"),
        ({**WHOLE, "reason": 3}, "returned 'reason' as a int, not a str"),
        ({**WHOLE, "traceback": ["a"]}, "returned 'traceback' as a list, not a str"),
    ],
)
def test_anything_else_is_a_failure_that_names_function_key_and_type(returned: Any, said: str) -> None:
    def evaluate(job: dict[str, Any], report: toys.Report) -> Any:
        return returned

    result = run(evaluate, {}, lambda epoch: None)
    assert result["state"] == "failed"
    assert f"test_evaluator:{evaluate.__qualname__} {said}" in result["reason"]
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("told", [None, 1, {"epoch": 1}, {"validation_accuracy": 0.5}, {**ONE, "epoch": "1"}])
def test_a_report_that_cannot_be_shown_is_a_failure_and_is_told_to_nobody(told: Any) -> None:
    def evaluate(job: dict[str, Any], report: toys.Report) -> Any:
        report(told)
        return WHOLE

    heard: list[Any] = []
    result = run(evaluate, {}, lambda epoch: heard.append(epoch))
    assert (result["state"], heard) == ("failed", [])
    assert "reported" in result["reason"]


def test_sys_exit_inside_is_a_failure_of_the_trial_alone() -> None:
    result = run(lambda job, report: sys.exit(3), {}, lambda epoch: None)
    assert result["state"] == "failed"
    assert "called sys.exit(3)" in result["reason"]


@pytest.mark.parametrize("number", [np.float32(0.5), torch.tensor([0.5]), Fraction(1, 2), Decimal("0.5")])
def test_numbers_that_are_no_floats_are_taken_as_floats(number: Any) -> None:
    result = run(lambda job, report: {**WHOLE, "accuracy": number}, {}, lambda epoch: None)
    assert (result["state"], result["accuracy"], type(result["accuracy"])) == ("finished", 0.5, float)


@pytest.mark.parametrize("value", [[0.5], None, {"a": "b"}, {"a": 50.0}, {"a": float("nan")}])
def test_accuracies_of_references_are_checked_before_they_are_stored(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="mine:references returned"):
        returned.accuracies("mine:references", value)


def test_a_search_records_them(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(job: dict[str, Any], report: toys.Report) -> Any:
        result = toys.fast(job, report)
        return None if job["number"] == 1 else {**result, "accuracy": np.float32(result["accuracy"])}

    monkeypatch.setattr(toys, "of_numpy", evaluate, raising=False)
    study = load("search.evaluate=toys:of_numpy", "study.budget=3", "study.confirm=1")
    assert study.run("inline").failed == 1
    states = [(trial.state, trial.reason) for trial in record.read(study.path) if trial.kind == "searched"]
    reason = f"exception: TypeError: {__name__}:"
    reason += "test_a_search_records_them.<locals>.evaluate returned a NoneType, not a dict"
    assert states == [("complete", None), ("failed", reason), ("complete", None)]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, ValueError])
def test_what_a_report_raises_is_the_callers_and_passes_through(kind: type[BaseException]) -> None:
    """Ray ends the function of a trial that it stops early by SystemExit out of a report."""

    def evaluate(job: dict, report: object) -> dict:
        report({"epoch": 1, "validation_accuracy": 0.5})  # type: ignore[operator]
        raise AssertionError("it goes on")

    def stopping(epoch: dict) -> None:
        raise kind

    with pytest.raises(kind):
        run(evaluate, {"device": "cpu"}, stopping)
