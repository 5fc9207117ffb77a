"""What retraining said: test accuracy with spread and interval, and how far the search's ranking held."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metamixer.record import front
from metamixer.record.trial import Trial

NORMAL_95 = 1.959963984540054  # the normal distribution's quantile at 0.975
RESAMPLES = 2000


@dataclass(frozen=True)
class Retrained:
    """One architecture on the test part.

    Attributes:
        number: Of the trial that was retrained; `kind` `searched` or `baseline`; `name` a baseline's.
        validation: Its mean validation accuracy in the search, None where that is not known.
        accuracy: Mean test accuracy over its seeds; `accuracies` those, by seed.
        deviation: Standard deviation over seeds, None for one.
        interval: 95 % Wilson interval of `accuracy` on so many `images`: what another test part of the size would
            say of these networks. The spread over seeds is not in it.
        images: Of the test part.
        epochs: Of each training.
    """

    number: int
    kind: str
    name: str | None
    sentence: str
    cost: dict[str, int]
    validation: float | None
    accuracies: tuple[float, ...]
    accuracy: float
    deviation: float | None
    interval: tuple[float, float]
    images: int
    epochs: int | None


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b between validation accuracies of a search and test accuracies, 1 for the same order.

    `interval` is the 95 % percentile bootstrap over the `count` architectures.
    """

    tau: float
    interval: tuple[float, float]
    count: int


@dataclass(frozen=True)
class Tested:
    """What the trainings in full of one architecture say, see `Retrained`; `trials` are their numbers, by seed."""

    trials: tuple[int, ...]
    accuracies: tuple[float, ...]
    accuracy: float
    deviation: float | None
    interval: tuple[float, float]
    images: int
    epochs: int | None


def tested(trials: Iterable[Trial]) -> dict[int, Tested]:
    """By number of the trial that was retrained: its trainings by the recipe used last; other trials are left out."""
    complete = [trial for trial in trials if trial.kind == "retrained" and trial.state == "complete" and trial.test]
    seeds: dict[int, dict[int, Trial]] = defaultdict(dict)
    for trial in complete:
        if trial.retrains is not None and trial.training == complete[-1].training:
            seeds[trial.retrains][trial.seed_index] = trial
    return {number: _tested([of[index] for index in sorted(of)]) for number, of in seeds.items()}


def _tested(trainings: Sequence[Trial]) -> Tested:
    tests: list[dict[str, Any]] = [trial.test or {} for trial in trainings]
    accuracies = tuple(float(test["accuracy"]) for test in tests)
    mean, images = float(np.mean(accuracies)), int(tests[0]["images"])
    return Tested(
        trials=tuple(trial.number for trial in trainings),
        accuracies=accuracies,
        accuracy=mean,
        deviation=float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None,
        interval=wilson(mean, images),
        images=images,
        epochs=trainings[0].epochs,
    )


def summary(trials: Iterable[Trial]) -> list[Retrained]:
    """One entry for each architecture that was retrained by the recipe used last, by rising FLOPs."""
    trials = list(trials)
    validation = {point.number: point.accuracy for point in front.summary(trials)}
    found = []
    for number, of in tested(trials).items():
        found.append(
            Retrained(
                number=number,
                kind="searched" if trials[number].searched else trials[number].kind,
                name=trials[number].name,
                sentence=trials[number].sentence,
                cost=dict(trials[number].cost or {}),
                validation=validation.get(number),
                accuracies=of.accuracies,
                accuracy=of.accuracy,
                deviation=of.deviation,
                interval=of.interval,
                images=of.images,
                epochs=of.epochs,
            )
        )
    return sorted(found, key=lambda one: (one.cost.get("macs", 0), one.number))


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of so many (Wilson, J. Am. Stat. Assoc. 22, 1927)."""
    z = NORMAL_95**2 / count
    middle = (share + z / 2) / (1 + z)
    half = NORMAL_95 / (1 + z) * math.sqrt(share * (1 - share) / count + z / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def agreement(retrained: Sequence[Retrained], seed: int = 0) -> Agreement | None:
    """How the order of the searched ones held; None for less than three, or where all are alike."""
    from scipy.stats import kendalltau

    pairs = [
        (one.validation, one.accuracy) for one in retrained if one.kind == "searched" and one.validation is not None
    ]
    if len(pairs) < 3:
        return None
    array = np.array(pairs, dtype=float)
    tau = float(kendalltau(array[:, 0], array[:, 1]).statistic)
    if math.isnan(tau):
        return None
    random = np.random.default_rng(seed)
    drawn = [array[random.integers(len(array), size=len(array))] for _ in range(RESAMPLES)]
    taus = [float(kendalltau(some[:, 0], some[:, 1]).statistic) for some in drawn if len(np.unique(some, axis=0)) > 1]
    kept = [value for value in taus if not math.isnan(value)]
    low, high = np.percentile(kept, [2.5, 97.5])
    return Agreement(tau, (float(low), float(high)), len(pairs))
