"""Writing a study's record: one Optuna study in one SQLite file, opened by the driver alone.

A row is written whole when it is added (one transaction), and once more when its trial ends. Nothing else is kept:
`Ledger.rows` is what a driver that starts again reads back.
"""

from __future__ import annotations

import logging
import math
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer.errors import RecordError
from metamixer.search import record
from metamixer.search.lease import Lease
from metamixer.search.record import Row

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.storages import RDBStorage

LOCK_SECONDS = 10.0
OBJECTIVES = ("accuracy", "flops")
_STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}


@dataclass(frozen=True)
class Parameters:
    """What Optuna's samplers see of a row: values by choice name, their domains, and the sampler's own notes."""

    values: dict[str, int | str] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """The open record of one study.

    Attributes:
        rows: All rows, by number; a row's number is its place.
        settings: The configuration the study was started with, see `metamixer.search.record.settings`.
        resumed: Whether the record was there before.
        clean: Whether the driver before ended as it meant to (False after a kill).
    """

    def __init__(self, path: str | Path, settings: dict[str, Any], fingerprints: dict[str, str]) -> None:
        """Open the record, or create it with these settings; takes the lease.

        Raises:
            RecordError: The file cannot be read or written, is no record, is locked, or another search runs on it.
        """
        self.path = Path(path)
        with self._speaking():
            self._storage, self._study = _open(self.path)
            self._id = self._storage.get_study_id_from_name(self._study.study_name)
            self._lease = Lease(self.path)
            self._lease.acquire()
            try:
                self.clean = self._lease.clean
                self.resumed = "settings" in self._study.user_attrs
                if not self.resumed:
                    self._study.set_user_attr("fingerprints", fingerprints)
                    self._study.set_user_attr("settings", settings)
                self.settings = self._study.user_attrs["settings"]
                self.fingerprints = self._study.user_attrs["fingerprints"]
                self.references: dict[str, float] = self._study.user_attrs.get("references", {})
                trials = self._study.get_trials(deepcopy=False)
            except BaseException:
                self.close()
                raise
        self.rows = [record.to_row(t.number, record.STATES[t.state.name], t.user_attrs.get("row")) for t in trials]
        self._trials = {trial.number: trial for trial in trials}

    def close(self) -> None:
        """Give the lease back and close the file."""
        with self._speaking():
            self._lease.release()
            self._storage.engine.dispose()

    def parameters(self, number: int) -> Parameters:
        """What a row was added with."""
        trial = self._trials[number]
        return Parameters(dict(trial.params), dict(trial.distributions), dict(trial.system_attrs))

    def add(self, row: Row, parameters: Parameters | None = None) -> Row:
        """Append a row in its state; its number is given here. Complete rows are made by `finish` only."""
        from optuna.trial import TrialState, create_trial

        parameters = parameters or Parameters()
        row = replace(row, number=len(self.rows))
        trial = create_trial(
            state=TrialState[_STATES[row.state]],
            params=parameters.values,
            distributions=parameters.distributions,
            system_attrs=parameters.notes,
            user_attrs={"row": _document(row)},
        )
        with self._speaking():
            self._lease.check()
            self._study.add_trial(trial)
        self._trials[row.number] = trial
        self.rows.append(row)
        return row

    def finish(self, row: Row) -> None:
        """Write a running row's final content and state; accuracy and FLOPs become Optuna's values if complete."""
        from optuna.trial import TrialState

        # The document goes first: a driver killed between the two finds the result in a running row, and tells it.
        self.rewrite(row)
        values = [row.accuracy, row.flops] if row.state == "complete" else None
        with self._speaking():
            self._study.tell(row.number, values, state=TrialState[_STATES[row.state]])  # type: ignore[arg-type]
        self.rows[row.number] = row

    def rewrite(self, row: Row) -> None:
        """Write the document of a row that is still running."""
        with self._speaking():
            self._lease.check()
            trial = self._storage.get_trial_id_from_study_id_trial_number(self._id, row.number)
            self._storage.set_trial_user_attr(trial, "row", _document(row))
        self.rows[row.number] = replace(row, state="running")

    def set_references(self, accuracies: dict[str, float]) -> None:
        """Store the accuracies of reference classifiers on the same arrays."""
        self.references = accuracies
        with self._speaking():
            self._study.set_user_attr("references", accuracies)

    def extend(self, settings: dict[str, Any]) -> None:
        """Replace the settings: a raised budget, another number of workers."""
        self.settings = settings
        with self._speaking():
            self._study.set_user_attr("settings", settings)

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Turn the database's errors into one message."""
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (sqlite3.Error, SQLAlchemyError, StorageInternalError) as error:
            raise _trouble(self.path, error) from error


def _document(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in record.FIELDS}


def _open(path: Path) -> tuple[RDBStorage, Study]:
    """The Optuna study in a file, created if need be: write-ahead log, and one synchronisation a checkpoint."""
    import optuna
    from sqlalchemy import event

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Looked at with plain SQLite first: a file that is none, or is locked, shows here at once.
    with closing(sqlite3.connect(path, timeout=LOCK_SECONDS)) as db:
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and "studies" not in tables:
        raise record.not_a_record(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        storage = optuna.storages.RDBStorage(
            f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": LOCK_SECONDS}}
        )
    storage.engine.dispose()
    event.listen(storage.engine, "connect", _set_synchronous)
    studies = storage.get_all_studies()
    if len(studies) > 1:
        raise record.not_a_record(path, f"it holds {len(studies)} studies, a record holds one")
    if studies:
        study = optuna.load_study(study_name=studies[0].study_name, storage=storage)
        if [direction.name for direction in study.directions] != ["MAXIMIZE", "MINIMIZE"]:
            raise record.not_a_record(path, "its study has other objectives")
        return storage, study
    study = optuna.create_study(study_name=path.parent.name, storage=storage, directions=["maximize", "minimize"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls names of objectives experimental
        study.set_metric_names(list(OBJECTIVES))
    return storage, study


def _set_synchronous(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")


def _trouble(path: Path, error: Exception) -> RecordError:
    text = str(error.__cause__ or error)
    if "locked" in text:
        return RecordError(
            "the record is locked by another program", str(path), "close the program that has it open, and start again"
        )
    if "not a database" in text or "malformed" in text:
        return RecordError(
            "the record is not a readable SQLite file", str(path), "move it away, or give --name for a new run"
        )
    return RecordError(
        f"the record cannot be used: {text.splitlines()[0]}",
        str(path),
        "see that its folder can be written and its disk is not full",
    )


def running(sentence: str, key: str, cost: dict[str, int], **more: Any) -> Row:
    """A row that is about to be trained."""
    return Row(number=-1, state="running", sentence=sentence, key=key, cost=cost, started=time.time(), **more)


def finite(value: Any) -> bool:
    """Whether a worker's number can be told to Optuna."""
    return isinstance(value, (int, float)) and math.isfinite(value)
