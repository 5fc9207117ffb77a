from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from metamixer.errors import ResourceError
from metamixer.record import Trial
from metamixer.search.driver import results

RAN = Trial(
    7,
    "running",
    "searched",
    key="k",
    cost={"macs": 5},
    worker="here/1",
    device="cpu",
    versions={"python": "3"},
    seconds=9.0,
    weights="weights/7.safetensors",
)
CURVE = [{"epoch": 1}, {"epoch": 2}, {"epoch": 3}]
WELL = {"state": "finished", "accuracy": 0.5, "loss": 1.0, "curve": CURVE, "seconds": 2.0, "device": "GPU"}


def test_what_a_worker_says_counts_and_what_it_does_not_say_is_the_drivers() -> None:
    row = results.final(RAN, WELL, epochs=3, told=False)
    assert (row.state, row.reason, row.accuracy, row.loss, row.epochs) == ("complete", None, 0.5, 1.0, 3)
    assert (row.seconds, row.device, row.worker, row.versions) == (2.0, "GPU", "here/1", {"python": "3"})
    assert row.values == [0.5, 10.0]
    assert row.weights == RAN.weights
    silent = results.final(RAN, {"state": "failed", "reason": "killed", "curve": CURVE[:1]}, epochs=3, told=False)
    assert (silent.state, silent.reason, silent.seconds, silent.device) == ("failed", "killed", 9.0, "cpu")
    assert (silent.epochs, silent.weights, silent.values) == (1, None, None)


@pytest.mark.parametrize(
    ("result", "told", "state", "reason"),
    [
        ({"accuracy": float("nan")}, False, "failed", "nan"),
        ({"accuracy": None}, False, "failed", "nan"),
        ({"state": "failed"}, False, "failed", "the worker gave no reason"),
        ({"state": "of another kind"}, False, "failed", "the worker gave no reason"),
        ({"state": "stopped", "curve": CURVE[:1]}, True, "pruned", "stopped at epoch 1 of 3"),
        # It stops as it was told, and says that it finished; or does not stop.
        ({"curve": CURVE[:2]}, True, "pruned", "stopped at epoch 2 of 3"),
        ({}, True, "complete", None),
    ],
)
def test_states_and_reasons(result: dict[str, Any], told: bool, state: str, reason: str | None) -> None:
    row = results.final(RAN, {**WELL, **result}, epochs=3, told=told)
    assert (row.state, row.reason) == (state, reason)
    assert (row.accuracy is None) == (row.values is None) == (row.weights is None) == (state != "complete")


def test_a_full_disk_is_no_result() -> None:
    reason = "exception: OSError: [Errno 28] No space left on device: 'weights/.7'"
    with pytest.raises(ResourceError, match="trial 7 found no room on its disk"):
        results.final(RAN, {"state": "failed", "reason": reason}, epochs=3, told=False)


def test_what_a_dead_driver_left_running() -> None:
    row = Trial(3, "running", "searched", key="k")
    assert results.found_running(row, clean=True) == row
    assert results.found_running(row, clean=False) == replace(row, attempts=2)
    third = replace(row, attempts=results.DRIVER_ATTEMPTS)
    assert results.found_running(third, clean=True) == third
    told = results.found_running(third, clean=False)
    assert (told.state, told.reason) == ("failed", "the search died 3 times while this trial ran")
    cut = results.found_running(Trial(4, "running", "searched"), clean=True)
    assert (cut.state, cut.kind, cut.reason) == ("failed", "rejected", "cut off while it was proposed")
