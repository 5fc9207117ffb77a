"""Batch-norm statistics that are taken anew."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.tasks import get
from metamixer.training.final import recalibrate, whole
from metamixer.training.source import sources


@pytest.mark.parametrize("momentum", ["", "(m=0.3)"])
def test_statistics_are_the_mean_over_batches_whatever_they_were(momentum: str) -> None:
    training = sources(whole(get("digits")), "cpu")[0]
    net = mm.build(f"bn{momentum} >> lin(3)", 1, (8, 8))
    statistics = dict(net.named_buffers())
    for value in statistics.values():
        value.fill_(7.0)
    recalibrate(net.eval(), training, 500, seed=0)
    assert len(training) == 1500
    mean, variance = (next(v for n, v in statistics.items() if n.endswith(name)) for name in ("mean", "variance"))
    order = torch.randperm(1500, generator=torch.Generator().manual_seed(0)).reshape(3, 500)
    batches = training.x[order].reshape(3, -1)
    assert mean.item() == pytest.approx(batches.mean(1).mean().item(), rel=1e-4)
    assert variance.item() == pytest.approx(batches.var(1).mean().item(), rel=1e-4)
    assert not net.training


def test_the_last_training_has_all_but_the_test_part() -> None:
    arrays = whole(get("digits")).data()
    assert len(arrays.x_train) == 1500
    assert whole(get("digits")) is whole(get("digits"))
