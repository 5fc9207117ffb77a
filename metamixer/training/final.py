"""The last training of an architecture: on training and validation part together, and then the test part, once."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from metamixer.tasks import Arrays, Task
from metamixer.training.loop import Limits, measured
from metamixer.training.recipe import Recipe
from metamixer.training.source import Source, part_of, sources

STATISTICS_IMAGES = 10_000  # images that batch norms are recalibrated on, at most
_STATISTICS = ("mean", "variance")  # what batch norms call theirs, with a number where there are several


@cache
def whole(task: Task) -> Task:
    """The task whose training part is its training and validation part together, in memory."""

    def load() -> Arrays:
        parts = task.data()
        x, y = np.concatenate([parts.x_train, parts.x_val]), np.concatenate([parts.y_train, parts.y_val])
        return Arrays(x, y, parts.x_val, parts.y_val)

    return replace(task, load=load)


def tested(
    net: nn.Module, task: Task, recipe: Recipe, seed: int, device: torch.device, limits: Limits
) -> dict[str, float]:
    """Accuracy, loss (nats) and number of images of the test part, of a network in evaluation mode.

    The statistics of its batch norms are taken anew before, from the images it was trained on.
    """
    training = sources(whole(task), str(device))[0]
    recalibrate(net, training, min(recipe.batch_size, len(training)), seed)
    test = task.test()
    loss, accuracy = measured(net, part_of(task, test.x, test.y, device), task, recipe, limits)
    return {"accuracy": accuracy, "loss": loss, "images": len(test.y)}


@torch.no_grad()
def recalibrate(net: nn.Module, source: Source, batch: int, seed: int) -> None:
    """Give batch norms the mean of their batches' statistics over training images, without augmentation.

    Running statistics are an exponential mean over batches of weights that were still changing, and augmented images
    (arXiv 2003.11342, section 5, calls the mean precise BN). A network without batch norms is left alone.
    """
    buffers = [
        value for name, value in net.named_buffers() if name.rpartition(".")[2].rstrip("0123456789") in _STATISTICS
    ]
    if not buffers:
        return
    images = min(len(source), STATISTICS_IMAGES)
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(seed))[:images]
    batches = [order[first : first + batch] for first in range(0, images - batch + 1, batch)]
    was_training = net.training
    net.train()
    # A batch moves a statistic to (1 - m) * before + m * of the batch, with the m of each norm: from 1 and from 0 the
    # two differ by 1 - m.
    shares = [
        1 - (one - zero)
        for one, zero in zip(*(_after(net, source, batches[0], buffers, v) for v in (1, 0)), strict=True)
    ]
    sums = [torch.zeros_like(value) for value in buffers]
    for some in batches:
        for total, value in zip(sums, _after(net, source, some, buffers, 0), strict=True):
            total += value
    for value, total, share in zip(buffers, sums, shares, strict=True):
        value.copy_(total / (len(batches) * share))
    net.train(was_training)


def _after(net: nn.Module, source: Source, some: Tensor, buffers: list[Tensor], start: float) -> list[Tensor]:
    """What the statistics are after one batch that they meet with this value."""
    for value in buffers:
        value.fill_(start)
    # What is drawn while training, such as dropped branches, is drawn alike each time.
    with torch.random.fork_rng(devices=[source.device] if source.device.type == "cuda" else []):
        torch.manual_seed(0)
        net(source.normalized(source.batch(some.to(source.x.device))[0]))
    return [value.clone() for value in buffers]
