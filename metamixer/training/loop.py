"""The training of one network: epochs of steps in which the device is never waited for.

Losses and hits stay on the device until an epoch is over; a loss that is not finite is seen then. On a CPU the same
seed gives the same numbers bit for bit, also when a training continues from a checkpoint.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from metamixer.tasks import Task
from metamixer.training import augmentation, checkpoint
from metamixer.training.augmentation.mixing import Targets
from metamixer.training.averaging import Average
from metamixer.training.optimizers import optimizers
from metamixer.training.recipe import Recipe
from metamixer.training.schedules import schedulers
from metamixer.training.source import Source, sources

Row = dict[str, float]

_VALIDATION_BATCH = 500


class Failed(Exception):  # noqa: N818 - says how a training ends; never leaves the room
    """The training ends here as failed, for the reason given."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a training is kept while it runs.

    Args:
        path: The file.
        seconds: Least time between two of them; 0 for one after each epoch.
        of: What the training is of; one of anything else is not continued.
    """

    path: Path
    seconds: float
    of: Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """When the training was asked for, by `time.monotonic`, and when it has to end, by `clock`."""

    start: float
    deadline: float = math.inf
    clock: Callable[[], float] = time.monotonic

    def check(self) -> None:
        """End the training as failed where the time is over."""
        if self.clock() > self.deadline:
            raise Failed("time limit")


@dataclass(frozen=True, eq=False)
class _Learning:
    """What changes while a network learns."""

    net: nn.Module
    optimizers: tuple[Optimizer, ...]
    schedulers: tuple[LRScheduler, ...]
    average: Average | None
    shuffle: torch.Generator

    def state(self) -> dict[str, Any]:
        return {
            "net": self.net.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedulers": [scheduler.state_dict() for scheduler in self.schedulers],
            "average": None if self.average is None else self.average.state_dict(),
            "shuffle": self.shuffle.get_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for scheduler, saved in zip(self.schedulers, state["schedulers"], strict=True):
            scheduler.load_state_dict(saved)
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.shuffle.set_state(state["shuffle"].cpu())


def train(
    net: nn.Module,
    task: Task,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    limits: Limits,
    keep: Checkpoint | None = None,
    validated: bool = True,
) -> Generator[Row, bool | None, bool]:
    """Train a network and yield one row an epoch, as `metamixer.training.evaluate` describes it.

    Sent True before the last epoch, it returns True at once: stopped. It returns False after the last epoch, when the
    network has the weights that were validated last. Rows have NaN for validation
    where it is not `validated`. Epochs of a checkpoint are yielded again, and not trained again.

    Raises:
        Failed: The time is over, or a loss was not finite.
        TaskError: The task's inputs cannot be augmented as the recipe says.
    """
    train_part, validation_part = sources(task, str(device))
    augmentation.check(recipe, task.grid, train_part.raw_bytes, task.name)
    net = net.to(device)
    if recipe.channels_last:
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if recipe.drop_path:
        from metamixer.compile.model import set_drop_path

        set_drop_path(net, recipe.drop_path)
    batch = min(recipe.batch_size, len(train_part))
    steps = len(train_part) // batch
    made = optimizers(net, recipe)
    learning = _Learning(
        net,
        made,
        schedulers(made, recipe, steps * recipe.epochs),
        Average(net, recipe.ema) if recipe.ema else None,
        # A generator of its own, so that trials of one seed see the same batches whatever their networks draw.
        torch.Generator().manual_seed(seed),
    )
    curve: list[Row] = []
    before, kept_at = 0.0, limits.start
    found = None if keep is None else checkpoint.load(keep.path, keep.of, device)
    if found is not None:
        learning.restore(found["learning"])
        for row in found["curve"]:
            curve.append(row)
            if (yield dict(row)) and row["epoch"] < recipe.epochs:
                return True
        before = curve[-1]["seconds"]
        checkpoint.restore_chance(found)
    for epoch in range(len(curve) + 1, recipe.epochs + 1):
        train_loss, train_accuracy = _epoch(learning, task, recipe, train_part, seed, epoch, batch, limits)
        validation_loss = validation_accuracy = math.nan
        if validated:
            with learning.average.applied() if learning.average else nullcontext():
                validation_loss, validation_accuracy = measured(net, validation_part, task, recipe, limits)
        curve.append(
            {
                "epoch": epoch,
                "train_loss": train_loss,
                "train_accuracy": train_accuracy,
                "validation_loss": validation_loss,
                "validation_accuracy": validation_accuracy,
                "seconds": before + time.monotonic() - limits.start,
            }
        )
        if keep is not None and epoch < recipe.epochs and time.monotonic() - kept_at >= keep.seconds:
            try:
                checkpoint.save(keep.path, keep.of, {"curve": curve, "learning": learning.state()})
            except OSError as error:
                # It is a convenience: where it cannot be written, the training is still worth its result.
                warnings.warn(f"no checkpoint of the training: {error}", stacklevel=1)
                keep = None
            kept_at = time.monotonic()
        if (yield dict(curve[-1])) and epoch < recipe.epochs:
            return True  # what was stopped early is not kept
    if learning.average is not None:
        learning.average.copy_to_network()
    return False


def _epoch(
    learning: _Learning,
    task: Task,
    recipe: Recipe,
    source: Source,
    seed: int,
    epoch: int,
    batch: int,
    limits: Limits,
) -> tuple[float, float]:
    """Loss and accuracy over the batches of one epoch, taken while the weights change."""
    net = learning.net
    net.train()
    steps = len(source) // batch
    order = torch.randperm(len(source), generator=learning.shuffle)
    numbers, beside = order.numpy(), order.to(source.x.device)
    chance = augmentation.Chance.of(seed, epoch, len(source))
    losses = torch.empty(steps, device=source.device)
    hits = torch.zeros((), dtype=torch.int64, device=source.device)
    for step in range(steps):
        limits.check()
        some = slice(step * batch, (step + 1) * batch)
        x, y = source.batch(beside[some])
        x, targets = augmentation.augmented(recipe, source, x, y, numbers[some], chance)
        for optimizer in learning.optimizers:
            optimizer.zero_grad(set_to_none=True)
        losses[step], right = _gradients(net, x, targets, task, recipe)
        hits += right
        if recipe.gradient_clip:
            nn.utils.clip_grad_norm_(net.parameters(), recipe.gradient_clip)
        for optimizer in learning.optimizers:
            optimizer.step()
        for scheduler in learning.schedulers:
            scheduler.step()
        if learning.average is not None:
            learning.average.update()
    return _finite_sum(losses) / steps, int(hits) / (steps * batch)


def _gradients(net: nn.Module, x: Tensor, targets: Targets, task: Task, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Mean loss and number of hits of a batch, whose gradients are left in the network."""
    if recipe.accumulation == 1:
        loss, right = _loss(net, x, targets, task, recipe)
        loss.backward()
        return loss.detach(), right
    # The pieces' losses are weighted by their images, so that their sum is the mean over the batch.
    size = math.ceil(len(x) / recipe.accumulation)
    total, hits = torch.zeros((), device=x.device), torch.zeros((), dtype=torch.int64, device=x.device)
    for first in range(0, len(x), size):
        piece = slice(first, min(first + size, len(x)))
        loss, right = _loss(net, x[piece], targets.part(piece), task, recipe)
        loss = loss * ((piece.stop - piece.start) / len(x))
        loss.backward()
        total, hits = total + loss.detach(), hits + right
    return total, hits


