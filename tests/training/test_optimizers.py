from __future__ import annotations

import pytest
import torch
from torch import nn

from metamixer.training.optimizers import optimizers
from metamixer.training.recipe import Recipe


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 8), nn.Linear(8, 3)
    )


def stepped(net: nn.Module, made, steps: int = 3) -> list[torch.Tensor]:
    for step in range(steps):
        x = torch.randn(6, 1, 3, 3, generator=torch.Generator().manual_seed(step))
        for optimizer in made:
            optimizer.zero_grad()
        (net(x) ** 2).mean().backward()
        for optimizer in made:
            optimizer.step()
    return [parameter.detach().clone() for parameter in net.parameters()]


@pytest.mark.parametrize("name", ["adamw", "muon", "sgd"])
def test_every_weight_is_in_one_optimizer_once(name):
    net = network()
    made = optimizers(net, Recipe(optimizer=name))
    held = [id(p) for optimizer in made for group in optimizer.param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, net.parameters()))


def test_muon_takes_the_matrices_but_the_classifier():
    net = network()
    muon, adamw = optimizers(net, Recipe(optimizer="muon"))
    assert isinstance(muon, torch.optim.Muon)
    assert [id(p) for p in muon.param_groups[0]["params"]] == [id(net[2].weight), id(net[4].weight)]
    assert {group["weight_decay"] for group in adamw.param_groups} == {0.05, 0.0}


def test_muon_without_matrices_is_adamw():
    (alone,) = optimizers(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(2, 2)), Recipe(optimizer="muon"))
    assert isinstance(alone, torch.optim.AdamW)


def test_a_step_of_muon_is_orthogonal_and_of_the_size_of_adamws():
    net = nn.Sequential(nn.Linear(32, 16, bias=False), nn.Linear(16, 2, bias=False))
    before = net[0].weight.detach().clone()
    made = optimizers(net, Recipe(optimizer="muon", learning_rate=0.01, weight_decay=0))
    net(torch.randn(8, 32)).pow(2).mean().backward()
    made[0].step()
    change = (net[0].weight.detach() - before) / 0.01
    # Two directions have a gradient; Newton and Schulz bring their singular values near one.
    singular = torch.linalg.svdvals(change)[:2] / (0.2 * 32**0.5)
    assert ((singular > 0.6) & (singular < 1.3)).all()


def test_sgd_is_torchs_with_nesterov_and_decay_on_matrices_alone():
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.8, weight_decay=0.01)
    mine = network()
    got = stepped(mine, optimizers(mine, recipe))
    other = network()
    parameters = list(other.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    expected = stepped(other, [torch.optim.SGD(groups, lr=0.1, momentum=0.8, nesterov=True)])
    for one, another in zip(got, expected, strict=True):
        torch.testing.assert_close(one, another)


def test_sgd_without_momentum_is_allowed():
    net = network()
    stepped(net, optimizers(net, Recipe(optimizer="sgd", momentum=0)))


def test_what_is_not_trained_is_in_no_optimizer():
    net = network()
    net[0].weight.requires_grad_(False)
    held = [id(p) for group in optimizers(net, Recipe())[0].param_groups for p in group["params"]]
    assert id(net[0].weight) not in held
