"""The space for small colour images: large, varied, and affordable by the studies that ship with it."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

import metamixer as mm
from metamixer import catalog
from metamixer.language import Space
from metamixer.search import configuration

DRAWS = 400
HEAD = "mean >> lin(10)"


@pytest.fixture(scope="module")
def space() -> Space:
    return Space.load("cifar")


@pytest.fixture(scope="module")
def draws(space):
    """Choices, key and cost of many draws."""
    rng = random.Random(2024)
    found = []
    for _ in range(DRAWS):
        draw = space.draw(rng, 3, (32, 32))
        network = mm.parse(f"{draw.sentence} >> {HEAD}")
        found.append((draw.choices, network.key(3, (32, 32)), mm.cost(network, 3, (32, 32))))
    return found


def test_draws_are_distinct(draws):
    assert len({key for _, key, _ in draws}) >= 0.98 * DRAWS


def test_costs_range_from_tiny_to_what_a_gpu_is_for(draws):
    macs = sorted(cost.macs for _, _, cost in draws)
    assert macs[DRAWS // 20] < 500_000
    assert macs[-DRAWS // 20] > 25_000_000


@pytest.mark.parametrize(("study", "least"), [("cifar10-small", 0.4), ("cifar10", 0.9)])
def test_enough_draws_are_within_the_limits_of_a_study(draws, study, least):
    limits = configuration.load(study).limits.model_dump(exclude_none=True)
    within = [all(getattr(cost, name) <= bound for name, bound in limits.items()) for _, _, cost in draws]
    assert sum(within) >= least * DRAWS


@pytest.mark.parametrize(("rule", "least"), [("network", 0.2), ("mixer", 0.05), ("block", 0.05)])
def test_every_family_is_drawn(space, draws, rule, least):
    of_rule = re.compile(rf"(^|/){rule}(~\d+)?#1$")
    families = Counter()
    for choices, _, _ in draws:
        families.update({value for name, value in choices.items() if of_rule.search(name)})
    alternatives = [part.split(":")[0].strip() for part in re.match(r"\{([^}]*)\}", space.rules[rule])[1].split("|")]
    assert len(alternatives) >= 3
    assert not {family: families[family] for family in alternatives if families[family] < least * DRAWS}


def test_networks_stand_inside_networks(draws):
    assert sum(any("inner" in name for name in choices) for choices, _, _ in draws) > 0.01 * DRAWS


def test_the_small_studys_baselines_are_within_its_limits():
    config = configuration.load("cifar10-small")
    assert config.baselines.names
    for name in config.baselines.names:
        entry = catalog.get(name)
        assert entry.cost.macs <= config.limits.macs
        assert entry.cost.params <= config.limits.params


def test_the_twins_for_small_images_are_of_all_families():
    families = {catalog.get(name).family for name in catalog.names("images")}
    assert {"ViT", "MLP-Mixer", "ResMLP", "gMLP", "ConvNeXt", "PoolFormer", "FFNet", "NiNformer"} <= families
    assert all(catalog.get(name).cost.macs < 15_000_000 for name in catalog.names("images"))
