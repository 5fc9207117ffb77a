"""A limit on the memory of the process that a trial runs in: a trial that leaks is ended before the machine is."""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from metamixer.errors import ResourceError
from metamixer.search import processes

LOOK_SECONDS = 0.1
MEGABYTE = 2**20


class Exceeded(Exception):  # noqa: N818 - raised into a trial from beside it; never leaves this module
    """The process became larger than it may."""


class Watch:
    """Looks at this process beside a trial, and raises `Exceeded` in the trial when it is too large.

    The trial is stopped between two instructions of Python, so not within one call of a library, and never within
    `aside`.

    Args:
        limit: Megabytes (2^20 bytes); None for no limit.

    Raises:
        ResourceError: The process is larger already.
    """

    def __init__(self, limit: float | None) -> None:
        self.limit = limit
        self.reason: str | None = None
        self._thread = threading.get_ident()
        self._lock = threading.RLock()
        self._end = threading.Event()
        self._looking = threading.Thread(target=self._look, name="memory", daemon=True)
        if limit is None:
            return
        if processes.memory() > limit * MEGABYTE:
            gc.collect()
        if (now := processes.memory()) > limit * MEGABYTE:
            raise ResourceError(
                f"a worker holds {now / MEGABYTE:,.0f} MB before its trial begins",
                f"search.memory_limit = {limit:g}",
                "raise the limit; or run on Ray, whose workers are replaced after a trial that leaked",
            )
        self._looking.start()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """What is done here is not interrupted."""
        with self._lock:
            yield

    def end(self) -> None:
        """Look no more.

        Raises:
            Exceeded: It was to be raised and has not been yet. Taking it back instead would leave Python's request to
                look for such exceptions standing for as long as the process lives: every function call is slower
                then, and Python 3.11 hangs in the first one that is traced, as debuggers and coverage do.
        """
        self._end.set()
        with self._lock:
            pass
        for _ in range(2 if self.reason else 0):  # it is raised when a loop goes round, at the latest
            pass

    def _look(self) -> None:
        while not self._end.wait(LOOK_SECONDS):
            now, most = processes.memory() / MEGABYTE, self.limit or 0.0
            if now > most:
                with self._lock:
                    if not self._end.is_set():
                        self.reason = f"memory limit: the worker held {now:,.0f} MB, at most {most:,.0f}"
                        thread = ctypes.c_ulong(self._thread)
                        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(Exceeded))
                return


def limited(
    evaluate: Callable[[dict[str, Any], Callable[[dict[str, Any]], bool | None]], dict[str, Any]],
    job: dict[str, Any],
    report: Callable[[dict[str, Any]], bool | None],
) -> dict[str, Any]:
    """The result of `evaluate`, or of one that was ended because its process held more than `job["memory_limit"]`.

    Raises:
        ResourceError: The process is too large before the trial begins.
    """
    watch = Watch(job.get("memory_limit"))
    curve: list[dict[str, Any]] = []

    def aside(epoch: dict[str, Any]) -> bool | None:
        with watch.aside():
            continues = report(epoch)
            curve.append(dict(epoch))
            return continues

    result: dict[str, Any] = {"curve": curve}
    try:
        try:
            result = evaluate(job, aside)
        finally:
            watch.end()
    except Exceeded:
        pass
    if watch.reason is not None:
        result = {**result, "state": "failed", "reason": watch.reason, "accuracy": None, "loss": None}
    return result
