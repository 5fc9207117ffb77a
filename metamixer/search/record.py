"""Reading a study's record: its rows and settings; of a SQLite file with the standard library alone.

The record is one Optuna study: in `runs/<study>/study.db`, or in the database that the run's folder names. Every trial
carries one user attribute `row`, a JSON document; the study carries `settings` (the resolved configuration),
`fingerprints` and `references`. Nothing here writes, so a running search can be watched.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metamixer.errors import RecordError
from metamixer.search import storage
from metamixer.search.storage import Storage

FORMAT = 1
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "running"}


@dataclass(frozen=True)
class Row:
    """One trial of the record.

    `kind` is `trained` (counts against the budget), `proposal` (refused before training), `baseline`, `replicate`, or
    `earlier` (trained by the study this one started from; `source` says its run and number there). `state` is
    `complete`, `pruned`, `failed` or `running`. A `trained` row that is `pruned` was stopped early: its fidelity is
    `epochs`, what it had reached is in its `curve`, and its `accuracy` is None. `cost` holds macs, params, elementwise,
    activations for one input. `name` is a baseline's in the catalogue, or a starting point's as the study names it.
    `accuracy` is validation accuracy in 0..1, `loss` validation loss, `seconds` the trial's
    wall time, `cpu_seconds` its processor time, `started` seconds since 1970 (UTC), `clock` the seconds that drivers
    had run, in all their lives, when the row was written last. `batch` is the batch size it was trained with where
    that is not the recipe's, for lack of memory. `weights` is a path relative to the record's folder, None when it was
    not kept.
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
    source: str | None = None
    batch: int | None = None
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
    def values(self) -> list[float] | None:
        """What Optuna is told: accuracy and FLOPs, of a complete row alone."""
        return [self.accuracy, float(self.flops)] if self.state == "complete" and self.accuracy is not None else None

    @property
    def finished(self) -> bool:
        return self.state != "running"

    @property
    def stopped(self) -> bool:
        """Whether its training was ended early, so that it has no value of full fidelity."""
        return self.searched and self.state == "pruned"

    @property
    def searched(self) -> bool:
        """Whether it is the first training of an architecture of the search, here or in an earlier study."""
        return self.kind in ("trained", "earlier")


FIELDS = tuple(name for name in Row.__dataclass_fields__ if name not in ("number", "state"))


def to_row(number: int, state: str, document: dict[str, Any] | None) -> Row:
    """A row from its JSON document; a trial without one was cut off while it was written, or is somebody else's."""
    if document is None:
        return Row(number, state, "proposal", reason="the row was not written completely")
    return Row(number, state, **{name: document[name] for name in FIELDS if name in document})


def read(path: str | Path) -> list[Row]:
    """The rows of a record, by number.

    Args:
        path: The record `study.db`, or the run's folder.

    Raises:
        RecordError: There is no such record, it is locked or out of reach, or it is something else.
    """
    place = storage.find(path)
    folder = Path(path).parent if place.file == Path(path) else Path(path)
    return [_without_lost_weights(row, folder) for row in rows(place)]


def rows(place: Storage) -> list[Row]:
    """The rows of the record at a place, by number, as they are written there.

    Raises:
        RecordError: As `read`.
    """
    with _reading(place) as (query, study):
        found = query(
            "SELECT t.number, t.state, a.value_json FROM trials t LEFT JOIN trial_user_attributes a"
            " ON a.trial_id = t.trial_id AND a.key = 'row' WHERE t.study_id = :study ORDER BY t.number",
            {"study": study},
        )
        return [to_row(number, STATES[state], json.loads(text) if text else None) for number, state, text in found]


def settings(path: str | Path) -> dict[str, Any]:
    """The resolved configuration a study was started with.

    Keys: the study file's sections `study training limits search baselines`; `task` (name, channels, grid, classes) and
    `space` (name, start, max_depth, rules); `fingerprints`; `reference_point` (accuracy, flops) of the hypervolume;
    `references` (accuracies of reference classifiers, empty until computed); `versions`, `packages` (those
    that add words, with their words), `git` (see `metamixer.search.origin`); `format`.

    Raises:
        RecordError: There is no such record, it is locked or out of reach, or it is something else.
    """
    place = storage.find(path)
    with _reading(place) as (query, study):
        found = query(
            "SELECT a.key, a.value_json FROM study_user_attributes a WHERE a.study_id = :study", {"study": study}
        )
        attributes = {key: json.loads(text) for key, text in found}
    if "settings" not in attributes:
        raise not_a_record(place)
    return {
        **attributes["settings"],
        "fingerprints": attributes.get("fingerprints", {}),
        "references": attributes.get("references", {}),
    }


def not_a_record(place: Storage, detail: str = "it holds no metamixer study") -> RecordError:
    """The error for a file or database that is something else."""
    what = "move the file away" if place.url is None else "name another database"
    return RecordError(
        f"cannot read the record: {detail}",
        place=str(place),
        advice=f"{what}, or give the run another name (--name)",
    )


_Query = Callable[[str, dict[str, Any]], Iterable[Any]]


@contextmanager
def _reading(place: Storage) -> Iterator[tuple[_Query, int]]:
    """A way to ask the database, and the study's number in it."""
    with _file(place.file) if place.file is not None else _database(place) as query:
        named = "SELECT s.study_id FROM studies s" + (" WHERE s.study_name = :name" if place.url is not None else "")
        found = list(query(named, {"name": place.name}))
        if not found and place.url is not None:
            raise RecordError("no such study in the database", str(place), "metamixer search starts one")
        if len(found) != 1:
            raise not_a_record(place, f"it holds {len(found)} studies, a record holds one")
        yield query, int(found[0][0])


@contextmanager
def _database(place: Storage) -> Iterator[_Query]:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError, ProgrammingError

    engine = place.engine()
    try:
        with engine.connect() as connection:
            yield lambda sql, values: connection.execute(text(sql), values)
    except ProgrammingError:  # no such table
        raise not_a_record(place) from None
    except DBAPIError as error:
        raise out_of_reach(place, error) from None
    finally:
        engine.dispose()


def out_of_reach(place: Storage, error: Exception) -> RecordError:
    """The error for a database that does not answer, or not us."""
    said = (str(getattr(error, "orig", error)).strip() or type(error).__name__).splitlines()[0]
    return RecordError(f"the record's database cannot be used: {said}", str(place), "see that it runs and lets you in")


@contextmanager
def _file(file: Path, seconds: float = 10.0) -> Iterator[_Query]:
    """A read-only connection that turns SQLite's errors into ours."""
    place = Storage(file=file)
    try:
        with closing(_connect(file, seconds)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"studies", "trials", "trial_user_attributes", "study_user_attributes"} <= tables:
                raise not_a_record(place)
            yield db.execute
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise RecordError(
                "the record is locked by another program", place=str(file), advice="close that program and try again"
            ) from None
        raise not_a_record(place, str(error)) from None
    except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
        raise not_a_record(place, str(error)) from None


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


def _without_lost_weights(row: Row, folder: Path) -> Row:
    # Rows are final once told, but weights of an architecture that leaves the front are deleted later.
    if row.weights is None or (folder / row.weights).is_file():
        return row
    return Row(**{**row.__dict__, "weights": None})
