"""What a training that was stopped early says of its end: a line through those that were trained to it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metamixer.record import Trial

# Trainings to the end that a line is drawn through, at least, and the error that is added before a logarithm is taken.
LEAST, FLOOR = 6, 0.01
# Where no architecture has two seeds: the noise of one as a share of what a line leaves open.
NOISE_SHARE = 0.25


@dataclass(frozen=True)
class Line:
    """From the logarithm of the error at an epoch to that of the error at the end.

    Attributes:
        slope, shift: The line.
        variance: What it leaves open, unbiased, of the logarithm.
    """

    slope: float
    shift: float
    variance: float

    def error(self, early: float) -> float:
        """The error expected at the end, within 0..1."""
        return min(1.0, max(0.0, math.exp(self.at(early)) - FLOOR))

    def at(self, early: float) -> float:
        """The `logarithm` of it."""
        return self.slope * logarithm(early) + self.shift


def lines(rows: Iterable[Trial], epochs: Iterable[int]) -> dict[int, Line]:
    """A line for each epoch that enough complete rows have in their curves, by least squares.

    Args:
        rows: Rows of a record; those that are not complete are passed over.
        epochs: Where trainings were stopped.
    """
    complete = [row for row in rows if row.state == "complete" and row.accuracy is not None]
    found = {}
    for epoch in epochs:
        pairs = []
        for row in complete:
            early = accuracy_at(row.curve, epoch)
            if early is not None:
                pairs.append((logarithm(1 - early), logarithm(1 - (row.accuracy or 0.0))))
        if len(pairs) < LEAST:
            continue
        x, y = np.array(pairs).T
        spread = float(x.var())
        # What is ahead early is not expected to end behind: a falling line would be chance.
        slope = max(0.0, float(np.mean((x - x.mean()) * (y - y.mean()))) / spread) if spread > 0 else 0.0
        shift = float(y.mean()) - slope * float(x.mean())
        rest = y - slope * x - shift
        found[epoch] = Line(slope, shift, float(np.sum(rest**2)) / (len(pairs) - 2))
    return found


def weight(line: Line, seeds: Mapping[int, Sequence[float]]) -> float:
    """How many trainings to the end one that was stopped early is worth, below 1.

    Args:
        line: Of the epoch at which it was stopped.
        seeds: Errors of architectures over their seeds; the spread of those with several is a training's own noise.
    """
    several = [[logarithm(error) for error in errors] for errors in seeds.values() if len(errors) > 1]
    freedom = sum(len(errors) - 1 for errors in several)
    noise = NOISE_SHARE * line.variance
    if freedom:
        noise = sum(float(np.var(errors, ddof=1)) * (len(errors) - 1) for errors in several) / freedom
    if noise + line.variance <= 0:
        return 1.0
    return max(0.02, noise / (noise + line.variance))


def predictions(rows: Sequence[Trial], seeds: Mapping[int, Sequence[float]]) -> dict[int, tuple[float, float]]:
    """Expected error at the end, and `weight`, of every row that was stopped early, by number.

    Rows that were stopped where too few others went on are left out.

    Args:
        rows: First trainings of architectures.
        seeds: Errors of those that were trained to the end, over their seeds.
    """
    stopped = [row for row in rows if row.stopped and row.curve]
    found = lines(rows, {len(row.curve) for row in stopped})
    known = {}
    for row in stopped:
        line, early = found.get(len(row.curve)), accuracy_at(row.curve, len(row.curve))
        if line is not None and early is not None:
            known[row.number] = (line.error(1 - early), weight(line, seeds))
    return known


def logarithm(error: float) -> float:
    """Of an error, held away from none."""
    return math.log(max(0.0, error) + FLOOR)


def accuracy_at(curve: Iterable[Mapping[str, Any]], epoch: int) -> float | None:
    """Validation accuracy after an epoch of a curve, None where the curve has no such epoch."""
    return next((float(row["validation_accuracy"]) for row in curve if row["epoch"] == epoch), None)
