"""Can a task tell architectures apart? Spread between architectures against noise between seeds."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import fmean, stdev, variance

from metamixer.errors import TaskError
from metamixer.training.recipe import Recipe

LEAST_RATIO = 3.0


@dataclass(frozen=True)
class Noise:
    """Validation accuracies of several architectures, each trained with the same seeds."""

    accuracies: Mapping[str, Sequence[float]]  # architecture -> one accuracy a seed

    @property
    def spread(self) -> float:
        """Standard deviation, over the architectures, of their mean accuracies."""
        return stdev(fmean(some) for some in self.accuracies.values())

    @property
    def noise(self) -> float:
        """Standard deviation of one architecture's accuracy over seeds, pooled over the architectures."""
        return fmean(variance(some) for some in self.accuracies.values()) ** 0.5

    @property
    def ratio(self) -> float:
        """Spread over noise; below 3, most of what a search would rank is luck."""
        return self.spread / self.noise if self.noise else float("inf")

    def without_farthest(self) -> Noise:
        """The same without the architecture whose mean is farthest from the others' mean: one outlier makes no task."""
        means = {name: fmean(some) for name, some in self.accuracies.items()}
        middle = fmean(means.values())
        farthest = max(means, key=lambda name: abs(means[name] - middle))
        return Noise({name: some for name, some in self.accuracies.items() if name != farthest})


def measure(
    task_name: str,
    sentences: Mapping[str, str],
    seeds: Sequence[int] = (0, 1, 2),
    recipe: Recipe | None = None,
    workers: int | None = None,
    done: Callable[[str, int, float], None] | None = None,
) -> Noise:
    """Train every sentence with every seed, each on one thread of a process of its own, `workers` at once.

    Args:
        task_name: As `metamixer.tasks.get` takes it.
        sentences: Architecture's name -> its sentence, without the head; at least two.
        seeds: At least two.
        recipe: Default: `Recipe()`.
        workers: Default: one for each core this process may use.
        done: Called after every training with name, seed and validation accuracy.

    Raises:
        TaskError: Too few sentences or seeds, or a training that fails.
    """
    if len(sentences) < 2 or len(seeds) < 2:
        raise TaskError(
            f"spread and noise need two architectures and two seeds, not {len(sentences)} and {len(seeds)}",
            place=f"task {task_name}",
        )
    jobs = [
        {
            "sentence": sentence,
            "task": {"name": task_name},
            "training": (recipe or Recipe()).model_dump(),
            "seed": seed,
            "name": name,
        }
        for seed in seeds
        for name, sentence in sentences.items()
    ]
    accuracies: dict[str, dict[int, float]] = {name: {} for name in sentences}
    # Spawned, since torch's threads do not survive a fork.
    pool = ProcessPoolExecutor(min(workers or _cores(), len(jobs)), mp_context=get_context("spawn"))
    try:
        running = {pool.submit(_evaluate, job): job for job in jobs}
        for future in as_completed(running):
            job, result = running[future], future.result()
            name, seed = str(job["name"]), int(str(job["seed"]))
            if result["state"] != "finished":
                raise TaskError(
                    f"training of {name} with seed {seed} failed: {result['reason']}",
                    place=f"{task_name}: {job['sentence']}",
                )
            accuracies[name][seed] = float(str(result["accuracy"]))
            if done:
                done(name, seed, accuracies[name][seed])
    finally:
        pool.shutdown(cancel_futures=True)
    return Noise({name: tuple(some[seed] for seed in seeds) for name, some in accuracies.items()})


def _evaluate(job: dict[str, object]) -> dict[str, object]:
    from metamixer.training.evaluate import evaluate

    return evaluate(job, lambda row: None)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
