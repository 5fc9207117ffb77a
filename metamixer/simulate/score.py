"""What simulated searches found, scored by seeds that they did not see.

A search recommends the front of what it observed, and a sampler with a model also the one it believes in. Its worth is
the hypervolume of that front with the accuracy of each member taken over the seeds that the search did *not* see (all,
where it saw them all), as a share of the hypervolume of the table's front by the mean of all seeds. Error and FLOPs are
scaled to the table's range, the reference point is the worst corner (`error 1, FLOPs 1`).
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metamixer.errors import RecordError
from metamixer.pareto import ACCURACY_FLOPS, hypervolume
from metamixer.record import Trial, front
from metamixer.search.samplers.protocol import Parts, Setup
from metamixer.search.samplers.sentences import known_cost
from metamixer.simulate.run import Simulated, order
from metamixer.simulate.space import parsed
from metamixer.simulate.table import Entry, Table


@dataclass(frozen=True)
class Scale:
    """A table's range, and the hypervolume of its own front."""

    table: Table

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        accuracies = [entry.accuracy for entry in self.table.entries]
        flops = [entry.flops for entry in self.table.entries]
        return min(accuracies), max(accuracies), min(flops), max(flops)

    @cached_property
    def whole(self) -> float:
        return self._hypervolume([(entry.accuracy, entry.flops) for entry in self.table.entries])

    def share(self, points: Sequence[tuple[float, float]]) -> float:
        """Hypervolume of (accuracy, flops) points as a share of the table's own.

        Raises:
            RecordError: the table's own front spans no area, as with one or two architectures.
        """
        if not self.whole:
            raise RecordError(
                f"the front of {self.table.name} spans no area: {len(self.table.entries)} architecture(s)",
                None,
                "a table is scored from three architectures on that differ in accuracy and in FLOPs",
            )
        return self._hypervolume(points) / self.whole

    def _hypervolume(self, points: Sequence[tuple[float, float]]) -> float:
        low, high, cheap, dear = self.bounds
        better, cost = (high - low) or 1.0, (dear - cheap) or 1.0
        scaled = [((a - low) / better, (f - cheap) / cost) for a, f in points]
        return hypervolume(scaled, (0.0, 1.0), ACCURACY_FLOPS)


def unseen(simulated: Simulated, entry: Entry, seen: int) -> float:
    """Mean accuracy of an architecture over the seeds that a search did not see; over all where it saw them all."""
    drawn = order(simulated.table, entry, simulated.seed)
    return statistics.fmean(training.accuracy for training in drawn[seen:] or drawn)


def recommended(trials: Iterable[Trial]) -> list[tuple[Trial, int]]:
    """The front of the means that were observed: its trials, and how many seeds of each were seen."""
    firsts, values = _observed(trials)
    known = [trial for key, trial in firsts.items() if trial.kind == "searched"]
    members = front.efficient([(statistics.fmean(values[trial.key or ""]), trial.flops) for trial in known])
    return [(known[i], len(values[known[i].key or ""])) for i in members]


