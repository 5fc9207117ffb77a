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


def expected_seconds(observed: Sequence[Observation], candidates: Sequence[Candidate]) -> Floats:
    """Seconds that each candidate is expected to take; ones where nothing tells them apart.

    Ridge regression of the logarithm of the seconds on the logarithms of the costs that are known, all standardised.
    Nothing is expected to be faster, or slower, than what was seen.
    """
    timed = [item for item in observed if item.seconds is not None and item.seconds > 0]
    names = sorted(_costs(candidates[0])) if candidates else []
    if len(timed) < FEWEST or not names:
        return np.ones(len(candidates))
    seconds = np.log([item.seconds or 1.0 for item in timed])
    seen = _table([item.candidate for item in timed], names)
    centre, scale = seen.mean(axis=0), seen.std(axis=0)
    scale[scale == 0] = np.inf  # what was always the same tells nothing
    seen = (seen - centre) / scale
    slopes = np.linalg.solve(seen.T @ seen + SHRINKAGE * np.eye(len(names)), seen.T @ (seconds - seconds.mean()))
    found = seconds.mean() + (_table(candidates, names) - centre) / scale @ slopes
    return np.exp(np.clip(found, seconds.min(), seconds.max()))


def _costs(candidate: Candidate) -> dict[str, float]:
    features = candidate.features.get("known") or of_known(candidate.known)
    return {str(name): value for name, value in features.items()}


def _table(candidates: Sequence[Candidate], names: Sequence[str]) -> Floats:
    costs = [_costs(candidate) for candidate in candidates]
    return np.array([[cost.get(name, 0.0) for name in names] for cost in costs])
