"""One choice, as whoever answers it sees it."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

Value = int | str


@dataclass(frozen=True)
class Choice:
    """One choice met while drawing.

    Attributes:
        domain: all alternatives as written, integers or printed texts; it never changes for one name of one space.
        viable: those that can still be completed here.
        weights: prior weight of each entry of the domain.
    """

    domain: tuple[Value, ...]
    viable: tuple[Value, ...]
    weights: tuple[float, ...]

    def draw(self, rng: random.Random) -> Value:
        """A viable alternative by the prior."""
        edges = self.edges
        if len(edges) == 1:
            return self.viable[0]
        return self.viable[bisect(edges, rng.random() * edges[-1], 0, len(edges) - 1)]

    @cached_property
    def edges(self) -> list[float]:
        """Sums of the weights of the viable alternatives up to each of them."""
        weight = dict(zip(self.domain, self.weights, strict=True))
        return list(accumulate(weight[value] for value in self.viable))

    def repair(self, value: Value) -> Value:
        """The value itself if it is viable; else the nearest viable integer (the lower on a tie), or the next
        viable alternative in text order, cyclically.
        """
        if value in self.viable:
            return value
        if all(isinstance(v, int) for v in self.domain) and isinstance(value, int):
            return min((v for v in self.viable if isinstance(v, int)), key=lambda v: (abs(v - value), v))
        start = self.domain.index(value) if value in self.domain else 0
        order = self.domain[start:] + self.domain[:start]
        return next(v for v in order if v in self.viable)


Choose = Callable[[str, Choice], Value]