def _loss(net: nn.Module, x: Tensor, targets: Targets, task: Task, recipe: Recipe) -> tuple[Tensor, Tensor]:
    logits = _logits(net, x, task, recipe)
    smoothing = recipe.label_smoothing
    if targets.other is None or targets.share is None:
        loss = F.cross_entropy(logits, targets.y, label_smoothing=smoothing)
    else:
        own = F.cross_entropy(logits, targets.y, label_smoothing=smoothing, reduction="none")
        other = F.cross_entropy(logits, targets.other, label_smoothing=smoothing, reduction="none")
        loss = torch.lerp(other, own, targets.share).mean()
    return loss, (logits.detach().argmax(1) == targets.most_likely).sum()


@torch.inference_mode()
def measured(net: nn.Module, source: Source, task: Task, recipe: Recipe, limits: Limits) -> tuple[float, float]:
    """Cross-entropy (nats) and accuracy, without augmentation or smoothing."""
    net.eval()
    losses = []
    hits = torch.zeros((), dtype=torch.int64, device=source.device)
    for first in range(0, len(source), _VALIDATION_BATCH):
        limits.check()
        x, y = source.batch(slice(first, first + _VALIDATION_BATCH))
        logits = _logits(net, source.normalized(x), task, recipe)
        losses.append(F.cross_entropy(logits, y, reduction="sum"))
        hits += (logits.argmax(1) == y).sum()
    return _finite_sum(torch.stack(losses)) / len(source), int(hits) / len(source)


def _logits(net: nn.Module, x: Tensor, task: Task, recipe: Recipe) -> Tensor:
    mixed: AbstractContextManager[Any] = nullcontext()
    if recipe.precision == "bfloat16":
        mixed = torch.autocast(x.device.type, torch.bfloat16)
    with mixed:
        logits: Tensor = net(x).flatten(1)  # the head's mean leaves one token on the grid
    if logits.shape != (len(x), task.classes):
        raise ValueError(f"the network gives {tuple(logits.shape)}, not {(len(x), task.classes)} (images, classes)")
    return logits.float()


def _finite_sum(losses: Tensor) -> float:
    """The sum in double precision, one after another. The one place, once an epoch, where the device is waited for."""
    values = losses.tolist()
    if not all(map(math.isfinite, values)):
        raise Failed("nan")
    return sum(values, 0.0)
