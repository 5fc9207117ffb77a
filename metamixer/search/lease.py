"""One driver at a time: a lease on the record, held by a living process and taken over from a dead one.

The lease is the study's user attribute `lease`: host, pid, the process's start time (a pid may be used again), and
when it was last renewed. It is read and written in one SQLite transaction, so of two drivers that start together one
is refused.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import threading
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from metamixer.errors import RecordError

RENEW_SECONDS = 15.0
# A driver on another host cannot be looked at: it counts as dead when it has not renewed for this long.
STALE_SECONDS = 120.0


class Lease:
    """The right to write one record; renewed by a thread of its own while the driver works."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = False
        self.clean = True
        self._owner = {
            "host": platform.node(),
            "pid": os.getpid(),
            "process_started": process_started(os.getpid()),
            "token": uuid.uuid4().hex,
        }
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def acquire(self) -> None:
        """Take the lease. Afterwards `clean` tells whether the driver before gave it back.

        Raises:
            RecordError: Another driver that is alive holds it.
        """
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            held = _get(db)
            if held and not self._mine(held) and _alive(held):
                db.execute("ROLLBACK")
                since = time.strftime("%H:%M:%S", time.localtime(held["renewed"]))
                raise RecordError(
                    f"another search is running on this study (process {held['pid']} on {held['host']})",
                    place=f"{self.path}, seen alive at {since}",
                    advice="wait for it, stop it, or start a study of your own with --name",
                )
            self.clean = held is None
            _put(db, {**self._owner, "renewed": time.time()})
            db.execute("COMMIT")
        self._thread.start()

    def release(self) -> None:
        """Give the lease back; the next driver knows that this one ended as it meant to."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if self.lost:
            return
        with closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            held = _get(db)
            if held and self._mine(held):
                _put(db, None)
            db.execute("COMMIT")

    def check(self) -> None:
        """Raise RecordError when another driver took the lease over, as after a long sleep of this host."""
        if self.lost:
            raise RecordError(
                "another search took this study over", place=str(self.path), advice="this one stops; nothing is lost"
            )

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            try:
                with closing(self._connect()) as db:
                    db.execute("BEGIN IMMEDIATE")
                    held = _get(db)
                    if held and self._mine(held):
                        _put(db, {**self._owner, "renewed": time.time()})
                    else:
                        self.lost = True
                    db.execute("COMMIT")
            except sqlite3.OperationalError:
                continue  # locked for the moment: the next turn renews
            if self.lost:
                return

    def _mine(self, held: dict[str, Any]) -> bool:
        return all(held.get(key) == value for key, value in self._owner.items())

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=RENEW_SECONDS, isolation_level=None)


def process_started(pid: int) -> str | None:
    """When a process of this host started, in the words of the system; None where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    else:
        # The name in parentheses may hold blanks; the start time is field 22, the state field 3.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    if platform.system() == "Windows":
        return "unknown" if pid == os.getpid() else None
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None


def _alive(held: dict[str, Any]) -> bool:
    fresh = time.time() - held["renewed"] < STALE_SECONDS
    if held["host"] != platform.node() or platform.system() == "Windows":
        return fresh
    return process_started(held["pid"]) == held["process_started"]


def _get(db: sqlite3.Connection) -> dict[str, Any] | None:
    found = db.execute("SELECT value_json FROM study_user_attributes WHERE key = 'lease'").fetchone()
    return json.loads(found[0]) if found else None


def _put(db: sqlite3.Connection, value: dict[str, Any] | None) -> None:
    (study,) = db.execute("SELECT study_id FROM studies").fetchone()
    text = json.dumps(value)
    changed = db.execute(
        "UPDATE study_user_attributes SET value_json = ? WHERE study_id = ? AND key = 'lease'", (text, study)
    )
    if not changed.rowcount:
        db.execute(
            "INSERT INTO study_user_attributes (study_id, key, value_json) VALUES (?, 'lease', ?)", (study, text)
        )
