"""One trial: build the network of a sentence, train it, say how good it is.

`evaluate` is called in a worker by its dotted name. It takes and returns plain JSON-able values, and whatever goes
wrong with the trial is part of what it returns.
"""

from __future__ import annotations

import math
import platform
import random
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metamixer.tasks import Task, of
from metamixer.training import weights
from metamixer.training.recipe import Recipe

Row = dict[str, float]
Builder = Callable[[str, Task], nn.Module]

_VALIDATION_BATCH = 500


class _Failed(Exception):  # noqa: N818 - says how a trial ends; never leaves this module
    """The trial ends here as failed, for the reason given."""


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
        job: `sentence` (without the head), `task` (`Task.document()`), `training` (the fields of `Recipe`), `seed`; optional
            `threads` (1), `device` ("cpu"), `time_limit` (seconds from the call, looked at before every batch; None
            for none), `weights` (where to write them; None for nowhere). Other keys are left alone.
        report: Called after every epoch with its row: `epoch` (from 1), `train_loss` (label smoothing included) and
            `train_accuracy`, both means over the epoch's batches, taken while the weights change, `validation_loss`
            (plain cross-entropy, nats) and `validation_accuracy`, and `seconds` since the call. Returning False ends
            the training there, as stopped. An exception of its own is the caller's and passes through.
        builder: Makes the network of a sentence for a task.

    Returns:
        `state` "finished", "stopped" (before the last epoch) or "failed"; `reason` None, "nan", "out of memory",
        "time limit" or "exception: ..."; `accuracy` and `loss` on validation after its last epoch (None if failed);
        `curve`, the rows so far; `seconds` and `cpu_seconds` (of this process: about what the trial takes on an idle
        machine); `device`; `versions`; `traceback` (of an exception or lack of memory, else None). On one machine, on
        the CPU with one thread, the same job gives the same numbers bit for bit.
    """
    start, processor = time.monotonic(), time.process_time()
    curve: list[Row] = []
    reason = trace = None
    stop, stopped = None, False
    with _isolated(int(job["seed"]), int(job.get("threads", 1))):
        training = _training(job, builder, start)
        while True:
            try:
                row = training.send(stop)
            except StopIteration as end:
                stopped = end.value
                break
            except _Failed as failure:
                reason = str(failure)
                break
            except Exception as error:
                reason = "out of memory" if _lacks_memory(error) else f"exception: {type(error).__name__}: {error}"
                trace = traceback.format_exc()
                break
            curve.append(row)
            # Outside of the try: what the caller raises here is not the trial's failure.
            stop = report(dict(row)) is False
    if reason == "out of memory" and torch.cuda.is_available():
        torch.cuda.empty_cache()  # the worker lives on and trains the next trial
    return {
        "state": "failed" if reason is not None else "stopped" if stopped else "finished",
        "reason": reason,
        "accuracy": curve[-1]["validation_accuracy"] if reason is None else None,
        "loss": curve[-1]["validation_loss"] if reason is None else None,
        "curve": curve,
        "seconds": time.monotonic() - start,
        "cpu_seconds": time.process_time() - processor,
        "device": _device_name(str(job.get("device", "cpu"))),
        "versions": versions(),
        "traceback": trace,
    }


def versions() -> dict[str, str]:
    """What the numbers of a trial may depend on: Python, torch, numpy, CUDA ("none" without), metamixer."""
    from metamixer import __version__

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda or "none",
        "metamixer": __version__,
    }


def _training(job: dict[str, Any], builder: Builder, start: float) -> Generator[Row, bool | None, bool]:
    """Yields one row an epoch, then writes the weights. Sent True before the last epoch, it returns True at once."""
    task = of(job["task"])
    recipe = Recipe(**job["training"])
    limit = job.get("time_limit")
    deadline = math.inf if limit is None else start + float(limit)
    device = torch.device(job.get("device", "cpu"))
    x, y, x_val, y_val = _tensors(task, str(device))
    net = builder(job["sentence"], task).to(device)
    batch = min(recipe.batch_size, len(x))
    steps = len(x) // batch
    optimizer = _optimizer(net, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=recipe.learning_rate,
        total_steps=steps * recipe.epochs,
        pct_start=recipe.warmup_share,
        cycle_momentum=False,
    )
    # A generator of its own, so that trials of one seed see the same batches whatever their networks draw.
    shuffle = torch.Generator().manual_seed(int(job["seed"]))
    for epoch in range(1, recipe.epochs + 1):
        net.train()
        losses = hits = 0.0
        order = torch.randperm(len(x), generator=shuffle).to(device)
        for step in range(steps):
            _in_time(deadline)
            take = order[step * batch : (step + 1) * batch]
            logits = _logits(net, x[take], task)
            loss = F.cross_entropy(logits, y[take], label_smoothing=recipe.label_smoothing)
            losses += _finite(loss)
            hits += (logits.argmax(1) == y[take]).sum().item()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.gradient_clip:
                nn.utils.clip_grad_norm_(net.parameters(), recipe.gradient_clip)
            optimizer.step()
            schedule.step()
        validation_loss, validation_accuracy = _validate(net, x_val, y_val, task, deadline)
        stop = yield {
            "epoch": epoch,
            "train_loss": losses / steps,
            "train_accuracy": hits / (steps * batch),
            "validation_loss": validation_loss,
            "validation_accuracy": validation_accuracy,
            "seconds": time.monotonic() - start,
        }
        if stop and epoch < recipe.epochs:
            return True  # what was stopped early is not kept
    if job.get("weights"):
        about = {
            "sentence": job["sentence"],
            "task": task.name,
            "fingerprint": task.fingerprint,
            "seed": str(job["seed"]),
            "accuracy": repr(validation_accuracy),
        }
        weights.save(net, job["weights"], about)
    return False


@torch.inference_mode()
def _validate(net: nn.Module, x: Tensor, y: Tensor, task: Task, deadline: float) -> tuple[float, float]:
    net.eval()
    loss, hits = 0.0, 0
    for some, classes in zip(x.split(_VALIDATION_BATCH), y.split(_VALIDATION_BATCH), strict=True):
        _in_time(deadline)
        logits = _logits(net, some, task)
        loss += _finite(F.cross_entropy(logits, classes, reduction="sum"))
        hits += int((logits.argmax(1) == classes).sum().item())
    return loss / len(y), hits / len(y)


def _logits(net: nn.Module, x: Tensor, task: Task) -> Tensor:
    logits: Tensor = net(x).flatten(1)  # the head's mean leaves one token on the grid
    if logits.shape != (len(x), task.classes):
        raise ValueError(f"the network gives {tuple(logits.shape)}, not {(len(x), task.classes)} (images, classes)")
    return logits


def _optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW; scales, offsets and biases (one axis or none) are not decayed."""
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=recipe.learning_rate,
        betas=(recipe.beta1, recipe.beta2),
        fused=parameters[0].device.type in ("cpu", "cuda"),
    )


@cache
def _tensors(task: Task, device: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training and validation part, whole, in the memory of the device; once per process."""
    arrays = task.data()
    x, y, x_val, y_val = (
        torch.tensor(array, device=device) for array in (arrays.x_train, arrays.y_train, arrays.x_val, arrays.y_val)
    )
    return x, y, x_val, y_val


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


def _finite(loss: Tensor) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise _Failed("nan")
    return value


def _in_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise _Failed("time limit")


def _lacks_memory(error: Exception) -> bool:
    # On the CPU torch reports it as a plain RuntimeError of its allocator.
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)
    )


def _device_name(device: str) -> str:
    if device.startswith("cuda") and torch.cuda.is_available():
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return device
