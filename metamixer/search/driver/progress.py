"""How far a search is, and showing it while it runs: one live panel in a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from metamixer.pareto import ACCURACY_FLOPS, hypervolume

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

    from metamixer.search.configuration import StudyConfig
    from metamixer.search.driver.history import History
    from metamixer.search.driver.running import Running
    from metamixer.search.driver.schedule import Schedule
    from metamixer.search.driver.timing import Timing

PANEL_SECONDS = 0.5


@dataclass(frozen=True)
class Progress:
    """Where a search stands.

    `hypervolume` is the share of the box between the record's reference point and (accuracy 1, no FLOPs) that the
    front covers, in 0..1; `disk` bytes of the run's folder; `seconds_left` an estimate, None before the first trial;
    `stopped` counts trials that were stopped early; `spent` says how much of a budget in epochs or hours is gone.
    """

    phase: str
    trained: int
    budget: int
    jobs_done: int
    jobs: int
    failed: int
    refused: int
    running: tuple[Running, ...]
    best: float | None
    front: int
    hypervolume: float
    disk: int
    seconds_left: float | None
    stopped: int = 0
    spent: str = ""

    @property
    def searched(self) -> str:
        """How far the search is, in the unit of its budget."""
        return f"{self.trained} searched, {self.spent}" if self.spent else f"{self.trained} of {self.budget} searched"


def measure(
    config: StudyConfig,
    history: History,
    schedule: Schedule,
    timing: Timing,
    running: Sequence[Running],
    workers: int,
    folder: Path,
) -> Progress:
    """Counts, the front and an estimate of the time left.

    Args:
        config: The study.
        history: Its trials.
        schedule: What is still to come.
        timing: How long trials take.
        running: Those that run.
        workers: How many run at a time.
        folder: The run's.
    """
    state, study, budget = history.state, config.study, config.budget
    searched, ended = state.kinds["searched"], state.finished["searched"]
    expected = _expected(config, history, schedule, timing, workers)
    entered = set(state.front)
    if study.seeds == 1:
        entered |= state.replicated.keys() - state.baselines.values()
    jobs = expected * study.seeds + len(schedule.baselines) * study.confirm
    jobs += len(entered) * max(0, study.confirm - study.seeds)
    jobs_done = ended + state.finished["baseline"] + state.finished["replicate"]
    points = state.points
    floor, ceiling = history.settings["reference_point"]
    phase = "search"
    if schedule.search_is_over and ended == searched:
        phase = "confirm"
    elif not searched and schedule.baselines:
        phase = "baselines"
    return Progress(
        phase=phase,
        trained=ended,
        budget=expected,
        jobs_done=jobs_done,
        jobs=max(jobs, jobs_done),
        failed=state.failed,
        refused=state.kinds["rejected"],
        running=tuple(running),
        best=max((accuracy for accuracy, _ in points), default=None),
        front=len(points),
        hypervolume=hypervolume(points, (floor, ceiling), ACCURACY_FLOPS) / ((1 - floor) * ceiling),
        disk=_size(folder),
        seconds_left=None if timing.mean is None else timing.mean * max(0, jobs - jobs_done) / workers,
        stopped=state.stopped,
        spent="" if budget.unit == "trainings" else f"{schedule.spent:.3g} of {budget}",
    )


def _expected(config: StudyConfig, history: History, schedule: Schedule, timing: Timing, workers: int) -> int:
    """How many architectures will have been trained when the budget is spent."""
    budget, state = config.budget, history.state
    searched = state.kinds["searched"]
    if schedule.exhausted:
        return searched
    if budget.unit == "trainings":
        return max(int(budget.amount), searched)
    left = max(0.0, budget.amount - schedule.spent)
    if budget.unit == "epochs":
        ended = state.finished["searched"]
        return searched + int(left / (state.epochs / ended if ended else config.training.epochs))
    return searched + (int(left * 3600 * workers / timing.mean) if timing.mean else 0)


def _size(folder: Path) -> int:
    """Bytes of a folder's files; workers write and rename some meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue
    return total


