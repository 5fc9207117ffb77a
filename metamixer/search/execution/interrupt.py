"""Ctrl-C, or a polite kill: the first ends a search at a safe moment, the second at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 130


class Interrupted(KeyboardInterrupt):
    """The user asked the search to end. No `Exception`, so that code around a trial does not take it for a failure."""


class Interrupt:
    """Whether Ctrl-C was pressed, or SIGTERM came.

    The record is written between safe moments, so a dispatcher calls `check` where nothing is half done. Within
    `anywhere` the exception is raised as soon as the signal comes: for code that only computes.
    """

    def __init__(self) -> None:
        self.asked = False
        self._error: Exception | None = None
        self._anywhere = False

    def check(self) -> None:
        """Raise Interrupted if Ctrl-C was pressed, or what `fail` was told."""
        if self._error is not None:
            raise self._error
        if self.asked:
            raise Interrupted

    def fail(self, error: Exception) -> None:
        """From another thread: end the search at its next safe moment with an error."""
        self._error = error

    def wait(self, seconds: float) -> None:
        """Do nothing for so long, or until Ctrl-C."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 0.1))
        self.check()

    @contextmanager
    def anywhere(self) -> Iterator[None]:
        """While a trial computes in this process it may be cut off at any place."""
        self._anywhere = True
        try:
            self.check()
            yield
        finally:
            self._anywhere = False

    @contextmanager
    def protected(self) -> Iterator[None]:
        """Within `anywhere`: code that must not be cut off, as the drawing of the progress."""
        before, self._anywhere = self._anywhere, False
        try:
            yield
        finally:
            self._anywhere = before

    @contextmanager
    def listening(self) -> Iterator[Interrupt]:
        """Take the signals over while the search runs; outside of the main thread nothing can."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            sys.stdout.write("\x1b[?25h" if sys.stdout.isatty() else "")  # the panel hides the cursor
            sys.stdout.flush()
            os._exit(EXIT_CODE)
        self.asked = True
        if self._anywhere:
            raise Interrupted
