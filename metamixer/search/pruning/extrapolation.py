"""Extrapolation of learning curves: what a training that was stopped early says of its end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metamixer.record import Trial

# Trainings to the end that an extrapolation is fitted to, at least.
MIN_TRAININGS = 6
# Added to an error before its logarithm is taken.
FLOOR = 0.01
# Where no architecture has two seeds: the noise of one as a share of the residual variance.
NOISE_SHARE = 0.25


@dataclass(frozen=True)
class Extrapolation:
    """A line from the logarithm of the error at an epoch to that of the error at the end.

    Attributes:
        slope: Of the line.
        intercept: Of the line.
        variance: Of the residuals of the logarithm, unbiased.
    """

    slope: float
    intercept: float
    variance: float

    def error(self, early: float) -> float:
        """The error expected at the end, within 0..1."""
        return min(1.0, max(0.0, math.exp(self.log_error(early)) - FLOOR))

    def log_error(self, early: float) -> float:
        """The `logarithm` of it."""
        return self.slope * logarithm(early) + self.intercept


def fit(trials: Iterable[Trial], epochs: Iterable[int]) -> dict[int, Extrapolation]:
    """An extrapolation from each epoch that enough complete trials have in their curves, by least squares.

    Args:
        trials: Those of a record; what is not complete is passed over.
        epochs: Where trainings were stopped.
    """
    complete = [trial for trial in trials if trial.state == "complete" and trial.accuracy is not None]
    fitted = {}
    for epoch in epochs:
        pairs = []
        for trial in complete:
            early = accuracy_at(trial.curve, epoch)
            if early is not None:
                pairs.append((logarithm(1 - early), logarithm(1 - (trial.accuracy or 0.0))))
        if len(pairs) < MIN_TRAININGS:
            continue
        x, y = np.array(pairs).T
        spread = float(x.var())
        # What is ahead early is not expected to end behind: a falling line would be chance.
        slope = max(0.0, float(np.mean((x - x.mean()) * (y - y.mean()))) / spread) if spread > 0 else 0.0
        intercept = float(y.mean()) - slope * float(x.mean())
        residuals = y - slope * x - intercept
        fitted[epoch] = Extrapolation(slope, intercept, float(np.sum(residuals**2)) / (len(pairs) - 2))
    return fitted


def weight(extrapolation: Extrapolation, seeds: Mapping[int, Sequence[float]]) -> float:
    """How many trainings to the end one that was stopped early is worth, below 1.

    Args:
        extrapolation: From the epoch at which it was stopped.
        seeds: Errors of architectures over their seeds; the spread of those with several is a training's own noise.
    """
    several = [[logarithm(error) for error in errors] for errors in seeds.values() if len(errors) > 1]
    freedom = sum(len(errors) - 1 for errors in several)
    noise = NOISE_SHARE * extrapolation.variance
    if freedom:
        noise = sum(float(np.var(errors, ddof=1)) * (len(errors) - 1) for errors in several) / freedom
    if noise + extrapolation.variance <= 0:
        return 1.0
    return max(0.02, noise / (noise + extrapolation.variance))


def predictions(trials: Sequence[Trial], seeds: Mapping[int, Sequence[float]]) -> dict[int, tuple[float, float]]:
    """Expected error at the end, and `weight`, of every trial that was stopped early, by number.

    Those that were stopped where too few others continued are left out.

    Args:
        trials: First trainings of architectures.
        seeds: Errors of those that were trained to the end, over their seeds.
    """
    stopped = [trial for trial in trials if trial.stopped and trial.curve]
    fitted = fit(trials, {len(trial.curve) for trial in stopped})
    predicted = {}
    for trial in stopped:
        extrapolation, early = fitted.get(len(trial.curve)), accuracy_at(trial.curve, len(trial.curve))
        if extrapolation is not None and early is not None:
            predicted[trial.number] = (extrapolation.error(1 - early), weight(extrapolation, seeds))
    return predicted


def logarithm(error: float) -> float:
    """Of an error, held away from none."""
    return math.log(max(0.0, error) + FLOOR)


def accuracy_at(curve: Iterable[Mapping[str, Any]], epoch: int) -> float | None:
    """Validation accuracy after an epoch of a curve, None where the curve has no such epoch."""
    return next((float(at["validation_accuracy"]) for at in curve if at["epoch"] == epoch), None)
