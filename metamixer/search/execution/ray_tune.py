"""Trials on Ray Tune workers: reused actors, one trial each at a time, the record written by the driver alone.

Tune is a dispatcher here: a searcher hands it the driver's jobs and tells the driver what came back; Tune's own files
go to a temporary folder that is deleted. On a cluster the data set is put once into the object store, and weights come
back with results: its machines need neither the data nor the run's folder.

Imported only where Ray is there, and its environment is set, see `metamixer.search.execution.ray_session`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from metamixer import files
from metamixer.search import processes
from metamixer.search.driver.jobs import Jobs, NoJob
from metamixer.search.execution import ray_worker
from metamixer.search.execution.interrupt import Interrupt
from metamixer.search.execution.ray_messages import KEY, Began, Ended, Epoch, Message, Refused

# A worker looks at its time limit, processor seconds, before every batch. One that is this much over it hangs, and is
# killed; so does one that uses no processor, or takes this many times as long as it may, whatever else runs there.
GRACE_SHARE, GRACE_SECONDS = 0.25, 5.0
IDLE_SHARE, MOST_TIMES = 0.02, 10.0
_LACKING = re.compile(r"No module named '([\w.]+)'")
# Until a worker says that a trial began: a fresh process imports torch and loads the task.
STARTUP_SECONDS = 300.0


def dispatch(
    driver: Jobs,
    evaluate: str,
    interrupt: Interrupt,
    refresh: Callable[[], None],
    folder: Path,
    workers: int,
    gpus: float,
    remote: bool,
) -> None:
    """Run the driver's jobs on `workers` processes of the Ray that was joined, until there are none.

    Args:
        driver: Says what to run.
        evaluate: `package.module:function`, resolved in the worker.
        interrupt: Ctrl-C.
        refresh: Called several times a second.
        folder: For Tune's files.
        workers: Trials at a time.
        gpus: GPUs of one trial: a fraction up to 1, or a whole number.
        remote: Workers may be on other machines.

    Raises:
        Interrupted: Ctrl-C; workers are stopped, their trials stay in the record to be run again.
        UserError: What ended the search: a record that cannot be written, a trial that cannot run.
    """
    trials = Trials(driver, evaluate, remote)
    function = ray_worker.trial
    if remote:
        function = tune.with_parameters(function, arrays=ray_worker.in_memory(driver.task.data()))
    tuner = tune.Tuner(
        tune.with_resources(function, {"cpu": driver.config.search.threads, "gpu": gpus}),
        tune_config=tune.TuneConfig(
            search_alg=JobSearcher(trials),
            scheduler=PruningScheduler(trials),
            num_samples=-1,
            max_concurrent_trials=workers,
            reuse_actors=True,
            trial_name_creator=_name,
            trial_dirname_creator=_name,
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(folder / "tune"),
            verbose=0,
            callbacks=[Watch(trials, interrupt, refresh)],
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )
    tuner.fit()


def _name(trial: Any) -> str:
    return str(trial.trial_id)


class Trials:
    """Which of Tune's trials are which of the driver's, and what became of them.

    Tune takes an exception of its callbacks for a failure of the trial. `trouble` keeps the first, to be raised where
    it ends the search.

    Args:
        driver: Is asked for jobs, and told.
        evaluate: What every job calls.
        remote: Workers may be on other machines.
    """

    def __init__(self, driver: Jobs, evaluate: str, remote: bool) -> None:
        self.driver = driver
        self.numbers: dict[str, int] = {}
        self.trouble: Exception | None = None
        self._evaluate = evaluate
        self._remote = remote
        self._nodes: dict[str, str] = {}
        self._began: dict[str, tuple[int, float, float]] = {}
        self._weights: dict[str, Path] = {}
        self._hung: set[str] = set()
        self._pruned: set[str] = set()
        self._lacking: dict[str, str] = {}

    def next_config(self, trial_id: str) -> dict[str, Any] | NoJob:
        """What `ray_worker.trial` is called with."""
        self.raise_trouble()
        job = self.driver.next_job()
        if isinstance(job, NoJob):
            return job
        self.numbers[trial_id] = int(job["number"])
        if job["weights"]:
            self._weights[trial_id] = Path(job["weights"])
        return {"evaluate": self._evaluate, "job": job}

    def raise_trouble(self) -> None:
        """End the search with what went wrong in a callback, if anything did."""
        if self.trouble is not None:
            raise self.trouble

    def hear(self, trial_id: str, message: Message | None) -> None:
        """A message came, other than of an epoch."""
        number = self.numbers.get(trial_id)
        if number is None:
            return
        match message:
            case Began(worker, node, versions):
                self._nodes[trial_id] = node
                self._watch(trial_id, worker)
                self.driver.started(number, worker, versions)
            case Ended(result, weights):
                if weights is not None:
                    files.write(self._weights[trial_id], weights)
                del self.numbers[trial_id]
                self.driver.finished(number, result)
            case Refused():
                raise message.raised()

    def hear_epoch(self, trial_id: str, message: Message | None) -> bool:
        """A message came; returns whether its trial is to continue."""
        number = self.numbers.get(trial_id)
        if number is not None and isinstance(message, Epoch) and not self.driver.epoch(number, message.measured):
            self._pruned.add(trial_id)
        return trial_id not in self._pruned

    def hear_error(self, trial_id: str, error: BaseException | None) -> None:
        """What Ray says of a trial that could not run."""
        if found := _LACKING.search(str(error)):
            self._lacking[trial_id] = found[1]

    def lose(self, trial_id: str) -> None:
        """Tune ended a trial of which no end was told."""
        number = self.numbers.pop(trial_id, None)
        if number is None:
            return
        if trial_id in self._pruned:
            self.driver.stopped(number)
        elif trial_id in self._hung:
            self.driver.lost(number, "time limit: the worker did not stop and was killed", again=False)
        elif trial_id in self._lacking:
            module = self._lacking[trial_id]
            self.driver.lost(number, f"the worker lacks the Python module {module}", again=False)
        elif self._remote and self._nodes.get(trial_id) in {n["NodeID"] for n in ray.nodes() if not n["Alive"]}:
            self.driver.lost(number, "its node was lost", blamed=False)
        else:
            self.driver.lost(number, "the worker process was killed")

    def _watch(self, trial_id: str, worker: str) -> None:
        """Remember what a worker of this machine has used of its processor until now."""
        pid = int(worker.rpartition("/")[2])
        used = None if self._remote else processes.processor(pid)
        if used is not None:
            self._began[trial_id] = (pid, used, time.monotonic())

    def hangs(self, trial_id: str, grace: float) -> bool:
        """Whether a trial that is over its time by the clock on the wall would be so on an idle machine, too."""
        search = self.driver.config.search
        if trial_id not in self._began or search.gpus:
            return True
        pid, before, since = self._began[trial_id]
        now, passed = processes.processor(pid), time.monotonic() - since
        if now is None or passed > MOST_TIMES * search.time_limit + grace:
            return True
        return now - before > search.time_limit * search.threads + grace or now - before < IDLE_SHARE * passed

    def kill(self, trial_id: str, actor: Any) -> None:
        """End a worker that hangs."""
        self._hung.add(trial_id)
        ray.kill(actor)


class JobSearcher(Searcher):
    """Hands the driver's jobs to Tune. Tune's snapshots hold nothing of it: the record is the only state."""

    def __init__(self, trials: Trials) -> None:
        super().__init__()
        self._trials = trials

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        config = self._trials.next_config(trial_id)
        if config is NoJob.COMPLETE:
            return str(Searcher.FINISHED)
        return None if isinstance(config, NoJob) else config

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        try:
            self._trials.hear(trial_id, result.get(KEY))
        except Exception as error:
            self._trials.trouble = self._trials.trouble or error

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        try:
            self._trials.hear(trial_id, (result or {}).get(KEY))
            if self._trials.trouble is None:
                self._trials.lose(trial_id)
        except Exception as trouble:
            self._trials.trouble = self._trials.trouble or trouble

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()

    def __deepcopy__(self, memo: dict[int, Any]) -> JobSearcher:
        return self


class PruningScheduler(FIFOScheduler):
    """Stops the trials that the driver prunes; the worker is used again at once. Tune asks it before the searcher."""

    def __init__(self, trials: Trials) -> None:
        super().__init__()
        self._trials = trials

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        continues = True
        try:
            continues = self._trials.hear_epoch(trial.trial_id, result.get(KEY))
        except Exception as error:
            self._trials.trouble = self._trials.trouble or error
        return str(self.CONTINUE if continues else self.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Tune calls this before it tells the searcher that the trial has ended."""
        self._trials.hear_error(trial.trial_id, trial.get_pickled_error())
        super().on_trial_error(tune_controller, trial)

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()


class Watch(tune.Callback):
    """Called several times a second by Tune's loop, in the driver: Ctrl-C, what went wrong, workers that hang."""

    def __init__(self, trials: Trials, interrupt: Interrupt, refresh: Callable[[], None]) -> None:
        self._trials = trials
        self._interrupt = interrupt
        self._refresh = refresh
        self._grace = GRACE_SECONDS + GRACE_SHARE * (trials.driver.config.time_limit or 0.0)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._interrupt.check()
        self._trials.raise_trouble()
        overdue = set(self._trials.driver.overdue(self._grace, STARTUP_SECONDS))
        for trial in trials if overdue else ():
            actor = trial.temporary_state.ray_actor
            late = self._trials.numbers.get(trial.trial_id) in overdue and actor is not None
            if late and self._trials.hangs(trial.trial_id, self._grace):
                self._trials.kill(trial.trial_id, actor)
        self._refresh()

    def __reduce__(self) -> tuple[Any, ...]:
        return object, ()  # Tune pickles its arguments for a restore that never comes
