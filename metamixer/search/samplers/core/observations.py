"""What was evaluated, as models and archives see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metamixer.pareto import ranks
from metamixer.search.samplers.core.pareto import Floats
from metamixer.search.samplers.core.variation import Candidate


@dataclass(frozen=True)
class Observation:
    """One architecture evaluated: the mean of each objective over its replicates, minimised.

    Attributes:
        candidate: what was evaluated.
        values: one an objective; those known exactly are taken from the candidate instead.
        replicates: how often it was evaluated; below 1 for what is only expected of it, as it was stopped early.
        spread: unbiased variance of each objective over the replicates; empty for one.
        eligible: whether it may stand on the front; a baseline is learned from, but is not what is searched.
        seconds: that its evaluation took; None where that tells nothing.
    """

    candidate: Candidate
    values: tuple[float, ...]
    replicates: float = 1
    spread: tuple[float, ...] = ()
    eligible: bool = True
    seconds: float | None = None


def values_of(observations: Sequence[Observation], objectives: int) -> Floats:
    """(observations, objectives), those known exactly as they are known."""
    return np.array([[o.candidate.known.get(i, o.values[i]) for i in range(objectives)] for o in observations])


def subset(observations: Sequence[Observation], objectives: int, most: int) -> list[int]:
    """Indices of at most so many: half of them the best by rank, the others spread evenly over the rest."""
    if len(observations) <= most:
        return list(range(len(observations)))
    order = np.argsort(ranks(values_of(observations, objectives), "min"), kind="stable")
    best, rest = order[: most // 2], np.sort(order[most // 2 :])
    spread = rest[np.linspace(0, len(rest) - 1, most - most // 2).round().astype(int)]
    return sorted({*best.tolist(), *spread.tolist()})
