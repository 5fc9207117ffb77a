"""Runs the retraining of some trials, whoever runs the jobs: a dispatcher asks it as it asks the driver of a search.

A training stands in the record when it has ended, and not before: what is killed is trained again, from its last
checkpoint, and a search that goes on later finds nothing running.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metamixer.record import Trial
from metamixer.search.configuration import StudyConfig
from metamixer.search.driver.driver import CHECKPOINT_SECONDS
from metamixer.search.driver.failures import Failures
from metamixer.search.driver.history import Store
from metamixer.search.driver.jobs import Job, NoJob
from metamixer.search.seeds import derived
from metamixer.tasks import Task
from metamixer.training import searched

FOLDER = "retrained"


@dataclass
class _Training:
    """One training that is to be done: of which trial, with which seed, and what is known of it."""

    of: Trial
    seed_index: int
    attempts: int = 0
    began: float = 0.0
    worker: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)


class Retraining:
    """The trainings that are still to be done.

    Args:
        config: The study, with the recipe of the retraining.
        task: What is learnt.
        store: The study's record, open.
        folder: The run's.
        trials: What is retrained.
        seeds: Trainings of each.
        say: Called with a line about what happened.

    Attributes:
        ended: Trainings that this driver saw end.
    """

    def __init__(
        self,
        config: StudyConfig,
        task: Task,
        store: Store,
        folder: Path,
        trials: Sequence[Trial],
        seeds: int,
        say: Callable[[str], None],
    ) -> None:
        self.config, self.task, self.say = config, task, say
        self.ended: list[Trial] = []
        self._store, self._folder, self._seeds = store, folder, seeds
        self.training = config.training.model_dump(mode="json")
        finished = {
            (trial.retrains, trial.seed_index)
            for trial in store.trials
            if trial.kind == "retrained" and trial.state == "complete" and trial.training == self.training
        }
        wanted = [(trial, seed_index) for seed_index in range(seeds) for trial in trials]
        self._trainings = [_Training(*pair) for pair in wanted if (pair[0].number, pair[1]) not in finished]
        self._waiting = deque(range(len(self._trainings)))
        self._running: dict[int, _Training] = {}
        self._failures = Failures(say)

    @property
    def left(self) -> int:
        """Trainings that have not ended."""
        return len(self._waiting) + len(self._running)

    # -- what a dispatcher asks

    def next_job(self) -> Job | NoJob:
        """The next training, as `metamixer.training.evaluate:evaluate` takes it; its number is its place here."""
        if not self._waiting:
            return NoJob.WAITING if self._running else NoJob.COMPLETE
        number = self._waiting.popleft()
        training = self._running[number] = self._trainings[number]
        training.began = time.monotonic()
        search, name = self.config.search, self._name(training)
        return {
            "number": number,
            "sentence": training.of.sentence,
            "task": self.task.document(),
            "training": self._recipe(training.of),
            "seed": self._seed(training),
            "threads": search.threads,
            "device": "cuda" if search.gpus else "cpu",
            "time_limit": None,
            "memory_limit": search.memory_limit,
            "final": True,
            "weights": str((self._folder / FOLDER / f"{name}.safetensors").resolve()),
            "checkpoint": {
                "path": str((self._folder / "checkpoints" / f"{FOLDER}-{name}.pt").resolve()),
                "seconds": CHECKPOINT_SECONDS,
            },
        }

    def holds(self, workers: int) -> None:
        """So many run at a time; nothing here depends on it."""

    def overdue(self, grace: float, startup: float) -> list[int]:
        """None: a training in full has no time limit."""
        return []

    # -- what a dispatcher tells

    def started(self, number: int, worker: str, versions: Mapping[str, str] | None = None) -> None:
        """A worker began a training."""
        training = self._running[number]
        training.worker, training.versions, training.began = worker, versions or {}, time.monotonic()

    def epoch(self, number: int, epoch: Mapping[str, Any]) -> bool:
        """A training finished an epoch; it always continues."""
        return True

    def finished(self, number: int, result: Mapping[str, Any]) -> None:
        """A training ended, well or not; it is written down."""
        training = self._running.pop(number)
        test, curve = result.get("test"), [_plain(row) for row in result.get("curve") or ()]
        complete = result.get("state") == "finished" and isinstance(test, Mapping)
        first, weights = training.of, self._folder / FOLDER / f"{self._name(training)}.safetensors"
        trial = Trial(
            number=len(self._store.trials),
            state="complete" if complete else "failed",
            kind="retrained",
            reason=None if complete else str(result.get("reason") or "the worker gave no reason"),
            sentence=first.sentence,
            key=first.key,
            cost=first.cost,
            name=first.name,
            retrains=first.number,
            seed_index=training.seed_index,
            seed=self._seed(training),
            training=self.training,
            test={name: test[name] for name in ("accuracy", "loss", "images")} if complete and test else None,
            curve=curve,
            epochs=len(curve),
            seconds=float(result.get("seconds") or time.monotonic() - training.began),
            cpu_seconds=result.get("cpu_seconds"),
            started=time.time() - (time.monotonic() - training.began),
            worker=training.worker,
            device=result.get("device"),
            versions=dict(result.get("versions") or training.versions),
            traceback=result.get("traceback"),
            weights=str(weights.relative_to(self._folder)) if complete and weights.is_file() else None,
        )
        trial = self._store.add(replace(trial, clock=max((t.clock or 0.0 for t in self._store.trials), default=0.0)))
        self.ended.append(trial)
        if trial.test is not None:
            of = f"trial {first.number}" + (f" ({first.name})" if first.name else "")
            self.say(
                f"{of}, seed {training.seed_index + 1} of {self._seeds}: test accuracy {trial.test['accuracy']:.4f}, "
                f"{trial.seconds:.0f} s; {self.left} trainings left"
            )
        self._failures.ended(trial)

    def stopped(self, number: int) -> None:
        """A training was ended early, which nothing here asks for."""
        self.finished(number, {"state": "failed", "reason": "it was stopped"})

    def lost(self, number: int, reason: str, again: bool = True, blamed: bool = True) -> None:
        """A training's worker is gone. It is tried once more, or as often as it takes if its machine went away."""
        training = self._running[number]
        training.attempts += blamed
        if again and training.attempts < 2:
            del self._running[number]
            self._waiting.appendleft(number)
            self.say(f"trial {training.of.number}: {reason}; it is trained once more")
            return
        self.finished(number, {"state": "failed", "reason": reason})

    def _recipe(self, of: Trial) -> dict[str, Any]:
        """That of the retraining, with what the search chose for this trial's, and the batch that fits in memory."""
        recipe = searched.recipe(self.config.training, of.choices).model_dump(mode="json")
        return recipe if of.batch is None else {**recipe, "batch_size": min(of.batch, recipe["batch_size"])}

    def _name(self, training: _Training) -> str:
        # The recipe is in it: another one must not overwrite weights that the record names.
        recipe = derived(json.dumps(self.training, sort_keys=True), bits=32)
        return f"{training.of.number}-{training.seed_index}-{recipe:08x}"

    def _seed(self, training: _Training) -> int:
        return derived(self.config.study.seed, FOLDER, training.of.number, training.seed_index)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what was not measured."""
    return {name: value for name, value in row.items() if not (isinstance(value, float) and math.isnan(value))}
