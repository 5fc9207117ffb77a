from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR, SequentialLR

from metamixer.training.presets import AIRBENCH
from metamixer.training.recipe import Recipe
from metamixer.training.schedules import schedulers

STEPS = 40


def optimizer(rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=rate)


def rates(scheduler, steps: int = STEPS) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def ours(steps: int = STEPS, **settings) -> list[float]:
    recipe = Recipe(learning_rate=0.5, **settings)
    (scheduler,) = schedulers([optimizer(0.5)], recipe, steps)
    return rates(scheduler, steps)


def test_one_cycle_is_torchs():
    theirs = OneCycleLR(optimizer(0.5), max_lr=0.5, total_steps=STEPS, pct_start=0.3, cycle_momentum=False)
    assert ours(schedule="one-cycle", warmup_share=0.3) == rates(theirs)


def test_cosine_with_warm_up_is_torchs():
    theirs = optimizer(0.5)
    warm, fall = LinearLR(theirs, 0.1, 1.0, 10), CosineAnnealingLR(theirs, STEPS - 10, eta_min=0.5 * 0.02)
    expected = rates(SequentialLR(theirs, [warm, fall], [10]))
    assert ours(schedule="cosine", warmup_share=0.25, first_rate=0.1, last_rate=0.02) == pytest.approx(expected)


def test_linear_with_warm_up_is_torchs():
    theirs = optimizer(0.5)
    warm, fall = LinearLR(theirs, 0.2, 1.0, 10), LinearLR(theirs, 1.0, 0.07, STEPS - 10)
    expected = rates(SequentialLR(theirs, [warm, fall], [10]))
    assert ours(schedule="linear", warmup_share=0.25, first_rate=0.2, last_rate=0.07) == pytest.approx(expected)


def test_constant_without_warm_up_stays():
    assert ours(schedule="constant", warmup_share=0) == [0.5] * STEPS


def test_airbench_has_the_triangle_of_its_script():
    steps = 480
    peak = int(AIRBENCH["warmup_share"] * steps)
    expected = [0.2 + 0.8 * i / peak if i < peak else 1 - 0.93 * (i - peak) / (steps - peak) for i in range(steps)]
    (scheduler,) = schedulers([optimizer(1.5)], Recipe(preset="airbench"), steps)
    assert rates(scheduler, steps) == pytest.approx([1.5 * share for share in expected])


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "linear", "constant"])
def test_no_rate_is_above_the_peak_or_negative(schedule):
    for steps in (2, 3, 17):
        for share in (0.0, 0.1, 0.9):
            assert all(0 <= rate <= 0.5 + 1e-12 for rate in ours(steps, schedule=schedule, warmup_share=share))
