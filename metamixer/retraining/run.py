"""Retraining what a run found: which trials, by which recipe, and the record that it is written to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from metamixer import record, resources
from metamixer.errors import RecordError, StudyError, TaskError
from metamixer.record import Trial, front
from metamixer.record import location as storages
from metamixer.retraining.driver import Retraining
from metamixer.search import configuration
from metamixer.search.configuration import StudyConfig
from metamixer.search.execution import dispatcher as execution
from metamixer.search.execution.dispatcher import Dispatcher
from metamixer.search.execution.interrupt import Interrupt, Interrupted
from metamixer.tasks import Task, of

EVALUATE = "metamixer.training.evaluate:evaluate"


def retrain(
    run: str | Path,
    number: int | None = None,
    seeds: int = 3,
    training: Mapping[str, Any] | None = None,
    search: Mapping[str, Any] | None = None,
    dispatcher: Dispatcher | None = None,
    runs: str | Path = "runs",
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Path, bool]:
    """Train members of a run's front and its baselines in full, and measure them on the test part.

    What the record has by the same recipe and seed is not trained again, so a retraining that was stopped goes on when
    it is started again.

    Args:
        run: The run.
        number: A trial; None for the whole front and all baselines.
        seeds: Trainings of each.
        training: What changes in the study's recipe, such as `epochs`; with `preset` it begins from those settings.
        search: What changes in the study's section `[search]`: `workers`, `gpus`, `address`, `threads`.
        dispatcher: As `Study.run` takes it.
        runs: The folder that holds runs.
        say: Called with a line about what happened.

    Returns:
        The record, and whether all was trained; False after Ctrl-C.

    Raises:
        RecordError: There is no such trial, or none on the front; another driver holds the record.
        StudyError: The run was trained by other code than metamixer's, or its data has changed.
        TaskError: The task has no test part.
    """
    from metamixer.search.storage.trial_store import TrialStore

    place = resources.record(run, runs)
    folder = place.parent if place.is_file() else place
    settings = record.settings(place)
    config = _changed(configuration.load(folder / storages.CONFIGURATION), training or {}, search or {})
    task = _task(settings, config, place)
    placement = execution.place(dispatcher, config.search, say)
    chosen = members(record.read(place), number, str(run))
    with ExitStack() as stack:
        interrupt = stack.enter_context(Interrupt().listening())
        store = TrialStore(storages.find(place), settings, settings["fingerprints"], say, interrupt.wait)
        stack.callback(store.close)
        driver = Retraining(config, task, store, folder, chosen, seeds, say)
        say(
            f"{len(chosen)} architectures with {seeds} seeds on training and validation part,"
            f" {config.training.epochs} epochs: {driver.left} trainings"
        )
        try:
            execution.dispatch(placement, driver, EVALUATE, interrupt, lambda: None)
        except Interrupted:
            return place, False
    return place, True


def members(trials: list[Trial], number: int | None, run: str) -> list[Trial]:
    """The trials to retrain: one, or the front by rising FLOPs and then the baselines.

    Raises:
        RecordError: There is no such trial, it was not trained, or the run has no front.
    """
    if number is None:
        points = front.summary(trials)
        chosen = sorted((p for p in points if p.on_front or p.kind == "baseline"), key=lambda p: (p.kind, -p.flops))
        if not chosen:
            raise RecordError("the run has no front yet: no trial is complete", run, "let it search first")
        return [trials[point.number] for point in reversed(chosen)]
    if number >= len(trials):
        raise RecordError(f"the run has no trial {number}", run, f"it has trials 0 to {len(trials) - 1}")
    trial = trials[number]
    first = trial.retrains if trial.kind == "retrained" else trial.replicate_of
    trial = trial if first is None else trials[first]
    if trial.cost is None or trial.kind == "rejected":
        raise RecordError(f"trial {number} was refused before training: {trial.reason}", run, "name another")
    return [trial]


def _changed(config: StudyConfig, training: Mapping[str, Any], search: Mapping[str, Any]) -> StudyConfig:
    document = config.model_dump(mode="json")
    base = {} if training.get("preset") else document["training"]
    document["training"] = {**base, **training}
    document["search"] = {**document["search"], **search}
    return configuration.parse(document, file="--preset, --epochs")


def _task(settings: Mapping[str, Any], config: StudyConfig, place: Path) -> Task:
    if config.search.evaluate != EVALUATE:
        raise StudyError(
            f"this run was trained by {config.search.evaluate}, which metamixer cannot train in full for you",
            str(place),
            "load the sentences of its front, and train them with your own code",
        )
    task = of(settings["task"])
    if task.fingerprint != settings["fingerprints"].get("task"):
        raise StudyError(
            "the task's data or split has changed since the search", str(place), "retrain with the data it searched on"
        )
    if task.load_test is None:
        raise TaskError(f"task {task.name} has no test part", str(place), "give it one: `test` in [data], or load_test")
    return task
