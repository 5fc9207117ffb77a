"""Several runs of one study together, and which member of a front to take.

Attainment after Fonseca and Fleming (1996): a run attains a point where one of its architectures costs no more and is
no less accurate. The 50 % attainment surface is what half of the runs attain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

LEVELS = (0.25, 0.5, 0.75)


def attainment(runs: Sequence[Sequence[tuple[float, float]]], levels: Sequence[float] = LEVELS) -> dict[str, Any]:
    """Attainment surfaces of runs.

    Args:
        runs: of each run its architectures, (accuracy, cost); a run may be empty and then attains nothing.
        levels: shares of the runs.

    Returns:
        ``runs``, their number, and ``surfaces``, one a level: ``level``, and the step line as ``cost`` (rising) and
        ``accuracy``, the largest that at least this share of the runs attains from that cost on. A surface begins where
        enough runs have anything, and has one point a step; it is empty where they never do.
    """
    costs = sorted({cost for run in runs for _, cost in run})
    best = np.full((len(runs), len(costs)), -math.inf)
    for row, run in enumerate(runs):
        for accuracy, cost in run:
            column = int(np.searchsorted(costs, cost))
            best[row, column] = max(best[row, column], accuracy)
    best = np.maximum.accumulate(best, axis=1) if costs else best
    ranked = -np.sort(-best, axis=0)  # the best run first
    surfaces = []
    for level in levels:
        needed = max(1, math.ceil(level * len(runs) - 1e-9))
        line = ranked[needed - 1] if runs and costs else np.zeros(0)
        steps = [i for i, value in enumerate(line) if np.isfinite(value) and (i == 0 or value > line[i - 1])]
        surfaces.append(
            {"level": level, "cost": [costs[i] for i in steps], "accuracy": [float(line[i]) for i in steps]}
        )
    return {"runs": len(runs), "surfaces": surfaces}


def knee(front: Sequence[tuple[float, float]]) -> int | None:
    """The index of a front's knee: farthest above the straight line between its ends, cost by its logarithm.

    Das (1999). None for fronts of fewer than three members, or that bend nowhere above that line.

    Args:
        front: (accuracy, cost) of each member, in any order.
    """
    if len(front) < 3:
        return None
    points = np.array([(math.log(max(cost, 1e-300)), accuracy) for accuracy, cost in front])
    low, high = points[points[:, 0].argmin()], points[points[:, 0].argmax()]
    span, rise = high - low
    if span <= 0:
        return None
    above = points[:, 1] - (low[1] + (points[:, 0] - low[0]) * rise / span)
    index = int(above.argmax())
    return index if above[index] > 1e-12 * max(1.0, abs(float(rise))) else None


def best_under(
    members: Sequence[Mapping[str, Any]], budget: float, cost: str = "macs", value: str = "accuracy"
) -> Mapping[str, Any] | None:
    """The member of the largest ``value`` that costs no more than ``budget``; of equals the cheapest; None for none."""
    affordable = [member for member in members if member[cost] <= budget]
    return max(affordable, key=lambda member: (member[value], -member[cost]), default=None)
