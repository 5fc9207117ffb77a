"""How long a search has run, and how long its trials take."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Protocol

from metamixer.record import Trial


class Clock(Protocol):
    """Where a search reads the time, as from the module `time`; a simulation has its own."""

    def time(self) -> float: ...
    def monotonic(self) -> float: ...


class Timing:
    """The time of one study, over all lives of its driver.

    Args:
        trials: What the record had when this driver began: the drivers before wrote into it how long they had run.
        clock: Where the time is read.
    """

    def __init__(self, trials: Iterable[Trial] = (), clock: Clock = time) -> None:
        self.clock = clock
        self._before = max((trial.clock or 0.0 for trial in trials), default=0.0)
        self._began = clock.monotonic()
        self._seconds = 0.0
        self._trials = 0

    @property
    def seconds(self) -> float:
        """Seconds that drivers of this study have run, this one included."""
        return self._before + self.clock.monotonic() - self._began

    def add(self, trial: Trial) -> None:
        """A trial ended; those that ended well tell how long the others will take."""
        if trial.seconds is not None and (trial.state == "complete" or trial.stopped):
            self._seconds += trial.seconds
            self._trials += 1

    @property
    def mean(self) -> float | None:
        """Seconds that a trial takes; None before the first one has ended."""
        return self._seconds / self._trials if self._trials else None
