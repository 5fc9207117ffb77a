from __future__ import annotations

import numpy as np
import pytest

from metamixer.pareto import hypervolume
from metamixer.search.samplers.core.gaussian_process import GaussianProcess, OutcomeTransform, Posterior, fit, inner
from metamixer.search.samplers.core.pareto import (
    Exact,
    boxes,
    crowding,
    expected_improvement,
)


def test_ends_of_a_front_are_the_least_crowded() -> None:
    found = crowding([[0.0, 4.0], [1.0, 2.0], [1.5, 1.5], [4.0, 0.0]])
    assert np.isinf(found[[0, 3]]).all()
    assert found[1] == pytest.approx(1.5 / 4 + 2.5 / 4)
    assert found[2] == pytest.approx(3 / 4 + 2 / 4)


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("floor", [None, -0.2])
def test_expected_gain_is_the_mean_gain_of_samples(objectives: int, floor: float | None) -> None:
    rng = np.random.default_rng(objectives)
    points, reference = rng.random((5, objectives)), np.full(objectives, 1.1)
    warp = OutcomeTransform(floor, 0.1, 0.7)
    uncertain = Posterior(warp, rng.normal(0.2, 0.4, 4), np.array([0.1, 0.4, 0.8, 1e-9]))
    known = [Exact(rng.random(4)) for _ in range(objectives - 1)]
    found = expected_improvement([uncertain, *known], boxes(points, reference))
    before = hypervolume(points, reference, "min")
    samples = warp.median(uncertain.mean[:, None] + uncertain.deviation[:, None] * rng.standard_normal((4, 1500)))
    for i in range(4):
        exact = [belief.values[i] for belief in known]
        gains = [hypervolume([*points, [sample, *exact]], reference, "min") - before for sample in samples[i]]
        assert found[i] == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / 1500**0.5 + 1e-5)


def test_what_cannot_gain_gains_nothing() -> None:
    region = boxes([[0.2, 0.2]], (1.0, 1.0))
    assert expected_improvement([Exact(np.array([0.5, 1.5])), Exact(np.array([0.5, 0.1]))], region).tolist() == [0, 0]
    # nothing on the front: all of the volume below the reference point
    alone = expected_improvement([Exact(np.array([0.5])), Exact(np.array([0.25]))], boxes([], (1.0, 1.0)))
    assert alone[0] == pytest.approx(0.375)


def test_a_warp_depends_on_neither_unit_nor_zero() -> None:
    values = np.exp(np.random.default_rng(0).normal(0, 1, 40))
    first, second = OutcomeTransform.fitted(values), OutcomeTransform.fitted(1000 * values - 7)
    assert first.floor is not None
    assert np.allclose(first.forward(values), second.forward(1000 * values - 7))
    assert np.allclose(first.median(first.forward(values)), values)
    assert OutcomeTransform.fitted(np.array([1.0, 1.0, 1.0])).forward(np.array([1.0]))[0] == 0


def test_a_trend_tells_of_what_is_beyond_a_dozen_values() -> None:
    rng = np.random.default_rng(1)
    places = np.concatenate([rng.random(12), [2.0, 3.0]])
    squares = (places[:, None] - places[None, :]) ** 2
    squares /= squares[:12, :12].mean()
    values = 1 - 2 * places + 0.02 * rng.standard_normal(14)
    warp = OutcomeTransform(None, float(values[:12].mean()), float(values[:12].std()))
    known = [squares[:12, :12]]
    hyper = fit(known, warp.forward(values[:12]), np.ones(12))
    believed = GaussianProcess.on(hyper, warp, known, warp.forward(values[:12]), np.ones(12)).at([squares[12:, :12]])
    assert np.allclose(believed.median, values[12:], rtol=0.1)
    assert (np.abs(believed.mean - warp.forward(values[12:])) < 2.5 * believed.deviation).all()


def test_inner_products_are_those_of_the_features_seen_from_the_first_item() -> None:
    features = np.random.default_rng(0).random((6, 3))
    squares = np.sum((features[:, None] - features[None, :4]) ** 2, axis=2)
    shifted = features - features[0]
    assert np.allclose(inner([squares], [squares[0]])[0], shifted @ shifted[:4].T)


def test_the_marginal_likelihood_finds_the_family_that_matters_and_the_noise() -> None:
    rng = np.random.default_rng(0)
    relevant, other = rng.random((60, 1)), rng.random((60, 1))
    squares = [(a - a.T) ** 2 / np.mean((a - a.T) ** 2) for a in (relevant, other)]
    clean = np.sin(6 * relevant[:, 0])
    clean = (clean - clean.mean()) / clean.std()
    noisy = clean + 0.3 * rng.standard_normal(60)
    hyper = fit(squares, noisy, np.ones(60))
    assert hyper.weights[0] > hyper.weights[1] + 1
    assert 0.04 < np.exp(hyper.noise) < 0.2
    process = GaussianProcess.on(hyper, OutcomeTransform(None, 0.0, 1.0), squares, noisy, np.ones(60))
    believed = process.at(squares)
    assert np.mean((believed.mean - clean) ** 2) < 0.4 * np.mean((noisy - clean) ** 2)
    # the same by the textbook's formula
    kernel = hyper.kernel(squares, inner(squares, [square[0] for square in squares]))
    inverse = np.linalg.inv(kernel + np.eye(60) * (np.exp(hyper.noise) + 1e-8))
    assert np.allclose(believed.mean, kernel @ inverse @ noisy)
    assert np.allclose(believed.deviation**2, np.diag(kernel - kernel @ inverse @ kernel), atol=1e-6)
    # six replicates of each: a sixth of the noise
    surer = GaussianProcess.on(hyper, OutcomeTransform(None, 0.0, 1.0), squares, noisy, np.ones(60) / 6).at(squares)
    assert (surer.deviation < believed.deviation).all()
