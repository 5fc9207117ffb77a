"""Reading a study's record: the rows and settings in `runs/<study>/study.db`, with the standard library alone.

The record is one Optuna study in one SQLite file. Every trial carries one user attribute `row`, a JSON document; the
study carries `settings` (the resolved configuration), `fingerprints` and `references`. Nothing here writes, so a
running search can be watched.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metamixer.errors import RecordError

FORMAT = 1
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "running"}


@dataclass(frozen=True)
class Row:
    """One trial of the record.

    `kind` is `trained` (counts against the budget), `proposal` (refused before training), `baseline` or `replicate`;
    `state` is `complete`, `pruned`, `failed` or `running`. A `trained` row that is `pruned` was stopped early: its
    fidelity is `epochs`, what it had reached is in its `curve`, and its `accuracy` is None. `cost` holds macs, params,
    elementwise, activations for one input. `accuracy` is validation accuracy in 0..1, `loss` validation loss, `seconds`
    the trial's wall time, `cpu_seconds` its processor time, `started` seconds since 1970 (UTC), `clock` the seconds
    that drivers had run, in all their lives, when the row was written last. `weights` is a path relative to the
    record's folder, None when the file was not kept.
    """

    number: int
    state: str
    kind: str
    reason: str | None = None
    sentence: str = ""
    key: str | None = None
    choices: dict[str, int | str] = field(default_factory=dict)
    cost: dict[str, int] | None = None
    accuracy: float | None = None
    loss: float | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)
    seed: int | None = None
    replicate: int = 0
    of: int | None = None
    name: str | None = None
    duplicate_of: int | None = None
    attempts: int = 1
    seconds: float | None = None
    cpu_seconds: float | None = None
    started: float | None = None
    clock: float | None = None
    worker: str | None = None
    device: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    traceback: str | None = None
    weights: str | None = None
    epochs: int | None = None

    @property
    def flops(self) -> int:
        """Floating-point operations for one input: 2 x multiply-accumulates."""
        return 2 * self.cost["macs"] if self.cost else 0

    @property
    def finished(self) -> bool:
        return self.state != "running"

    @property
    def stopped(self) -> bool:
        """Whether its training was ended early, so that it has no value of full fidelity."""
        return self.kind == "trained" and self.state == "pruned"


FIELDS = tuple(name for name in Row.__dataclass_fields__ if name not in ("number", "state"))


def to_row(number: int, state: str, document: dict[str, Any] | None) -> Row:
    """A row from its JSON document; a trial without one was cut off while it was written, or is somebody else's."""
    if document is None:
        return Row(number, state, "proposal", reason="the row was not written completely")
    return Row(number, state, **{name: document[name] for name in FIELDS if name in document})


def read(path: str | Path) -> list[Row]:
    """The rows of a record, by number.

    Args:
        path: The record `study.db`, or the folder that holds it.

    Raises:
        RecordError: There is no such file, it is locked, or it is not a record.
    """
    file = _file(path)
    rows = []
    with _connection(file) as db:
        study = _study(db, file)
        found = db.execute(
            "SELECT t.number, t.state, a.value_json FROM trials t LEFT JOIN trial_user_attributes a"
            " ON a.trial_id = t.trial_id AND a.key = 'row' WHERE t.study_id = ? ORDER BY t.number",
            (study,),
        )
        for number, state, document in found:
            rows.append(to_row(number, STATES[state], json.loads(document) if document else None))
    return [_without_lost_weights(row, file.parent) for row in rows]


def settings(path: str | Path) -> dict[str, Any]:
    """The resolved configuration a study was started with.

    Keys: the study file's sections `study training limits search baselines`; `task` (name, channels, grid, classes) and
    `space` (name, start, max_depth, rules); `fingerprints`; `reference_point` (accuracy, flops) of the hypervolume;
    `references` (accuracies of reference classifiers, empty until computed); `versions`, `packages` (those
    that add words, with their words), `git` (see `metamixer.search.origin`); `format`.

    Raises:
        RecordError: There is no such file, it is locked, or it is not a record.
    """
    file = _file(path)
    with _connection(file) as db:
        study = _study(db, file)
        attributes = {
            key: json.loads(value)
            for key, value in db.execute(
                "SELECT key, value_json FROM study_user_attributes WHERE study_id = ?", (study,)
            )
        }
    if "settings" not in attributes:
        raise not_a_record(file)
    return {
        **attributes["settings"],
        "fingerprints": attributes.get("fingerprints", {}),
        "references": attributes.get("references", {}),
    }


def _file(path: str | Path) -> Path:
    file = Path(path)
    if file.is_dir():
        file = file / "study.db"
    if not file.is_file():
        raise RecordError("no record there", place=str(file), advice="metamixer search starts one")
    return file


def not_a_record(file: Path, detail: str = "it holds no metamixer study") -> RecordError:
    """The error for a file that is something else."""
    return RecordError(
        f"cannot read the record: {detail}",
        place=str(file),
        advice="move the file away, or give the run another name (--name)",
    )


@contextmanager
def _connection(file: Path, seconds: float = 10.0) -> Iterator[sqlite3.Connection]:
    """A read-only connection that turns SQLite's errors into ours."""
    try:
        with closing(_connect(file, seconds)) as db:
            yield db
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise RecordError(
                "the record is locked by another program", place=str(file), advice="close that program and try again"
            ) from None
        raise not_a_record(file, str(error)) from None
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise not_a_record(file, str(error)) from None


def _connect(file: Path, seconds: float) -> sqlite3.Connection:
    uri = file.resolve().as_uri()
    db = sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=seconds)
    try:
        db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        db.close()
        if "unable to open" not in str(error) and "readonly" not in str(error):
            raise
        # A write-ahead log cannot be opened in a folder that is read-only; without a log the file alone is the record.
        db = sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True, timeout=seconds)
    return db


def _study(db: sqlite3.Connection, file: Path) -> int:
    tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not {"studies", "trials", "trial_user_attributes", "study_user_attributes"} <= tables:
        raise not_a_record(file)
    found = db.execute("SELECT study_id FROM studies").fetchall()
    if len(found) != 1:
        raise not_a_record(file, f"it holds {len(found)} studies, a record holds one")
    return int(found[0][0])


def _without_lost_weights(row: Row, folder: Path) -> Row:
    # Rows are final once told, but weights of an architecture that leaves the front are deleted later.
    if row.weights is None or (folder / row.weights).is_file():
        return row
    return Row(**{**row.__dict__, "weights": None})
