"""What a dispatcher needs of whoever has trials to run: a search's driver, or that of a retraining."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from metamixer.search.configuration import StudyConfig
    from metamixer.tasks import Task

Job = dict[str, Any]


class NoJob(Enum):
    """Why there is no job."""

    WAITING = "trials are running whose results decide what is next"
    COMPLETE = "the study is complete"


class Jobs(Protocol):
    """Asked for jobs, and told what became of them; the methods are described in `metamixer.search.driver.driver`."""

    config: StudyConfig
    task: Task
    say: Callable[[str], None]

    def next_job(self) -> Job | NoJob: ...
    def holds(self, workers: int) -> None: ...
    def overdue(self, grace: float, startup: float) -> list[int]: ...
    def started(self, number: int, worker: str, versions: Mapping[str, str] | None = None) -> None: ...
    def epoch(self, number: int, epoch: Mapping[str, Any]) -> bool: ...
    def finished(self, number: int, result: Mapping[str, Any]) -> None: ...
    def stopped(self, number: int) -> None: ...
    def lost(self, number: int, reason: str, again: bool = True, blamed: bool = True) -> None: ...
