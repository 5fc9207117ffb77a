"""A derivation of a rule that was met before is taken from memory: draws are the same with and without."""

from __future__ import annotations

import random
import re

import pytest

import metamixer as mm
from metamixer.language.spaces.drawing import plan as drawer


@pytest.mark.parametrize(
    ("name", "channels", "grid", "number"), [("digits", 1, (8, 8), 400), ("vision", 3, (224, 224), 60)]
)
def test_memory_changes_no_draw(monkeypatch, name, channels, grid, number):
    def drawn():
        space, rng = mm.Space.load(name), random.Random(3)
        draws = [space.draw(rng, channels, grid) for _ in range(number)]
        return [(str(draw.sentence), list(draw.choices.items())) for draw in draws]

    remembered = drawn()
    monkeypatch.setattr(drawer, "STEPS", 0)
    assert drawn() == remembered


def test_an_answer_that_is_not_viable_is_refused_behind_known_ones():
    space, rng = mm.Space.load("digits"), random.Random(0)
    known = space.draw(rng, 1, (8, 8))
    last = list(known.choices)[-1]
    with pytest.raises(ValueError, match="not viable"):
        space.draw(rng, 1, (8, 8), lambda name, choice: "nothing" if name == last else known.choices[name])


@pytest.mark.parametrize(
    "network",
    [
        "each(block,{1..3}) >> norm",
        "norm >> each({block|skip},3) >> each(skip,{0..2})",
        "(block >> skip)^{0..3} >> skip",
        "lin * skip * (block + act) >> [.5: block | skip] >> (skip ++ block) >> lin",
        "let a = block in res(a >> skip) >> act",
        "dot(lin,skip >> lin) -> softmax -> mm(block)@h({1|2}) >> each(act,2)",
        "pick a = block in a >> skip >> a",
        "pick a = {block|skip}, b = act in each(a >> b >> skip,2)",
        "tie a = block in a >> act >> a",
    ],
)
def test_a_rule_is_drawn_as_its_body_in_its_place(network):
    rules = {"block": "{lin|norm} >> skip >> act", "skip": "{x|lin}", "act": "{gelu|relu|x}"}
    written = network
    for name, body in rules.items():
        written = re.sub(rf"\b{name}\b", f"({body})", written)
    spaces = [mm.Space({"network": text, **rules}, "network") for text in (network, written)]
    assert spaces[0].size(8, (4, 4)) == spaces[1].size(8, (4, 4))
    rngs = [random.Random(5), random.Random(5)]
    for _ in range(150):
        draws = [space.draw(rng, 8, (4, 4)) for space, rng in zip(spaces, rngs, strict=True)]
        assert str(draws[0].sentence) == str(draws[1].sentence)
        assert len(draws[0].choices) == len(draws[1].choices)
