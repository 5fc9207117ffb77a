"""One trial: build the network of a sentence, train it, say how good it is.

`evaluate` is called in a worker by its dotted name. It takes and returns plain JSON-able values, and whatever goes
wrong with the trial is part of what it returns.
"""

from __future__ import annotations

import json
import platform
import random
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from metamixer.tasks import Task, of
from metamixer.training import checkpoint, weights
from metamixer.training.final import tested, whole
from metamixer.training.loop import Checkpoint, Failed, Limits, Row, train
from metamixer.training.recipe import Recipe

Builder = Callable[[str, Task], nn.Module]


def network(sentence: str, task: Task) -> nn.Module:
    """The module (images, *grid, channels) -> (images, *ones, classes) of a search's sentence, freshly initialised.

    Raises:
        LanguageError: The sentence cannot be read, or does not fit the task's shapes.
    """
    from metamixer.compile import build
    from metamixer.language import parse

    return build(task.network(parse(sentence)), channels=task.channels, grid=task.grid)


def evaluate(job: dict[str, Any], report: Callable[[Row], bool | None], builder: Builder = network) -> dict[str, Any]:
    """Train the job's sentence and return its validation accuracy, or why there is none.

    Args:
        job: `sentence` (without the head), `task` (`Task.document()`), `training` (the fields of `Recipe`), `seed`;
            optional `threads` (1), `device` ("cpu"), `time_limit` (seconds from the call, looked at before every batch:
            on the CPU processor seconds of each of its threads, which other processes do not shorten, elsewhere those
            of the clock on the wall; None for none),
            `weights` (where to write them; None for nowhere), `final` (False; True to train on training and validation
            part together, take batch-norm statistics anew, and then be measured on the test part, once),
            `checkpoint` (None, or {"path",
            "seconds"}: after an epoch, but not more often than every so many seconds, all that is needed to continue is
            written there; a job that finds it continues, with the numbers it would have had; gone when it ends). Other
            keys are left alone.
        report: Called after every epoch with its row: `epoch` (from 1), `train_loss` (label smoothing included) and
            `train_accuracy`, both means over the epoch's batches, taken while the weights change, `validation_loss`
            (plain cross-entropy, nats) and `validation_accuracy`, and `seconds` of training so far. Returning False
            ends the training there, as stopped. Epochs of a checkpoint are reported again. An exception of its own is
            the caller's and passes through.
        builder: Makes the network of a sentence for a task.

    Returns:
        `state` "finished", "stopped" (before the last epoch) or "failed"; `reason` None, "nan", "out of memory",
        "time limit" or "exception: ..."; `accuracy` and `loss` on validation after its last epoch (None if failed);
        `test`, accuracy, loss and images of the test part of a `final` training, which are its `accuracy` and `loss`
        (its rows have NaN for validation), else None; `curve`, the rows so far; `seconds` and `cpu_seconds` (of this
        process: about what the trial takes on an idle machine); `device`; `versions`; `traceback` (of
        an exception or lack of memory, else None). On one machine, on the CPU with one thread, the same job gives the
        same numbers bit for bit.
    """
    start, processor = time.monotonic(), time.process_time()
    curve: list[Row] = []
    reason = trace = None
    stop, stopped = None, False
    test: dict[str, float] | None = None
    with _isolated(int(job["seed"]), int(job.get("threads", 1))):
        training = _training(job, builder, start, processor)
        while True:
            try:
                row = training.send(stop)
            except StopIteration as end:
                stopped, test = end.value
                break
            except Failed as failure:
                reason = str(failure)
                break
            except Exception as error:
                reason = "out of memory" if _lacks_memory(error) else f"exception: {type(error).__name__}: {error}"
                trace = traceback.format_exc()
                break
            curve.append(row)
            # Outside of the try: what the caller raises here is not the trial's failure.
            stop = report(dict(row)) is False
    if job.get("checkpoint"):
        checkpoint.remove(job["checkpoint"]["path"])
    if reason == "out of memory" and torch.cuda.is_available():
        torch.cuda.empty_cache()  # the worker lives on and trains the next trial
    return {
        "state": "failed" if reason is not None else "stopped" if stopped else "finished",
        "reason": reason,
        "accuracy": None if reason is not None else test["accuracy"] if test else curve[-1]["validation_accuracy"],
        "loss": None if reason is not None else test["loss"] if test else curve[-1]["validation_loss"],
        "test": test,
        "curve": curve,
        "seconds": time.monotonic() - start,
        "cpu_seconds": time.process_time() - processor,
        "device": _device_name(str(job.get("device", "cpu"))),
        "versions": versions(),
        "traceback": trace,
    }


