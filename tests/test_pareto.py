"""One module for dominance and hypervolume: against definitions, for any number of objectives and both directions."""

from __future__ import annotations

import itertools
import resource
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamixer.pareto import hypervolume, non_dominated, ranks

DIRECTIONS = st.lists(st.sampled_from(["max", "min"]), min_size=1, max_size=4)


def dominates(a: np.ndarray, b: np.ndarray, directions: list[str]) -> bool:
    signs = np.array([1 if direction == "min" else -1 for direction in directions])
    return bool((a * signs <= b * signs).all() and (a * signs < b * signs).any())


@given(DIRECTIONS, st.integers(0, 40), st.integers(0, 1000))
def test_ranks_peel_front_after_front(directions: list[str], count: int, seed: int) -> None:
    points = np.random.default_rng(seed).integers(0, 5, (count, len(directions))).astype(float)  # with equal points
    ranked = ranks(points, directions)
    left = set(range(count))
    for rank in range(int(ranked.max(initial=-1)) + 1):
        best = {i for i in left if not any(dominates(points[j], points[i], directions) for j in left)}
        assert set(np.flatnonzero(ranked == rank)) == best
        left -= best
    assert not left
    assert non_dominated(points, directions).tolist() == np.flatnonzero(ranked == 0).tolist()


@given(DIRECTIONS, st.integers(0, 7), st.integers(0, 1000))
def test_hypervolume_is_that_of_inclusion_and_exclusion(directions: list[str], count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, reference = rng.random((count, len(directions))) * 1.3, np.ones(len(directions))
    signs = np.array([1 if direction == "min" else -1 for direction in directions])
    points, reference = points * signs, reference * signs
    inside = [point for point in points if (point * signs < reference * signs).all()]
    expected = 0.0
    for size in range(1, len(inside) + 1):
        for some in itertools.combinations(inside, size):
            expected += (-1) ** (size + 1) * np.prod(reference * signs - np.max(np.array(some) * signs, axis=0))
    assert hypervolume(points, reference, directions) == pytest.approx(expected, abs=1e-12)


def test_what_is_no_set_of_points_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        non_dominated([[1.0, 2.0, 3.0]], ("max", "min"))
    with pytest.raises(ValueError, match="NaN"):
        hypervolume([[0.5, float("nan")]], (0.0, 1.0), ("max", "min"))
    assert hypervolume([[0.5, float("inf")], [0.5, 0.5]], (0.0, 1.0), ("max", "min")) == 0.25
    assert non_dominated([[3.0, float("inf")], [2.0, 1.0]], "min").tolist() == [1]
    assert non_dominated([], ("max", "min")).tolist() == []
    assert hypervolume([], (0.0, 1.0), ("max", "min")) == 0.0


def test_large_fronts_need_neither_quadratic_memory_nor_long() -> None:
    """100,000 points with two objectives, 20,000 with three, all non-dominated: within 1 GB and seconds."""
    program = (
        "import time, numpy as np\n"
        "from metamixer.pareto import hypervolume, non_dominated\n"
        "rng = np.random.default_rng(0)\n"
        "for count, objectives in ((100_000, 2), (20_000, 3)):\n"
        "    points = np.abs(rng.normal(size=(count, objectives)))\n"
        "    points /= np.linalg.norm(points, axis=1)[:, None]\n"
        "    start = time.process_time()\n"
        "    directions = ('max',) * objectives\n"
        "    assert len(non_dominated(points, directions)) == count\n"
        "    assert 0 < hypervolume(points, np.zeros(objectives), directions) < 1\n"
        "    assert time.process_time() - start < 5, time.process_time() - start\n"
    )

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (2**30, 2**30))

    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, preexec_fn=limited)
