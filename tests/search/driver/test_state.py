"""Counts and fronts kept row by row are those of the whole record."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from metamixer.record import Trial, front
from metamixer.search.driver.state import SearchState


def rows_in_the_making(seed: int) -> list[list[Trial]]:
    """Records as they grow: rows are added running or refused, and end in any order; ties are common."""
    rng = random.Random(seed)
    rows: list[Trial] = []
    history = []
    for _ in range(120):
        running = [row for row in rows if not row.finished]
        if running and (len(running) >= 3 or rng.random() < 0.4):
            row = rng.choice(running)
            state = rng.choice(["complete"] * 4 + ["failed", "pruned"])
            if state == "pruned" and row.kind != "searched":
                state = "failed"
            done = state == "complete"
            rows[row.number] = replace(row, state=state, accuracy=rng.randint(1, 9) / 10 if done else None, epochs=2)
        else:
            firsts = [
                row for row in rows if row.state == "complete" and row.kind in ("searched", "baseline", "imported")
            ]
            kind = rng.choice(
                ["searched"] * 4 + ["rejected", "baseline", "imported"] + ["replicate"] * 3 * bool(firsts)
            )
            row = Trial(len(rows), "running", kind, cost={"macs": rng.randint(1, 9)}, key=str(len(rows)))
            if kind == "rejected":
                row = replace(row, state="pruned", reason="over the limit")
            elif kind == "imported":
                row = replace(row, state="complete", accuracy=rng.randint(1, 9) / 10)
            elif kind == "baseline":
                row = replace(row, name=str(row.number))
            elif kind == "replicate":
                first = rng.choice(firsts)
                used = [r.seed_index for r in rows if r.replicate_of == first.number]
                row = replace(row, replicate_of=first.number, seed_index=max(used, default=0) + 1, cost=first.cost)
            rows.append(row)
        history.append(list(rows))
    return history


@pytest.mark.parametrize("seed", range(8))
def test_it_is_what_a_look_at_all_rows_says(seed: int) -> None:
    history = rows_in_the_making(seed)
    state = SearchState()
    before: list[Trial] = []
    for rows in history:
        (changed,) = [row for row in rows if row.number >= len(before) or before[row.number] != row]
        state.put(changed)
        before = rows
        if len(rows) % 3 == 0:  # the front is looked at now and then, and grows unseen in between
            continue
        for look in (state, SearchState(rows)):
            points = [point for point in front.summary(rows) if point.on_front]
            assert set(look.front) == {point.number for point in points}
            assert sorted(look.points) == sorted((point.accuracy, point.flops) for point in points)
            for kind in ("searched", "rejected", "baseline", "replicate", "imported"):
                assert look.kinds[kind] == sum(row.kind == kind for row in rows)
                assert look.finished[kind] == sum(row.kind == kind and row.finished for row in rows)
            assert look.failed == sum(row.state == "failed" for row in rows)
            assert look.stopped == sum(row.stopped for row in rows)
            assert set(look.open) == {row.number for row in rows if not row.finished}
            assert look.baselines == {row.name: row.number for row in rows if row.kind == "baseline"}
            trained = [row for row in rows if row.kind == "searched"]
            assert look.spent_epochs(5) == sum((row.epochs or 0) if row.finished else 5 for row in trained)
            for row in rows:
                assert look.replicates(row.number) == {r.seed_index for r in rows if r.replicate_of == row.number}


def test_what_was_cut_off_is_a_proposal_from_then_on() -> None:
    row = Trial(0, "running", "searched", cost={"macs": 1})
    state = SearchState([row])
    state.put(replace(row, state="failed", kind="rejected"))
    assert (state.kinds["searched"], state.kinds["rejected"]) == (0, 1)
    assert state.finished == {"rejected": 1}