def described(task: Task, sentence: str, ours: bool = True) -> dict[str, str]:
    """What a file of weights says of a network of a task, see `metamixer.training.weights`.

    Args:
        task: The task.
        sentence: Without the head.
        ours: Whether the network is the one that metamixer builds; else the sentence is any text, and has no key.
    """
    from metamixer import __version__
    from metamixer.language import parse

    key = {"key": task.network(parse(sentence)).key(task.channels, task.grid)} if ours else {}
    return {
        "sentence": sentence,
        **key,
        "task": task.name,
        "fingerprint": task.fingerprint,
        "input": json.dumps({"channels": task.channels, "grid": list(task.grid)}),
        "classes": json.dumps(list(task.class_names) if task.class_names else task.classes),
        "mean": json.dumps(task.mean),
        "std": json.dumps(task.std),
        "raw": "bytes" if task.data().x_train.dtype == np.uint8 else "numbers",
        "metamixer": __version__,
    }


def versions() -> dict[str, str]:
    """What the numbers of a trial may depend on: Python, torch, numpy, CUDA ("none" without), metamixer."""
    from metamixer import __version__

    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "cuda": torch.version.cuda or "none",
        "metamixer": __version__,
    }


def _training(
    job: dict[str, Any], builder: Builder, start: float, processor: float
) -> Generator[Row, bool | None, tuple[bool, dict[str, float] | None]]:
    """Trains and yields one row an epoch, then writes the weights.

    Returns:
        Whether it was stopped early, and what a final training has on the test part.
    """
    task, recipe, device = of(job["task"]), Recipe(**job["training"]), torch.device(job.get("device", "cpu"))
    limits = _limits(job, device, start, processor)
    net = builder(job["sentence"], task)
    keep = _checkpoint(job, task, recipe)
    accuracy = 0.0
    is_final = bool(job.get("final"))
    rows = train(
        net, whole(task) if is_final else task, recipe, int(job["seed"]), device, limits, keep, validated=not is_final
    )
    stop: bool | None = None
    while True:
        try:
            row = rows.send(stop)
        except StopIteration as end:
            stopped = bool(end.value)
            break
        accuracy = row["validation_accuracy"]
        stop = yield row
    test = None
    if is_final and not stopped:
        test = tested(net, task, recipe, int(job["seed"]), device, limits)
        accuracy = test["accuracy"]
    if job.get("weights") and not stopped:
        about = described(task, job["sentence"], builder is network) | {
            "seed": str(job["seed"]),
            "accuracy": repr(accuracy),
        }
        weights.save(net, job["weights"], about)
    return stopped, test


def _limits(job: dict[str, Any], device: torch.device, start: float, processor: float) -> Limits:
    """A busy machine is not the trial's fault, so on the CPU the process's own time counts."""
    limit = job.get("time_limit")
    if limit is None:
        return Limits(start)
    if device.type != "cpu":
        return Limits(start, start + float(limit))
    return Limits(start, processor + float(limit) * int(job.get("threads", 1)), time.process_time)


def _checkpoint(job: dict[str, Any], task: Task, recipe: Recipe) -> Checkpoint | None:
    """Where the trial is kept while it trains, if it is."""
    asked = job.get("checkpoint")
    if asked is None:
        return None
    of = {
        "sentence": job["sentence"],
        "task": task.fingerprint,
        "training": recipe.model_dump(mode="json"),
        "seed": int(job["seed"]),
        "threads": int(job.get("threads", 1)),
        "device": torch.device(job.get("device", "cpu")).type,
        "versions": versions(),
    }
    return Checkpoint(Path(asked["path"]), float(asked.get("seconds", 0.0)), of)


@contextmanager
def _isolated(seed: int, threads: int) -> Iterator[None]:
    """Seeds every global source of chance and sets torch's threads, and gives the caller's back afterwards."""
    before = random.getstate(), np.random.get_state(), torch.get_num_threads()
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])
            torch.set_num_threads(before[2])


def _lacks_memory(error: Exception) -> bool:
    # On the CPU torch reports it as a plain RuntimeError of its allocator.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def _device_name(device: str) -> str:
    if device.startswith("cuda") and torch.cuda.is_available():
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device
