"""What users' code returns is checked where the trial runs, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import toys

from metamixer import record
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


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "the result of evaluate is a NoneType, not a dict"),
        (0.5, "the result of evaluate is a float, not a dict"),
        ({**WHOLE, "accuracy": np.zeros(2)}, "evaluate['accuracy'] is a ndarray, which a record cannot hold"),
        ({**WHOLE, "curve": [{"epoch": {1}}]}, "evaluate['curve']['epoch'] is a set, which a record cannot hold"),
        ({**WHOLE, "loss": 1j}, "evaluate['loss'] is a complex, which a record cannot hold"),
    ],
)
def test_anything_else_is_a_failure_that_says_what(returned: Any, said: str) -> None:
    result = run(lambda job, report: returned, {}, lambda epoch: None)
    assert result["state"] == "failed"
    assert said in result["reason"]


def test_a_search_records_them(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def evaluate(job: dict[str, Any], report: toys.Report) -> Any:
        result = toys.fast(job, report)
        return None if job["number"] == 1 else {**result, "accuracy": np.float32(result["accuracy"])}

    monkeypatch.setattr(toys, "of_numpy", evaluate, raising=False)
    study = load("search.evaluate=toys:of_numpy", "study.budget=3", "study.confirm=1")
    assert study.run("inline").failed == 1
    states = [(trial.state, trial.reason) for trial in record.read(study.path) if trial.kind == "searched"]
    reason = "exception: TypeError: the result of evaluate is a NoneType, not a dict"
    assert states == [("complete", None), ("failed", reason), ("complete", None)]
