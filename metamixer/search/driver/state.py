"""What a search has so far, kept up to date trial by trial: what is asked after each must not look at all of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from metamixer.record import Trial, front


class SearchState:
    """Running aggregates of a record: counts, and the front of its searched architectures.

    Attributes:
        kinds: Trials by kind, whatever their state.
        finished: Trials that ended, by kind.
        failed: Trials that failed.
        stopped: Trials that were stopped early here, not in an earlier study.
        open: Trials that are running, by number.
        baselines: Numbers of baselines, by name.
        epochs: Epochs of searched architectures that ended, over their first seeds.
    """

    def __init__(self, trials: Iterable[Trial] = ()) -> None:
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
        for trial in trials:
            self.put(trial)

    def put(self, trial: Trial) -> None:
        """Take a trial in: when it is added, and once more when it has ended."""
        if trial.number not in self.open:
            self.kinds[trial.kind] += 1
        if trial.kind == "baseline":
            self.baselines[trial.name or ""] = trial.number
        if trial.replicate_of is not None:
            self._replicates[trial.replicate_of].add(trial.seed_index)
        if not trial.finished:
            self.open[trial.number] = trial
            return
        before = self.open.pop(trial.number, trial)
        self.kinds[before.kind] -= 1  # what was cut off while it was proposed is a proposal from now on
        self.kinds[trial.kind] += 1
        self.finished[trial.kind] += 1
        self.failed += trial.state == "failed"
        self.stopped += trial.stopped and trial.kind == "searched"
        if trial.kind == "searched":
            self.epochs += trial.epochs or 0
        if trial.state == "complete" and trial.accuracy is not None and trial.cost is not None:
            self._train(trial)

    def _train(self, trial: Trial) -> None:
        first = trial.number if trial.replicate_of is None else trial.replicate_of
        self._seeds[first].append(trial.accuracy or 0.0)
        if trial.searched:
            self._flops[trial.number] = trial.flops
            self._front.append(trial.number)
            if not self._moved and len(self._seeds[trial.number]) == 1:
                # One more point among those that nothing dominated: what was dominated before stays so.
                self._front = self._non_dominated(self._front)
                return
        self._moved = True  # a mean has moved, and may set free what it dominated

    def replicates(self, number: int) -> set[int]:
        """Which replicates of a trial there are, running ones included."""
        return self._replicates.get(number, set())

    @property
    def replicated(self) -> Mapping[int, set[int]]:
        """Trials that have replicates, running ones included."""
        return self._replicates

    def spent_epochs(self, full: int) -> int:
        """Epochs of searched architectures, those that run with all that they may take."""
        return self.epochs + full * sum(trial.kind == "searched" for trial in self.open.values())

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
