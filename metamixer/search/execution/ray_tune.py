"""Trials on Ray Tune workers: reused actors, one trial each at a time, the record written by the driver alone.

Tune is a dispatcher here: a searcher hands it the driver's jobs and tells the driver what came back; Tune's own files
go to a temporary folder that is deleted. On a cluster the data set is put once into the object store, and weights come
back with results: its machines need neither the data nor the run's folder.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metamixer import files, tasks
from metamixer.errors import ResourceError, StudyError
from metamixer.search.driver import Driver, Nothing
from metamixer.search.execution import ray_session as cluster
from metamixer.search.execution.devices import gpu_count
from metamixer.search.execution.evaluator import Evaluate, resolve, run, versions
from metamixer.search.execution.interrupt import Interrupt
from metamixer.tasks import Arrays

# A worker looks at its time limit before every batch. One that is this much over it hangs, and is killed.
GRACE_SHARE, GRACE_SECONDS = 0.25, 5.0
# Until a worker says that a trial began: a fresh process imports torch and loads the task.
STARTUP_SECONDS = 300.0


def unavailable() -> str | None:
    """Why trials cannot run on Ray here, or None."""
    if platform.system() == "Windows":
        return "Ray is not supported on Windows"
    return None if find_spec("ray") else "Ray is not installed"


def dispatch(
    driver: Driver,
    evaluate: str,
    interrupt: Interrupt,
    refresh: Callable[[], None],
    workers: int | None,
    gpus: float,
    address: str | None = None,
) -> None:
    """Run the driver's jobs on `workers` processes until there are none.

    Args:
        driver: Says what to run.
        evaluate: `package.module:function`, resolved in the worker.
        interrupt: Ctrl-C.
        refresh: Called several times a second.
        workers: Trials at a time; None for as many as the cluster holds now.
        gpus: GPUs of one trial: a fraction up to 1, or a whole number.
        address: A running cluster, `host:port`; None to start Ray on this machine.

    Raises:
        Interrupted: Ctrl-C; workers are stopped, their trials stay in the record to be run again.
        ResourceError: Ray cannot be started or joined, or has fewer resources than asked for.
    """
    threads = driver.config.search.threads
    started = None if address else cluster.Local((workers or 1) * threads, gpu_count() if gpus else 0)
    with cluster.joined(started, address) as (ray, folder):
        workers = _room(ray, driver, workers, threads, gpus, address)
        from ray import tune

        searcher = _searcher(driver, evaluate, ray, remote=address is not None)
        trial = _trial
        if address is not None:
            trial = tune.with_parameters(_trial, arrays=tasks.get(driver.config.study.task).data())
        tuner = tune.Tuner(
            tune.with_resources(trial, {"cpu": threads, "gpu": gpus}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=_scheduler(searcher),
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
                callbacks=[_watch(driver, searcher, interrupt, refresh, ray)],
                failure_config=tune.FailureConfig(max_failures=0),
            ),
        )
        tuner.fit()


def _room(ray: Any, driver: Driver, workers: int | None, threads: int, gpus: float, address: str | None) -> int:
    """Trials at a time. A cluster may grow, so more may be asked of it than it holds now."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    # Node by node: a trial runs on one.
    fit = sum(
        min(int(node.get("CPU", 0) / threads), int(node.get("GPU", 0) / gpus) if gpus else sys.maxsize)
        for node in nodes
    )
    there = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
    if workers is None and fit == 0:
        raise ResourceError(
            f"no trial of {threads} CPUs and {gpus:g} GPUs fits on the cluster now",
            place=f"{len(nodes)} nodes, {there['CPU']:g} CPUs, {there['GPU']:g} GPUs",
            advice="start nodes, or say with --workers how many trials it will hold",
        )
    workers = workers or fit
    if workers > fit:
        if address is None and gpus:
            raise ResourceError(f"{workers} workers of {gpus:g} GPUs do not fit; Ray sees {there['GPU']:g} GPUs")
        if address is not None:
            driver.say(f"the cluster holds {fit} of {workers} trials now; the others wait for nodes")
    driver.workers = workers
    return workers


def _trial(config: dict[str, Any], arrays: Arrays | None = None) -> None:
    """Runs in the worker: one job, its epochs and its result as reports.

    Args:
        config: `evaluate`, and `job` as JSON; its `weights` is a file of the driver's machine.
        arrays: The task's data, on a cluster: views of the node's object store.
    """
    from ray import get_runtime_context, tune

    def report(epoch: dict[str, Any]) -> None:
        tune.report({"epoch_row": json.dumps(epoch)})

    try:
        evaluate = resolve(config["evaluate"])
    except StudyError as error:
        tune.report({"refused": pickle.dumps(error)})
        return
    tune.report(
        {
            "worker": f"{platform.node()}/{os.getpid()}",
            "versions": json.dumps(versions()),
            "node": get_runtime_context().get_node_id(),
        }
    )
    job = json.loads(config["job"])
    if arrays is None:
        _outcome(_run(evaluate, job, report))
        return
    tasks.get(job["task"]["name"]).receive(arrays)
    with cluster.folder() as folder:
        file = folder / "weights"
        result = _run(evaluate, {**job, "weights": str(file) if job["weights"] else None}, report)
        _outcome(result, {"weights": file.read_bytes() if file.is_file() else None})


