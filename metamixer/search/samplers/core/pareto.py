"""Fronts of any number of objectives, all minimised: crowding, and the expected gain of hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metamixer.pareto import non_dominated

Floats = NDArray[np.float64]

# Boxes grow with the front to the power of (objectives - 1): from four objectives on the front is thinned.
MOST_POINTS = {1: 10_000, 2: 10_000, 3: 120}
FEW_POINTS = 24


class Boxes(NamedTuple):
    """Disjoint boxes that cover what a front does not dominate below a reference point: (boxes, objectives) each."""

    lower: Floats
    upper: Floats


class Prediction(Protocol):
    """What is known of one objective at some candidates: exactly, or as a distribution."""

    def below(self, bounds: Floats) -> Floats:
        """E[max(0, bound - value)], (candidates, bounds); 0 at a bound of minus infinity."""


class Exact(NamedTuple):
    """Values known exactly, one a candidate."""

    values: Floats

    def below(self, bounds: Floats) -> Floats:
        return np.maximum(0.0, np.where(np.isneginf(bounds), -np.inf, bounds)[None, :] - self.values[:, None])


def crowding(points: ArrayLike) -> Floats:
    """How far the neighbours of each point of one front are apart (Deb et al. 2002); infinite at the ends."""
    array = np.asarray(points, dtype=float)
    total = np.zeros(len(array))
    for column in array.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        total[order[[0, -1]]] = np.inf
        if span > 0 and len(array) > 2:
            total[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return total


def thinned(front: Floats) -> Floats:
    """A front that boxes can be made of: the most isolated points where it is too large."""
    most = MOST_POINTS.get(front.shape[1], FEW_POINTS)
    while len(front) > most:
        front = np.delete(front, int(np.argmin(crowding(front))), axis=0)
    return front


def boxes(points: ArrayLike, reference: ArrayLike) -> Boxes:
    """The region below a reference point that no point dominates, cut into slabs along the last objective.

    Args:
        points: (n, objectives), minimised; those beyond the reference point in any objective are left out.
        reference: one bound an objective.
    """
    bound = np.asarray(reference, dtype=float)
    array = np.asarray(points, dtype=float).reshape(-1, len(bound))
    array = array[(array < bound).all(axis=1)]
    array = thinned(array[non_dominated(array, "min")])
    lower, upper = _slabs(array, bound)
    return Boxes(np.array(lower).reshape(-1, len(bound)), np.array(upper).reshape(-1, len(bound)))


def _slabs(front: Floats, bound: Floats) -> tuple[list[list[float]], list[list[float]]]:
    if front.shape[1] == 1:
        return [[-np.inf]], [[float(min(bound[0], *front[:, 0]) if len(front) else bound[0])]]
    lower: list[list[float]] = []
    upper: list[list[float]] = []
    levels = np.unique(front[:, -1])
    edges = [-np.inf, *levels.tolist(), float(bound[-1])]
    for low, high in pairwise(edges):
        inside = front[front[:, -1] <= low, :-1]
        below, above = _slabs(inside[non_dominated(inside, "min")], bound[:-1])
        lower += [[*box, low] for box in below]
        upper += [[*box, high] for box in above]
    return lower, upper


def expected_improvement(predictions: Sequence[Prediction], region: Boxes) -> Floats:
    """Expected gain of hypervolume of each candidate, objectives independent of each other.

    The gain within a box is the product over objectives of how far the value lies below the box's upper edge, at most
    its length (Yang et al. 2019). An objective known exactly is a distribution without spread.

    Args:
        predictions: one an objective, about the same candidates.
        region: what the front leaves, see `boxes`.
    """
    gain: Floats | float = 1.0
    for objective, prediction in enumerate(predictions):
        edges, where = np.unique(
            np.concatenate([region.lower[:, objective], region.upper[:, objective]]), return_inverse=True
        )
        below = prediction.below(edges)
        below[:, np.isneginf(edges)] = 0.0
        low, high = np.split(where.reshape(-1), 2)
        gain = gain * (below[:, high] - below[:, low])
    assert not isinstance(gain, float)
    return np.maximum(gain, 0.0).sum(axis=1)
