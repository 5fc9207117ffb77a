"""A Gaussian process over architectures, for one objective: one kernel a family of features.

Features of a family are sparse vectors; two architectures are as alike in a family as their vectors are near:
k = exp(-g d^2), with d^2 in units of the family's mean. Beside that a family has a trend, a linear function of its
vectors: what a dozen architectures tell of all others is little more than that. The kernel is a weighted sum of the
families' likenesses, of the product of all of these, and of the trends'. Weights, widths and noise maximise the
posterior given broad log-normal priors: the marginal likelihood decides which family counts (Rasmussen and Williams
2006, sections 2.7 and 5.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtr

from metamixer.search.samplers.core.pareto import Floats

JITTER = 1e-8
# Means and deviations of the logarithms of weights, widths (of d^2 in units of its mean) and noise (standardised).
WEIGHT, WIDTH, NOISE = (-0.7, 1.5), (-0.5, 1.0), (-5.0, 1.5)
# A floor just below the best that was seen would leave no room for anything better.
SHIFTS = (0.4, 0.8, 1.6, 3.2, 6.4)


@dataclass(frozen=True)
class OutcomeTransform:
    """A monotone map to nearly normal values: log(y - floor), then centred and scaled; or no logarithm."""

    floor: float | None
    centre: float
    scale: float

    @classmethod
    def fitted(cls, values: Floats) -> OutcomeTransform:
        """The member of the family under which the values are likeliest as normal ones.

        Floors lie below the smallest value by multiples of the distance from it to the median, so the map depends
        neither on the unit nor on the zero of the objective.
        """
        best, found = -np.inf, cls(None, float(np.mean(values)), float(np.std(values)) or 1.0)
        gap = float(np.median(values) - np.min(values)) or float(np.ptp(values))
        if len(values) < 3 or gap <= 0:
            return found
        best = -len(values) * np.log(found.scale)
        for shift in SHIFTS:
            floor = float(np.min(values)) - shift * gap
            logs = np.log(values - floor)
            scale = float(np.std(logs))
            likelihood = -len(values) * np.log(scale) - float(np.sum(logs))
            if likelihood > best:
                best, found = likelihood, cls(floor, float(np.mean(logs)), scale)
        return found

    def forward(self, values: Floats) -> Floats:
        raw = values if self.floor is None else np.log(values - self.floor)
        return (raw - self.centre) / self.scale

    def slope(self, values: Floats) -> Floats:
        """Derivative of the map, to carry noise across."""
        return 1 / (self.scale * (np.ones_like(values) if self.floor is None else values - self.floor))

    def median(self, mean: Floats) -> Floats:
        raw = mean * self.scale + self.centre
        return raw if self.floor is None else np.exp(raw) + self.floor


@dataclass(frozen=True)
class Posterior:
    """The normal posterior of transformed values; see `metamixer.search.samplers.core.pareto.Prediction`."""

    transform: OutcomeTransform
    mean: Floats
    deviation: Floats

    @property
    def median(self) -> Floats:
        return self.transform.median(self.mean)

    def below(self, bounds: Floats) -> Floats:
        mean = (self.mean * self.transform.scale + self.transform.centre)[:, None]
        deviation = np.maximum(self.deviation * self.transform.scale, 1e-12)[:, None]
        if self.transform.floor is None:
            score = (np.maximum(bounds, -1e100) - mean) / deviation
            density = np.exp(-0.5 * np.minimum(np.abs(score), 100) ** 2) / np.sqrt(2 * np.pi)
            return deviation * (score * ndtr(score) + density)
        above = np.maximum(bounds - self.transform.floor, 0.0)
        with np.errstate(divide="ignore"):
            score = (np.log(above) - mean) / deviation
        return above * ndtr(score) - np.exp(mean + deviation**2 / 2) * ndtr(score - deviation)


@dataclass(frozen=True)
class Hyperparameters:
    """What the marginal likelihood decides, as logarithms.

    Attributes:
        weights: of the families' likenesses, and of their product if there are several.
        widths: of the families.
        trends: weights of the families' linear functions.
        noise: variance of one value.
    """

    weights: Floats
    widths: Floats
    trends: Floats
    noise: float

    @classmethod
    def of(cls, theta: Floats, families: int) -> Hyperparameters:
        """From one vector of all, in the order of the attributes."""
        weights, widths, trends = np.split(theta[:-1], [len(theta) - 1 - 2 * families, len(theta) - 1 - families])
        return cls(weights, widths, trends, float(theta[-1]))

    def likenesses(self, squares: Sequence[Floats]) -> list[Floats]:
        """Of each family, from 0 to 1."""
        return [np.exp(-np.exp(width) * square) for width, square in zip(self.widths, squares, strict=True)]

    def parts(self, alike: Sequence[Floats], linear: Sequence[Floats]) -> tuple[list[Floats], list[Floats]]:
        """The kernel's summands: of `weights`, and of `trends`."""
        scaled = [np.exp(weight) * one for weight, one in zip(self.weights, alike, strict=False)]
        if len(alike) > 1:
            scaled.append(np.exp(self.weights[-1]) * np.prod(alike, axis=0))
        return scaled, [np.exp(trend) * one for trend, one in zip(self.trends, linear, strict=True)]

    def kernel(self, squares: Sequence[Floats], linear: Sequence[Floats]) -> Floats:
        """The kernel from squared distances in each family, and from inner products; with an unknown constant."""
        scaled, trends = self.parts(self.likenesses(squares), linear)
        return np.asarray(sum(scaled) + sum(trends) + 1.0)


