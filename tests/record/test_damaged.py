"""Records that are damaged, or somebody else's, are one message, and nothing of them is trusted."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from metamixer import record
from metamixer.errors import RecordError, ResourceError, UserError
from metamixer.record.feed import Feed, some
from metamixer.record.location import Storage
from metamixer.search.storage import compatibility
from metamixer.search.storage.trial_store import TrialStore, running

SETTINGS: dict[str, Any] = {
    "study": {"budget": 3},
    "training": {"epochs": 2},
    "limits": {},
    "search": {},
    "task": {"name": "t", "channels": 1, "grid": [8, 8], "classes": 10},
    "space": {"name": "s", "start": "net", "max_depth": 4, "rules": {"net": "lin"}},
    "reference_point": [0.1, 100.0],
    "format": record.FORMAT,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("whole") / "study.db"
    store = TrialStore(file, SETTINGS, {"task": "x"})
    for number in range(3):
        trial = store.add(running("lin", f"k{number}", {"macs": 5, "params": 3}, kind="searched"))
        done = {"state": "complete", "accuracy": 0.5, "curve": [{"epoch": 1, "validation_accuracy": 0.5}]}
        store.finish(record.Trial(**{**trial.__dict__, **done}))
    store.set_references({"SVM": 0.9})
    store.close()
    return file


@pytest.fixture
def file(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "study.db"))


def change(file: Path, *statements: str, values: tuple[Any, ...] = ()) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        for statement in statements:
            db.execute(statement, values)


def write(file: Path, key: str, value: str) -> None:
    table = "trial_user_attributes" if key == "trial" else "study_user_attributes"
    where = "key = 'trial' AND trial_id = 2" if key == "trial" else f"key = '{key}'"
    with closing(sqlite3.connect(file)) as db, db:
        if not db.execute(f"UPDATE {table} SET value_json = ? WHERE {where}", (value,)).rowcount:
            db.execute("INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (1, ?, ?)", (key, value))


def edited(file: Path, key: str, edit: Callable[[Any], Any]) -> None:
    table = "trial_user_attributes WHERE trial_id = 2 AND" if key == "trial" else "study_user_attributes WHERE"
    with closing(sqlite3.connect(file)) as db:
        ((text,),) = db.execute(f"SELECT value_json FROM {table} key = '{key}'").fetchall()
    write(file, key, json.dumps(edit(json.loads(text))))


def reopened(file: Path) -> None:
    store = TrialStore(file, SETTINGS, {"task": "x"})
    try:
        compatibility.compare(store, SETTINGS, {"task": "x"})
    finally:
        store.close()


READERS: list[Callable[[Path], Any]] = [
    record.read,
    record.settings,
    lambda file: Feed(Storage(file=file)).read(),
    lambda file: some(Storage(file=file), [1]),
    reopened,
]


def refusals(file: Path) -> list[str]:
    """What each reader says; anything but an error for users leaves."""
    said = []
    for read in READERS:
        try:
            read(file)
        except UserError as error:
            said.append(str(error))
    return said


def test_a_whole_record_is_read_by_all(file: Path) -> None:
    assert refusals(file) == []
    assert record.settings(file)["references"] == {"SVM": 0.9}


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{",
        "[]",
        "3",
        '"text"',
        "[" * 5000,
        '{"kind": "weird"}',
        '{"kind": "searched", "curve": "x"}',
        '{"kind": "searched", "cost": {"macs": "5", "params": 3}}',
        '{"kind": "searched", "accuracy": "high"}',
        '{"kind": "searched", "weights": "../../home/secret"}',
        '{"kind": "searched", "weights": "/etc/passwd"}',
        '{"kind": "replicate", "replicate_of": 7}',
        '{"kind": "searched", "choices": [1]}',
    ],
)
def test_a_trial_that_is_none_is_one_message_that_names_it(file: Path, damage: str) -> None:
    write(file, "trial", damage)
    said = refusals(file)
    if damage:
        assert len(said) == 4, said  # all but the one that reads settings alone
        assert all("trial 1" in text or "Expecting" in text or "recursion" in text for text in said), said
    assert all("is damaged" in text and str(file) in text for text in said)


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", "null", "3", '{"study": 1}'])
def test_settings_that_are_none_are_one_message(file: Path, damage: str) -> None:
    write(file, "settings", damage)
    with pytest.raises(RecordError):
        record.settings(file)
    with pytest.raises(RecordError):
        reopened(file)
    refusals(file)


@pytest.mark.parametrize("key", ["classes", "channels", "grid", "name"])
@pytest.mark.parametrize("value", ["<script>alert(1)</script>", ["<script>"], {"a": 1}, None, True])
def test_a_record_cannot_bring_text_where_a_report_shows_numbers(file: Path, key: str, value: Any) -> None:
    edited(file, "settings", lambda settings: {**settings, "task": {**settings["task"], key: value}})
    if key == "name" and isinstance(value, str):
        return  # text, which reports quote
    with pytest.raises(RecordError, match=f"task.{key}"):
        record.settings(file)


@pytest.mark.parametrize("damage", ["{", "[]", "3", "{}", '{"host": 1}', '{"host": "h", "pid": "x", "renewed": 0}'])
def test_a_lease_that_is_none_is_one_message(file: Path, damage: str) -> None:
    write(file, "lease", damage)
    with pytest.raises(RecordError, match=r"lease|damaged"):
        reopened(file)


def test_references_that_are_none_are_computed_anew(file: Path) -> None:
    for damage in ("[0.1]", '{"a": "b"}', "null", '{"a": 50}'):
        write(file, "references", damage)
        assert refusals(file) == []
        assert record.settings(file)["references"] == {}


def test_a_deleted_trial_is_one_message(file: Path) -> None:
    change(file, "DELETE FROM trials WHERE number = 1")
    with pytest.raises(RecordError, match="trial 1 is missing"):
        record.read(file)
    with pytest.raises(RecordError, match="trial 1 is missing"):
        reopened(file)


def test_tables_of_a_newer_optuna_are_one_message(file: Path) -> None:
    change(file, "UPDATE alembic_version SET version_num = 'v9.9.9.a'")
    with pytest.raises(RecordError, match="another Optuna"):
        reopened(file)
    change(file, "ALTER TABLE trials RENAME COLUMN state TO status")
    assert all(isinstance(text, str) for text in refusals(file))


def test_no_damage_of_one_value_is_a_traceback(whole: Path, tmp_path: Path) -> None:
    """Any value of any table, replaced by anything: only errors for users leave."""
    chance = random.Random(5)
    junk = [None, "", "{", "[]", "{}", "3", '"x"', "null", -1, 2**40, 1.5, "COMPLETE", b"\x00\xff", '{"a": [[]]}']
    with closing(sqlite3.connect(whole)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [(t, row[1]) for t in tables for row in db.execute(f"PRAGMA table_info({t})")]
    for turn in range(60):
        file = Path(shutil.copy(whole, tmp_path / f"{turn}.db"))
        table, column = chance.choice(columns)
        value = chance.choice(junk)
        try:
            change(file, f"UPDATE {table} SET {column} = ?", values=(value,))
        except sqlite3.Error:
            continue  # what the database itself refuses
        for read in READERS:
            try:
                read(file)
            except (RecordError, ResourceError):
                pass
            except Exception as error:
                raise AssertionError(f"{table}.{column} = {value!r}") from error
