"""Dominance and hypervolume for any number of objectives, the direction of each said by the caller.

By moocore (Fonseca, Paquete and Lopez-Ibanez 2006; Guerreiro and Fonseca 2018), which needs n log n steps for two and
three objectives. It is loaded when it is first used: it takes longer than all of this package's command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Direction = Literal["max", "min"]
Directions = Direction | Sequence[Direction]  # one for all objectives, or one each
Floats = NDArray[np.float64]

# What a study optimises: validation accuracy and FLOPs.
ACCURACY_FLOPS: tuple[Direction, Direction] = ("max", "min")


def non_dominated(points: ArrayLike, directions: Directions) -> NDArray[np.intp]:
    """Indices, rising, of the points that no other point dominates.

    A point dominates another when it is no worse in all objectives and better in one; equal points do not dominate
    each other.

    Args:
        points: (n, objectives).
        directions: `max` or `min`, one for all objectives or one each.

    Raises:
        ValueError: A value is NaN, or the directions do not fit.
    """
    array = _minimised(points, directions)
    if not len(array):
        return np.zeros(0, dtype=np.intp)
    if array.shape[1] == 1:
        return np.flatnonzero(array[:, 0] == array[:, 0].min())
    import moocore

    return np.flatnonzero(moocore.is_nondominated(array, keep_weakly=True))


def ranks(points: ArrayLike, directions: Directions) -> NDArray[np.intp]:
    """The front each point belongs to, 0 for those that none dominates (Deb et al. 2002, non-dominated sorting).

    Args and errors as of `non_dominated`.
    """
    array = _minimised(points, directions)
    found = np.full(len(array), -1, dtype=np.intp)
    left = np.arange(len(array))
    rank = 0
    while len(left):
        front = non_dominated(array[left], "min")
        found[left[front]] = rank
        left = np.delete(left, front)
        rank += 1
    return found


def hypervolume(points: ArrayLike, reference: ArrayLike, directions: Directions) -> float:
    """Exact volume that points dominate, bounded by a reference point.

    Args:
        points: (n, objectives); those that are not better than the reference in every objective add nothing.
        reference: One bound an objective, worse than what counts.
        directions: `max` or `min`, one for all objectives or one each.

    Raises:
        ValueError: A value is NaN, or directions or reference do not fit.
    """
    bound = _minimised(np.atleast_2d(np.asarray(reference, dtype=float)), directions)[0]
    array = _minimised(points, directions)
    array = array[(array < bound).all(axis=1)]
    if not len(array):
        return 0.0
    if array.shape[1] == 1:
        return float(bound[0] - array.min())
    import moocore

    return float(moocore.hypervolume(array, ref=bound))


def _minimised(points: ArrayLike, directions: Directions) -> Floats:
    array = np.asarray(points, dtype=float)
    if array.size == 0:
        array = array.reshape(0, array.shape[-1] if array.ndim == 2 else 1)
        return array if isinstance(directions, str) else np.zeros((0, len(directions)))
    if array.ndim != 2 or not (isinstance(directions, str) or array.shape[1] == len(directions)):
        raise ValueError(f"points of shape {array.shape} do not fit the directions {directions!r}")
    if np.isnan(array).any():
        raise ValueError("points hold NaN: leave out what has no value")
    signs = {"max": -1.0, "min": 1.0}
    return array * (signs[directions] if isinstance(directions, str) else [signs[each] for each in directions])
