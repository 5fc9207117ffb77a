"""A run as columns: one row a trial, numbers in arrays, means over seeds and the front worked out for all at once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metamixer.record import Trial
from metamixer.record.front import efficient
from metamixer.record.retrained import Tested

STATUSES = ("complete", "running", "stopped", "failed", "refused")
KINDS = ("searched", "baseline", "replicate", "imported", "rejected", "retrained")
VERDICTS = ("", "dominated", "undecided", "not dominated")
COSTS = ("macs", "params", "elementwise", "activations")
FIELDS = [
    ("number", "i4"), ("status", "u1"), ("kind", "u1"), ("original", "i4"), ("seed", "f8"), ("accuracy", "f4"),
    ("loss", "f4"), *((name, "f8") for name in COSTS), ("seconds", "f4"), ("started", "f8"), ("epochs", "i4"),
    ("reached", "f4"),
]  # fmt: skip
MEANS = [
    ("mean", "f4"), ("error", "f4"), ("seeds", "i4"), ("front", "u1"), ("verdict", "u1"),
    ("test", "f4"), ("test_low", "f4"), ("test_high", "f4"),
]  # fmt: skip


def status(trial: Trial) -> str:
    """What became of a trial, in one word of `STATUSES`."""
    if trial.state == "pruned":
        return "stopped" if trial.stopped else "refused"
    return trial.state


def record_of(trial: Trial) -> tuple[Any, ...]:
    """A trial's numbers, in the order of `FIELDS`; NaN and -1 where it has none."""
    cost = trial.cost or {}
    again = trial.replicate_of if trial.replicate_of is not None else trial.retrains
    last = trial.curve[-1].get("validation_accuracy") if trial.curve else None
    return (
        trial.number,
        STATUSES.index(status(trial)),
        KINDS.index(trial.kind),
        -1 if again is None else again,
        _number(trial.seed),
        _number(trial.accuracy),
        _number(trial.loss),
        *(_number(cost.get(name)) for name in COSTS),
        _number(trial.seconds),
        _number(trial.started),
        -1 if trial.epochs is None else trial.epochs,
        _number(last),
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else math.nan


def means(table: NDArray[Any], tested: Mapping[int, Tested] = MappingProxyType({})) -> NDArray[Any]:
    """Mean, standard error, seeds, front and verdict of each trial, as `metamixer.record.front.summary` has them.

    Replicates count for the trial they repeat. Rows that are no finished architecture have NaN, no seeds, no front.
    `test`, with its 95 % interval, is NaN for what was not retrained.

    Args:
        table: An array with the fields of `FIELDS`, by number, no number left out.
        tested: See `metamixer.record.retrained.tested`.
    """
    n = len(table)
    found = np.zeros(n, dtype=MEANS)
    for name in ("mean", "error", "test", "test_low", "test_high"):
        found[name] = np.nan
    for number, one in tested.items():
        if number < n:
            found["test"][number] = one.accuracy
            found["test_low"][number], found["test_high"][number] = one.interval
    whole = (table["status"] == STATUSES.index("complete")) & np.isfinite(table["accuracy"])
    whole &= np.isfinite(table["macs"])
    replicate = table["kind"] == KINDS.index("replicate")
    searched = np.isin(table["kind"], [KINDS.index("searched"), KINDS.index("imported")])
    baseline = table["kind"] == KINDS.index("baseline")
    first = whole & (searched | baseline)
    owner = np.where(replicate, table["original"], np.arange(n))
    counts = (whole & (first | replicate) & (owner >= 0) & (owner < n)).nonzero()[0]
    owner, values = owner[counts], table["accuracy"][counts].astype(float)
    seeds = np.bincount(owner, minlength=n)
    mean = np.bincount(owner, values, minlength=n) / np.maximum(seeds, 1)
    squares = np.bincount(owner, (values - mean[owner]) ** 2, minlength=n)
    several = first & (seeds > 1)
    freedom = float((seeds[several] - 1).sum())
    spread = math.sqrt(float(squares[several].sum()) / freedom) if freedom else 0.0
    deviation = np.where(seeds > 1, np.sqrt(squares / np.maximum(seeds - 1, 1)), spread)
    error = deviation / np.sqrt(np.maximum(seeds, 1))
    found["mean"][first], found["seeds"][first] = mean[first], seeds[first]
    found["error"][several] = error[several]
    ours = (first & searched).nonzero()[0]
    front = ours[efficient(np.column_stack([mean[ours], 2 * table["macs"][ours]]))] if len(ours) else ours
    found["front"][front] = 1
    for number in (first & baseline).nonzero()[0]:
        cheaper = front[table["macs"][front] <= table["macs"][number]]
        lead, doubt = mean[cheaper] - mean[number], np.hypot(error[cheaper], error[number])
        tie = (lead == 0) & (doubt == 0) & (table["macs"][cheaper] < table["macs"][number])
        if ((lead > doubt) | tie).any():
            verdict = "dominated"
        else:
            verdict = "undecided" if ((np.abs(lead) <= doubt) & (doubt > 0)).any() else "not dominated"
        found["verdict"][number] = VERDICTS.index(verdict)
    return found
