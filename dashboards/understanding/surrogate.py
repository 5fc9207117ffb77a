"""What a model of the recorded trainings expects of architectures that were not trained, with their joint uncertainty.

The model is the search's own Gaussian process (`metamixer.search.samplers.core.gaussian_process`): of the transformed
error, over features of the derivation, of the words, and of the costs. Fitting it takes about a second for some hundred
trainings. The search needs expectations of single architectures; differences between them need their covariance, which
is here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array

from metamixer.search.samplers.core.features import Features
from metamixer.search.samplers.core.gaussian_process import (
    JITTER,
    NOISE,
    GaussianProcess,
    Hyperparameters,
    OutcomeTransform,
    fit,
)

Floats = NDArray[np.float64]

FAMILIES = ("rules", "words", "known")
FITTED = 150  # trainings that hyper-parameters are fitted to
MODELLED = 1200  # trainings that the model stands on
FEWEST = 8  # trainings below which nothing is said
SAMPLES = 1000  # of the posterior
INTERVAL = (2.5, 97.5)  # per cent


@dataclass(frozen=True)
class Surrogate:
    """A model fitted to trainings.

    Attributes:
        rows: features of the trainings, one matrix a family.
        columns: of each family, token -> column.
        scales: mean squared distance of each family, which distances are measured in.
        process: the fitted process.
        targets: transformed errors of the trainings.
    """

    rows: tuple[csr_array, ...]
    columns: tuple[dict[Any, int], ...]
    scales: tuple[float, ...]
    process: GaussianProcess
    targets: Floats

    def joint(self, queries: Sequence[Features]) -> tuple[Floats, Floats, Floats]:
        """Means (q) and covariance (q, q) of the transformed errors of queries, and weights (q, n) of the trainings.

        Means are ``weights @ targets``: a weight says how much a training tells about a query.
        """
        rows = tuple(
            _matrix([query.get(family, {}) for query in queries], dict(columns))  # new tokens stay with the queries
            for family, columns in zip(FAMILIES, self.columns, strict=True)
        )
        cross = self._kernel(rows, self.rows)
        half = solve_triangular(self.process.factor, cross.T, lower=True, check_finite=False)
        weights = solve_triangular(self.process.factor, half, lower=True, trans=1, check_finite=False).T
        covariance = self._kernel(rows, rows) - half.T @ half
        return weights @ self.targets, covariance, weights

    def samples(self, mean: Floats, covariance: Floats, seed: int = 0) -> Floats:
        """Accuracies (samples, q) in 0..1 drawn from the posterior of queries."""
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        normal = np.random.default_rng(seed).standard_normal((SAMPLES, len(mean)))
        return 1.0 - self.process.transform.median(mean + normal @ root.T)

    def _kernel(self, left: tuple[csr_array, ...], right: tuple[csr_array, ...]) -> Floats:
        origin = [rows[[0]] for rows in self.rows]
        squares, linear = [], []
        for a, b, o, scale in zip(left, right, origin, self.scales, strict=True):
            square = _squares(a, b) / scale
            squares.append(square)
            linear.append((_squares(a, o) / scale + _squares(b, o).T / scale - square) / 2)
        return self.process.hyper.kernel(squares, linear)


def fitted(features: Sequence[Features], accuracies: Sequence[Sequence[float]]) -> Surrogate | None:
    """A model of trainings; None where there are too few of them to say anything.

    Args:
        features: of each architecture, the families of ``FAMILIES``.
        accuracies: of each architecture, one a seed.
    """
    if len(features) < FEWEST or len({float(np.mean(seeds)) for seeds in accuracies}) < 2:
        return None
    kept = _spread(len(features), MODELLED)
    features, accuracies = [features[i] for i in kept], [accuracies[i] for i in kept]
    columns: tuple[dict[Any, int], ...] = tuple({} for _ in FAMILIES)
    rows = tuple(_matrix([f.get(name, {}) for f in features], c) for name, c in zip(FAMILIES, columns, strict=True))
    squares = [_squares(matrix, matrix) for matrix in rows]
    above = np.triu_indices(len(features), 1)
    scales = tuple(float(square[above].mean()) or 1.0 for square in squares)
    squares = [square / scale for square, scale in zip(squares, scales, strict=True)]
    errors = np.array([1.0 - float(np.mean(seeds)) for seeds in accuracies])
    transform = OutcomeTransform.fitted(errors)
    targets = transform.forward(errors)
    shares = np.array([1.0 / len(seeds) for seeds in accuracies])
    some = np.array(_spread(len(features), FITTED))
    inner = [square[np.ix_(some, some)] for square in squares]
    hyper: Hyperparameters = fit(inner, targets[some], shares[some], _noise(transform, errors, accuracies))
    process = GaussianProcess.on(hyper, transform, squares, targets, shares)
    return Surrogate(rows, columns, scales, process, targets)


def interval(samples: Floats) -> dict[str, float]:
    """Mean, 95 % interval and share above zero of samples, as plain values."""
    low, high = np.percentile(samples, INTERVAL)
    return {
        "mean": float(samples.mean()),
        "low": float(low),
        "high": float(high),
        "probability": float((samples > 0).mean()),
    }


def verdict(change: Mapping[str, float]) -> str:
    """``better``, ``worse``, or ``undecided`` where the interval holds zero."""
    return "better" if change["low"] > 0 else "worse" if change["high"] < 0 else "undecided"


def _noise(transform: OutcomeTransform, errors: Floats, accuracies: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Mean and deviation of the logarithm of the noise variance, by what replicates say."""
    slopes = transform.slope(errors)
    several = [i for i, seeds in enumerate(accuracies) if len(seeds) > 1]
    freedom = sum(len(accuracies[i]) - 1 for i in several)
    if not freedom:
        return NOISE
    squares = sum(float(np.var(accuracies[i], ddof=1)) * slopes[i] ** 2 * (len(accuracies[i]) - 1) for i in several)
    return float(np.log(max(squares / freedom, 10 * JITTER))), float(NOISE[1] / np.sqrt(1 + freedom))


def _spread(count: int, most: int) -> list[int]:
    """Indices of at most so many, evenly spread."""
    return list(range(count)) if count <= most else np.linspace(0, count - 1, most).round().astype(int).tolist()


def _matrix(vectors: Sequence[Mapping[Any, float]], columns: dict[Any, int]) -> csr_array:
    data: list[float] = []
    indices: list[int] = []
    starts = [0]
    for vector in vectors:
        indices += [columns.setdefault(token, len(columns)) for token in vector]
        data += vector.values()
        starts.append(len(indices))
    return csr_array((np.array(data, dtype=float), indices, starts), shape=(len(vectors), max(1, len(columns))))


def _squares(left: csr_array, right: csr_array) -> Floats:
    """Squared distances (left, right)."""
    width = max(left.shape[1], right.shape[1])
    a = csr_array((left.data, left.indices, left.indptr), shape=(left.shape[0], width))
    b = csr_array((right.data, right.indices, right.indptr), shape=(right.shape[0], width))
    product = np.asarray((a @ b.T).todense())
    norms = [np.asarray((m * m).sum(axis=1)).reshape(-1) for m in (a, b)]
    return np.maximum(norms[0][:, None] + norms[1][None, :] - 2 * product, 0.0)
