"""A Gaussian process over architectures: one kernel a family of features, and what it believes of an objective.

Features of a family are sparse vectors; two architectures are as alike in a family as their vectors are near:
k = exp(-g d^2), with d^2 in units of the family's mean. The kernel is a weighted sum of the families' and of the
product of all. Weights, widths and noise maximise the posterior given broad log-normal priors: the marginal likelihood
decides which family counts (Rasmussen and Williams 2006, section 5.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import ndtr

from metamixer.search.samplers.pareto import Floats

JITTER = 1e-8
# Means and deviations of the logarithms of weights, widths (of d^2 in units of its mean) and noise (standardised).
WEIGHT, WIDTH, NOISE = (-0.7, 1.5), (-0.5, 1.0), (-5.0, 1.5)
# A floor just below the best that was seen would leave no room for anything better.
SHIFTS = (0.4, 0.8, 1.6, 3.2, 6.4)


@dataclass(frozen=True)
class Warp:
    """A monotone map to nearly normal values: log(y - floor), then centred and scaled; or no logarithm."""

    floor: float | None
    centre: float
    scale: float

    @classmethod
    def fitted(cls, values: Floats) -> Warp:
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
class Believed:
    """A normal belief about warped values; see `metamixer.search.samplers.pareto.Belief`."""

    warp: Warp
    mean: Floats
    deviation: Floats

    @property
    def median(self) -> Floats:
        return self.warp.median(self.mean)

    def below(self, bounds: Floats) -> Floats:
        mean = (self.mean * self.warp.scale + self.warp.centre)[:, None]
        deviation = np.maximum(self.deviation * self.warp.scale, 1e-12)[:, None]
        if self.warp.floor is None:
            score = (np.maximum(bounds, -1e100) - mean) / deviation
            density = np.exp(-0.5 * np.minimum(np.abs(score), 100) ** 2) / np.sqrt(2 * np.pi)
            return deviation * (score * ndtr(score) + density)
        above = np.maximum(bounds - self.warp.floor, 0.0)
        with np.errstate(divide="ignore"):
            score = (np.log(above) - mean) / deviation
        return above * ndtr(score) - np.exp(mean + deviation**2 / 2) * ndtr(score - deviation)


@dataclass(frozen=True)
class Hyper:
    """What the marginal likelihood decides: logarithms of weights (families, product), widths, and noise variance."""

    weights: Floats
    widths: Floats
    noise: float

    def kernel(self, squares: Sequence[Floats]) -> Floats:
        """The kernel from squared distances in each family."""
        parts = [np.exp(-np.exp(width) * square) for width, square in zip(self.widths, squares, strict=True)]
        total = sum(np.exp(weight) * part for weight, part in zip(self.weights, parts, strict=False))
        if len(parts) > 1:
            total = total + np.exp(self.weights[-1]) * np.prod(parts, axis=0)
        return np.asarray(total)

    @property
    def variance(self) -> float:
        return float(np.sum(np.exp(self.weights)))


def fit(squares: Sequence[Floats], targets: Floats, shares: Floats, noise: tuple[float, float] = NOISE) -> Hyper:
    """Hyper-parameters of greatest posterior density.

    Args:
        squares: squared distances (n, n) in each family.
        targets: n standardised values.
        shares: share of the noise variance at each: 1 / number of replicates.
        noise: mean and deviation of the logarithm of the noise variance before data are seen.
    """
    families, count = len(squares), len(targets)
    weights = families + (families > 1)
    means = np.array([WEIGHT[0] - np.log(weights)] * weights + [WIDTH[0]] * families + [noise[0]])
    spreads = np.array([WEIGHT[1]] * weights + [WIDTH[1]] * families + [noise[1]])

    def negative(theta: Floats) -> tuple[float, Floats]:
        hyper = Hyper(theta[:weights], theta[weights:-1], float(theta[-1]))
        parts = [np.exp(-np.exp(width) * square) for width, square in zip(hyper.widths, squares, strict=True)]
        scaled = [np.exp(weight) * part for weight, part in zip(hyper.weights, parts, strict=False)]
        product = np.exp(hyper.weights[-1]) * np.prod(parts, axis=0) if families > 1 else None
        total = np.sum(scaled, axis=0) + (0 if product is None else product) + 1.0  # + 1: an unknown constant
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
        gradient = np.empty(len(theta))
        for i in range(families):
            gradient[i] = 0.5 * np.sum(pull * scaled[i])
            both = scaled[i] if product is None else scaled[i] + product
            gradient[weights + i] = -0.5 * np.exp(hyper.widths[i]) * np.sum(pull * both * squares[i])
        if product is not None:
            gradient[families] = 0.5 * np.sum(pull * product)
        gradient[-1] = 0.5 * sigma * np.sum(np.diag(pull) * shares)
        return float(value), gradient + off / spreads

    bounds = [(mean - 4 * spread, mean + 4 * spread) for mean, spread in zip(means, spreads, strict=True)]
    found = minimize(negative, means, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40})
    return Hyper(found.x[:weights], found.x[weights:-1], float(found.x[-1]))


@dataclass(frozen=True)
class Posterior:
    """A fitted process on its data."""

    hyper: Hyper
    warp: Warp
    factor: Floats
    alpha: Floats

    @classmethod
    def on(cls, hyper: Hyper, warp: Warp, squares: Sequence[Floats], targets: Floats, shares: Floats) -> Posterior:
        total = hyper.kernel(squares) + 1.0
        total[np.diag_indices(len(targets))] += np.exp(hyper.noise) * shares + JITTER
        factor = cholesky(total, lower=True, check_finite=False)
        return cls(hyper, warp, factor, cho_solve((factor, True), targets, check_finite=False))

    def at(self, squares: Sequence[Floats], wider: float = 0.0) -> Believed:
        """The belief about candidates, without noise, from their squared distances (candidates, n) to the data."""
        cross = self.hyper.kernel(squares) + 1.0
        half = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        variance = np.maximum(self.hyper.variance + 1.0 - np.sum(half**2, axis=0), 1e-12)
        return Believed(self.warp, cross @ self.alpha, np.sqrt(variance + wider**2))
