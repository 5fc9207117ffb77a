"""The contract of metamixer's words, for those of this package: shapes, counts, gradients, dense meaning, export."""

from __future__ import annotations

import pytest

import metamixer as mm
from metamixer.testing import WordContract


class TestMish(WordContract):
    word = "mish"
    examples = (
        ("lin >> mish", 4, (5,)),
        ("conv(lin,#3) -> mish -> conv(#3)", 4, (4, 5)),
        ("dot0(x,#8) -> mish -> mm(#8)", 4, (2, 3, 2)),
    )


class TestBlur(WordContract):
    word = "blur"
    examples = (
        ("blur", 3, (5,)),
        ("lin >> blur(5)", 4, (9,)),
        ("blur(3x1,lin)", 4, (4, 5)),
        ("res(norm >> blur(5) >> lin)@win(4)", 4, (8, 4)),
        ("blur >> lin", 2, (3, 2, 4)),
    )


def test_blur_is_refused_where_it_does_not_fit():
    with pytest.raises(mm.LanguageError, match="take an odd k"):
        mm.check("blur(2)", channels=4, grid=(8, 8))


def test_what_follows_from_the_declared_spans():
    from metamixer.explore import attributes

    found = attributes("lin >> blur(5) >> blur(3x1)", channels=4, grid=(9, 9))
    assert found.receptive_field == (3, 2)
    assert (found.permutation, found.translation, found.weights) == (False, (1, 1), ("convex",))
