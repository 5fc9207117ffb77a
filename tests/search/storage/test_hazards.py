"""A record that is moved, locked, or taken over while a search writes it."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import toys

from metamixer import record
from metamixer.errors import RecordError
from metamixer.search import processes
from metamixer.search.storage import lease, trial_store
from metamixer.search.storage.trial_store import TrialStore, running
from metamixer.search.study import Study

Load = Callable[..., Study]


def opened(file: Path, **options: Any) -> TrialStore:
    return TrialStore(file, {"format": record.FORMAT}, {}, **options)


def one() -> record.Trial:
    return running("lin", "k", {"macs": 5, "params": 3}, kind="searched")


def deleted(file: Path) -> None:
    file.unlink()


def renamed(file: Path) -> None:
    file.rename(file.with_name("old.db"))


def folder_renamed(file: Path) -> None:
    file.parent.rename(file.parent.with_name("away"))


def replaced(file: Path) -> None:
    copy = Path(shutil.copy(file, file.with_name("copy.db")))
    os.replace(copy, file)


@pytest.mark.parametrize("harm", [deleted, renamed, folder_renamed, replaced])
def test_a_record_that_is_gone_is_noticed_at_the_next_write(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    file = tmp_path / "run" / "study.db"
    store = opened(file)
    store.add(one())
    harm(file)
    with pytest.raises(RecordError, match="deleted, moved or replaced"):
        store.add(one())
    with pytest.raises(RecordError, match="deleted, moved or replaced"):
        store.set_references({})
    store.close()
    assert file.exists() == (harm is replaced), "no empty record is left in its place"


def test_a_search_whose_record_is_deleted_trains_nothing_more(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = []

    def evaluate(job: toys.Job, report: toys.Report) -> dict[str, Any]:
        trained.append(job["number"])
        if len(trained) == 2:
            (study.path / "study.db").unlink()
        return toys.fast(job, report)

    monkeypatch.setattr(toys, "deleting", evaluate, raising=False)
    study = load("search.evaluate=toys:deleting", "study.confirm=1")
    with pytest.raises(RecordError, match="deleted, moved or replaced"):
        study.run("inline")
    assert len(trained) == 2


def locked_for(file: Path, waits: int) -> tuple[sqlite3.Connection, Callable[[float], None], list[float]]:
    """A program that holds a file locked until it was waited for so many times."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == waits:
            other.execute("ROLLBACK")

    return other, wait, waited


def test_a_locked_file_is_waited_for_as_a_server_is_and_that_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_store, "LOCK_SECONDS", 0.2)
    file, said = tmp_path / "study.db", []
    opened(file).close()
    began = time.monotonic()
    other, wait, waited = locked_for(file, 3)

    def say(line: str) -> None:
        said.append((line, time.monotonic() - began))

    with closing(other):
        store = opened(file, say=say, wait=wait)  # at the start
    assert len(waited) == 3
    assert "locked by another program" in said[0][0]
    assert str(file) in said[0][0]
    assert [line for line, _ in said[1:]] == ["the record can be used again"]
    other, wait, waited = locked_for(file, 2)
    store._wait = wait
    with closing(other):
        store.add(one())  # while it runs
    assert len(waited) == 2
    assert sum("locked by another program" in line for line, _ in said) == 2
    store.close()
    assert len(record.read(file)) == 1


def test_a_file_that_stays_locked_ends_the_search_with_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_store, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(trial_store, "AWAY_SECONDS", 0.0)
    file = tmp_path / "study.db"
    opened(file).close()
    other, wait, _ = locked_for(file, 1000)
    with closing(other), pytest.raises(RecordError, match="locked by another program"):
        opened(file, wait=wait)


def take_over(file: Path) -> None:
    owner = {"host": "elsewhere", "pid": 1, "process_started": "x", "token": "t", "renewed": time.time()}
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = 'lease'", (json.dumps(owner),))


def test_every_write_sees_that_the_lease_is_its_own(tmp_path: Path) -> None:
    writes: list[Callable[[TrialStore], object]] = [
        lambda store: store.add(one()),
        lambda store: store.rewrite(store.trials[0]),
        lambda store: store.finish(record.Trial(**{**store.trials[0].__dict__, "state": "failed"})),
        lambda store: store.set_references({"SVM": 0.5}),
        lambda store: store.extend({"format": record.FORMAT, "more": 1}),
    ]
    for number, write in enumerate(writes):
        file = tmp_path / str(number) / "study.db"
        store = opened(file)
        store.add(one())
        take_over(file)
        before = dump(file)
        with pytest.raises(RecordError, match="took this study over"):
            write(store)
        store.close()
        assert dump(file) == before


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as db:
        return [line for line in db.iterdump() if "INSERT" in line]


@pytest.mark.parametrize(("age", "alive"), [(0.0, True), (lease.STALE_SECONDS + 1, False)])
def test_a_driver_in_another_namespace_of_this_host_counts_as_alive_until_its_lease_runs_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, alive: bool
) -> None:
    file = tmp_path / "study.db"
    store = opened(file)  # its process is this one; to another namespace its number means nothing
    with closing(sqlite3.connect(file)) as db, db:
        ((text,),) = db.execute("SELECT value_json FROM study_user_attributes WHERE key = 'lease'").fetchall()
        held = {**json.loads(text), "pid": 2**22 + 5, "renewed": time.time() - age, "token": "theirs"}
        db.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = 'lease'", (json.dumps(held),))
    monkeypatch.setattr(processes, "namespace", lambda: "a container")
    if alive:
        with pytest.raises(RecordError, match="another search is running") as error:
            opened(file)
        assert "try again in 2 minutes" in str(error.value)
    else:
        opened(file).close()
    store.close()


def test_a_living_process_that_is_hidden_is_not_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    def unseen(pid: int | None = None) -> psutil.Process:
        raise psutil.NoSuchProcess(pid or 0)

    def forbidden(pid: int, signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(psutil, "Process", unseen)
    assert processes.started(2**22 + 5) is None
    monkeypatch.setattr(os, "kill", forbidden)
    assert processes.started(2**22 + 5) == "unknown"
    held = {"host": lease.platform.node(), "pid": 2**22 + 5, "process_started": "5.00", "renewed": 100.0}
    assert lease._alive(held, 101.0)
    assert not lease._alive(held, 101.0 + lease.STALE_SECONDS)
