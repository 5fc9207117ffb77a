"""One search on a table: the driver, proposer and pruner of a real search, workers and clock simulated."""

from __future__ import annotations

import heapq
import os
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna

from metamixer.errors import StudyError
from metamixer.language import Sentence
from metamixer.record import Trial
from metamixer.search import configuration
from metamixer.search.configuration import StudyConfig
from metamixer.search.driver.driver import Driver
from metamixer.search.driver.jobs import NoJob
from metamixer.search.proposals import initial_points
from metamixer.search.proposals.initial_points import InitialPoint
from metamixer.search.proposals.proposer import Costed, Proposer
from metamixer.search.samplers import Parts
from metamixer.search.storage.trial_store import Parameters
from metamixer.simulate.space import Restricted
from metamixer.simulate.table import Entry, Table, Training
from metamixer.tasks import Task


class Clock:
    """Seconds since the search began; moved by `run` alone."""

    def __init__(self) -> None:
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


class MemoryStore:
    """A store that is gone when the search is over."""

    def __init__(self, settings: dict[str, Any], trials: Iterable[Trial] = ()) -> None:
        self.settings = settings
        self.clean = True
        self.trials: list[Trial] = list(trials)
        self._parameters: dict[int, Parameters] = {}

    def parameters(self, number: int) -> Parameters:
        return self._parameters.get(number, Parameters())

    def add(self, trial: Trial, parameters: Parameters | None = None) -> Trial:
        trial = replace(trial, number=len(self.trials))
        self.trials.append(trial)
        self._parameters[trial.number] = parameters or Parameters()
        return trial

    def finish(self, trial: Trial) -> None:
        self.trials[trial.number] = trial

    def rewrite(self, trial: Trial) -> None:
        self.trials[trial.number] = replace(trial, state="running")


@dataclass(frozen=True)
class Simulated:
    """A simulated search.

    Attributes:
        table: What it ran on.
        seed: Its seed.
        trials: Its record; `started`, `seconds` and `clock` in the table's time.
        ends: Trial numbers and times, in the order in which trainings ended.
        proposing: Real seconds that its proposals took.
        recommended: Trials that the sampler holds for the front in the end, if it has a view of its own.
    """

    table: Table
    seed: int
    trials: list[Trial]
    ends: list[tuple[int, float]]
    proposing: float
    recommended: list[int] | None = None

    @property
    def seconds(self) -> float:
        """When the last training ended, in the table's time."""
        return self.ends[-1][1] if self.ends else 0.0

    @property
    def epochs(self) -> int:
        """Epochs that all trainings took."""
        return sum(trial.epochs or 0 for trial in self.trials)


def study(table: Table, overrides: Sequence[str] = ()) -> StudyConfig:
    """The configuration of a search on a table: its recipe and task; `overrides` as `section.key=value`.

    Raises:
        StudyError: An override is refused, or asks for what a table cannot give.
    """
    document: dict[str, Any] = {
        "study": {"name": table.name, "task": table.header["task"]["name"], "space": table.name, "confirm": 1},
        "training": dict(table.header["training"]),
        "search": {"references": "", "workers": 1},
        "baselines": {"names": []},
    }
    config = configuration.parse(document, overrides, file=f"table {table.name}")
    if config.searched:
        raise StudyError(
            f"a table has one recipe, so training.{next(iter(config.searched))} cannot be searched on it",
            f"training.{next(iter(config.searched))}",
            "write one value, or leave it out",
        )
    if config.training.epochs != table.epochs:
        raise StudyError(
            f"the table has trainings of {table.epochs} epochs, not of {config.training.epochs}",
            "training.epochs",
            "a table cannot be trained otherwise than it was",
        )
    most = max(config.study.confirm, config.study.seeds)
    if most > table.seeds:
        raise StudyError(f"the table has {table.seeds} seeds of each architecture, not {most}", "study.confirm")
    kept = {"study": config.study.model_copy(update={"keep": "none"}), "pruning": config.pruning}
    return config.model_copy(update=kept)


