"""Asynchronous successive halving with two objectives: which trials are pruned at a rung.

ASHA (Li et al. 2020) in its stopping form, ranked by non-domination and an epsilon-net (Schmucker et al. 2021): what a
trial has at a rung is its error there, and its cost, which is known. What that leaves behind continues all the same
while it may end on the front within a margin, see `SuccessiveHalving`. Rungs hold no state: who was where is read from
the curves of the trials, so a search that is continued prunes what it would have pruned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metamixer.pareto import ACCURACY_FLOPS, non_dominated
from metamixer.record import Trial
from metamixer.search.pruning.extrapolation import Extrapolation, accuracy_at, fit, logarithm
from metamixer.search.seeds import derived

if TYPE_CHECKING:
    from metamixer.search.configuration import StudyConfig


def rungs(epochs: int, first: int | None, reduction: int, bracket: int = 0) -> tuple[int, ...]:
    """The epochs after which trials are compared, rising, all below the full number.

    Args:
        epochs: Epochs of a full training.
        first: Epoch of the first rung of bracket 0; None for the one when half of them are over. Where the learning
            rate is annealed, what good architectures have before says little of which ends ahead of which:
            `benchmarks/digits.py --rungs` tells how much.
        reduction: Each rung lies this many times later than the one before.
        bracket: Leaves out this many of the first rungs.
    """
    found = []
    rung = (first or (epochs + 1) // 2) * reduction**bracket
    while rung < epochs:
        found.append(rung)
        rung *= reduction
    return tuple(found)


def promoted(own: int, points: Sequence[tuple[float, float]], reduction: int) -> bool:
    """Whether a trial continues beyond a rung: nothing there dominates it, or it is among the best 1/`reduction`.

    Args:
        own: Its place in `points`.
        points: (accuracy, flops) of all trials that reached the rung.
        reduction: One of so many continues. The first `reduction - 1` to arrive always do: there is nothing to compare.

    The best are taken by layers of non-dominated points. Where a layer does not fit whole, its points are taken by an
    epsilon-net: the most accurate one, then always the one farthest from those taken. The first layer continues even
    where it is larger than its share: a front is what is looked for, and with few trials most of a rung may be one.
    """
    if len(points) < reduction:
        return True
    array = np.asarray(points, dtype=float)
    places = len(points) / reduction
    left = np.arange(len(points))
    taken = 0
    while taken < places:
        layer = left[non_dominated(array[left], ACCURACY_FLOPS)]
        if own in layer:
            if taken == 0 or taken + len(layer) <= places:
                return True
            spread = layer[_net(array[layer], array)]
            return taken + int(np.flatnonzero(spread == own)[0]) < places
        taken += len(layer)
        left = np.setdiff1d(left, layer)
    return False


def _net(layer: NDArray[np.float64], every: NDArray[np.float64]) -> list[int]:
    """Indices of a layer's points, each one the farthest from those before it; both axes scaled over all points."""
    low, span = every.min(axis=0), np.ptp(every, axis=0)
    scaled = (layer - low) / np.where(span > 0, span, 1.0)
    order = [int(np.argmax(scaled[:, 0]))]
    distance = np.linalg.norm(scaled - scaled[order[0]], axis=1)
    distance[order[0]] = -1.0
    while len(order) < len(layer):
        farthest = int(np.argmax(distance))
        order.append(farthest)
        distance = np.minimum(distance, np.linalg.norm(scaled - scaled[farthest], axis=1))
        distance[order] = -1.0
    return order


def behind(
    own: int,
    points: Sequence[tuple[float, float]],
    ends: Sequence[float | None],
    extrapolation: Extrapolation,
    margin: float,
) -> bool:
    """Whether a trial is expected to end dominated, by more than a margin.

    Args:
        own: Its place in `points`.
        points: (accuracy, flops) of all trials that reached the rung.
        ends: What they ended with, None where they have not.
        extrapolation: From the rung to the end.
        margin: Standard deviations of the extrapolation's residuals.
    """
    expected = [
        extrapolation.log_error(1 - accuracy) if end is None else logarithm(1 - end)
        for (accuracy, _), end in zip(points, ends, strict=True)
    ]
    rivals = [e for i, e in enumerate(expected) if i != own and points[i][1] <= points[own][1]]
    return bool(rivals) and expected[own] - min(rivals) > margin * extrapolation.variance**0.5


class SuccessiveHalving:
    """The pruner of a study, `[pruning]`: decided from the record and from what the running trials have reported.

    A trial is pruned where successive halving leaves it behind and it is expected to end dominated even when the
    extrapolation from its rung is wrong by `margin` standard deviations, see `behind`: what is pruned is lost for the
    front, and with a sampler that proposes few bad ones a rung cannot tell which of the good ones is best. So nothing
    is pruned before some trials have been trained to the end, unless `margin` is 0.

    Args:
        config: The study.
    """

    def __init__(self, config: StudyConfig) -> None:
        self._config, self._seed, self._epochs = config.pruning, config.study.seed, config.training.epochs

    def should_prune(
        self, trial: Trial, trials: Sequence[Trial], curves: Mapping[int, Sequence[Mapping[str, Any]]]
    ) -> bool:
        """Whether a trial that has ended an epoch is to be stopped; never away from a rung.

        Args:
            trial: Only first trainings of searched architectures are ever stopped.
            trials: The record.
            curves: Of the running trials so far, by number.
        """
        config = self._config
        if config.rule == "none" or trial.kind != "searched":
            return False
        epoch, bracket = len(curves[trial.number]), self._bracket(trial)
        if epoch not in rungs(self._epochs, config.first, config.reduction, bracket):
            return False
        at_rung: list[Trial] = []
        points: list[tuple[float, float]] = []
        for other in trials:
            if not other.searched or other.state == "failed" or self._bracket(other) != bracket:
                continue
            accuracy = accuracy_at(other.curve if other.finished else curves.get(other.number, ()), epoch)
            if accuracy is not None:
                at_rung.append(other)
                points.append((accuracy, float(other.flops)))
        own = next(i for i, other in enumerate(at_rung) if other.number == trial.number)
        if promoted(own, points, config.reduction):
            return False
        if not config.margin:
            return True
        extrapolation = fit(at_rung, [epoch]).get(epoch)
        ends = [other.accuracy if other.state == "complete" else None for other in at_rung]
        return extrapolation is not None and behind(own, points, ends, extrapolation, config.margin)

    def _bracket(self, trial: Trial) -> int:
        return derived(self._seed, "bracket", trial.number) % self._config.brackets
