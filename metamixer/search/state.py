"""Where a record stands, kept up to date row by row: what is asked after every trial must not look at all rows."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from metamixer.record import Trial, front


class Standing:
    """Counts of a record, and the front of its searched architectures.

    Attributes:
        kinds: Rows by kind, whatever their state.
        finished: Rows that ended, by kind.
        failed: Rows that failed.
        stopped: Rows that were stopped early here, not in an earlier study.
        open: Rows that are running, by number.
        baselines: Numbers of baselines, by name.
        epochs: Epochs of searched architectures that ended, over their first seeds.
    """

    def __init__(self, rows: Iterable[Trial] = ()) -> None:
        self.kinds: Counter[str] = Counter()
        self.finished: Counter[str] = Counter()
        self.failed = self.stopped = self.epochs = 0
        self.open: dict[int, Trial] = {}
        self.baselines: dict[str, int] = {}
        self._replicates: dict[int, set[int]] = defaultdict(set)
        self._seeds: dict[int, list[float]] = defaultdict(list)
        self._flops: dict[int, int] = {}
        self._front: list[int] = []
        self._moved = False
        for row in rows:
            self.put(row)

    def put(self, row: Trial) -> None:
        """Take a row in: when it is added, and once more when it has ended."""
        if row.number not in self.open:
            self.kinds[row.kind] += 1
        if row.kind == "baseline":
            self.baselines[row.name or ""] = row.number
        if row.replicate_of is not None:
            self._replicates[row.replicate_of].add(row.seed_index)
        if not row.finished:
            self.open[row.number] = row
            return
        before = self.open.pop(row.number, row)
        self.kinds[before.kind] -= 1  # what was cut off while it was proposed is a proposal from now on
        self.kinds[row.kind] += 1
        self.finished[row.kind] += 1
        self.failed += row.state == "failed"
        self.stopped += row.stopped and row.kind == "searched"
        if row.kind == "searched":
            self.epochs += row.epochs or 0
        if row.state == "complete" and row.accuracy is not None and row.cost is not None:
            self._train(row)

    def _train(self, row: Trial) -> None:
        first = row.number if row.replicate_of is None else row.replicate_of
        self._seeds[first].append(row.accuracy or 0.0)
        if row.searched:
            self._flops[row.number] = row.flops
            self._front.append(row.number)
            if not self._moved and len(self._seeds[row.number]) == 1:
                # One more point among those that nothing dominated: what was dominated before stays so.
                self._front = self._non_dominated(self._front)
                return
        self._moved = True  # a mean has moved, and may set free what it dominated

    def replicates(self, number: int) -> set[int]:
        """Which replicates of a row there are, running ones included."""
        return self._replicates.get(number, set())

    @property
    def replicated(self) -> Mapping[int, set[int]]:
        """Rows that have replicates, running ones included."""
        return self._replicates

    def spent_epochs(self, full: int) -> int:
        """Epochs of searched architectures, those that run with all that they may take."""
        return self.epochs + full * sum(row.kind == "searched" for row in self.open.values())

    @property
    def front(self) -> list[int]:
        """Numbers of the searched architectures that no other dominates in the means over seeds, by rising FLOPs."""
        if self._moved:
            self._front, self._moved = self._non_dominated(list(self._flops)), False
        return self._front

    def front_without(self, numbers: Collection[int]) -> list[int]:
        """The front if these architectures were not there."""
        return self._non_dominated([number for number in self._flops if number not in numbers])

    @property
    def points(self) -> list[tuple[float, int]]:
        """Mean accuracy and FLOPs of the front's members, by rising FLOPs."""
        return [(float(np.mean(self._seeds[number])), self._flops[number]) for number in self.front]

    def _non_dominated(self, numbers: list[int]) -> list[int]:
        seeds = [self._seeds[number] for number in numbers]
        means = [values[0] if len(values) == 1 else float(np.mean(values)) for values in seeds]
        kept = front.efficient([(mean, self._flops[number]) for mean, number in zip(means, numbers, strict=True)])
        return [numbers[index] for index in kept]