def _run(evaluate: Evaluate, job: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> dict[str, Any] | None:
    """The result of a trial; None if the driver was told that it cannot run here."""
    from ray import tune

    try:
        return run(evaluate, job, report)
    except ResourceError as error:
        tune.report({"refused": pickle.dumps(error)})
        return None


def _outcome(result: dict[str, Any] | None, more: dict[str, Any] | None = None) -> None:
    from ray import tune

    if result is None:
        return
    tune.report({"outcome": json.dumps(result), **(more or {})})
    if (result.get("reason") or "").startswith("memory limit"):
        os._exit(0)  # what leaked stays in this process: the next trial gets another


def _name(trial: Any) -> str:
    return str(trial.trial_id)


def _searcher(driver: Driver, evaluate: str, ray: Any, remote: bool) -> Any:
    from ray.tune.search import Searcher

    class DriverSearcher(Searcher):
        """Asks and tells the driver. Tune's snapshots hold nothing of it: the record is the only state.

        Tune takes an exception of these callbacks for a failure of the trial. `trouble` keeps it, to be raised where
        it ends the search.
        """

        def __init__(self) -> None:
            super().__init__()
            self.numbers: dict[str, int] = {}
            self.nodes: dict[str, str] = {}
            self.weights: dict[str, Path] = {}
            self.hung: set[str] = set()
            self.stopped: set[str] = set()
            self.trouble: Exception | None = None

        def suggest(self, trial_id: str) -> Any:
            if self.trouble is not None:
                raise self.trouble
            job = driver.next_job()
            if job is Nothing.WAIT:
                return None
            if job is Nothing.DONE:
                return Searcher.FINISHED
            self.numbers[trial_id] = int(job["number"])
            if job["weights"]:
                self.weights[trial_id] = Path(job["weights"])
            return {"evaluate": evaluate, "job": json.dumps(job)}

        def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
            try:
                self._hear(trial_id, result)
            except Exception as error:
                self.trouble = self.trouble or error

        def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
            try:
                self._hear(trial_id, result or {})
                if trial_id in self.numbers and self.trouble is None:
                    self._lose(trial_id)
            except Exception as trouble:
                self.trouble = self.trouble or trouble

        def _hear(self, trial_id: str, result: dict[str, Any]) -> None:
            number = self.numbers.get(trial_id)
            if number is None:
                return
            if "outcome" in result:
                if result.get("weights") is not None:
                    files.write(self.weights[trial_id], result.pop("weights"))
                del self.numbers[trial_id]
                driver.finished(number, json.loads(result["outcome"]))
            elif "refused" in result:
                raise pickle.loads(result["refused"])
            elif "worker" in result:
                self.nodes[trial_id] = result["node"]
                driver.started(number, result["worker"], json.loads(result["versions"]))

        def goes_on(self, trial_id: str, result: dict[str, Any]) -> bool:
            """Tell the driver of an epoch; asked by the scheduler, which comes first."""
            try:
                number = self.numbers.get(trial_id)
                if (
                    number is not None
                    and "epoch_row" in result
                    and not driver.epoch(number, json.loads(result["epoch_row"]))
                ):
                    self.stopped.add(trial_id)
            except Exception as error:
                self.trouble = self.trouble or error
            return trial_id not in self.stopped

        def _lose(self, trial_id: str) -> None:
            number = self.numbers.pop(trial_id)
            if trial_id in self.stopped:
                driver.stopped(number)
            elif trial_id in self.hung:
                driver.lost(number, "time limit: the worker did not stop and was killed", again=False)
            elif remote and self.nodes.get(trial_id) in {n["NodeID"] for n in ray.nodes() if not n["Alive"]}:
                driver.lost(number, "its node was lost", blamed=False)
            else:
                driver.lost(number, "the worker process was killed")

        def save(self, checkpoint_path: str) -> None:
            pass

        def restore(self, checkpoint_path: str) -> None:
            pass

        def __reduce__(self) -> tuple[Any, ...]:
            return object, ()

        def __deepcopy__(self, memo: Any) -> DriverSearcher:
            return self

    return DriverSearcher()


def _scheduler(searcher: Any) -> Any:
    from ray.tune.schedulers import FIFOScheduler

    class DriverScheduler(FIFOScheduler):
        """Stops the trials that the driver does not let go on; the worker is used again at once."""

        def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
            return str(self.CONTINUE if searcher.goes_on(trial.trial_id, result) else self.STOP)

        def __reduce__(self) -> tuple[Any, ...]:
            return object, ()

    return DriverScheduler()


def _watch(driver: Driver, searcher: Any, interrupt: Interrupt, refresh: Callable[[], None], ray: Any) -> Any:
    from ray.tune import Callback

    class Watch(Callback):
        """Called several times a second by Tune's loop, in the driver."""

        def __init__(self) -> None:
            limit = driver.config.search.time_limit or 0.0
            self.grace = GRACE_SECONDS + GRACE_SHARE * limit

        def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
            interrupt.check()
            if searcher.trouble is not None:
                raise searcher.trouble
            overdue = set(driver.overdue(self.grace, STARTUP_SECONDS))
            for trial in trials if overdue else ():
                actor = trial.temporary_state.ray_actor
                if searcher.numbers.get(trial.trial_id) in overdue and actor is not None:
                    searcher.hung.add(trial.trial_id)
                    ray.kill(actor)
            refresh()

        def __reduce__(self) -> tuple[Any, ...]:
            return object, ()  # Tune pickles its arguments for a restore that never comes

    return Watch()
