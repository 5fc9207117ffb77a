"""Optuna's private tables: metamixer writes rows into them, so another revision must be noticed at once."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from optuna.storages import RDBStorage

from metamixer import record
from metamixer.errors import RecordError, ResourceError
from metamixer.search.storage import schema
from metamixer.search.storage.trial_store import TrialStore, running

SETTINGS = {"study": {"name": "s"}, "reference_point": [0.1, 100.0]}
COST = {"macs": 10, "params": 2, "elementwise": 3, "activations": 4}
# Every column of the tables that metamixer writes or reads, as it was tested with.
COLUMNS = {
    "alembic_version": ["version_num"],
    "studies": ["study_id", "study_name"],
    "study_user_attributes": ["study_user_attribute_id", "study_id", "key", "value_json"],
    "trials": ["trial_id", "number", "study_id", "state", "datetime_start", "datetime_complete"],
    "trial_intermediate_values": [
        "trial_intermediate_value_id",
        "trial_id",
        "step",
        "intermediate_value",
        "intermediate_value_type",
    ],
    "trial_params": ["param_id", "trial_id", "param_name", "param_value", "distribution_json"],
    "trial_system_attributes": ["trial_system_attribute_id", "trial_id", "key", "value_json"],
    "trial_user_attributes": ["trial_user_attribute_id", "trial_id", "key", "value_json"],
    "trial_values": ["trial_value_id", "trial_id", "objective", "value", "value_type"],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s" / "study.db"


def stamp(path: Path, revision: str) -> None:
    TrialStore(path, SETTINGS, {}).close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def test_the_installed_optuna_has_the_tables_that_are_written(tmp_path: Path) -> None:
    """Fails with a new Optuna that changes them: read its migration, then `tables` and `schema.REVISION`."""
    storage = RDBStorage(f"sqlite:///{tmp_path}/new.db")
    assert storage.get_head_version() == schema.REVISION
    with closing(sqlite3.connect(tmp_path / "new.db")) as db:
        for table, columns in COLUMNS.items():
            assert [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")] == columns


def test_optuna_is_pinned_to_the_tested_minor_version() -> None:
    project = Path(schema.__file__).parents[3] / "pyproject.toml"
    if not project.is_file():
        pytest.skip("installed without its sources")
    (pin,) = [line for line in tomllib.loads(project.read_text())["project"]["dependencies"] if "optuna" in line]
    major, minor = version("optuna").split(".")[:2]
    assert pin == f"optuna>={major}.{minor},<{major}.{int(minor) + 1}"


def test_tables_of_another_revision_are_refused_and_left_as_they_are(path: Path) -> None:
    stamp(path, "v9.0.0.a")
    before = path.read_bytes()
    with pytest.raises(RecordError, match=r"tables are of another Optuna \(revision v9\.0\.0\.a") as error:
        TrialStore(path, SETTINGS, {})
    assert error.value.place == str(path)
    assert "--name" in (error.value.advice or "")
    assert path.read_bytes() == before


def test_an_optuna_with_other_tables_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another Optuna does: it stamps new tables with its own revision, and refuses ours."""
    monkeypatch.setattr(schema, "REVISION", "v1.0.0.z")
    with pytest.raises(ResourceError, match=r"installed Optuna .* has other tables") as error:
        TrialStore(path, SETTINGS, {})
    assert "pip install" in (error.value.advice or "")

    stamp_of_ours = path.with_name("ours.db")
    monkeypatch.undo()
    stamp(stamp_of_ours, "v1.0.0.z")
    monkeypatch.setattr(schema, "REVISION", "v1.0.0.z")
    with pytest.raises((ResourceError, RecordError)):
        TrialStore(stamp_of_ours, SETTINGS, {})


def test_a_record_of_another_format_is_one_message(path: Path) -> None:
    store = TrialStore(path, {**SETTINGS, "format": record.FORMAT}, {})
    store.add(running("lin", "k", COST, kind="searched"))
    store.close()
    assert len(record.read(path)) == 1
    with closing(sqlite3.connect(path)) as db, db:
        found = f'"format": {record.FORMAT}'
        db.execute("UPDATE study_user_attributes SET value_json = replace(value_json, ?, '\"format\": 1')", (found,))
    reads = (lambda: TrialStore(path, SETTINGS, {}), lambda: record.read(path), lambda: record.settings(path))
    for read in reads:
        with pytest.raises(RecordError, match=r"another version of metamixer \(format 1; this one has 2\)"):
            read()
