from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from metamixer.training.averaging import Average


def noisy(net: nn.Module, seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (*net.parameters(), *net.buffers()):
            weight.add_(torch.randn(weight.shape, generator=chance).to(weight.dtype))


def test_it_follows_the_formula():
    net = nn.Linear(3, 2)
    average, expected = Average(net, 0.8), net.weight.detach().clone()
    for step in range(1, 20):
        noisy(net, step)
        average.update()
        decay = min(0.8, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * net.weight.detach()
    with average.applied():
        torch.testing.assert_close(net.weight.detach(), expected)


def test_it_is_torchs_averaged_model_once_the_decay_is_reached():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    average = Average(net, 0.5)
    for step in range(10):  # (1 + 8) / (10 + 8) is a half
        noisy(net, step)
        average.update()
    with average.applied():
        theirs = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=False)
    theirs.update_parameters(net)  # the first takes the weights over
    with average.applied():
        for mine, other in zip(net.parameters(), theirs.module.parameters(), strict=True):
            other.data.copy_(mine)
    for step in range(10, 14):
        noisy(net, step)
        average.update()
        theirs.update_parameters(net)
    with average.applied():
        for mine, other in zip(net.parameters(), theirs.module.parameters(), strict=True):
            torch.testing.assert_close(mine, other)


def test_the_networks_own_weights_come_back():
    net = nn.BatchNorm1d(3)
    average = Average(net, 0.9)
    noisy(net, 0)
    own = {name: value.clone() for name, value in net.state_dict().items()}

    def fail_inside():
        with average.applied():
            assert not torch.equal(net.running_mean, own["running_mean"])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert all(torch.equal(value, own[name]) for name, value in net.state_dict().items())


def test_shared_weights_are_averaged_once():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    average = Average(net, 0.9)
    before = net[0].weight.detach().clone()
    with torch.no_grad():
        net[0].weight.add_(1)
    average.update()
    with average.applied():
        torch.testing.assert_close(net[0].weight.detach(), before + (1 - 2 / 11))


def test_its_state_can_be_saved():
    net = nn.Linear(3, 3)
    average = Average(net, 0.9)
    noisy(net, 0)
    average.update()
    other = Average(net, 0.9)
    other.load_state_dict(average.state_dict())
    assert other.updates == 1
    average.copy_to_network()
    mine = net.weight.detach().clone()
    other.copy_to_network()
    assert torch.equal(net.weight.detach(), mine)
