"""Runs one study, whoever runs its trials: hands out what is next, hears what workers say, records what came of it.

A dispatcher asks `next_job` for work and tells `holds`, `started`, `epoch`, `finished`, `stopped` or `lost`. Everything
that matters is in the record, so a driver that starts again continues where the one before was, even if that was
killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from metamixer.record import Trial
from metamixer.search.configuration import StudyConfig
from metamixer.search.driver import results
from metamixer.search.driver.failures import Failures
from metamixer.search.driver.history import History, Store
from metamixer.search.driver.jobs import Job, NoJob
from metamixer.search.driver.progress import Progress, measure
from metamixer.search.driver.running import RunningTrials
from metamixer.search.driver.schedule import Schedule
from metamixer.search.driver.timing import Clock, Timing
from metamixer.search.proposals.initial_points import InitialPoint
from metamixer.search.proposals.proposer import Costed, Proposer
from metamixer.search.pruning.successive_halving import SuccessiveHalving
from metamixer.search.storage.checkpoints import Weights
from metamixer.training import searched

CHECKPOINT_SECONDS = 60.0  # least time between two checkpoints of one trial: short trainings write none


class Driver:
    """One study on an open record.

    Args:
        config: The study.
        store: Its record.
        proposer: Draws what to train; it is shown the record here.
        baselines: Name and costed sentence of each baseline.
        folder: The run's folder; weights lie in `weights/`.
        say: Called with a line about what happened, for people.
        clock: Where the time is read.
        starts: What is proposed before the proposer is asked, as far as the record has it not.

    Attributes:
        ended: Trials that this driver saw end.
        task: What its trials learn.
    """

    def __init__(
        self,
        config: StudyConfig,
        store: Store,
        proposer: Proposer,
        baselines: Mapping[str, Costed],
        folder: Path,
        say: Callable[[str], None] = lambda line: None,
        clock: Clock = time,
        starts: Sequence[InitialPoint] = (),
    ) -> None:
        self.config = config
        self.folder = folder
        self.say = say
        self.ended = 0
        self.timing = Timing(store.trials, clock)
        self.task = proposer.space.task
        self._workers = 1
        self._history = History(store, proposer)
        self._running = RunningTrials(clock)
        self._schedule = Schedule(config, self._history, proposer, self.timing, baselines, starts, say)
        self._pruner = SuccessiveHalving(config)
        self._weights = Weights(folder, config.study.keep)
        self._failures = Failures(say)

    @property
    def exhausted(self) -> bool:
        """Whether the space has no more architectures to offer than were trained."""
        return self._schedule.exhausted

    @property
    def spent(self) -> float:
        """How much of the budget is gone, in its unit."""
        return self._schedule.spent

    # -- what a dispatcher asks

    def next_job(self) -> Job | NoJob:
        """The next trial to run, as `metamixer.training.evaluate:evaluate` takes it."""
        trial = self._schedule.next_trial()
        if trial is not None:
            self._running.start(trial)
            return self._job(trial)
        if self._running:
            return NoJob.WAITING
        self._delete_weights(final=True)
        return NoJob.COMPLETE

    def _job(self, trial: Trial) -> Job:
        keep = self.config.study.keep != "none"
        return {
            "number": trial.number,
            "sentence": trial.sentence,
            "task": self.task.document(),
            "training": self._recipe(trial),
            "seed": trial.seed,
            "threads": self.config.search.threads,
            "device": self._device,
            "time_limit": self.config.time_limit,
            "memory_limit": self.config.search.memory_limit,
            "weights": str(self._weights.of(trial.number).resolve()) if keep else None,
            "checkpoint": {"path": str(self._checkpoint(trial.number).resolve()), "seconds": CHECKPOINT_SECONDS},
        }

    def _checkpoint(self, number: int) -> Path:
        """Where a long training is kept while it runs, so that what is killed goes on."""
        return self.folder / "checkpoints" / f"{number}.pt"

    def _recipe(self, trial: Trial) -> dict[str, Any]:
        recipe = searched.recipe(self.config.training, trial.choices).model_dump(mode="json")
        return recipe if trial.batch is None else {**recipe, "batch_size": trial.batch}

    @property
    def _device(self) -> str:
        return "cuda" if self.config.search.gpus else "cpu"

    def overdue(self, grace: float, startup: float) -> list[int]:
        """Running trials whose worker should have stopped them itself, so it hangs.

        Args:
            grace: Seconds over the time limit that a worker is given to notice.
            startup: Seconds that a worker may take before it says that it began.
        """
        limit = self.config.time_limit
        return [] if limit is None else self._running.overdue(limit + grace, startup)

    def progress(self) -> Progress:
        """Counts, the front and an estimate of the time left."""
        return measure(
            self.config, self._history, self._schedule, self.timing, self._running.trials, self._workers, self.folder
        )

    # -- what a dispatcher tells

    def holds(self, workers: int) -> None:
        """So many trials run at a time; 1 where this is never told."""
        self._workers = workers

    def started(self, number: int, worker: str, versions: Mapping[str, str] | None = None) -> None:
        """A worker began a trial; `versions` are what is recorded of one that returns none itself."""
        self._running.began(number, worker, versions or {})

    def epoch(self, number: int, epoch: Mapping[str, Any]) -> bool:
        """A trial finished an epoch. Returns whether it is to continue."""
        self._running.report(number, epoch)
        trials = self._history.trials
        if self._pruner.should_prune(trials[number], trials, self._running.curves):
            self._running.prune(number)
        return not self._running.pruned(number)

    def finished(self, number: int, result: Mapping[str, Any]) -> None:
        """A trial ended, well or not; it becomes final.

        Raises:
            ResourceError: It found no room on its disk.
            StudyError: It is one of several in a row that failed alike, see `metamixer.search.driver.failures`.
        """
        trial, weights = self._history.trials[number], self._weights.of(number)
        ran, _, seconds = self._running.end(number)
        with suppress(OSError):  # of a worker that could not delete it itself; a simulation has no folder
            self._checkpoint(number).unlink(missing_ok=True)
        if result.get("reason") == "out of memory" and self._retry_with_less_memory(trial):
            return
        trial = replace(
            trial,
            worker=ran.worker,
            device=self._device,
            versions=dict(ran.versions),
            seconds=seconds,
            weights=str(weights.relative_to(self.folder)) if weights.is_file() else None,
        )
        trial = results.final(trial, result, self.config.training.epochs, ran.pruned)
        trial = replace(trial, clock=self.timing.seconds)
        self._finish(trial)

    def _finish(self, trial: Trial) -> None:
        self._history.finish(trial)
        self._schedule.ended(trial)
        self.timing.add(trial)
        self.ended += 1
        self._delete_weights()
        self._failures.ended(trial)

    def _retry_with_less_memory(self, trial: Trial) -> bool:
        """Try a trial that ran out of memory again at half the batch, if it may be; whether it is."""
        whole = self.config.training.batch_size
        batch = (trial.batch or whole) // 2
        # Sizes that are odd are rounded down, so the number of halvings is counted from the recipe's.
        halved = 1
        while whole >> halved > batch:
            halved += 1
        if batch < 1 or halved > self.config.search.retry_out_of_memory:
            return False
        self.say(f"trial {trial.number}: out of memory; it is tried again with batches of {batch}")
        self._history.rewrite(replace(trial, batch=batch, clock=self.timing.seconds))
        self._schedule.retry(trial.number)
        return True

    def stopped(self, number: int) -> None:
        """A trial was stopped early, as `epoch` asked for, by a dispatcher that ends it without a result."""
        self.finished(number, {"state": "stopped", "curve": self._running.curves[number]})

    def lost(self, number: int, reason: str, again: bool = True, blamed: bool = True) -> None:
        """A trial's worker is gone. It is tried once more, unless `again` is false or it was tried before.

        A trial that is not `blamed` is tried as often as it takes: its machine went away.
        """
        if self._running.lose(number, blamed) and again:
            self._running.end(number)
            self.say(f"trial {number}: {reason}; it is tried once more")
            self._schedule.retry(number)
            return
        self.finished(number, {"state": "failed", "reason": reason, "curve": self._running.curves[number]})

    def _delete_weights(self, final: bool = False) -> None:
        """Delete weights that are not kept. While the front is being confirmed nothing is deleted.

        What joins it only then was dominated when its first seed ended, and has the weights of its further seeds.
        """
        if final or not self._schedule.search_is_over:
            self._weights.tidy(self._history.trials, self._history.state, self._schedule.awaiting_seeds, final)