def _observed(trials: Iterable[Trial]) -> tuple[dict[str, Trial], dict[str, list[float]]]:
    """The first complete trial of each architecture by key, and the accuracies of all of them."""
    firsts: dict[str, Trial] = {}
    values: dict[str, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.state == "complete" and trial.accuracy is not None:
            values[trial.key or ""].append(trial.accuracy)
            firsts.setdefault(trial.key or "", trial)
    return firsts, values


@dataclass(frozen=True)
class Curve:
    """How far a search was whenever a training ended: trainings begun of the budget, epochs, seconds, and its share."""

    trainings: list[int]
    epochs: list[int]
    seconds: list[float]
    share: list[float]

    def at(self, trainings: int) -> float:
        """The share after so many trainings."""
        known = [share for n, share in zip(self.trainings, self.share, strict=True) if n <= trainings]
        return known[-1] if known else 0.0

    def reached(self, share: float) -> int | None:
        """The first index at which the share was reached, None if it was not."""
        return next((i for i, value in enumerate(self.share) if value >= share), None)


def curve(simulated: Simulated, scale: Scale) -> Curve:
    """A search's progress."""
    table = simulated.table
    ended: list[Trial] = []
    found = Curve([], [], [], [])
    worth: dict[tuple[int, ...], float] = {}
    trained = epochs = 0
    for number, when in simulated.ends:
        trial = simulated.trials[number]
        ended.append(trial)
        trained += trial.kind == "searched"
        epochs += trial.epochs or 0
        members = recommended(ended) if trial.state == "complete" else None
        if members is not None:
            key = tuple(n for trial, seen in members for n in (trial.number, seen))
            if key not in worth:
                points = [(unseen(simulated, table.by_key[m.key or ""], seen), float(m.flops)) for m, seen in members]
                worth[key] = scale.share(points)
            share = worth[key]
        else:
            share = found.share[-1] if found.share else 0.0
        found.trainings.append(trained)
        found.epochs.append(epochs)
        found.seconds.append(when)
        found.share.append(share)
    return found


def by_model(simulated: Simulated, scale: Scale) -> float | None:
    """The share of the front that the sampler's own model recommends in the end, None for samplers without one."""
    if simulated.recommended is None:
        return None
    return _worth(simulated, scale, simulated.trials, simulated.recommended)


def by_surrogate(
    simulated: Simulated, scale: Scale, after: Iterable[int] | None = None, parts: Parts | None = None
) -> Curve:
    """A search's progress if it recommends the front that the model of `known-cost` believes in, whoever proposed.

    Args:
        simulated: The search.
        scale: Of its table.
        after: How many trainings have ended, rising; by default all of them. The model is fitted for each.
        parts: Of the model.
    """
    whole = curve(simulated, scale)
    model = known_cost(Setup(startup=0, parts=parts or Parts()), lambda text: parsed(text).node)
    found = Curve([], [], [], [])
    ended = 0
    for number in after if after is not None else [len(simulated.ends)]:
        for at, _ in simulated.ends[ended:number]:
            model.observe(simulated.trials[at])
        ended = number
        seen = [simulated.trials[at] for at, _ in simulated.ends[:number]]
        found.trainings.append(whole.trainings[number - 1])
        found.epochs.append(whole.epochs[number - 1])
        found.seconds.append(whole.seconds[number - 1])
        found.share.append(_worth(simulated, scale, seen, model.recommend()))
    return found


def _worth(simulated: Simulated, scale: Scale, trials: Iterable[Trial], members: Iterable[int]) -> float:
    """The share of a front that was recommended after these trials."""
    _, values = _observed(trials)
    keys = {simulated.trials[number].key or "" for number in members}
    entries = [(simulated.table.by_key[key], len(values[key])) for key in sorted(keys)]
    return scale.share([(unseen(simulated, entry, n), float(entry.flops)) for entry, n in entries])


def ceiling(table: Table, seed: int) -> float:
    """What perfect knowledge of all seeds is worth when it is scored by all seeds but one: the noise's upper limit."""
    scale = Scale(table)
    members = front.efficient([(entry.accuracy, entry.flops) for entry in table.entries])
    nobody = Simulated(table, seed, [], [], 0.0)
    chosen = [table.entries[i] for i in members]
    return scale.share([(unseen(nobody, entry, 1), float(entry.flops)) for entry in chosen])


def everything(table: Table, seed: int) -> float:
    """What a search of this seed found that trained everything once, and recommends the front of what it observed."""
    scale = Scale(table)
    nobody = Simulated(table, seed, [], [], 0.0)
    seen = [(order(table, entry, seed)[0].accuracy, float(entry.flops)) for entry in table.entries]
    chosen = [table.entries[i] for i in front.efficient(seen)]
    return scale.share([(unseen(nobody, entry, 1), float(entry.flops)) for entry in chosen])


def noise(table: Table) -> tuple[float, float]:
    """Pooled standard deviation of seeds, and that of the architectures' means without the noise in them."""
    groups = np.array([[t.accuracy for t in entry.trainings[: table.seeds]] for entry in table.entries])
    within = float(groups.var(axis=1, ddof=1).mean()) if table.seeds > 1 else 0.0
    between = float(groups.mean(axis=1).var(ddof=1)) - within / table.seeds if len(groups) > 1 else 0.0
    return within**0.5, max(0.0, between) ** 0.5
