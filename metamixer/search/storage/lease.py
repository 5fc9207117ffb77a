"""One driver at a time: a lease on the record, held by a living process and taken over from a dead one.

The lease is the study's user attribute `lease`: host, pid, the process's start time (a pid may be used again), and
when it was last renewed, by the database's clock. It is read and written in one transaction that holds the study's row
(SQLite: the file), so of two drivers that start together one is refused.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from metamixer.errors import RecordError
from metamixer.search import processes

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

RENEW_SECONDS = 15.0
# A driver on another host cannot be looked at: it counts as dead when it has not renewed for this long.
STALE_SECONDS = 120.0
_DAMAGED = {"damaged": True}


class Lease:
    """The right to write one record; renewed by a thread of its own while the driver works."""

    def __init__(self, engine: Engine, study: int, place: str, look: Callable[[], None] = lambda: None) -> None:
        """A lease on a study of a database.

        Args:
            engine: A way to connect whose transactions are immediate on SQLite, see `immediate`.
            study: The study's number there.
            place: The record, for messages.
            look: Raises `RecordError` when the record is no more where it was.
        """
        self.place = place
        self._engine = engine
        self._study = study
        self._look = look
        self.lost = False
        self.clean = True
        self._renewed = 0.0
        self._owner = {
            "host": platform.node(),
            "pid": os.getpid(),
            "namespace": processes.namespace(),
            "process_started": processes.started(os.getpid()),
            "token": uuid.uuid4().hex,
        }
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def acquire(self) -> None:
        """Take the lease. Afterwards `clean` tells whether the driver before gave it back.

        Raises:
            RecordError: Another driver that is alive holds it.
        """
        with self._transaction() as (held, now, put):
            if held == _DAMAGED:
                raise RecordError(
                    "the record does not say whether a search runs on it: its lease is damaged",
                    place=self.place,
                    advice="see that none runs, then delete the attribute `lease` in its table study_user_attributes",
                )
            if held and not self._mine(held) and _alive(held, now):
                since = time.strftime("%H:%M:%S", time.localtime(held["renewed"]))
                advice = "wait for it, stop it, or start a study of your own with --name"
                if held["host"] != platform.node() or held.get("namespace") != self._owner["namespace"]:
                    advice += f"; if that host is dead, try again in {STALE_SECONDS / 60:.0f} minutes"
                raise RecordError(
                    f"another search is running on this study (process {held['pid']} on {held['host']})",
                    place=f"{self.place}, seen alive at {since}",
                    advice=advice,
                )
            self.clean = held is None
            put({**self._owner, "renewed": now})
        self._renewed = time.time()
        self._thread.start()

    def release(self) -> None:
        """Give the lease back; the next driver knows that this one ended as it meant to."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.lost or not self._renewed:  # or it was never taken
            return
        with self._transaction() as (held, _, put):
            if held and self._mine(held):
                put(None)

    def check(self) -> None:
        """Raise RecordError when another driver took the lease over, as after a long sleep of this host."""
        if not self.lost and time.time() - self._renewed > STALE_SECONDS / 2:
            self._once()  # this host slept: another driver may have seen the lease stale
        self._raise_if_lost()

    def hold(self, db: Connection) -> None:
        """Within a transaction that writes: see that the lease is ours, and that it is until the transaction ends.

        A host may sleep between `check` and the commit. SQLite's transaction must be immediate, see `immediate`.

        Raises:
            RecordError: Another driver took the lease over.
        """
        held = self._held(db, shared=True)
        self.lost = self.lost or held is None or not self._mine(held)
        self._raise_if_lost()

    def _raise_if_lost(self) -> None:
        if self.lost:
            raise RecordError(
                "another search took this study over", place=self.place, advice="this one stops; nothing is lost"
            )

    def _renew(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        while not self._stop.wait(RENEW_SECONDS):
            try:
                self._once()
            except RecordError:
                return  # it was moved: the next write says so
            except SQLAlchemyError:
                continue  # locked or away for the moment: the next turn renews
            if self.lost:
                return

    def _once(self) -> None:
        with self._transaction() as (held, now, put):
            if held and self._mine(held):
                put({**self._owner, "renewed": now})
            else:
                self.lost = True
        self._renewed = time.time()

    @contextmanager
    def _transaction(self) -> Iterator[tuple[dict[str, Any] | None, float, Callable[[dict[str, Any] | None], None]]]:
        """What is held, the time, and a way to write it; nobody else reads or writes the lease meanwhile."""
        from sqlalchemy import insert, update

        self._look()  # or SQLite would make an empty file where the record was
        with self._engine.begin() as db:
            held = self._held(db)

            def put(value: dict[str, Any] | None) -> None:
                notes, mine = self._note
                text = json.dumps(value)
                if not db.execute(update(notes).where(mine).values(value_json=text)).rowcount:
                    db.execute(insert(notes).values(study_id=self._study, key="lease", value_json=text))

            yield held, _now(db), put

    def _held(self, db: Connection, shared: bool = False) -> dict[str, Any] | None:
        """What the record says; until the transaction ends nobody writes it, nor, unless that is `shared`, reads it."""
        from sqlalchemy import column, select, table

        studies, (notes, mine) = table("studies", column("study_id")), self._note
        this = select(studies.c.study_id).where(studies.c.study_id == self._study)
        db.execute(this.with_for_update(read=shared))
        found = db.execute(select(notes.c.value_json).where(mine)).scalar_one_or_none()
        return _understood(found) if found else None

    @property
    def _note(self) -> tuple[Any, Any]:
        """The table of the study's attributes, and what picks the lease there."""
        from sqlalchemy import column, table

        notes = table("study_user_attributes", column("study_id"), column("key"), column("value_json"))
        return notes, (notes.c.study_id == self._study) & (notes.c.key == "lease")

    def _mine(self, held: dict[str, Any]) -> bool:
        return all(held.get(key) == value for key, value in self._owner.items())


def _understood(text: str) -> dict[str, Any] | None:
    """A lease as it is written, or what stands for one that is damaged: nobody's."""
    try:
        held = json.loads(text)
        if held is None or (isinstance(held["host"] + held["token"], str) and held["renewed"] + held["pid"] >= 0):
            return held
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    return _DAMAGED


def immediate(engine: Engine) -> Engine:
    """Make SQLite's transactions take the write lock when they begin, so that what they read stays true."""
    from sqlalchemy import event

    def connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # or the driver would begin by itself, and later

    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", connect)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def _alive(held: dict[str, Any], now: float) -> bool:
    fresh = now - held["renewed"] < STALE_SECONDS
    if held["host"] != platform.node() or platform.system() == "Windows":
        return fresh
    here = processes.namespace()
    if held.get("namespace", here) != here:
        return fresh  # a container of the same name, another boot: its processes are not to be seen from here
    found = processes.started(held["pid"])
    return fresh if found == "unknown" else found == held.get("process_started")


def _now(db: Connection) -> float:
    """Seconds since 1970 by the database's clock: clocks of hosts differ."""
    from sqlalchemy import text

    if db.dialect.name == "sqlite":
        return time.time()
    return float(db.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
