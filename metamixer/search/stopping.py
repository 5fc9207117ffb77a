"""Asynchronous successive halving with two objectives: which trials go on at a rung.

ASHA (Li et al. 2020) in its stopping form, ranked by non-domination and an epsilon-net (Schmucker et al. 2021): what a
trial has at a rung is its error there, and its cost, which is known. Rungs hold no state: who was where is read from
the curves of the rows, so a search that is continued stops what it would have stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metamixer.search import front


def rungs(epochs: int, first: int | None, reduction: int, bracket: int = 0) -> tuple[int, ...]:
    """The epochs after which trials are compared, rising, all below the full number.

    Args:
        epochs: Epochs of a full training.
        first: Epoch of the first rung of bracket 0; None for the one when half of them are over. Where the learning
            rate is annealed, what good architectures have before says little of which ends ahead of which:
            `benchmarks/digits.py --rungs` tells how much.
        reduction: Each rung lies this many times later than the one before.
        bracket: Leaves out this many of the first rungs.
    """
    found = []
    rung = (first or (epochs + 1) // 2) * reduction**bracket
    while rung < epochs:
        found.append(rung)
        rung *= reduction
    return tuple(found)


def goes_on(own: int, points: Sequence[tuple[float, float]], reduction: int) -> bool:
    """Whether a trial goes on from a rung: nothing there dominates it, or it is among the best 1/`reduction`.

    Args:
        own: Its place in `points`.
        points: (accuracy, flops) of all trials that reached the rung.
        reduction: One of so many goes on. The first `reduction - 1` to arrive always do: there is nothing to compare.

    The best are taken by layers of non-dominated points. Where a layer does not fit whole, its points are taken by an
    epsilon-net: the most accurate one, then always the one farthest from those taken. The first layer goes on even
    where it is larger than its share: a front is what is looked for, and with few trials most of a rung may be one.
    """
    if len(points) < reduction:
        return True
    array = np.asarray(points, dtype=float)
    places = len(points) / reduction
    left = np.arange(len(points))
    taken = 0
    while taken < places:
        layer = left[front.non_dominated(array[left])]
        if own in layer:
            if taken == 0 or taken + len(layer) <= places:
                return True
            spread = layer[_net(array[layer], array)]
            return taken + int(np.flatnonzero(spread == own)[0]) < places
        taken += len(layer)
        left = np.setdiff1d(left, layer)
    return False


def _net(layer: NDArray[np.float64], every: NDArray[np.float64]) -> list[int]:
    """Indices of a layer's points, each one the farthest from those before it; both axes scaled over all points."""
    low, span = every.min(axis=0), np.ptp(every, axis=0)
    scaled = (layer - low) / np.where(span > 0, span, 1.0)
    order = [int(np.argmax(scaled[:, 0]))]
    distance = np.linalg.norm(scaled - scaled[order[0]], axis=1)
    distance[order[0]] = -1.0
    while len(order) < len(layer):
        farthest = int(np.argmax(distance))
        order.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[farthest], axis=1))
        distance[order] = -1.0
    return order


def accuracy_at(curve: Iterable[Mapping[str, Any]], epoch: int) -> float | None:
    """Validation accuracy after an epoch of a curve, None where the curve has no such epoch."""
    return next((float(row["validation_accuracy"]) for row in curve if row["epoch"] == epoch), None)
