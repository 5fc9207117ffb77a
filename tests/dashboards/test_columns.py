"""The view model: columns from a record, the same means and front as everywhere else, and only what is new."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamixer.dashboards.columns import FIELDS, VERDICTS, means, record_of
from metamixer.dashboards.encode import column, decoded, pooled
from metamixer.dashboards.view import View
from metamixer.record import Trial, front, location
from metamixer.record.feed import Feed
from metamixer.search.storage.trial_store import TrialStore

from ..report.conftest import SETTINGS
from .conftest import record, searched

KINDS = ("searched", "searched", "searched", "imported", "baseline", "replicate", "rejected")


def drawn(seed: int, n: int) -> list[Trial]:
    rng = random.Random(seed)
    trials: list[Trial] = []
    for number in range(n):
        kind = rng.choice(KINDS)
        firsts = [t.number for t in trials if t.kind in ("searched", "imported", "baseline")]
        if kind == "replicate" and not firsts:
            kind = "searched"
        state = "pruned" if kind == "rejected" else rng.choice(("complete", "complete", "running", "failed", "pruned"))
        # Few distinct values, exact in float32: ties are the hard cases.
        accuracy = rng.randrange(1, 8) / 8 if state == "complete" else None
        cost = {"macs": rng.randrange(1, 6) * 1000, "params": 7, "elementwise": 3, "activations": 2}
        of = rng.choice(firsts) if kind == "replicate" else None
        trials.append(Trial(number, state, kind, accuracy=accuracy, cost=cost, replicate_of=of))
    return trials


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_means_front_and_verdicts_are_those_of_the_record_room(seed: int, n: int) -> None:
    trials = drawn(seed, n)
    found = means(np.array([record_of(trial) for trial in trials], dtype=FIELDS))
    points = {point.number: point for point in front.summary(trials)}
    for number in range(n):
        point = points.get(number)
        if point is None:
            assert not found["seeds"][number]
            assert np.isnan(found["mean"][number])
            continue
        assert found["mean"][number] == pytest.approx(point.accuracy, rel=1e-6)
        assert found["seeds"][number] == point.seeds
        assert bool(found["front"][number]) == point.on_front
        assert VERDICTS[found["verdict"][number]] == (point.verdict or "")
        if point.error is None:
            assert np.isnan(found["error"][number])
        else:
            assert found["error"][number] == pytest.approx(point.error, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("kind", ["f4", "f8", "i4", "u1"])
def test_a_column_comes_back_as_it_was(kind: str) -> None:
    values = np.array([0, 1, 7, 200], dtype=kind)
    sent = json.loads(json.dumps(column(values)))
    assert decoded(sent).tolist() == values.tolist()
    with pytest.raises(ValueError, match="no typed array"):
        column(np.array(["a"]))


def test_texts_that_repeat_are_sent_once() -> None:
    sent = pooled(["a", None, "b", "a"])
    assert sent["texts"] == ["a", "b"]
    assert decoded(sent["at"]).tolist() == [0, -1, 1, 0]


def test_a_page_is_sent_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metamixer.dashboards.view.FRESH_SECONDS", 0.0)
    store = record(tmp_path / "run")
    try:
        view = View(location.find(tmp_path / "run"), "run")
        view.refresh()
        first = view.since(-1)
        assert first["whole"]
        assert first["rows"] == len(store.trials)
        revision, generation = first["revision"], first["generation"]

        view.refresh()
        nothing = view.since(revision, generation)
        assert nothing == {"revision": revision, "generation": generation}
        assert len(json.dumps(nothing)) < 200

        running = searched(store, "patch(2,8) >> norm", 5_000, None)
        view.refresh()
        news = view.since(revision, generation)
        assert not news["whole"]
        assert decoded(news["index"]).tolist() == [running.number]
        assert news["texts"]["sentence"] == ["patch(2,8) >> norm"]
        assert news["progress"]["running"] == 1

        # One that ends on the front changes itself and those that it drives off the front.
        before = set(np.flatnonzero(view.table()[1]["front"]))
        store.finish(replace(running, state="complete", accuracy=0.999, epochs=1))
        view.refresh()
        last = view.since(news["revision"], generation)
        changed = set(decoded(last["index"]).tolist())
        after = set(np.flatnonzero(view.table()[1]["front"]))
        assert changed >= {running.number} | (before ^ after)
        assert running.number in after
        assert before - after
        assert view.since(-1)["rows"] == last["rows"]
    finally:
        store.close()


def test_another_record_in_its_place_is_sent_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metamixer.dashboards.view.FRESH_SECONDS", 0.0)
    record(tmp_path / "run").close()
    view = View(location.find(tmp_path / "run"), "run")
    view.refresh()
    old = view.since(-1)
    for file in (tmp_path / "run").glob("study.db*"):
        file.rename(file.with_name(f"old-{file.name}"))
    TrialStore(tmp_path / "run" / "study.db", SETTINGS, {}).close()
    view.refresh()
    news = view.since(old["revision"], old["generation"])
    assert news["whole"]
    assert news["rows"] == 0
    assert news["generation"] != old["generation"]


def test_reading_holds_no_lock_and_writes_nothing(tmp_path: Path) -> None:
    store = record(tmp_path / "run")
    try:
        feed = Feed(location.find(tmp_path / "run"))
        assert len(feed.read().trials) == len(store.trials)
        files = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.suffix != ".db-shm"}
        for _ in range(50):
            assert not feed.read()
        assert files == {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.name in files}
        # A writer that takes the whole file gets it at once, between two readings.
        import sqlite3

        writer = sqlite3.connect(tmp_path / "run" / "study.db", timeout=0.0, isolation_level=None)
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("ROLLBACK")
        writer.close()
    finally:
        store.close()


def test_a_trial_that_runs_is_read_again_until_it_ends(tmp_path: Path) -> None:
    store = record(tmp_path / "run")
    try:
        feed = Feed(location.find(tmp_path / "run"))
        feed.read()
        trial = searched(store, "patch(2,8) >> norm", 5_000, None)
        assert [t.state for t in feed.read().trials] == ["running"]
        assert not feed.read().trials
        store.rewrite(replace(trial, worker="elsewhere"))
        assert [t.worker for t in feed.read().trials] == ["elsewhere"]
        store.finish(replace(trial, state="complete", accuracy=0.5, epochs=1))
        assert [t.state for t in feed.read().trials] == ["complete"]
        assert not feed.read().trials
    finally:
        store.close()
