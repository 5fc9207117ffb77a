"""Writing a study's record: one Optuna study, in a SQLite file or in a database, opened by the driver alone.

A trial is written whole when it is added (one transaction), and once more when it ends. Nothing else is kept:
`TrialStore.trials` is what a driver that starts again reads back. A database that goes away is waited for.
"""

from __future__ import annotations

import logging
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from metamixer import record
from metamixer.errors import RecordError
from metamixer.record import Trial, checked, reading
from metamixer.record.location import ARGUMENTS, Storage
from metamixer.search.storage import schema, tables
from metamixer.search.storage.lease import Lease, immediate

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial
    from sqlalchemy import Connection, Engine

T = TypeVar("T")

LOCK_SECONDS = 2.0  # after so long it is said that a file is locked
# How long a database that went away, or a file that is locked, is waited for, and how often it is tried.
AWAY_SECONDS, RETRY_SECONDS = 600.0, 2.0
# Each time that making the tables fails, another driver has made some; there are a dozen.
MAKING_TRIES = 20
# What Optuna and this module raise when a record holds what they never wrote.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)
OBJECTIVES = ("accuracy", "flops")


@dataclass(frozen=True)
class Parameters:
    """What Optuna's samplers see of a trial: values by choice name, their domains, and the sampler's own notes."""

    values: dict[str, int | str] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


