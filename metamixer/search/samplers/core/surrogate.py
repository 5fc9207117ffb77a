"""All objectives of architectures after some observations: each a Gaussian process, or known exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metamixer.search.samplers.core.features import Distances
from metamixer.search.samplers.core.gaussian_process import NOISE, GaussianProcess, OutcomeTransform, Posterior, fit
from metamixer.search.samplers.core.observations import Observation, subset
from metamixer.search.samplers.core.pareto import Exact, Floats, Prediction
from metamixer.search.samplers.core.variation import Candidate

FITTED = 150  # observations that hyperparameters are fitted to
FITTED_TO = 1500  # observations that the model stands on


class Surrogate:
    """What is expected of every objective after some observations; pending ones count as if their mean had come.

    Args:
        observations: what was evaluated; at least two.
        pending: what is being evaluated.
        objectives: how many there are.
        distances: of the features of all of these; extended here.

    Attributes:
        processes: the model of each objective that is not known.
        candidates: what may stand on the front: eligible observations, then pending ones.
        points: their objectives, (candidates, objectives): posterior medians, and exact values.
    """

    def __init__(
        self, observations: Sequence[Observation], pending: Sequence[Candidate], objectives: int, distances: Distances
    ) -> None:
        self.observations = [observations[i] for i in subset(observations, objectives, FITTED_TO)]
        self.pending = list(pending)
        self.objectives = objectives
        self.distances = distances
        self.processes: dict[int, GaussianProcess] = {}
        self._items = [item.candidate for item in self.observations] + self.pending
        squares = distances.among(self._items)
        self._families = [i for i, square in enumerate(squares) if square.any()] or [0]
        above = np.triu_indices(len(self._items), 1)
        self._scales = [float(squares[i][above].mean()) or 1.0 for i in self._families]
        squares = [squares[i] / scale for i, scale in zip(self._families, self._scales, strict=True)]
        exact = set(self._items[0].known)
        count = len(self.observations)
        fitted = np.array(subset(self.observations, objectives, FITTED))
        replicates = np.array([item.replicates for item in self.observations], dtype=float)
        predictions: list[Prediction] = []
        for objective in range(objectives):
            if objective in exact:
                predictions.append(Exact(np.array([item.known[objective] for item in self._items])))
                continue
            values = np.array([item.values[objective] for item in self.observations])
            transform = OutcomeTransform.fitted(values)
            targets = transform.forward(values)
            hyper = fit(
                [square[np.ix_(fitted, fitted)] for square in squares],
                targets[fitted],
                1 / replicates[fitted],
                self._noise(objective, transform, values),
            )
            among_observed = [square[:count, :count] for square in squares]
            process = GaussianProcess.on(hyper, transform, among_observed, targets, 1 / replicates)
            if self.pending:
                expected = process.at([square[count:, :count] for square in squares])
                process = GaussianProcess.on(
                    hyper,
                    transform,
                    squares,
                    np.concatenate([targets, expected.mean]),
                    np.concatenate([1 / replicates, np.ones(len(self.pending))]),
                )
            self.processes[objective] = process
            predictions.append(process.at(squares))
        eligible = [i for i, item in enumerate(self.observations) if item.eligible]
        eligible += range(count, len(self._items))
        self.candidates = [self._items[i] for i in eligible]
        self.points = centres(predictions)[eligible]

    def _noise(self, objective: int, transform: OutcomeTransform, values: Floats) -> tuple[float, float]:
        """What replicates say of the noise before the model is fitted."""
        slopes = transform.slope(values)
        several = [(i, item) for i, item in enumerate(self.observations) if item.replicates > 1 and item.spread]
        freedom = sum(item.replicates - 1 for _, item in several)
        if not freedom:
            return NOISE
        pooled = sum(item.spread[objective] * slopes[i] ** 2 * (item.replicates - 1) for i, item in several) / freedom
        return float(np.log(max(pooled, np.exp(NOISE[0] - 3 * NOISE[1])))), float(NOISE[1] / np.sqrt(1 + freedom))

    def at(self, candidates: Sequence[Candidate], inflation: float = 0.0) -> list[Prediction]:
        """What is expected of candidates, one an objective.

        Args:
            candidates: of the same space.
            inflation: deviation added to that of the posteriors, in deviations of the observations.
        """
        squares = self.distances.to(candidates, self._items)
        squares = [squares[i] / scale for i, scale in zip(self._families, self._scales, strict=True)]
        return [
            self.processes[objective].at(squares, inflation)
            if objective in self.processes
            else Exact(np.array([candidate.known[objective] for candidate in candidates]))
            for objective in range(self.objectives)
        ]


def centres(predictions: Sequence[Prediction]) -> Floats:
    """(candidates, objectives): posterior medians, or what is known exactly."""
    return np.stack([p.median if isinstance(p, Posterior) else p.values for p in predictions], axis=1)  # type: ignore[attr-defined]