class View(Protocol):
    """Where progress goes.

    `show` is called often, with what computes the progress when it is wanted and the number of trials that ended.
    """

    def __enter__(self) -> View: ...
    def __exit__(self, *error: object) -> None: ...
    def say(self, line: str) -> None: ...
    def show(self, progress: Callable[[], Progress], ended: int) -> None: ...


class Silent:
    """Shows nothing: `Study.run()` in a script or notebook."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def show(self, progress: Callable[[], Progress], ended: int) -> None:
        pass


class Lines:
    """One line whenever a trial has ended."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._ended = 0

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, line: str) -> None:
        self._write(line)

    def show(self, progress: Callable[[], Progress], ended: int) -> None:
        if ended != self._ended:
            self._ended = ended
            self._write(one_line(progress()))


class Panel:
    """A panel that is redrawn in place."""

    def __init__(self, console: Console, title: str) -> None:
        from rich.live import Live

        self._console = console
        self._title = title
        self._live: Live = Live(console=console, auto_refresh=False, transient=True)
        self._next = 0.0

    def __enter__(self) -> Panel:
        self._live.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._live.__exit__(None, None, None)

    def say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False)

    def show(self, progress: Callable[[], Progress], ended: int) -> None:
        if time.monotonic() < self._next:
            return
        self._live.update(panel(progress(), self._title), refresh=True)
        self._next = time.monotonic() + PANEL_SECONDS


def view(title: str, as_json: bool = False) -> View:
    """The view for where this process prints: a panel in a terminal, else lines; on stderr when stdout is for JSON."""
    from rich.console import Console

    console = Console(stderr=as_json)
    if console.is_terminal:
        return Panel(console, title)
    stream = sys.stderr if as_json else sys.stdout
    return Lines(lambda line: print(line, file=stream, flush=True))


def one_line(now: Progress) -> str:
    """The progress as one line of text."""
    searched = now.searched if now.spent else f"{now.trained}/{now.budget} searched"
    parts = [f"{now.phase}: {now.jobs_done}/{now.jobs} trained ({searched})"]
    parts += [f"best {now.best:.4f}"] if now.best is not None else []
    parts += [f"front {now.front}", f"hypervolume {now.hypervolume:.3f}"]
    parts += [f"{now.stopped} stopped early"] if now.stopped else []
    parts += [f"{now.failed} failed"] if now.failed else []
    parts += [f"disk {now.disk / 1e6:.1f} MB"]
    parts += [f"{duration(now.seconds_left)} left"] if now.seconds_left is not None else []
    return ", ".join(parts)


def panel(now: Progress, title: str) -> RenderableType:
    """The progress as a panel: counts, the front, and a line for each running trial."""
    from rich import box
    from rich.console import Group
    from rich.panel import Panel as Box
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    counts = Table.grid(padding=(0, 3))
    counts.add_row(
        f"[b]{now.phase}[/b]",
        now.searched,
        f"{now.refused} refused",
        f"[red]{now.failed} failed[/red]" if now.failed else "none failed",
        f"disk {now.disk / 1e6:.1f} MB",
    )
    counts.add_row(
        "best " + (f"{now.best:.4f}" if now.best is not None else "-"),
        f"front {now.front}",
        f"hypervolume {now.hypervolume:.3f}",
        f"{duration(now.seconds_left)} left" if now.seconds_left is not None else "",
        f"{now.stopped} stopped early" if now.stopped else "",
    )
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for running in now.running:
        table.add_row(str(running.trial.number), *_doing(running), Text(running.trial.name or running.trial.sentence))
    bar = ProgressBar(total=max(1, now.jobs), completed=now.jobs_done)
    return Box(Group(counts, bar, table), title=title, title_align="left", box=box.ROUNDED, subtitle="Ctrl-C to pause")


def _doing(running: Running) -> tuple[str, str]:
    if running.worker is None:
        return "starting", ""
    if running.epoch is None:
        return f"{time.monotonic() - running.since:.0f} s", ""
    return f"epoch {running.epoch['epoch']:.0f}", f"{running.epoch['validation_accuracy']:.4f}"


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
