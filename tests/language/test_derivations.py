"""A derivation of a rule that was met before is taken from memory: draws are the same with and without."""

from __future__ import annotations

import random

import pytest

import metamixer as mm
from metamixer.language import drawer


@pytest.mark.parametrize(
    ("name", "channels", "grid", "number"), [("digits", 1, (8, 8), 400), ("vision", 3, (224, 224), 60)]
)
def test_memory_changes_no_draw(monkeypatch, name, channels, grid, number):
    def drawn():
        space, rng = mm.Space.load(name), random.Random(3)
        draws = [space.draw(rng, channels, grid) for _ in range(number)]
        return [(str(draw.sentence), list(draw.choices.items())) for draw in draws]

    remembered = drawn()
    ruled = drawer.Drawer._rule
    monkeypatch.setattr(drawer.Drawer, "_rule", lambda *given: ruled(*given)._replace(start=None))
    assert drawn() == remembered


def test_an_answer_that_is_not_viable_is_refused_behind_known_ones():
    space, rng = mm.Space.load("digits"), random.Random(0)
    known = space.draw(rng, 1, (8, 8))
    last = list(known.choices)[-1]
    with pytest.raises(ValueError, match="not viable"):
        space.draw(rng, 1, (8, 8), lambda name, choice: "nothing" if name == last else known.choices[name])
