"""Grammar-aware evolution: an archive of non-dominated derivations, subtree mutation and crossover, no duplicates."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from metamixer.pareto import non_dominated, ranks
from metamixer.search.samplers.core.observations import Observation, values_of
from metamixer.search.samplers.core.pareto import crowding
from metamixer.search.samplers.core.variation import Candidate, CandidateSpace, crossover, mutate, sample

ARCHIVE = 20  # architectures that may become parents
CROSSOVER = 0.3  # share of children with two parents
TRIES = 60  # children in a row that are known or not legal, before one from the prior is taken


class Evolution:
    """Children of an archive: the best by front and crowding (Deb et al. 2002), parents by binary tournament.

    Args:
        objectives: how many there are, all minimised.
        startup: architectures drawn from the prior first.
        archive: how many may become parents.
    """

    def __init__(self, objectives: int, startup: int = 12, archive: int = ARCHIVE) -> None:
        self.objectives, self.startup, self.archive = objectives, startup, archive

    def propose(
        self,
        observations: Sequence[Observation],
        pending: Sequence[Candidate],
        taken: Callable[[Hashable], bool],
        space: CandidateSpace,
        rng: random.Random,
    ) -> tuple[Candidate | None, dict[str, Any]]:
        """See `metamixer.search.samplers.core.optimizer.Optimizer`."""
        eligible = [item for item in observations if item.eligible]
        grown = len(eligible) + len(pending) >= self.startup and bool(eligible)
        order = self._order(eligible) if grown else []

        def parent() -> Candidate:
            return eligible[order[min(rng.randrange(len(order)), rng.randrange(len(order)))]].candidate

        for attempt in range(2 * TRIES):
            if not grown or attempt >= TRIES:
                child = sample(space, rng)
            elif rng.random() < CROSSOVER:
                child = crossover(space, parent(), parent(), rng)
            else:
                child = mutate(space, parent(), rng)
            if child is not None and not taken(child.key):
                return child, {"source": child.origin, "observed": len(eligible), "pending": len(pending)}
        return None, {}

    def _order(self, observations: Sequence[Observation]) -> list[int]:
        """The archive: indices, best first."""
        points = values_of(observations, self.objectives)
        rank = ranks(points, "min")
        order: list[int] = []
        for front in range(int(rank.max()) + 1):
            members = np.flatnonzero(rank == front)
            order += members[np.argsort(-crowding(points[members]), kind="stable")].tolist()
            if len(order) >= self.archive:
                break
        return order[: self.archive]

    def recommend(self, observations: Sequence[Observation]) -> list[int]:
        """Indices of the observations that none other dominates, as they were observed."""
        eligible = [i for i, item in enumerate(observations) if item.eligible]
        points = values_of([observations[i] for i in eligible], self.objectives)
        return [eligible[i] for i in non_dominated(points, "min")]
