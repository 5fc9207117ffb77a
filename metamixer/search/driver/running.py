"""The trials that run now: where, since when, what they have reported, and how often they lost their worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from metamixer.record import Trial
from metamixer.search.driver.timing import Clock

# A worker that died may have been a victim of chance; a trial that kills twice is the reason.
MAX_ATTEMPTS = 2


@dataclass(frozen=True)
class Running:
    """A trial that was handed to a dispatcher.

    Attributes:
        trial: As it was added to the record.
        since: When it was handed out, or began on its worker, by the monotonic clock.
        worker: Host and process, once it has begun.
        epoch: The last epoch that it reported.
        versions: Of the packages on its worker.
        pruned: It was told to stop early.
    """

    trial: Trial
    since: float
    worker: str | None = None
    epoch: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    pruned: bool = False


class RunningTrials:
    """What the driver holds of its trials while they run.

    Attributes:
        curves: What each has reported, by number and epoch.
    """

    def __init__(self, clock: Clock) -> None:
        self.curves: dict[int, list[dict[str, Any]]] = {}
        self._clock = clock
        self._running: dict[int, Running] = {}
        self._losses: dict[int, int] = {}

    def __bool__(self) -> bool:
        return bool(self._running)

    @property
    def trials(self) -> tuple[Running, ...]:
        """All of them, in the order in which they were handed out."""
        return tuple(self._running.values())

    def start(self, trial: Trial) -> None:
        """A trial is handed to the dispatcher."""
        self._running[trial.number] = Running(trial, self._clock.monotonic())
        self.curves[trial.number] = []

    def began(self, number: int, worker: str, versions: Mapping[str, str]) -> None:
        """A worker has begun it."""
        self._running[number] = replace(
            self._running[number], since=self._clock.monotonic(), worker=worker, versions=versions
        )

    def report(self, number: int, epoch: Mapping[str, Any]) -> None:
        """It has finished an epoch."""
        self._running[number] = replace(self._running[number], epoch=epoch)
        self.curves[number].append(dict(epoch))

    def prune(self, number: int) -> None:
        """It is told to stop early."""
        self._running[number] = replace(self._running[number], pruned=True)

    def pruned(self, number: int) -> bool:
        """Whether it was told to stop early."""
        return self._running[number].pruned

    def lose(self, number: int, blamed: bool) -> bool:
        """Its worker is gone; returns whether it may be tried again. One that is not `blamed` always may."""
        self._losses[number] = self._losses.get(number, 0) + blamed
        return self._losses[number] < MAX_ATTEMPTS

    def end(self, number: int) -> tuple[Running, Sequence[Mapping[str, Any]], float]:
        """It runs no more; returns what was held of it, its curve, and the seconds that it ran."""
        ended = self._running.pop(number)
        return ended, self.curves.pop(number), self._clock.monotonic() - ended.since

    def overdue(self, limit: float, startup: float) -> list[int]:
        """Numbers of those that should have ended, or begun, by themselves: their workers hang.

        Args:
            limit: Seconds that a trial may take on its worker.
            startup: Seconds that a worker may take before it says that it began.
        """
        now = self._clock.monotonic()
        return [
            number
            for number, running in self._running.items()
            if now - running.since > (limit if running.worker else startup)
        ]
