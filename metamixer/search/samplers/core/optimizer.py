"""Proposing by expected gain of hypervolume, with some objectives known exactly and a model of the others.

What is proposed is a function of what was observed, of what is pending and of a seed; nothing else is remembered
between proposals but distances already worked out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from threadpoolctl import ThreadpoolController

from metamixer.pareto import non_dominated, ranks
from metamixer.search.samplers.core.duration import expected_seconds
from metamixer.search.samplers.core.features import Distances
from metamixer.search.samplers.core.observations import Observation, Supports, subset
from metamixer.search.samplers.core.pareto import (
    Belief,
    Boxes,
    Exact,
    Floats,
    boxes,
    expected_improvement,
)
from metamixer.search.samplers.core.surrogate import NOISE, Believed, Posterior, Warp, fit
from metamixer.search.samplers.core.variation import Candidate, Draws, crossed, fresh, mutated

FITTED = 150  # observations that hyper-parameters are fitted to
SMALLEST = 1e-9  # gain, as a share of the volume at stake, below which nothing is gained
WIDER = (0.0, 0.1, 0.3, 1.0, 3.0)  # deviation added to beliefs, in those of the observations
MODELLED = 1500  # observations that the model stands on
# The cores are the trials'; and what several threads add up differs in its last bits from machine to machine.
_in_one_thread = ThreadpoolController().wrap(limits=1, user_api="blas")


@dataclass(frozen=True)
class Settings:
    """How candidates are made and judged.

    Attributes:
        families: features the model sees, see `metamixer.search.samplers.core.features`.
        startup: architectures spread over the range of costs before the model takes over.
        draws: fresh candidates of a proposal.
        mutations: mutated ones.
        crossovers: crossed ones.
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


class Modelled:
    """Beliefs about every objective after some observations; pending candidates count as if their mean had come.

    Args:
        observed: what was evaluated; at least two.
        pending: what is being evaluated.
        objectives: how many there are.
        distances: of the features of all of these; extended here.

    Attributes:
        processes: the model of each objective that is not known.
        candidates: what may stand on the front: eligible observations, then pending ones.
        points: their objectives, (candidates, objectives): posterior medians, and exact values.
    """

    def __init__(
        self, observed: Sequence[Observation], pending: Sequence[Candidate], objectives: int, distances: Distances
    ) -> None:
        self.observed = [observed[i] for i in subset(observed, objectives, MODELLED)]
        self.pending = list(pending)
        self.objectives = objectives
        self.distances = distances
        self.processes: dict[int, Posterior] = {}
        self._items = [item.candidate for item in self.observed] + self.pending
        squares = distances.among(self._items)
        self._families = [i for i, square in enumerate(squares) if square.any()] or [0]
        above = np.triu_indices(len(self._items), 1)
        self._scales = [float(squares[i][above].mean()) or 1.0 for i in self._families]
        squares = [squares[i] / scale for i, scale in zip(self._families, self._scales, strict=True)]
        known = set(self._items[0].known)
        done = len(self.observed)
        fitted = np.array(subset(self.observed, objectives, FITTED))
        replicates = np.array([item.replicates for item in self.observed], dtype=float)
        beliefs: list[Belief] = []
        for objective in range(objectives):
            if objective in known:
                beliefs.append(Exact(np.array([item.known[objective] for item in self._items])))
                continue
            values = np.array([item.values[objective] for item in self.observed])
            warp = Warp.fitted(values)
            targets = warp.forward(values)
            hyper = fit(
                [square[np.ix_(fitted, fitted)] for square in squares],
                targets[fitted],
                1 / replicates[fitted],
                self._noise(objective, warp, values),
            )
            inner = [square[:done, :done] for square in squares]
            process = Posterior.on(hyper, warp, inner, targets, 1 / replicates)
            if self.pending:
                believed = process.at([square[done:, :done] for square in squares])
                process = Posterior.on(
                    hyper,
                    warp,
                    squares,
                    np.concatenate([targets, believed.mean]),
                    np.concatenate([1 / replicates, np.ones(len(self.pending))]),
                )
            self.processes[objective] = process
            beliefs.append(process.at(squares))
        eligible = [i for i, item in enumerate(self.observed) if item.eligible] + list(range(done, len(self._items)))
        self.candidates = [self._items[i] for i in eligible]
        self.points = _centres(beliefs)[eligible]

    def _noise(self, objective: int, warp: Warp, values: Floats) -> tuple[float, float]:
        """What replicates say of the noise before the model is fitted."""
        slopes = warp.slope(values)
        several = [(i, item) for i, item in enumerate(self.observed) if item.replicates > 1 and item.spread]
        freedom = sum(item.replicates - 1 for _, item in several)
        if not freedom:
            return NOISE
        pooled = sum(item.spread[objective] * slopes[i] ** 2 * (item.replicates - 1) for i, item in several) / freedom
        return float(np.log(max(pooled, np.exp(NOISE[0] - 3 * NOISE[1])))), float(NOISE[1] / np.sqrt(1 + freedom))

    def at(self, candidates: Sequence[Candidate], wider: float = 0.0) -> list[Belief]:
        """Beliefs about candidates, one an objective, of them not surer than `wider`."""
        squares = self.distances.to(candidates, self._items)
        squares = [squares[i] / scale for i, scale in zip(self._families, self._scales, strict=True)]
        return [
            self.processes[objective].at(squares, wider)
            if objective in self.processes
            else Exact(np.array([candidate.known[objective] for candidate in candidates]))
            for objective in range(self.objectives)
        ]


