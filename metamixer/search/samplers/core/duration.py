"""How long it takes to evaluate an architecture, from what is known of its costs and how long others took."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metamixer.search.samplers.core.features import of_known
from metamixer.search.samplers.core.observations import Observation
from metamixer.search.samplers.core.pareto import Floats
from metamixer.search.samplers.core.variation import Candidate

SHRINKAGE = 1.0  # of slopes towards none, in observations
FEWEST = 6  # observations that slopes are learned from


class DurationModel:
    """Expected seconds of evaluations.

    Ridge regression of the logarithm of the seconds on the logarithms of the costs that are known, all standardised.
    Nothing is expected to be faster, or slower, than what was seen.

    Args:
        observations: those without `seconds` are left out; below `FEWEST` with some, nothing is learned.
    """

    def __init__(self, observations: Sequence[Observation]) -> None:
        timed = [item for item in observations if item.seconds is not None and item.seconds > 0]
        self._names = sorted(_costs(timed[0].candidate)) if len(timed) >= FEWEST else []
        if not self._names:
            return
        self._logarithms = np.log([item.seconds or 1.0 for item in timed])
        costs = _table([item.candidate for item in timed], self._names)
        self._centre, self._scale = costs.mean(axis=0), costs.std(axis=0)
        self._scale[self._scale == 0] = np.inf  # what was always the same tells nothing
        costs = (costs - self._centre) / self._scale
        self._slopes = np.linalg.solve(
            costs.T @ costs + SHRINKAGE * np.eye(len(self._names)),
            costs.T @ (self._logarithms - self._logarithms.mean()),
        )

    def seconds(self, candidates: Sequence[Candidate]) -> Floats:
        """What each candidate is expected to take; ones where nothing tells them apart."""
        if not self._names or not candidates:
            return np.ones(len(candidates))
        costs = (_table(candidates, self._names) - self._centre) / self._scale
        expected = self._logarithms.mean() + costs @ self._slopes
        return np.exp(np.clip(expected, self._logarithms.min(), self._logarithms.max()))


def _costs(candidate: Candidate) -> dict[str, float]:
    features = candidate.features.get("known") or of_known(candidate.known)
    return {str(name): value for name, value in features.items()}


def _table(candidates: Sequence[Candidate], names: Sequence[str]) -> Floats:
    costs = [_costs(candidate) for candidate in candidates]
    return np.array([[cost.get(name, 0.0) for name in names] for cost in costs])
