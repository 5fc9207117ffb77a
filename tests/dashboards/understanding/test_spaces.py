"""A space's page: rules, size, costs of draws, known systems."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from metamixer import catalog
from metamixer.cost import cost
from metamixer.dashboards.understanding.spaces import Profile, described, histogram, members, quantiles
from metamixer.dashboards.understanding.trained import Context
from metamixer.language import Space

SMALL = Context(
    Space(
        {
            "net": "patch(2,{16|32}) >> block^{1..3}",
            "block": "res(norm >> {ffn({2|4}): 3 | nested})",
            "nested": "lin * block",
        },
        "net",
        max_depth=2,
    ),
    1,
    (8, 8),
    10,
)


@pytest.fixture(scope="module")
def digits() -> Context:
    return Context(Space.load("digits"), 1, (8, 8), 10)


def test_the_tree_opens_every_rule_once_from_the_start(digits):
    seen: list[str] = []
    stack = [described(digits)["tree"]]
    while stack:
        item = stack.pop()
        if not item["again"]:
            seen.append(item["rule"])
        else:
            assert item["children"] == []
        stack += item["children"]
    assert sorted(seen) == sorted(digits.space.rules)


def test_rules_have_their_choices_with_prior_shares():
    rules = {rule["name"]: rule for rule in described(SMALL)["rules"]}
    assert rules["net"]["uses"] == {"block": 1}
    assert rules["net"]["choices"] == [
        {"values": [16, 32], "weights": [0.5, 0.5]},
        {"values": [1, 2, 3], "weights": [1 / 3] * 3},
    ]
    assert rules["block"]["recursive"]
    assert rules["block"]["choices"][0] == {"values": ["ffn({2 | 4})", "nested"], "weights": [0.75, 0.25]}


def test_the_size_is_exact_and_survives_json(digits):
    found = json.loads(json.dumps(described(digits)))
    assert int(found["size"]) == digits.space.size(1, (8, 8))
    assert found["digits"] == len(found["size"])


def test_costs_of_draws_are_those_of_the_same_draws_made_one_by_one():
    profile = Profile(SMALL, seed=3)
    assert profile.extend(20) == 20
    rng = random.Random(3)
    drawn = [SMALL.space.draw(rng, 1, (8, 8)).sentence for _ in range(20)]
    counted = [cost(SMALL.network(sentence), 1, (8, 8)) for sentence in drawn]
    assert profile.macs == [one.macs for one in counted]
    assert profile.params == [one.params for one in counted]


def test_a_profile_is_extended_where_it_stopped_and_stops_when_time_is_over():
    slowly, at_once = Profile(SMALL), Profile(SMALL)
    for number in (7, 60, 130):
        assert slowly.extend(number) == number
    at_once.extend(130)
    assert slowly.macs == at_once.macs
    assert Profile(SMALL).extend(10**9, seconds=0.05) < 10**6


def test_histograms_count_every_value_once():
    values = [1, 1, 10, 100, 1000, 0]
    found = histogram(values)
    assert sum(found["counts"]) == len(values)
    assert len(found["edges"]) == len(found["counts"]) + 1
    assert found["edges"] == sorted(found["edges"])
    assert found["counts"][0] == 3  # a zero has no logarithm
    assert sum(histogram([5] * 4)["counts"]) == 4
    assert histogram([]) == {"edges": [], "counts": []}


def test_quantiles_are_numpys():
    assert quantiles(range(101))["0.25"] == np.quantile(range(101), 0.25)
    assert quantiles([]) == {}


def test_described_profiles_are_plain(digits):
    profile = Profile(digits)
    profile.extend(30)
    found = json.loads(json.dumps(profile.described(), allow_nan=False))
    assert found["draws"] == 30
    assert sum(found["params"]["histogram"]["counts"]) == 30


def test_known_systems_are_members_where_the_space_derives_them(digits):
    profile = Profile(digits)
    profile.extend(50)
    found = {item["name"]: item for item in members(digits, profile)}
    vit = found["vit_digits"]
    assert vit["member"]
    assert vit["reason"] is None
    replayed = digits.space.replay(vit["choices"], 1, (8, 8)).sentence
    assert replayed.key(1, (8, 8)) == catalog.get("vit_digits").sentence.key(1, (8, 8))
    assert vit["macs"] == catalog.get("vit_digits").cost.macs
    assert vit["share_below"]["macs"] == np.mean(np.array(profile.macs) < vit["macs"])
    hopfield = found["hopfield"]
    assert not hopfield["member"]
    assert "does not draw" in hopfield["reason"]
    assert hopfield["choices"] is None
    assert "ffnet_1" not in found  # it reads another input
