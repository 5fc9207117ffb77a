from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamixer.pareto import ACCURACY_FLOPS, hypervolume
from metamixer.record import Trial
from metamixer.record.front import efficient, summary, unconfirmed

points = st.lists(st.tuples(st.integers(0, 8).map(lambda a: a / 8), st.integers(1, 8)), max_size=24)


def row(number: int, accuracy: float | None, macs: int, kind: str = "searched", **more: object) -> Trial:
    state = "complete" if accuracy is not None else "failed"
    return Trial(number, more.pop("state", state), kind, accuracy=accuracy, cost={"macs": macs}, **more)  # type: ignore[arg-type]


@given(points)
def test_efficient_points_are_what_its_definition_says(found: list[tuple[float, int]]) -> None:
    def dominates(p: tuple[float, int], q: tuple[float, int]) -> bool:
        return p[0] >= q[0] and p[1] <= q[1] and p != q

    expected = {i for i, p in enumerate(found) if not any(dominates(q, p) for q in found)}
    indices = efficient(found)
    assert set(indices) == expected
    assert len(indices) == len(expected)
    assert [found[i][1] for i in indices] == sorted(found[i][1] for i in indices)


@settings(deadline=None)
@given(points, st.tuples(st.sampled_from([0.0, 0.1, 0.5]), st.integers(2, 9)))
def test_hypervolume_equals_optunas(found: list[tuple[float, int]], reference: tuple[float, int]) -> None:
    from optuna._hypervolume import compute_hypervolume

    inside = [(-a, f) for a, f in found if a > reference[0] and f < reference[1]]
    expected = compute_hypervolume(np.array(inside, float), np.array([-reference[0], reference[1]])) if inside else 0.0
    assert hypervolume(found, reference, ACCURACY_FLOPS) == pytest.approx(expected, abs=1e-12)


def test_hypervolume_by_hand() -> None:
    assert hypervolume([(0.9, 10), (0.5, 5), (0.4, 8)], (0.1, 20), ACCURACY_FLOPS) == pytest.approx(0.8 * 10 + 0.4 * 5)
    assert hypervolume([(0.1, 5), (0.9, 20)], (0.1, 20), ACCURACY_FLOPS) == 0.0
    assert hypervolume(np.empty((0, 2)), (0.1, 20), ACCURACY_FLOPS) == 0.0


def test_the_front_is_that_of_the_means_over_searched_architectures() -> None:
    rows = [
        row(0, 0.99, 1, "baseline", name="b"),
        row(1, 0.9, 10),
        row(2, 0.8, 10),
        row(3, 0.5, 5),
        row(4, None, 2),
        row(5, 0.1, 10, "replicate", replicate_of=1, seed_index=1),
        row(6, 0.8, 10, "replicate", replicate_of=2, seed_index=1),
        row(7, None, 10, "replicate", replicate_of=2, seed_index=2),
    ]
    by_number = {point.number: point for point in summary(rows)}
    assert sorted(by_number) == [0, 1, 2, 3]
    assert [n for n, p in by_number.items() if p.on_front] == [2, 3]
    assert by_number[1].accuracy == pytest.approx(0.5)
    assert by_number[1].error == pytest.approx(np.std([0.9, 0.1], ddof=1) / 2**0.5)
    assert (by_number[1].seeds, by_number[2].seeds, by_number[3].seeds) == (2, 2, 1)
    assert by_number[3].error is None


