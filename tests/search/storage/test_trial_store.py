from __future__ import annotations

import json
import platform
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from metamixer import record
from metamixer.errors import RecordError
from metamixer.search import processes
from metamixer.search.storage import lease, tables, trial_store
from metamixer.search.storage.trial_store import Parameters, TrialStore, running

SETTINGS = {
    "study": {"name": "s"},
    **{section: {} for section in ("training", "limits", "search")},
    "task": {"name": "t", "channels": 1, "grid": [8, 8], "classes": 10},
    "space": {"rules": {}},
    "reference_point": [0.1, 100.0],
}
COST = {"macs": 10, "params": 2, "elementwise": 3, "activations": 4}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s" / "study.db"


@pytest.fixture
def store(path: Path) -> Iterator[TrialStore]:
    opened = TrialStore(path, SETTINGS, {"task": "t"})
    yield opened
    opened.close()


def test_rows_come_back_as_they_were_written(store: TrialStore, path: Path) -> None:
    from optuna.distributions import CategoricalDistribution

    parameters = Parameters({"a#1": "x"}, {"a#1": CategoricalDistribution(("x", "y"))}, {"n:generation": 2})
    row = store.add(running("lin", "k", COST, kind="searched", choices={"a#1": "x"}, seed=5), parameters)
    assert (row.number, row.state) == (0, "running")
    store.add(record.Trial(-1, "pruned", "rejected", reason="over", key="o", cost=COST))
    (path.parent / "weights").mkdir()
    (path.parent / "weights" / "0.safetensors").touch()
    curve = [{"epoch": 1, "validation_accuracy": 0.5}]
    done = replace(row, state="complete", accuracy=0.5, curve=curve, seconds=1.5, weights="weights/0.safetensors")
    store.finish(done)
    store.add(running("lin", "k2", COST, kind="searched"))
    store.finish(replace(store.trials[2], state="failed", reason="nan"))
    found = record.read(path)
    assert found == store.trials
    assert found[0] == done
    assert [r.state for r in found] == ["complete", "pruned", "failed"]
    assert found[0].flops == 20
    (path.parent / "weights" / "0.safetensors").unlink()
    assert record.read(path.parent)[0].weights is None


def test_optuna_reads_the_same_record(store: TrialStore, path: Path) -> None:
    import optuna

    row = store.add(running("lin", "k", COST, kind="searched"))
    store.finish(replace(row, state="complete", accuracy=0.5))
    store.close()
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    assert [d.name for d in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.trials[0].values == [0.5, 20.0]
    assert study.trials[0].user_attrs["trial"]["sentence"] == "lin"


def test_replicates_and_baselines_are_no_best_trials_to_optuna(store: TrialStore, path: Path) -> None:
    import optuna

    for kind, accuracy, more in (
        ("searched", 0.5, {}),
        ("baseline", 0.9, {"name": "mixer"}),
        ("replicate", 0.8, {"replicate_of": 0, "seed_index": 1}),
    ):
        row = store.add(replace(running("lin", "k", COST, kind=kind), **more))
        curve = [{"epoch": epoch, "validation_accuracy": accuracy * epoch / 2} for epoch in (1, 2)]
        store.finish(replace(row, state="complete", accuracy=accuracy, curve=curve, epochs=2))
    stopped = store.add(running("lin", "l", COST, kind="searched"))
    curve = [{"epoch": 1, "validation_accuracy": 0.25}]
    store.finish(replace(stopped, state="pruned", reason="stopped at epoch 1 of 2", curve=curve, epochs=1))
    store.close()

    study = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    assert [trial.number for trial in study.best_trials] == [0]
    assert all(trial.state.name == "COMPLETE" for trial in study.trials[:3])
    told = [{name: value for name, value in trial.user_attrs.items() if name != "trial"} for trial in study.trials]
    figures = {"MACs": 10, "parameters": 2, "epochs": 2}
    assert told[0] == {**figures, "kind": "searched", "accuracy": 0.5}
    assert told[1] == {**figures, "kind": "baseline", "accuracy": 0.9, "name": "mixer"}
    assert told[2] == {**figures, "kind": "replicate", "accuracy": 0.8, "replicate of": 0}
    assert told[3]["accuracy when stopped"] == 0.25
    assert study.trials[0].intermediate_values == {1: 0.25, 2: 0.5}
    assert study.trials[3].intermediate_values == {}
    # Optuna's own samplers go on from such a record.
    for sampler in (optuna.samplers.TPESampler(n_startup_trials=0), optuna.samplers.NSGAIISampler()):
        study.sampler = sampler
        assert 0 <= study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}).params["x"] <= 1
    assert record.read(path)[: len(store.trials)] == store.trials


