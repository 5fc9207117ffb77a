"""Proposing by expected gain of hypervolume, with some objectives known exactly and a model of the others.

What is proposed is a function of what was observed, of what is pending and of a seed; nothing else is remembered
between proposals but distances already worked out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from metamixer.pareto import non_dominated, ranks
from metamixer.search.samplers.core.duration import DurationModel
from metamixer.search.samplers.core.features import Distances
from metamixer.search.samplers.core.observations import Observation
from metamixer.search.samplers.core.pareto import Boxes, Floats, boxes, expected_improvement
from metamixer.search.samplers.core.surrogate import Surrogate, centres
from metamixer.search.samplers.core.variation import Candidate, CandidateSpace, crossover, mutate, sample

SMALLEST = 1e-9  # gain, as a share of the volume at stake, below which nothing is gained
INFLATIONS = (0.0, 0.1, 0.3, 1.0, 3.0)  # deviations added to the posteriors', in those of the observations


class Optimizer(Protocol):
    """Proposes from what was observed and what is pending; remembers nothing that its answers depend on."""

    objectives: int

    def propose(
        self,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        taken: Callable[[Hashable], bool],
        space: CandidateSpace,
        rng: random.Random,
    ) -> tuple[Candidate | None, dict[str, Any]]:
        """The next candidate and why; None where no unseen legal one was found.

        Args:
            observations: what was evaluated, one an architecture.
            pending: what is being evaluated.
            taken: whether an architecture was, is being, or shall not be evaluated.
            space: where candidates come from.
            rng: source of randomness.
        """

    def recommend(self, observations: Sequence[Observation]) -> list[int]:
        """Indices of the observations that are the front."""


@dataclass(frozen=True)
class Settings:
    """How candidates are made and judged.

    Attributes:
        families: features the model sees, see `metamixer.search.samplers.core.features`.
        startup: architectures spread over the range of costs before the model takes over.
        draws: candidates of a proposal from the prior.
        mutations: mutated ones.
        crossovers: those of two parents.
        refinements: mutations of the best of them.
        unseen: whether an architecture is proposed once only.
        per_second: what is expected to gain most per second is proposed, not per evaluation; the seconds follow from
            the known costs, see `metamixer.search.samplers.core.duration`.
    """

    families: tuple[str, ...] = ("choices", "rules", "labels", "graph", "known")
    startup: int = 8
    draws: int = 100
    mutations: int = 100
    crossovers: int = 40
    refinements: int = 40
    unseen: bool = True
    per_second: bool = False


class KnownCost:
    """Proposes candidates of one space; see the module.

    Args:
        objectives: how many there are, all minimised.
        settings: see there.
        reference: objective values, minimised, beyond which nothing counts; None to take the worst seen.
    """

    def __init__(
        self, objectives: int, settings: Settings | None = None, reference: Sequence[float] | None = None
    ) -> None:
        self.objectives = objectives
        self.reference = reference
        self.settings = settings or Settings()
        self.distances = Distances(self.settings.families)

    def model(self, observations: Sequence[Observation], pending: Sequence[Candidate] = ()) -> Surrogate:
        """The surrogate after these observations."""
        return Surrogate(observations, pending, self.objectives, self.distances)

    def propose(
        self,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        taken: Callable[[Hashable], bool],
        space: CandidateSpace,
        rng: random.Random,
    ) -> tuple[Candidate | None, dict[str, Any]]:
        """See `Optimizer`."""
        started = [item.candidate for item in observations if item.eligible or item.replicates < 1] + list(pending)
        if len(started) < self.settings.startup or len(observations) < 2:
            return self._spread(started, taken, space, rng)
        model = self.model(observations, pending)
        parents = [model.candidates[i] for i in np.flatnonzero(ranks(model.points, "min") <= 1)]
        front = [model.candidates[i] for i in non_dominated(model.points, "min")]
        settings = self.settings
        pool = _Pool(taken if settings.unseen else lambda key: False)
        pool.fill(settings.draws, lambda: sample(space, rng))
        pool.fill(settings.mutations, lambda: mutate(space, rng.choice(front if rng.random() < 0.7 else parents), rng))
        pool.fill(settings.crossovers, lambda: crossover(space, rng.choice(front), rng.choice(parents), rng))
        if not pool.items:
            return None, {}
        region = boxes(model.points, self._reference(model, pool.items))
        gains, inflation = self._gains(model, pool.items, region)
        durations = self._durations(observations)
        worth = gains / durations(pool.items)
        best = [pool.items[i] for i in np.argsort(-worth, kind="stable")[:4]]
        more = _Pool(lambda key: (settings.unseen and taken(key)) or key in pool.keys)
        more.fill(settings.refinements, lambda: mutate(space, rng.choice(best), rng))
        if more.items:
            gains = np.concatenate([gains, expected_improvement(model.at(more.items, inflation), region)])
        candidates = pool.items + more.items
        seconds = durations(candidates)
        chosen = int(np.argmax(gains / seconds))
        reasons = {
            "source": candidates[chosen].origin,
            "pool": len(candidates),
            "observed": len(model.observations),
            "pending": len(model.pending),
            "gain": float(gains[chosen]),
            "inflation": inflation,
            "expected": centres(model.at([candidates[chosen]]))[0].tolist(),
            "noise": {str(i): float(np.exp(process.hyper.noise)) for i, process in model.processes.items()},
            **({"seconds": float(seconds[chosen])} if settings.per_second else {}),
        }
        return candidates[chosen], reasons

    def _durations(self, observations: Sequence[Observation]) -> Callable[[Sequence[Candidate]], Floats]:
        """What a gain is divided by: the seconds that it takes, or one evaluation."""
        if self.settings.per_second:
            return DurationModel(observations).seconds
        return lambda candidates: np.ones(len(candidates))

    def _gains(self, model: Surrogate, candidates: Sequence[Candidate], region: Boxes) -> tuple[Floats, float]:
        """Expected gains; where nothing is expected to gain, as if the model were less sure of itself."""
        for inflation in INFLATIONS:
            gains = expected_improvement(model.at(candidates, inflation), region)
            if gains.max() > SMALLEST * np.prod(region.upper.max(axis=0) - model.points.min(axis=0)):
                break
        return gains, inflation

    def recommend(self, observations: Sequence[Observation]) -> list[int]:
        """Indices of the observations that none other dominates, by posterior median and exact values."""
        eligible = [i for i, item in enumerate(observations) if item.eligible]
        if len(observations) < 2:
            return eligible
        predictions = self.model(observations).at([observations[i].candidate for i in eligible])
        return [eligible[i] for i in non_dominated(centres(predictions), "min")]

    def _reference(self, model: Surrogate, pool: Sequence[Candidate]) -> Floats:
        if self.reference is not None:
            return np.array(self.reference, dtype=float)
        bounds = []
        for objective in range(self.objectives):
            seen = model.points[:, objective]
            if objective in model.processes:
                values = np.array([item.values[objective] for item in model.observations])
                bounds.append(float(values.max() + 0.01 * np.ptp(values)) + 1e-12)
            else:
                most = max(float(seen.max()), *(candidate.known[objective] for candidate in pool))
                bounds.append(most + 0.01 * (most - float(seen.min())) + 1e-12)
        return np.array(bounds)

    def _spread(
        self, seen: Sequence[Candidate], taken: Callable[[Hashable], bool], space: CandidateSpace, rng: random.Random
    ) -> tuple[Candidate | None, dict[str, Any]]:
        """The next of the first architectures: spread over the range of what is known, far from those before.

        Targets are the cheapest, the dearest, then the middle of the widest gap between those that are there.
        """
        pool = _Pool(taken)
        pool.fill(self.settings.draws, lambda: sample(space, rng))
        if not pool.items:
            return None, {}
        known = sorted(pool.items[0].known)
        near = pool.items
        if known:
            objective = known[len(seen) % len(known)] if len(seen) >= 2 else known[0]

            def cost(candidate: Candidate) -> float:
                return candidate.known[objective]

            low, high = min(map(cost, pool.items)), max(map(cost, pool.items))
            place = _gap([(cost(item) - low) / ((high - low) or 1.0) for item in seen])
            if place in (0, 1):  # an extreme: descend from the nearest to it
                sign = 1 if place == 0 else -1
                for _ in range(4):
                    best = min(pool.items, key=lambda item: sign * cost(item))
                    pool.fill(self.settings.refinements // 4, lambda: mutate(space, best, rng))  # noqa: B023
                near = [min(pool.items, key=lambda item: sign * cost(item))]
            else:
                target = low + place * (high - low)
                near = sorted(pool.items, key=lambda item: abs(cost(item) - target))[: max(4, len(pool.items) // 8)]
        if seen and len(near) > 1:
            squares = self.distances.to(near, seen)
            scaled = [square / (square.mean() or 1.0) for square in squares]
            chosen = near[int(np.argmax(np.sum(scaled, axis=0).min(axis=1)))]
        else:
            chosen = near[0]
        return chosen, {"source": "start", "pool": len(pool.items), "observed": 0, "pending": 0}


class _Pool:
    """Distinct candidates that are not taken."""

    def __init__(self, taken: Callable[[Hashable], bool]) -> None:
        self.taken = taken
        self.items: list[Candidate] = []
        self.keys: set[Hashable] = set()

    def fill(self, number: int, make: Callable[[], Candidate | None]) -> None:
        """Up to so many more; one that is known, or not legal, is tried again once."""
        goal = len(self.items) + number
        for _ in range(2 * number):
            if len(self.items) >= goal:
                return
            candidate = make()
            if candidate is not None and candidate.key not in self.keys and not self.taken(candidate.key):
                self.keys.add(candidate.key)
                self.items.append(candidate)


def _gap(places: Sequence[float]) -> float:
    """The end of 0..1 that nothing is near to, or the middle of the widest gap between places; first 0."""
    inside = sorted(min(max(place, 0.0), 1.0) for place in places)
    if not inside:
        return 0.0
    gaps = [(2 * inside[0], 0.0), (2 * (1 - inside[-1]), 1.0)]
    gaps += [(right - left, (left + right) / 2) for left, right in pairwise(inside)]
    return max(gaps, key=lambda gap: gap[0])[1]