@pytest.mark.parametrize(
    ("searched", "baseline", "verdict"),
    [
        ((0.90, 0.02), (0.80, 0.02), "dominated"),
        ((0.80, 0.02), (0.90, 0.02), "not dominated"),
        ((0.90, 0.02), (0.89, 0.02), "undecided"),
        ((0.89, 0.02), (0.90, 0.02), "undecided"),
    ],
)
def test_verdicts(searched: tuple[float, float], baseline: tuple[float, float], verdict: str) -> None:
    # Three seeds at mean - s, mean, mean + s have the standard error s / sqrt(3); of the difference s * sqrt(2/3).
    rows = []
    for of, kind, (mean, spread), macs in ((0, "baseline", baseline, 10), (1, "searched", searched, 10)):
        rows.append(row(of, mean, macs, kind))
        for i, sign in enumerate((-1, 1)):
            rows.append(
                row(10 + 2 * of + i, mean + sign * spread, macs, "replicate", replicate_of=of, seed_index=i + 1)
            )
    assert {p.number: p.verdict for p in summary(rows)} == {0: verdict, 1: None}


def test_a_dearer_architecture_dominates_no_baseline() -> None:
    assert [p.verdict for p in summary([row(0, 0.5, 9, "baseline"), row(1, 0.9, 10)])] == ["not dominated", None]


def test_confirmation_goes_on_until_every_member_of_the_front_of_means_has_its_seeds() -> None:
    rows = [row(0, 0.9, 10), row(1, 0.8, 10), row(2, 0.5, 5), row(3, 0.1, 7)]
    asked = []
    # 0 turns out worse than 1, which then needs seeds of its own; 3 never enters.
    truth = {0: 0.3, 1: 0.8, 2: 0.5}
    while wanted := unconfirmed(rows, confirm=3):
        of, replicate = wanted[0]
        asked.append((of, replicate))
        rows.append(
            row(len(rows), truth[of], rows[of].cost["macs"], "replicate", replicate_of=of, seed_index=replicate)
        )  # type: ignore[index]
    assert asked == [(0, 1), (0, 2), (2, 1), (2, 2), (1, 1), (1, 2)]
    assert [p.number for p in summary(rows) if p.on_front] == [1, 2]


def test_a_round_does_not_change_while_it_runs() -> None:
    rows = [row(0, 0.9, 10), row(1, 0.8, 10), row(2, 0.5, 5)]
    first = unconfirmed(rows, confirm=3)
    # The first replicate already drops 0 below 1: the round is finished all the same before 1 is looked at.
    rows.append(row(3, 0.0, 10, "replicate", replicate_of=0, seed_index=1))
    assert unconfirmed(rows, confirm=3) == first[1:]
    rows.append(row(4, None, 10, "replicate", replicate_of=0, seed_index=2, state="running"))
    rows += [
        row(5, 0.5, 5, "replicate", replicate_of=2, seed_index=1),
        row(6, 0.5, 5, "replicate", replicate_of=2, seed_index=2),
    ]
    assert unconfirmed(rows, confirm=3) == []
    rows[4] = row(4, None, 10, "replicate", replicate_of=0, seed_index=2)
    assert unconfirmed(rows, confirm=3) == [(1, 1), (1, 2)]


def test_what_a_model_recommends_is_confirmed_too() -> None:
    # 3 had an unlucky first seed: its further ones bring it onto the front.
    rows = [row(0, 0.9, 10), row(1, 0.8, 10), row(2, 0.5, 5), row(3, 0.4, 7)]
    assert unconfirmed(rows, 2, recommended=[3]) == [(0, 1), (2, 1), (3, 1)]
    # The first round asks for the same, whatever it finds on its way.
    rows.append(row(4, 0.9, 7, "replicate", replicate_of=3, seed_index=1))
    assert unconfirmed(rows, 2, recommended=[3]) == [(0, 1), (2, 1)]
    rows += [
        row(5, 0.9, 10, "replicate", replicate_of=0, seed_index=1),
        row(6, 0.5, 5, "replicate", replicate_of=2, seed_index=1),
    ]
    assert unconfirmed(rows, 2, recommended=[3]) == []
    assert [p.number for p in summary(rows) if p.on_front] == [0, 2, 3]


def test_nothing_to_confirm() -> None:
    assert unconfirmed([row(0, 0.9, 10)], confirm=1) == []
    assert unconfirmed([row(0, None, 10)], confirm=3) == []
    assert summary([]) == []