class KnownCost:
    """Proposes candidates of one space; see the module.

    Args:
        objectives: how many there are, all minimised.
        settings: see there.
        reference: objective values, minimised, beyond which nothing counts; None to take the worst seen.
    """

    supports: ClassVar[Supports] = Supports(
        "expected gain of hypervolume",
        "all",
        known_cost=True,
        sentence=True,
        running=True,
        replicates=True,
        no_repeats=True,
    )

    def __init__(
        self, objectives: int, settings: Settings | None = None, reference: Sequence[float] | None = None
    ) -> None:
        self.objectives = objectives
        self.reference = reference
        self.settings = settings or Settings()
        self.distances = Distances(self.settings.families)

    def model(self, observed: Sequence[Observation], pending: Sequence[Candidate] = ()) -> Modelled:
        """Beliefs after these observations."""
        return Modelled(observed, pending, self.objectives, self.distances)

    @_in_one_thread
    def propose(
        self,
        observed: Sequence[Observation],
        pending: Sequence[Candidate],
        taken: Callable[[Hashable], bool],
        draws: Draws,
        rng: random.Random,
    ) -> tuple[Candidate | None, dict[str, Any]]:
        """See `metamixer.search.samplers.derivations.Engine.propose`."""
        begun = [item.candidate for item in observed if item.eligible or item.replicates < 1] + list(pending)
        if len(begun) < self.settings.startup or len(observed) < 2:
            return self._spread(begun, taken, draws, rng)
        model = self.model(observed, pending)
        parents = [model.candidates[i].choices for i in np.flatnonzero(ranks(model.points, "min") <= 1)]
        front = [model.candidates[i].choices for i in non_dominated(model.points, "min")]
        settings = self.settings
        pool = _Pool(taken if settings.unseen else lambda key: False)
        pool.fill(settings.draws, lambda: fresh(draws, rng))
        pool.fill(settings.mutations, lambda: mutated(draws, rng.choice(front if rng.random() < 0.7 else parents), rng))
        pool.fill(settings.crossovers, lambda: crossed(draws, rng.choice(front), rng.choice(parents), rng))
        if not pool.items:
            return None, {}
        region = boxes(model.points, self._reference(model, pool.items))
        gains, wider = self._gains(model, pool.items, region)
        worth = gains / self._price(observed, pool.items)
        best = [pool.items[i].choices for i in np.argsort(-worth, kind="stable")[:4]]
        more = _Pool(lambda key: (settings.unseen and taken(key)) or key in pool.keys)
        more.fill(settings.refinements, lambda: mutated(draws, rng.choice(best), rng))
        if more.items:
            gains = np.concatenate([gains, expected_improvement(model.at(more.items, wider), region)])
        candidates = pool.items + more.items
        price = self._price(observed, candidates)
        chosen = int(np.argmax(gains / price))
        why = {
            "source": candidates[chosen].source,
            "pool": len(candidates),
            "observed": len(model.observed),
            "pending": len(model.pending),
            "gain": float(gains[chosen]),
            "wider": wider,
            "expected": _centres(model.at([candidates[chosen]]))[0].tolist(),
            "noise": {str(i): float(np.exp(process.hyper.noise)) for i, process in model.processes.items()},
            **({"seconds": float(price[chosen])} if settings.per_second else {}),
        }
        return candidates[chosen], why

    def _price(self, observed: Sequence[Observation], candidates: Sequence[Candidate]) -> Floats:
        """What a gain is divided by: the seconds that it takes, or one evaluation."""
        return expected_seconds(observed, candidates) if self.settings.per_second else np.ones(len(candidates))

    def _gains(self, model: Modelled, candidates: Sequence[Candidate], region: Boxes) -> tuple[Floats, float]:
        """Expected gains; where nothing is expected to gain, as if the model were less sure of itself."""
        for wider in WIDER:
            gains = expected_improvement(model.at(candidates, wider), region)
            if gains.max() > SMALLEST * np.prod(region.upper.max(axis=0) - model.points.min(axis=0)):
                break
        return gains, wider

    @_in_one_thread
    def recommend(self, observed: Sequence[Observation]) -> list[int]:
        """Indices of the observations that none other dominates, by posterior median and exact values."""
        eligible = [i for i, item in enumerate(observed) if item.eligible]
        if len(observed) < 2:
            return eligible
        beliefs = self.model(observed).at([observed[i].candidate for i in eligible])
        return [eligible[i] for i in non_dominated(_centres(beliefs), "min")]

    def _reference(self, model: Modelled, pool: Sequence[Candidate]) -> Floats:
        if self.reference is not None:
            return np.array(self.reference, dtype=float)
        found = []
        for objective in range(self.objectives):
            seen = model.points[:, objective]
            if objective in model.processes:
                values = np.array([item.values[objective] for item in model.observed])
                found.append(float(values.max() + 0.01 * np.ptp(values)) + 1e-12)
            else:
                most = max(float(seen.max()), *(candidate.known[objective] for candidate in pool))
                found.append(most + 0.01 * (most - float(seen.min())) + 1e-12)
        return np.array(found)

    def _spread(
        self, seen: Sequence[Candidate], taken: Callable[[Hashable], bool], draws: Draws, rng: random.Random
    ) -> tuple[Candidate | None, dict[str, Any]]:
        """The next of the first architectures: spread over the range of what is known, far from those before.

        Targets are the cheapest, the dearest, then the middle of the widest gap between those that are there.
        """
        pool = _Pool(taken)
        pool.fill(self.settings.draws, lambda: fresh(draws, rng))
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
                    pool.fill(self.settings.refinements // 4, lambda: mutated(draws, best.choices, rng))  # noqa: B023
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
            found = make()
            if found is not None and found.key not in self.keys and not self.taken(found.key):
                self.keys.add(found.key)
                self.items.append(found)


def _centres(beliefs: Sequence[Belief]) -> Floats:
    """(candidates, objectives): the median of what is believed, or what is known."""
    return np.stack([b.median if isinstance(b, Believed) else b.values for b in beliefs], axis=1)  # type: ignore[attr-defined]


def _gap(places: Sequence[float]) -> float:
    """The end of 0..1 that nothing is near to, or the middle of the widest gap between places; first 0."""
    inside = sorted(min(max(place, 0.0), 1.0) for place in places)
    if not inside:
        return 0.0
    gaps = [(2 * inside[0], 0.0), (2 * (1 - inside[-1]), 1.0)]
    gaps += [(right - left, (left + right) / 2) for left, right in pairwise(inside)]
    return max(gaps, key=lambda gap: gap[0])[1]