def inner(squares: Sequence[Floats], first: Sequence[Floats]) -> list[Floats]:
    """Inner products of feature vectors from squared distances, with the data's first item as origin.

    Args:
        squares: (items, data) in each family, the data's first item in the first column.
        first: (data) distances of that item.
    """
    return [(square[:, :1] + own[None, :] - square) / 2 for square, own in zip(squares, first, strict=True)]


def fit(
    squares: Sequence[Floats], targets: Floats, shares: Floats, noise: tuple[float, float] = NOISE
) -> Hyperparameters:
    """Hyperparameters of greatest posterior density.

    Args:
        squares: squared distances (n, n) in each family.
        targets: n standardised values.
        shares: share of the noise variance at each: 1 / number of replicates.
        noise: mean and deviation of the logarithm of the noise variance before data are seen.
    """
    families, count = len(squares), len(targets)
    weights = families + (families > 1)
    priors = [(WEIGHT, weights, weights), (WIDTH, families, 1), (WEIGHT, families, families), (noise, 1, 1)]
    means = np.concatenate([[mean - np.log(share)] * number for (mean, _), number, share in priors])
    spreads = np.concatenate([[spread] * number for (_, spread), number, _ in priors])
    linear = inner(squares, [square[0] for square in squares])

    def negative(theta: Floats) -> tuple[float, Floats]:
        hyper = Hyperparameters.of(theta, families)
        scaled, trends = hyper.parts(hyper.likenesses(squares), linear)
        total = np.sum(scaled, axis=0) + np.sum(trends, axis=0) + 1.0
        sigma = np.exp(hyper.noise)
        total[np.diag_indices(count)] += sigma * shares + JITTER
        off = (theta - means) / spreads
        try:
            factor = cholesky(total, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            return 1e10, off / spreads
        inverse = cho_solve((factor, True), np.eye(count), check_finite=False)
        alpha = inverse @ targets
        value = 0.5 * targets @ alpha + np.log(np.diag(factor)).sum() + 0.5 * off @ off
        pull = inverse - np.outer(alpha, alpha)
        product = scaled[families:]
        bends = [
            -np.exp(width) * square * sum(product, one)
            for width, square, one in zip(hyper.widths, squares, scaled, strict=False)
        ]
        gradient = [0.5 * np.sum(pull * part) for part in (*scaled, *bends, *trends)]
        gradient.append(0.5 * sigma * np.sum(np.diag(pull) * shares))
        return float(value), np.array(gradient) + off / spreads

    bounds = [(mean - 4 * spread, mean + 4 * spread) for mean, spread in zip(means, spreads, strict=True)]
    found = minimize(negative, means, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40})
    return Hyperparameters.of(found.x, families)


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process on its data; `first` are the distances of the data's first item in each family."""

    hyper: Hyperparameters
    transform: OutcomeTransform
    factor: Floats
    alpha: Floats
    first: list[Floats]

    @classmethod
    def on(
        cls,
        hyper: Hyperparameters,
        transform: OutcomeTransform,
        squares: Sequence[Floats],
        targets: Floats,
        shares: Floats,
    ) -> GaussianProcess:
        first = [square[0] for square in squares]
        total = hyper.kernel(squares, inner(squares, first))
        total[np.diag_indices(len(targets))] += np.exp(hyper.noise) * shares + JITTER
        factor = cholesky(total, lower=True, check_finite=False)
        return cls(hyper, transform, factor, cho_solve((factor, True), targets, check_finite=False), first)

    def at(self, squares: Sequence[Floats], inflation: float = 0.0) -> Posterior:
        """The posterior at candidates, without noise, from their squared distances (candidates, n) to the data.

        Args:
            squares: those distances in each family.
            inflation: deviation that is added to the posterior's, in deviations of the observations.
        """
        cross = self.hyper.kernel(squares, inner(squares, self.first))
        half = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        own = np.sum(np.exp(self.hyper.weights)) + 1.0
        own = own + sum(np.exp(trend) * square[:, 0] for trend, square in zip(self.hyper.trends, squares, strict=True))
        variance = np.maximum(own - np.sum(half**2, axis=0), 1e-12)
        return Posterior(self.transform, cross @ self.alpha, np.sqrt(variance + inflation**2))