def test_the_tables_are_those_that_optuna_writes(store: TrialStore, path: Path) -> None:
    """The same trial, written by Optuna's own add_trial and tell, leaves the same in every table."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    values = {"a": "x", "b": 3, "c": 0.5}
    domains = {
        "a": CategoricalDistribution(("x", "y")),
        "b": IntDistribution(1, 9, step=2),
        "c": FloatDistribution(0, 1),
    }
    row = store.add(
        running("lin", "k", COST, kind="searched", choices={"a": "x"}),
        Parameters(values, domains, {"n:generation": 2}),  # type: ignore[arg-type]
    )
    done = replace(row, state="complete", accuracy=0.5, curve=[{"epoch": 1, "validation_accuracy": 0.5}], epochs=1)
    store.finish(done)
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{path}")
    study.add_trial(
        optuna.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=values,
            distributions=domains,  # type: ignore[arg-type]
            system_attrs={"n:generation": 2},
            user_attrs={"trial": tables.document(done), **tables.figures(done)},
        )
    )
    study._storage.set_trial_intermediate_value(study.trials[1]._trial_id, 1, 0.5)
    study.tell(1, [0.5, 20.0])
    with closing(sqlite3.connect(path)) as db:
        names = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE name LIKE 'trial%' AND type='table'")
        ]
        for name in names:
            kept = [column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")]
            other = {"number", "datetime_start", "datetime_complete"}
            kept = [column for column in kept if column not in other and not column.endswith("_id")]
            ours, theirs = (
                sorted(db.execute(f"SELECT {', '.join(kept)} FROM {name} WHERE trial_id = ?", (trial,)).fetchall())
                for trial in (1, 2)
            )
            assert ours == theirs, name
        ended = db.execute("SELECT datetime_complete >= datetime_start FROM trials").fetchall()
    assert ended == [(1,), (1,)]
    assert len(names) >= 6


def test_settings_are_of_the_first_start(path: Path) -> None:
    TrialStore(path, SETTINGS, {"task": "t"}).close()
    again = TrialStore(path, {"study": {"name": "other"}}, {"task": "u"})
    assert again.resumed
    assert again.clean
    again.set_references({"RBF-SVM": 0.9})
    again.close()
    assert record.settings(path) == {**SETTINGS, "fingerprints": {"task": "t"}, "references": {"RBF-SVM": 0.9}}


def test_a_write_ahead_log_and_one_synchronisation_a_checkpoint(store: TrialStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with store._storage.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1


def test_reading_needs_the_standard_library_alone() -> None:
    heavy = ("optuna", "numpy", "ray", "pydantic")
    code = f"import sys, metamixer.record.reading; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_study_is_loaded_without_heavy_packages() -> None:
    heavy = ("optuna", "torch", "ray", "plotly", "sklearn")
    code = f"import sys, metamixer as mm; mm.Study.load('digits'); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_a_running_search_can_be_read(store: TrialStore, path: Path) -> None:
    for i in range(3):
        store.add(running("lin", f"k{i}", COST, kind="searched"))
        assert len(record.read(path)) == i + 1


def test_a_read_only_folder_can_be_read(path: Path) -> None:
    opened = TrialStore(path, SETTINGS, {})
    opened.add(running("lin", "k", COST, kind="searched"))
    opened.close()
    assert not path.with_name("study.db-wal").exists()
    path.chmod(0o444)
    path.parent.chmod(0o555)
    try:
        assert len(record.read(path)) == 1
    finally:
        path.parent.chmod(0o755)


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be looked at" * 100, b"SQLite format 3\0xx"]
)
def test_a_file_that_is_no_record(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(RecordError, match="record"):
        TrialStore(path, SETTINGS, {})
    with pytest.raises(RecordError, match="cannot read the record"):
        record.read(path)
    assert path.read_bytes() == content


def test_somebody_elses_database(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (a)")
    with pytest.raises(RecordError, match="no metamixer study"):
        TrialStore(path, SETTINGS, {})
    with pytest.raises(RecordError, match="no metamixer study"):
        record.read(path)
    with pytest.raises(RecordError, match="no record there"):
        record.read(path.with_name("none.db"))


def test_a_locked_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial_store, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(trial_store, "AWAY_SECONDS", 0.0)
    TrialStore(path, SETTINGS, {}).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE mine (a)")
        with pytest.raises(RecordError, match="locked by another program"):
            TrialStore(path, SETTINGS, {})


def test_a_second_driver_is_refused_and_the_first_goes_on(store: TrialStore, path: Path) -> None:
    with pytest.raises(RecordError, match="another search is running on this study"):
        TrialStore(path, SETTINGS, {})
    store.add(running("lin", "k", COST, kind="searched"))
    store.close()
    TrialStore(path, SETTINGS, {}).close()


def held(path: Path, **by: object) -> None:
    TrialStore(path, SETTINGS, {}).close()
    owner = {"host": platform.node(), "pid": 1, "process_started": "x", "token": "t", "renewed": time.time(), **by}
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = 'lease'", (json.dumps(owner),))


def test_two_drivers_may_make_one_record(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from optuna.storages import RDBStorage
    from optuna.storages._rdb.storage import _VersionManager

    stamp, calls = _VersionManager._set_alembic_revision, 0

    def late(self: _VersionManager, revision: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            RDBStorage(f"sqlite:///{path}")  # another driver stamps the tables that this one has found unstamped
        stamp(self, revision)

    monkeypatch.setattr(_VersionManager, "_set_alembic_revision", late)
    store = TrialStore(path, SETTINGS, {})
    assert calls == 2
    assert not store.resumed
    store.close()


@pytest.mark.parametrize(
    "by",
    [
        {"pid": 1, "process_started": "a process that had this number before"},
        {"pid": 2**22 + 1},
        {"host": "elsewhere", "renewed": time.time() - 1000},
    ],
)
def test_a_dead_drivers_lease_is_taken_over(path: Path, by: dict[str, object]) -> None:
    held(path, **by)
    opened = TrialStore(path, SETTINGS, {})
    assert not opened.clean
    opened.close()


@pytest.mark.parametrize(
    "by", [{"host": "elsewhere"}, {"pid": 1, "process_started": processes.started(1), "renewed": 0.0}]
)
def test_a_living_drivers_lease_is_not(path: Path, by: dict[str, object]) -> None:
    held(path, **by)
    with pytest.raises(RecordError, match="another search is running"):
        TrialStore(path, SETTINGS, {})


def test_a_driver_that_lost_its_lease_stops_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_SECONDS", 0.05)
    slept = TrialStore(path, SETTINGS, {})
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE study_user_attributes SET value_json = replace(value_json, 'token', 'nekot')")
    deadline = time.monotonic() + 60
    while not slept._lease.lost and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(RecordError, match="took this study over"):
        slept.add(running("lin", "k", COST, kind="searched"))
    slept.close()
    assert record.read(path) == []


def test_start_times_tell_processes_apart() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = processes.started(child.pid)
    assert started is not None
    assert processes.started(child.pid) == started
    child.kill()
    deadline = time.monotonic() + 60
    while processes.started(child.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    # Killed but not yet waited for: its number is still taken.
    assert processes.started(child.pid) is None
    child.communicate()
    assert processes.started(child.pid) is None
