"""Searches side by side: medians over runs with bootstrap intervals, and paired differences.

Runs of one seed meet the same seeds of every architecture and may begin alike (`metamixer.simulate.run.beginning`), so
what two methods differ by is taken run by run, and its median has a narrower interval than the two medians have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Median:
    """A median over runs, and the interval in which 95 % of the medians of resampled runs lie (Efron 1979)."""

    value: float
    low: float
    high: float


def median(values: Sequence[float]) -> Median:
    """The median of some runs, infinite ones among them, with its interval by the percentile bootstrap."""
    array = np.sort(np.asarray(values, dtype=float))
    rng = np.random.default_rng(0)
    drawn = np.sort(array[rng.integers(len(array), size=(RESAMPLES, len(array)))], axis=1)
    low, high = np.quantile(_middle(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="nearest")
    return Median(float(_middle(array[None])[0]), float(low), float(high))


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Median:
    """The median of the differences of paired runs."""
    return median([a - b for a, b in zip(ours, theirs, strict=True)])


def _middle(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The median of each sorted row, infinite where that of any two middle ones is."""
    count = rows.shape[1]
    low, high = rows[:, (count - 1) // 2], rows[:, count // 2]
    return np.where(np.isfinite(high), (low + high) / 2, np.inf)
