"""The space of everything: it draws every mixer of the catalogue, and each learns."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import pytest
import torch

import metamixer as mm
from metamixer import catalog
from metamixer.language import Space

MIXERS = [name for name in catalog.names() if catalog.get(name).shell]
INPUTS = {"image": (8, 8), "sequence": (64,), "volume": (4, 4, 4)}
STEPS, BATCH = 20, 16


@pytest.fixture(scope="module")
def atlas() -> Space:
    return Space.load("atlas")


def leads_to(space: Space, rule: str) -> set[str]:
    """Rules whose bodies name the rule, directly or through others, and itself."""
    found, grown = {rule}, True
    while grown:
        more = {
            name for name, body in space.rules.items() if found & set(re.findall(r"[a-z_][a-z_0-9]*", body))
        } - found
        found |= more
        grown = bool(more)
    return found


def test_every_mixer_has_a_rule(atlas):
    assert set(MIXERS) <= set(atlas.rules)


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_is_drawn(atlas, name):
    """Towards its rule, and there the first alternatives: that is the catalogue's entry."""
    entry = catalog.get(name)
    wanted = leads_to(atlas, name)

    def choose(_, choice):
        for value in choice.domain:
            if value == name or (not passed[0] and set(re.findall(r"[a-z_][a-z_0-9]*", str(value))) & wanted):
                passed[0] |= value == name
                return choice.repair(value)
        return choice.repair(choice.domain[0])

    passed = [False]
    drawn = atlas.draw(random.Random(0), entry.channels, entry.grid, choose)
    assert drawn.sentence.key(entry.channels, entry.grid) == entry.sentence.key(entry.channels, entry.grid)
    assert atlas.replay(drawn.choices, entry.channels, entry.grid).sentence == drawn.sentence


@pytest.mark.parametrize("kind", INPUTS)
def test_draws_are_well_typed_and_various(atlas, kind):
    grid = INPUTS[kind]
    rng = random.Random(7)
    keys, systems = set(), Counter()
    for _ in range(300):
        drawn = atlas.draw(rng, 1, grid)
        mm.check(drawn.sentence, 1, grid)
        keys.add(drawn.sentence.key(1, grid))
        systems.update({str(value) for value in drawn.choices.values()} & set(MIXERS))
    assert len(keys) > 200
    assert len(systems) > 20
    assert atlas.size(1, grid) > 10**6


def test_nets_within_nets(atlas):
    """NiNformer's gate has a mixer of its own in some draw."""
    rng, names = random.Random(1), set()
    for _ in range(400):
        names |= set(atlas.draw(rng, 1, (8, 8)).choices)
    assert any(re.search(r"/ninformer_block/nested/mixer", name) for name in names)


@pytest.fixture(scope="module")
def digits():
    """Some images of scikit-learn, (BATCH, 64) in 0 .. 1, and their labels."""
    from sklearn.datasets import load_digits

    data = load_digits()
    return torch.as_tensor(data.data[:BATCH], dtype=torch.float32) / 16, torch.as_tensor(data.target[:BATCH])


@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_learns(name, digits):
    entry = catalog.get(name)
    images, labels = digits
    images = images.reshape(BATCH, *entry.grid, entry.channels)
    torch.manual_seed(0)
    net = mm.build(entry.network, entry.channels, entry.grid).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(STEPS):
        loss = torch.nn.functional.cross_entropy(net(images).flatten(1), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.97 * losses[0], losses


def test_the_command_shows_it(metamixer):
    done = metamixer("space", "atlas", "--channels", "1", "--grid", "64", "--draw", "3", "--json")
    assert done.returncode == 0, done.stderr
    assert all(mm.check(one["sentence"], 1, (64,)).channels == 32 for one in json.loads(done.stdout))
