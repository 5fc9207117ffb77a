from __future__ import annotations

import math
import random
import statistics

import numpy as np
import pytest
from scipy import stats

from metamixer.simulate.compare import difference, median


@pytest.mark.parametrize("count", [1, 2, 19, 20])
def test_the_interval_of_a_median_is_that_of_scipy(count: int) -> None:
    rng = random.Random(count)
    values = [rng.gauss(0.9, 0.02) for _ in range(count)]
    found = median(values)
    assert found.value == pytest.approx(statistics.median(values))
    if count == 1:
        assert found.low == found.value == found.high
        return
    theirs = stats.bootstrap((values,), np.median, n_resamples=5000, method="percentile", random_state=1)
    spread = max(values) - min(values)
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.1 * spread)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.1 * spread)


def test_the_interval_covers_the_true_median_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = [(m := median(rng.normal(size=20).tolist())).low <= 0 <= m.high for _ in range(100)]
    assert 0.88 < statistics.fmean(covered) < 0.995


def test_what_was_not_reached_is_later_than_anything() -> None:
    assert median([40, math.inf, 30, 50, math.inf]).value == 50
    assert median([40, math.inf, math.inf, math.inf]).value == math.inf
    assert median([10, 20, math.inf, math.inf]).value == math.inf
    assert median([10, 20, 30, math.inf]).value == 25
    assert median([10, 20, 30, math.inf]).high == math.inf


def test_a_paired_difference_is_narrower_than_its_two_medians() -> None:
    rng = random.Random(0)
    luck = [rng.gauss(0, 0.05) for _ in range(20)]
    ours, theirs = ([level + run + rng.gauss(0, 0.002) for run in luck] for level in (0.91, 0.9))
    lead = difference(ours, theirs)
    assert 0.005 < lead.low <= lead.value <= lead.high < 0.015
    wide = median(ours)
    assert wide.high - wide.low > 3 * (lead.high - lead.low)
    with pytest.raises(ValueError, match="shorter"):
        difference(ours, theirs[1:])
