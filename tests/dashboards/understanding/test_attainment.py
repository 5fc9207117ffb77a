"""Attainment surfaces, knees, and the best under a budget."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamixer.dashboards.understanding.attainment import attainment, best_under, knee

POINT = st.tuples(st.floats(0, 1), st.integers(1, 50).map(float))
RUNS = st.lists(st.lists(POINT, max_size=6), max_size=5)


def test_levels_are_what_so_many_runs_attain():
    runs = [[(0.5, 1.0), (0.9, 4.0)], [(0.6, 2.0)], [(0.7, 3.0)], [(0.4, 1.0)]]
    quarter, half, most = attainment(runs)["surfaces"]
    assert (quarter["cost"], quarter["accuracy"]) == ([1.0, 2.0, 3.0, 4.0], [0.5, 0.6, 0.7, 0.9])
    assert (half["cost"], half["accuracy"]) == ([1.0, 2.0, 3.0, 4.0], [0.4, 0.5, 0.6, 0.7])
    assert (most["cost"], most["accuracy"]) == ([2.0, 3.0, 4.0], [0.4, 0.5, 0.6])


@given(runs=RUNS, level=st.sampled_from([0.25, 0.5, 0.75, 1.0]), cost=st.integers(1, 50))
def test_a_surface_is_what_counting_the_runs_gives(runs, level, cost):
    (surface,) = attainment(runs, [level])["surfaces"]
    best = sorted((max((a for a, c in run if c <= cost), default=-math.inf) for run in runs), reverse=True)
    needed = max(1, math.ceil(level * len(runs)))
    expected = best[needed - 1] if runs else -math.inf
    at = [a for c, a in zip(surface["cost"], surface["accuracy"], strict=True) if c <= cost]
    assert (at[-1] if at else -math.inf) == expected


@given(runs=RUNS)
def test_surfaces_rise_and_lie_below_each_other(runs):
    surfaces = attainment(runs)["surfaces"]
    for surface in surfaces:
        assert surface["cost"] == sorted(set(surface["cost"]))
        assert surface["accuracy"] == sorted(set(surface["accuracy"]))
    for easy, hard in pairwise(surfaces):
        assert sum(easy["accuracy"][-1:]) >= sum(hard["accuracy"][-1:])


def test_runs_without_anything_attain_nothing():
    assert attainment([])["surfaces"][0]["cost"] == []
    assert attainment([[], []])["runs"] == 2


def test_the_knee_is_where_more_cost_stops_paying():
    front = [(0.5, 10.0), (0.85, 100.0), (0.88, 1000.0), (0.9, 10000.0)]
    assert knee(front) == 1
    assert knee(list(reversed(front))) == 2


@pytest.mark.parametrize("front", [[], [(0.5, 1.0)], [(0.5, 1.0), (0.9, 2.0)], [(0.5, 2.0)] * 3])
def test_a_front_that_bends_nowhere_has_no_knee(front):
    assert knee(front) is None
    line = [(0.1 * i, 10.0**i) for i in range(5)]
    assert knee(line) is None


def test_the_best_under_a_budget_is_affordable_and_the_cheapest_of_equals():
    members = [{"macs": 10, "accuracy": 0.5}, {"macs": 30, "accuracy": 0.9}, {"macs": 20, "accuracy": 0.9}]
    assert best_under(members, 25) == {"macs": 20, "accuracy": 0.9}
    assert best_under(members, 10) == {"macs": 10, "accuracy": 0.5}
    assert best_under(members, 5) is None
    assert best_under(members, 100, cost="accuracy", value="macs") == {"macs": 30, "accuracy": 0.9}
