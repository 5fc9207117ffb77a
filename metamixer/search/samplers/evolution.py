"""Grammar-aware evolution: an archive of non-dominated derivations, subtree mutation and crossover, no duplicates."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from typing import Any, ClassVar

import numpy as np

from metamixer.pareto import non_dominated, ranks
from metamixer.search.samplers.core.observations import Observation, Supports, values_of
from metamixer.search.samplers.core.pareto import crowding
from metamixer.search.samplers.core.variation import Candidate, Draws, crossed, fresh, mutated

ARCHIVE = 20  # architectures that may become parents
CROSSOVER = 0.3  # share of children with two parents
TRIES = 60  # children in a row that are known or not legal, before a fresh one is taken


class Evolution:
    """Children of an archive: the best by front and crowding (Deb et al. 2002), parents by binary tournament.

    Args:
        objectives: how many there are, all minimised.
        startup: architectures drawn from the prior first.
        archive: how many may become parents.
    """

    supports: ClassVar[Supports] = Supports(
        "mutation and crossover of subtrees, from an archive", "all", replicates=True, no_repeats=True
    )

    def __init__(self, objectives: int, startup: int = 12, archive: int = ARCHIVE) -> None:
        self.objectives, self.startup, self.archive = objectives, startup, archive

    def propose(
        self,
        observed: Sequence[Observation],
        pending: Sequence[Candidate],
        taken: Callable[[Hashable], bool],
        draws: Draws,
        rng: random.Random,
    ) -> tuple[Candidate | None, dict[str, Any]]:
        """See `metamixer.search.samplers.derivations.Engine.propose`."""
        observed = [item for item in observed if item.eligible]
        grown = len(observed) + len(pending) >= self.startup and bool(observed)
        order = self._order(observed) if grown else []

        def parent() -> Candidate:
            return observed[order[min(rng.randrange(len(order)), rng.randrange(len(order)))]].candidate

        for attempt in range(2 * TRIES):
            if not grown or attempt >= TRIES:
                child = fresh(draws, rng)
            elif rng.random() < CROSSOVER:
                child = crossed(draws, parent().choices, parent().choices, rng)
            else:
                child = mutated(draws, parent().choices, rng)
            if child is not None and not taken(child.key):
                return child, {"source": child.source, "observed": len(observed), "pending": len(pending)}
        return None, {}

    def _order(self, observed: Sequence[Observation]) -> list[int]:
        """The archive: indices, best first."""
        points = values_of(observed, self.objectives)
        rank = ranks(points, "min")
        order: list[int] = []
        for front in range(int(rank.max()) + 1):
            members = np.flatnonzero(rank == front)
            order += members[np.argsort(-crowding(points[members]), kind="stable")].tolist()
            if len(order) >= self.archive:
                break
        return order[: self.archive]

    def recommend(self, observed: Sequence[Observation]) -> list[int]:
        """Indices of the observations that none other dominates, as they were observed."""
        eligible = [i for i, item in enumerate(observed) if item.eligible]
        points = values_of([observed[i] for i in eligible], self.objectives)
        return [eligible[i] for i in non_dominated(points, "min")]
