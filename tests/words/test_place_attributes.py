"""What attributes and trees say of supports: shifts, reach, and the phrases that a place chooses by."""

from __future__ import annotations

import pytest

import metamixer as mm
from metamixer.cli.output.show import _lines
from metamixer.explore.attributes import attributes


@pytest.mark.parametrize(
    ("place", "grid", "translation", "reach"),
    [
        ("first(2)", (4, 4), None, (None, None)),
        ("stride(2)", (8,), (2,), (None,)),
        ("stride(4)", (4, 4), (1, None), (None, None)),  # whole rows of the image
        ("(N(3) | first(1) | stride(2))@causal", (4, 4), None, (3, None)),
        ("N(4,s=2)@N(3)", (8,), (2,), (2,)),
        ("N(3,causal)", (4, 4), (1, 1), (2, 2)),
    ],
)
def test_attributes_of_supports(place, grid, translation, reach):
    found = attributes(f"att(lin,lin,lin)@{place}", 4, grid)
    assert (found.translation, found.receptive_field) == (translation, reach)
    assert found.causal


def test_the_tree_shows_what_a_place_chooses_by():
    tree = mm.parse("att(lin,lin,lin)@(N(3) | top(2,lin(N)))@causal").typed(4, (4, 4))
    lines = [line.strip("├└│─ ") for line, _ in _lines(tree)]
    assert [line for line in lines if "top" in line][-2:] == ["(N(3) | top(2,lin(N)))", "top(2,lin(N))"]
    assert "lin(N)" in lines
