"""The learning rate over the steps of a training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from metamixer.training.recipe import Recipe


def share(recipe: Recipe, steps: int) -> Callable[[int], float]:
    """The learning rate of step 0, 1, .. `steps` as a share of its peak, of `cosine`, `linear` and `constant`.

    It rises linearly from `first_rate` over the first `warmup_share` of the steps, and falls to `last_rate` after the
    last by half a cosine (Loshchilov and Hutter 2017), along a line, or not at all.
    """
    rising = round(recipe.warmup_share * steps)

    def at(step: int) -> float:
        if step < rising:
            return recipe.first_rate + (1 - recipe.first_rate) * step / rising
        if recipe.schedule == "constant":
            return 1.0
        fallen = min((step - rising) / max(steps - rising, 1), 1.0)
        left = (1 + math.cos(math.pi * fallen)) / 2 if recipe.schedule == "cosine" else 1 - fallen
        return recipe.last_rate + (1 - recipe.last_rate) * left

    return at


def schedulers(optimizers: Sequence[Optimizer], recipe: Recipe, steps: int) -> tuple[LRScheduler, ...]:
    """One scheduler an optimiser, each to be stepped after every step; `steps` are those of the whole training."""
    if recipe.schedule != "one-cycle":
        return tuple(LambdaLR(optimizer, share(recipe, steps)) for optimizer in optimizers)
    return tuple(
        OneCycleLR(
            optimizer,
            max_lr=recipe.learning_rate,
            total_steps=steps,
            pct_start=recipe.warmup_share,
            cycle_momentum=False,
        )
        for optimizer in optimizers
    )
