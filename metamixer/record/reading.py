"""Reading a study's record: its trials and settings; of a SQLite file with the standard library alone.

The record is one Optuna study: in `runs/<study>/study.db`, or in the database that the run's folder names. Every trial
carries one user attribute `trial`, a JSON document; the study carries `settings` (the resolved configuration),
`fingerprints` and `references`. Nothing here writes, so a running search can be watched.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from metamixer.errors import RecordError
from metamixer.record import checked
from metamixer.record import location as storage
from metamixer.record.location import Storage
from metamixer.record.trial import FORMAT, STATES, Trial, to_trial

T = TypeVar("T")


def read(path: str | Path) -> list[Trial]:
    """The trials of a record, by number.

    Args:
        path: The record `study.db`, or the run's folder.

    Raises:
        RecordError: There is no such record, it is locked or out of reach, or it is something else.
    """
    place = storage.find(path)
    folder = Path(path).parent if place.file == Path(path) else Path(path)
    return [_without_lost_weights(trial, folder) for trial in trials(place)]


def trials(place: Storage) -> list[Trial]:
    """The trials of the record at a place, by number, as they are written there.

    Raises:
        RecordError: As `read`.
    """
    with asking(place) as (query, study):
        of_study = "SELECT value_json FROM study_user_attributes WHERE study_id = :study AND key = 'settings'"
        for (text,) in query(of_study, {"study": study}):
            check_format(_checked(place, checked.parsed, text, "its settings"), place)
        found = query(
            "SELECT t.number, t.state, a.value_json FROM trials t LEFT JOIN trial_user_attributes a"
            " ON a.trial_id = t.trial_id AND a.key = 'trial' WHERE t.study_id = :study ORDER BY t.number",
            {"study": study},
        )
        read = [written(place, number, state, text) for number, state, text in found]
    for number, trial in enumerate(read):
        if trial.number != number:
            raise damaged(place, f"trial {number} is missing")
    return read


def written(place: Storage, number: int, state: str, text: str | None) -> Trial:
    """The trial of one row of the database.

    Raises:
        RecordError: What stands there is no trial of metamixer's.
    """
    try:
        if state not in STATES:
            raise ValueError(f"trial {number} is in the state {state!r}")
        return to_trial(number, STATES[state], checked.parsed(text or None, f"trial {number}"))
    except (ValueError, TypeError) as error:
        raise damaged(place, str(error)) from None


def damaged(place: Storage, detail: str) -> RecordError:
    """The error for a record of which a part cannot be what metamixer wrote."""
    return RecordError(
        f"the record is damaged: {detail}",
        str(place),
        "restore it from a backup, or give the run another name (--name)",
    )


def _checked(place: Storage, check: Callable[..., T], *arguments: Any) -> T:
    try:
        return check(*arguments)
    except ValueError as error:
        raise damaged(place, str(error)) from None


def settings(path: str | Path) -> dict[str, Any]:
    """The resolved configuration a study was started with.

    Keys: the study file's sections `study training limits search baselines`; `task` (name, channels, grid, classes) and
    `space` (name, start, max_depth, rules); `fingerprints`; `reference_point` (accuracy, flops) of the hypervolume;
    `references` (accuracies of reference classifiers, empty until computed); `versions`, `packages` (those
    that add words, with their words), `git` (see `metamixer.search.storage.provenance`); `format`.

    Raises:
        RecordError: There is no such record, it is locked or out of reach, or it is something else.
    """
    place = storage.find(path)
    with asking(place) as (query, study):
        found = query(
            "SELECT a.key, a.value_json FROM study_user_attributes a WHERE a.study_id = :study", {"study": study}
        )
        attributes = attributes_of(place, dict(map(tuple, found)))
    if "settings" not in attributes:
        raise not_a_record(place)
    return {**attributes["settings"], **{key: attributes.get(key, {}) for key in ("fingerprints", "references")}}


def attributes_of(place: Storage, texts: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of a study, of which those that readers use are what metamixer writes.

    Raises:
        RecordError: They are not, or another version of metamixer wrote them.
    """
    found = {key: _checked(place, checked.parsed, text, f"its {key}") for key, text in texts.items()}
    if "settings" in found:
        check_format(found["settings"], place)
        _checked(place, checked.settings, found["settings"])
    for key, check in (("fingerprints", checked.texts), ("references", checked.accuracies)):
        if key in found:
            found[key] = check(found[key])
    return found


def check_format(settings: Any, place: Storage) -> None:
    """See that a record with these settings was written as it is read.

    Raises:
        RecordError: Another version of metamixer wrote it.
    """
    found = settings.get("format", FORMAT) if isinstance(settings, dict) else FORMAT
    if found != FORMAT:
        raise RecordError(
            f"the record was written by another version of metamixer (format {found}; this one has {FORMAT})",
            place=str(place),
            advice="use the version that wrote it, or give the run another name (--name)",
        )


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
def asking(place: Storage) -> Iterator[tuple[_Query, int]]:
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


def _without_lost_weights(trial: Trial, folder: Path) -> Trial:
    # Trials are final once told, but weights of an architecture that leaves the front are deleted later.
    if trial.weights is None or (folder / trial.weights).is_file():
        return trial
    return Trial(**{**trial.__dict__, "weights": None})
