"""The front of accuracy (up) against FLOPs (down): non-dominated points, hypervolume, and what became of baselines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from metamixer.pareto import ACCURACY_FLOPS, non_dominated
from metamixer.record.trial import Trial

VERDICTS = ("dominated", "not dominated", "undecided")


def efficient(points: ArrayLike) -> list[int]:
    """Indices of the (accuracy, flops) points that no other dominates, by rising flops."""
    array = np.asarray(points, dtype=float).reshape(-1, 2)
    return sorted(non_dominated(array, ACCURACY_FLOPS).tolist(), key=lambda index: array[index, 1])


@dataclass(frozen=True)
class Point:
    """One architecture, under one recipe, with all its seeds; its `kind` is `searched` or `baseline`.

    `number` is the trial that trained it first; `accuracy` the mean over its seeds; `error` the standard error of that
    mean (None for one seed). `on_front` says that no searched architecture dominates it, for searched ones alone;
    `verdict` is for baselines: `dominated`, `not dominated` or `undecided` (within one standard error); `recipe` what
    was chosen for keys of `[training]`, where these are searched.
    """

    number: int
    kind: str
    name: str | None
    sentence: str
    key: str | None
    cost: dict[str, int]
    accuracy: float
    error: float | None
    seeds: int
    on_front: bool = False
    verdict: str | None = None
    recipe: dict[str, int | str] = field(default_factory=dict)

    @property
    def flops(self) -> int:
        """Floating-point operations for one input: 2 x multiply-accumulates."""
        return 2 * self.cost["macs"]


def summary(trials: Iterable[Trial]) -> list[Point]:
    """One point for each architecture that has finished training, by number; baselines carry a verdict.

    The front is that of the means over seeds, among searched architectures. A baseline is dominated when a front
    member costs no more and is better by more than one standard error of the difference; undecided when the nearest
    is within it. An architecture with one seed is given the pooled spread of those with several.
    """
    seeds: dict[int, list[float]] = defaultdict(list)
    firsts = []
    for trial in trials:
        if trial.state != "complete" or trial.accuracy is None or trial.cost is None:
            continue
        if trial.searched or trial.kind == "baseline":
            firsts.append(trial)
            seeds[trial.number].append(trial.accuracy)
        elif trial.kind == "replicate" and trial.replicate_of is not None:
            seeds[trial.replicate_of].append(trial.accuracy)
    searched = [trial for trial in firsts if trial.searched]
    means = {trial.number: float(np.mean(seeds[trial.number])) for trial in firsts}
    front = {searched[i].number for i in efficient([(means[trial.number], trial.flops) for trial in searched])}
    spread = _pooled([seeds[trial.number] for trial in firsts])

    def error(number: int) -> float:
        values = seeds[number]
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else spread
        return deviation / len(values) ** 0.5

    def verdict(baseline: Trial) -> str:
        undecided = False
        for trial in searched:
            if trial.number not in front or trial.flops > baseline.flops:
                continue
            lead = means[trial.number] - means[baseline.number]
            doubt = float(np.hypot(error(trial.number), error(baseline.number)))
            if lead > doubt or (lead == doubt == 0 and trial.flops < baseline.flops):
                return "dominated"
            undecided = undecided or (abs(lead) <= doubt and doubt > 0)
        return "undecided" if undecided else "not dominated"

    return [
        Point(
            number=trial.number,
            kind="searched" if trial.searched else trial.kind,
            name=trial.name,
            sentence=trial.sentence,
            key=trial.key,
            cost=dict(trial.cost or {}),
            accuracy=means[trial.number],
            error=error(trial.number) if len(seeds[trial.number]) > 1 else None,
            seeds=len(seeds[trial.number]),
            on_front=trial.number in front,
            verdict=verdict(trial) if trial.kind == "baseline" else None,
            recipe=trial.recipe,
        )
        for trial in firsts
    ]


def unconfirmed(trials: Iterable[Trial], confirm: int, recommended: Iterable[int] = ()) -> list[tuple[int, int]]:
    """The replicates (number, replicate) that the front of the means still needs, in order.

    Rounds: members of the front of first seeds, and what is recommended besides, get `confirm` seeds in all;
    architectures that enter the front of the means thereby get theirs; until every member has them. Means of a round
    use finished rounds only, so the answer is a function of the record, whatever the order in which trials end: a
    search that is continued asks for the same. While replicates of a round are running, the later rounds are not known
    and nothing is added for them.

    Args:
        trials: The record.
        confirm: Seeds of each.
        recommended: Numbers of searched architectures that deserve it too: those that a model of the errors holds for
            the front, though their one seed may have been an unlucky one.
    """
    trials = list(trials)
    firsts = [trial for trial in trials if trial.searched and trial.state == "complete"]
    replicates: dict[int, dict[int, Trial]] = defaultdict(dict)
    for trial in trials:
        if trial.kind == "replicate" and trial.replicate_of is not None:
            replicates[trial.replicate_of][trial.seed_index] = trial
    asked = set(recommended)
    members: set[int] = set()
    while True:
        accuracy = {trial.number: trial.accuracy or 0.0 for trial in firsts}
        for number in members & set(accuracy):
            more = [r.accuracy for r in replicates[number].values() if r.state == "complete" and r.accuracy is not None]
            accuracy[number] = float(np.mean([accuracy[number], *more]))
        front = {firsts[i].number for i in efficient([(accuracy[trial.number], trial.flops) for trial in firsts])}
        entered = (front | asked) - members
        if not entered:
            return []
        members |= entered
        wanted = [(number, replicate) for number in sorted(members) for replicate in range(1, confirm)]
        missing = [(number, replicate) for number, replicate in wanted if replicate not in replicates[number]]
        running = any(not replicates[n][r].finished for n, r in wanted if r in replicates[n])
        if missing or running:
            return missing


def _pooled(groups: Sequence[Sequence[float]]) -> float:
    several = [group for group in groups if len(group) > 1]
    if not several:
        return 0.0
    freedom = sum(len(group) - 1 for group in several)
    return float(sum(np.var(group, ddof=1) * (len(group) - 1) for group in several) / freedom) ** 0.5
