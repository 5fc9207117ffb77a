"""The space that ships: large, varied, affordable, and every family of mixers is drawn."""

from __future__ import annotations

import random
import re
import tomllib
from collections import Counter

import pytest

import metamixer as mm
from metamixer.language import Space
from metamixer.tasks import get

DRAWS = 10_000


@pytest.fixture(scope="module")
def space() -> Space:
    return Space.load("digits")


@pytest.fixture(scope="module")
def draws(space, repository):
    """Choices, key and cost of many draws."""
    task, rng = get("digits-hard"), random.Random(2024)
    found = []
    for _ in range(DRAWS):
        draw = space.draw(rng, task.channels, task.grid)
        network = task.network(draw.sentence)
        cost = mm.cost(network, task.channels, task.grid)
        found.append((draw.choices, network.key(task.channels, task.grid), cost))
    return found


def test_it_has_many_derivations(space):
    assert space.size(1, (8, 8)) >= 10**8


def test_draws_are_distinct(draws):
    assert len({key for _, key, _ in draws}) >= 0.99 * DRAWS


def test_draws_are_within_the_limits_of_the_study(draws, repository):
    limits = tomllib.loads((repository / "studies" / "digits.toml").read_text())["limits"]
    within = [all(getattr(cost, name) <= bound for name, bound in limits.items()) for _, _, cost in draws]
    assert sum(within) >= 0.8 * DRAWS


@pytest.mark.parametrize("rule", ["mixer", "block"])
def test_every_family_is_drawn(space, draws, rule):
    of_rule = re.compile(rf"(^|/){rule}(~\d+)?#1$")
    families = Counter()
    for choices, _, _ in draws:
        families.update({value for name, value in choices.items() if of_rule.search(name)})
    alternatives = [part.split(":")[0].strip() for part in space.rules[rule].strip("{}").split("|")]
    assert len(alternatives) >= 4
    rare = {family: families[family] for family in alternatives if families[family] < 0.05 * DRAWS}
    assert not rare


def test_costs_spread_over_a_decade(draws):
    macs = sorted(cost.macs for _, _, cost in draws)
    assert macs[int(0.95 * DRAWS)] > 10 * macs[int(0.05 * DRAWS)]


def test_the_mixers_of_the_literature_can_be_drawn(space, draws):
    """A sentence of each kind that the space is meant to cover stands in some draw."""
    rng = random.Random(5)
    texts = " \n ".join(str(space.draw(rng, 1, (8, 8)).sentence) for _ in range(1500))
    for piece in (
        "att(lin,lin,lin)@h(4) >> lin", "att(lin,lin,lin)@win(2)@h(2)", "att(lin,lin,lin)@grid(2)@h(2)",
        "att(lin,lin,lin)@N(3)", "att(q,k,v)@T", "dot(lin,lin) -> sig -> mm(lin)", "-> l1 -> mm(lin)", "lin@T",
        "(lin(32) >> gelu >> lin(D))@T", "avg(3) - x", "conv(lin,#3) -> gelu -> conv(#3)", "dw(5x1) >> dw(1x3)",
        "scale(.1)", "se(4)", "| x] >>", "lin * ", "down(2,", "pos", "res(dw(3) >> gelu >> bn) >> lin",
    ):  # fmt: skip
        assert piece in texts, piece


def test_mixers_stand_within_mixers(space):
    found = set()

    def choose(name, choice):
        found.add(name)
        return choice.draw(rng)

    rng = random.Random(3)
    for _ in range(500):
        space.draw(rng, 1, (8, 8), choose)
    deepest = max(found, key=lambda name: name.count("/mixer"))
    assert deepest.count("/mixer") == space.max_depth == 2
