"""A bar of how far the decoding is."""

from __future__ import annotations

import time

_EVERY_SECONDS = 0.1


class Bar:
    """A progress bar on standard error, or nothing."""

    def __init__(self, what: str, total: int, shown: bool) -> None:
        self._what, self._total, self._shown = what, total, shown
        self._next = 0.0

    def __enter__(self) -> Bar:
        if self._shown:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
            self._progress = Progress(*columns, console=Console(stderr=True))
            self._task = self._progress.add_task(self._what, total=self._total)
            self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._shown:
            if error[0] is None:
                self._progress.update(self._task, completed=self._total)
            self._progress.stop()

    def show(self, count: int) -> None:
        """So many are done."""
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + _EVERY_SECONDS
            self._progress.update(self._task, completed=count)