def order(table: Table, entry: Entry, seed: int) -> list[Training]:
    """An architecture's trainings as a search of this seed meets them: its first one, then the replicates."""
    return random.Random(f"{table.name}/{seed}/{entry.key}").sample(entry.trainings, len(entry.trainings))


def beginning(table: Table, number: int, seed: int) -> list[Entry]:
    """Architectures that searches of one seed may all begin with, whatever their sampler: drawn from the prior."""
    return random.Random(f"{table.name}/{seed}/beginning").sample(table.entries, min(number, len(table.entries)))


def run(
    table: Table,
    config: StudyConfig,
    workers: int = 1,
    first: Sequence[Entry] = (),
    repeats: bool = False,
    parts: Parts | None = None,
) -> Simulated:
    """Search a table until the budget is spent.

    A trial takes the seconds that its epochs took when they were recorded; proposing and dispatching take none. The
    same arguments give the same search.

    Args:
        table: What is searched.
        config: See `study`.
        workers: Trials at a time.
        first: What is trained first, behind what `search.initial_points` names; see `beginning`.
        repeats: Architectures that were trained are not refused, but trained again on their next seed.
        parts: Of the sampler `known-cost`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    clock = Clock()
    task = table.task
    search, seed = config.search, config.study.seed
    space: Any = Restricted(table)

    def price(drawn: Sentence, task: Task) -> Costed:
        entry = space.entry(drawn)
        return Costed(entry.sentence, entry.key, entry.cost)

    floor, most = table.header["reference_point"]
    proposer = Proposer(
        space,
        task,
        config.limits,
        search.sampler,
        search.startup,
        seed,
        price=price,
        reference=(floor, most),
        repeats=repeats,
        parts=parts,
        per_second=config.budget.unit == "hours",
    )
    store = MemoryStore({"reference_point": table.header["reference_point"]})
    starts = initial_points.find(search.initial_points, space, task, config.limits, Path("runs"), price=price)
    starts += [InitialPoint(entry.key, entry.choices, Costed(entry.sentence, entry.key, entry.cost)) for entry in first]
    driver = Driver(config, store, proposer, {}, Path(os.devnull), clock=clock, starts=starts)
    trainings: dict[int, Training] = {}
    coming: list[tuple[float, int, int]] = []  # when, which trial, which epoch is over
    ends: list[tuple[int, float]] = []
    begun: Counter[str] = Counter()
    proposing = 0.0
    while True:
        while len(trainings) < workers:
            before = time.perf_counter()
            job = driver.next_job()
            proposing += time.perf_counter() - before
            if isinstance(job, NoJob):
                break
            trial = store.trials[int(job["number"])]
            key = trial.key or ""
            drawn = order(table, table.by_key[key], seed)
            training = trainings[trial.number] = drawn[(trial.seed_index + begun[key]) % len(drawn)]
            begun[key] += trial.kind == "searched" and repeats
            driver.started(trial.number, "simulated")
            heapq.heappush(coming, (clock.now + training.curve["seconds"][0], trial.number, 1))
        if not coming:
            return Simulated(table, seed, store.trials, ends, proposing, proposer.recommend())
        clock.now, number, epoch = heapq.heappop(coming)
        training = trainings[number]
        curve = training.rows()[:epoch]
        if driver.epoch(number, curve[-1]) and epoch < table.epochs:
            took = training.curve["seconds"]
            heapq.heappush(coming, (clock.now + took[epoch] - took[epoch - 1], number, epoch + 1))
            continue
        last = curve[-1]
        driver.finished(
            number,
            {
                "state": "finished" if epoch == table.epochs else "stopped",
                "accuracy": last["validation_accuracy"],
                "loss": last["validation_loss"],
                "curve": curve,
                "seconds": last["seconds"],
                "device": "simulated",
            },
        )
        del trainings[number]
        ends.append((number, clock.now))