class TrialStore:
    """The open record of one study.

    Attributes:
        trials: All trials, by number; a trial's number is its place.
        settings: The configuration the study was started with, see `metamixer.record.reading.settings`.
        resumed: Whether the record was there before.
        clean: Whether the driver before ended as it meant to (False after a kill).
    """

    def __init__(
        self,
        place: str | Path | Storage,
        settings: dict[str, Any],
        fingerprints: dict[str, str],
        say: Callable[[str], None] = lambda line: None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open the record, or create it with these settings; takes the lease.

        Args:
            place: A SQLite file, or where else the record lies.
            settings: See `metamixer.record.reading.settings`.
            fingerprints: See `metamixer.search.storage.compatibility`.
            say: Told when the database is away, and when it is there again.
            wait: Waits so many seconds for it; may raise to end the search.

        Raises:
            RecordError: The record cannot be read or written, is none, is locked, or another search runs on it.
        """
        self.place = place if isinstance(place, Storage) else Storage(file=Path(place))
        self._say, self._wait = say, wait
        self._identity: tuple[int, int] | None = None
        trials = self._try(lambda again: self._read_or_create(settings, fingerprints), opening=True)
        self._ids = {trial.number: trial._trial_id for trial in trials}
        self._parameters = {
            trial.number: Parameters(dict(trial.params), dict(trial.distributions), dict(trial.system_attrs))
            for trial in trials
        }

    def _read_or_create(self, settings: dict[str, Any], fingerprints: dict[str, str]) -> list[FrozenTrial]:
        try:
            self._storage, study = _open(self.place)
        except _UNREADABLE as error:
            raise reading.damaged(self.place, str(error)) from None
        self._identity = _identity(self.place)
        self._study = self._storage.get_study_id_from_name(study.study_name)
        self._leasing = immediate(_engine(self.place))
        self._writing = self._storage.engine if self.place.file is None else _immediate_file(self.place.file)
        self._lease = Lease(self._leasing, self._study, str(self.place), self._look)
        try:
            self._lease.acquire()
            self.clean = self._lease.clean
            self.resumed = "settings" in study.user_attrs
            if not self.resumed:
                study.set_user_attr("fingerprints", fingerprints)
                study.set_user_attr("settings", settings)
            notes = study.user_attrs
            self.settings, self.fingerprints = notes["settings"], checked.texts(notes.get("fingerprints"))
            record.check_format(self.settings, self.place)
            self.references = checked.accuracies(notes.get("references"))
            trials = study.get_trials(deepcopy=False)
            self.trials = _read(trials)
        except _UNREADABLE as error:
            self.close()
            raise reading.damaged(self.place, str(error)) from None
        except BaseException:
            self.close()
            raise
        return trials

    def _look(self) -> None:
        """See that the record's file is the one that was opened.

        Raises:
            RecordError: It was deleted, moved or replaced.
        """
        if _identity(self.place) != self._identity:
            raise RecordError(
                "the record was deleted, moved or replaced while the search ran; the search stops",
                str(self.place),
                "put it back and start the same command again, or give --name for a new run",
            )

    def close(self) -> None:
        """Give the lease back and close the record."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._lease.release()
        except (SQLAlchemyError, RecordError):
            pass  # a full disk, a database that is away or gone: the next driver sees that this process is gone
        finally:
            self._storage.engine.dispose()
            self._leasing.dispose()
            self._writing.dispose()

    def parameters(self, number: int) -> Parameters:
        """What a trial was added with."""
        return self._parameters[number]

    def add(self, trial: Trial, parameters: Parameters | None = None) -> Trial:
        """Append a trial in its state; its number is given here."""
        parameters = parameters or Parameters()
        trial = replace(trial, number=len(self.trials))

        def write(db: Connection, again: bool) -> int:
            if again:
                # The connection may have gone between the server's commit and its answer.
                there = tables.number_to_id(db, self._study, trial.number)
                if there is not None:
                    return there
            return tables.insert(db, self._study, trial, parameters.values, parameters.distributions, parameters.notes)

        self._ids[trial.number] = self._write(write)
        self._parameters[trial.number] = parameters
        self.trials.append(trial)
        return trial

    def finish(self, trial: Trial) -> None:
        """Write a running trial's final content and state; accuracy and FLOPs become Optuna's values if complete."""

        def write(db: Connection, again: bool) -> None:
            tables.rewrite(db, self._ids[trial.number], trial)
            tables.finish(db, self._ids[trial.number], trial)

        self._write(write)
        self.trials[trial.number] = trial

    def rewrite(self, trial: Trial) -> None:
        """Write the document of a trial that is still running."""
        self._write(lambda db, again: tables.rewrite(db, self._ids[trial.number], trial))
        self.trials[trial.number] = replace(trial, state="running")

    def reopen(self, trial: Trial) -> None:
        """Make a trial that failed a running one again, to be run anew."""
        self._write(lambda db, again: tables.reopen(db, self._ids[trial.number], trial))
        self.trials[trial.number] = replace(trial, state="running")

    def set_references(self, accuracies: dict[str, float]) -> None:
        """Store the accuracies of reference classifiers on the same arrays."""
        self.references = accuracies
        self._note("references", accuracies)

    def restart(self, settings: dict[str, Any], fingerprints: dict[str, str]) -> None:
        """Begin anew as another study; only for a record without trials."""
        self.fingerprints = fingerprints
        self._note("fingerprints", fingerprints)
        self.set_references({})
        self.extend(settings)

    def extend(self, settings: dict[str, Any]) -> None:
        """Replace the settings: a raised budget, another number of workers."""
        self.settings = settings
        self._note("settings", settings)

    def _note(self, key: str, value: Any) -> None:
        self._write(lambda db, again: tables.note(db, self._study, key, value))

    def _write(self, write: Callable[[Connection, bool], T]) -> T:
        """The result of `write` in a transaction, see `_try`."""

        def begin(again: bool) -> T:
            self._look()
            self._lease.check()
            with self._writing.begin() as db:
                self._lease.hold(db)
                return write(db, again)

        return self._try(begin)

    def _try(self, write: Callable[[bool], T], opening: bool = False) -> T:
        """The result of `write`, tried again while the database is away; it is told whether it was tried before."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        since = None
        with self._speaking():
            while True:
                try:
                    result = write(since is not None)
                except (sqlite3.OperationalError, SQLAlchemyError, StorageInternalError) as error:
                    now = time.monotonic()
                    # A server that was never reached may not exist, or not let us in: that is told at once.
                    waits = self._away(error) and not (opening and self.place.file is None)
                    if not waits or (since is not None and now - since > AWAY_SECONDS):
                        raise
                    if since is None:
                        since = now
                        minutes = f"{AWAY_SECONDS / 60:.0f} minutes"
                        self._say(f"{self._what_is_awaited}; it is waited for, {minutes} at most")
                    self._wait(RETRY_SECONDS)
                else:
                    if since is not None:
                        server = self.place.file is None
                        self._say("the record's database is there again" if server else "the record can be used again")
                    return result

    @property
    def _what_is_awaited(self) -> str:
        if self.place.file is None:
            return "the record's database is away"
        return f"the record is locked by another program ({self.place})"

    def _away(self, error: Exception) -> bool:
        """Whether an error is of a server that may come back, or of a file that another program holds locked."""
        from sqlalchemy.exc import InterfaceError, OperationalError

        if self.place.file is not None:
            return "locked" in str(error) or "locked" in str(error.__cause__)
        cause = error if isinstance(error, (InterfaceError, OperationalError)) else error.__cause__
        return self.place.url is not None and isinstance(cause, (InterfaceError, OperationalError))

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn the database's errors into one message."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (sqlite3.Error, SQLAlchemyError, StorageInternalError) as error:
            raise _trouble(self.place, error) from error


def _read(trials: list[FrozenTrial]) -> list[Trial]:
    """The trials that Optuna has read.

    Raises:
        ValueError: One is damaged, or missing.
    """
    for number, trial in enumerate(trials):
        if trial.number != number:
            raise ValueError(f"trial {number} is missing")
    return [record.to_trial(t.number, record.STATES[t.state.name], t.user_attrs.get("trial")) for t in trials]


def _open(place: Storage) -> tuple[RDBStorage, Study]:
    """The Optuna study at a place, created if need be."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    storage = _sqlite(place.file) if place.file is not None else _server(place)
    studies = storage.get_all_studies()
    if place.file is not None and len(studies) > 1:
        raise record.not_a_record(place, f"it holds {len(studies)} studies, a record holds one")
    names = [study.study_name for study in studies]
    name = place.name if place.file is None else names[0] if names else place.file.parent.name
    if name in names:
        study = optuna.load_study(study_name=name, storage=storage)
        if [direction.name for direction in study.directions] != ["MAXIMIZE", "MINIMIZE"]:
            raise record.not_a_record(place, "its study has other objectives")
        return storage, study
    # Another driver may be starting at the same time: the lease decides between the two.
    study = optuna.create_study(
        study_name=name, storage=storage, directions=["maximize", "minimize"], load_if_exists=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls names of objectives experimental
        study.set_metric_names(list(OBJECTIVES))
    return storage, study


def _sqlite(file: Path) -> RDBStorage:
    """A SQLite file: write-ahead log, and one synchronisation a checkpoint."""
    from sqlalchemy import event

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _trouble(Storage(file=file), error) from error
    # Looked at with plain SQLite first: a file that is none, or is locked, shows here at once.
    with closing(sqlite3.connect(file, timeout=LOCK_SECONDS)) as db:
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "studies" not in tables:
        raise record.not_a_record(Storage(file=file))
    storage = _made(Storage(file=file), f"sqlite:///{file}", {"connect_args": {"timeout": LOCK_SECONDS}})
    storage.engine.dispose()
    event.listen(storage.engine, "connect", _set_synchronous)
    return storage


def _server(place: Storage) -> RDBStorage:
    """A database server. Connections are looked at before they are used: an idle one may have been closed."""
    place.engine().dispose()  # says what is wrong with the URL, or which driver is missing
    return _made(place, place.address(), {"connect_args": ARGUMENTS, "pool_pre_ping": True})


def _made(place: Storage, url: str, options: dict[str, Any]) -> RDBStorage:
    """Optuna's storage with its tables, which another driver may be making at the same moment."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy import create_engine
    from sqlalchemy.exc import IntegrityError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    schema.check(create_engine(url, poolclass=NullPool, connect_args=options["connect_args"]), place)

    for left in reversed(range(MAKING_TRIES)):
        try:
            storage = _tables(url, options)
            schema.check_installed(storage.engine)
            return storage
        except (SQLAlchemyError, StorageInternalError) as error:
            half_made = any(
                isinstance(e, IntegrityError) or "already exists" in str(e) for e in (error, error.__cause__)
            )
            if not half_made or not left:
                raise
            time.sleep(0.1)
    raise AssertionError("the last try returns or raises")


def _tables(url: str, options: dict[str, Any]) -> RDBStorage:
    import optuna

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return optuna.storages.RDBStorage(url, engine_kwargs=options)
    except RuntimeError as error:
        if "version" in str(error):
            schema.check_installed()  # it says that the tables, whose revision was seen, are not its own
        raise


def _engine(place: Storage) -> Engine:
    """The lease's own connections, used by its own thread."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    if place.file is None:
        return place.engine(pool_pre_ping=True)
    return create_engine(f"sqlite:///{place.file}", poolclass=NullPool, connect_args={"timeout": LOCK_SECONDS})


def _immediate_file(file: Path) -> Engine:
    """A way to write a file in transactions that hold the write lock from their beginning."""
    from sqlalchemy import create_engine, event

    engine = create_engine(f"sqlite:///{file}", connect_args={"timeout": LOCK_SECONDS})
    event.listen(engine, "connect", _set_synchronous)
    return immediate(engine)


def _identity(place: Storage) -> tuple[int, int] | None:
    """What tells a file from another one in its place; None for a server."""
    if place.file is None:
        return None
    try:
        status = place.file.stat()
    except OSError:
        return (-1, -1)
    return status.st_dev, status.st_ino


def _set_synchronous(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")


def _trouble(place: Storage, error: Exception) -> RecordError:
    if place.url is not None:
        return record.out_of_reach(place, error.__cause__ if isinstance(error.__cause__, Exception) else error)
    text = str(error.__cause__ or error)
    if "locked" in text:
        return RecordError(
            "the record is locked by another program", str(place), "close the program that has it open, and start again"
        )
    if "not a database" in text or "malformed" in text:
        return RecordError(
            "the record is not a readable SQLite file", str(place), "move it away, or give --name for a new run"
        )
    return RecordError(
        f"the record cannot be used: {text.splitlines()[0]}",
        str(place),
        "see that its folder can be written and its disk is not full",
    )


def running(sentence: str, key: str, cost: dict[str, int], **more: Any) -> Trial:
    """A trial that is about to be trained."""
    return Trial(number=-1, state="running", sentence=sentence, key=key, cost=cost, started=time.time(), **more)
