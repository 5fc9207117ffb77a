"""Contracts of what changes scores one by one: selection, factors, the largest value."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.testing import WordContract


class TestTop(WordContract):
    word = "top"
    examples = (
        ("dot(lin,lin) -> top(3) -> softmax -> mm(lin)", 4, (7,)),
        ("(dot(lin,lin) -> softmax -> top(2) -> l1 -> mm(lin))@h(2)", 4, (3, 2)),
        ("(dot(lin,lin) -> top(4) -> mm(lin))@h(2)", 4, (2, 1, 3)),
        ("(dot0(x,#6) -> top(2) -> softmax -> mm(#6))@h(2)", 4, (3, 2)),
        ("(dot(lin,lin) -> top(2) -> softmax -> mm(lin))@causal@h(2)", 4, (5,)),
        ("(dot(lin,lin) -> top(2) -> softmax -> mm(lin))@top(3,dot(x,x))@h(2)", 4, (6,)),
        ("(dot(lin,lin) -> rel -> top(3) -> rel -> softmax -> mm(lin))@N(3,mask)", 4, (4, 3)),
        ("(lin(18) -> top(4) -> softmax -> mm(lin))@N(3)@h(2)", 4, (4, 3)),
        ("(lin(6) >> softmax >> top(2) >> l1) * lin(6)", 4, (5,)),
        ("(lin(4) >> softmax >> top(2) >> l1) * att(lin,lin,lin)@h(4) >> lin", 4, (3, 2)),
        ("top(4) >> lin", 4, (3, 2)),
        ("dot(lin,lin) -> top(6) -> softmax -> mm(lin)", 4, (3, 2)),
        ("cls >> (dot(lin,lin & #2) -> top(2) -> softmax -> mm(lin & #2))@h(2)", 4, (3, 2)),
    )


class TestTimes(WordContract):
    word = "times"
    examples = (
        ("dot(lin,lin) -> times(dot(lin,lin) -> softmax) -> mm(lin)", 4, (5,)),
        ("(dot(lin,lin) -> times(dot(lin,lin)@h(1)) -> softmax -> mm(lin))@h(2)", 4, (3, 2)),
        ("(dot(lin,lin) -> times(dot(lin,pool(2)) -> softmax) -> mm(lin))@h(2)", 4, (4, 2)),
        ("(dot(lin,lin) -> times(dot(lin,lin) -> sig) -> softmax -> mm(lin))@N(3)@h(2)", 4, (4, 3)),
        ("(dot(lin,lin) -> times(dot(lin,lin)) -> mm(lin))@causal", 4, (5,)),
        ("dot(lin,lin) -> softmax[blk(3)] -> times(dot(lin,last@blk(3)) -> softmax) -> mm(lin)", 4, (6,)),
        ("(dot(lin,lin) -> times(dot(lin,lin) -> sig) -> mm(lin))@top(2,dot(x,x))@h(2)", 4, (5,)),
        ("(dot(lin,lin & #2) -> times(dot(lin,lin & #2)) -> softmax -> mm(lin & #2))@h(2)", 4, (2, 1, 3)),
        ("let s = dot(lin,lin)@h(2) in s -> times(s -> softmax -> top(2)) -> mm(lin)", 4, (5,)),
    )


class TestMaximum(WordContract):
    word = "max"
    examples = (
        ("dot(lin,lin) -> softmax -> max(lin)", 4, (7,)),
        ("(dot(lin,lin) -> relu -> max(lin))@h(2)", 4, (3, 2)),
        ("(dot(lin,lin) -> max(lin(6)))@N(3,mask)@h(2)", 4, (4, 3)),
        ("(dot(lin,lin) -> max(lin))@N(3,zero)", 4, (2, 3, 2)),
        ("(dot(lin,lin) -> softmax -> max(lin))@causal@h(2)", 4, (5,)),
        ("dot(lin,lin & pool(1)) -> softmax -> top(2) -> max(lin & pool(1))", 4, (3, 2)),
        ("(lin(9) -> relu -> max(lin))@N(3)", 4, (3, 4)),
    )


def test_a_bias_under_a_neighbourhood_has_an_entry_for_each_distance_inside():
    """2 k - 1 an axis, as in the networks of neighborhood attention, at any grid and dilation (arXiv 2204.07143);
    k where windows do not move at the border.
    """
    places = (("N(7)", (28, 28), 13), ("N(7)", (14, 14), 13), ("N(7,d=2)", (28, 28), 13), ("N(7,wrap)", (28, 28), 7))
    for place, grid, distances in places:
        with_bias = mm.cost(f"(dot(lin,lin) -> rel -> softmax -> mm(lin))@{place}@h(4)", 8, grid).params
        assert with_bias - mm.cost(f"att(lin,lin,lin)@{place}@h(4)", 8, grid).params == 4 * distances**2


def test_the_largest_value_is_taken_of_slots_with_a_positive_coefficient():
    net = mm.build("dot0(x,x) -> max(x)", 2, (3,))
    x = torch.tensor([[[1.0, 0.0], [1.0, 3.0], [-1.0, 0.5]]])
    # <x_0, .> = 1, 1, -1; <x_1, .> = 1, 10, .5; <x_2, .> = -1, .5, 1.25
    torch.testing.assert_close(net(x), torch.tensor([[[1.0, 3.0], [1.0, 3.0], [1.0, 3.0]]]))
    torch.testing.assert_close(net(-x[:, :1].expand(-1, 3, -1) * 0), torch.zeros(1, 3, 2))


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("lin -> top(9) -> softmax -> mm(lin)", r"top\(9\) of 8 slots"),
        ("top(9)", r"top\(9\) of 8 channels"),
        ("dot(lin,lin) -> times(lin) -> mm(lin)", "edges"),
        ("dot(lin,lin) -> times(dot(lin,pool(3))) -> mm(lin)", "equal parts"),
        ("(dot(lin,lin) -> times(dot(lin,lin)@h(4)) -> mm(lin))@h(2)", "2 heads"),
        ("dot0(x,#4) -> times(dot0(x,#4)) -> mm(#4)", r"fields is \*"),
        ("dot(lin,lin) -> max(#16)", "follow from the input"),
        ("dot(lin,lin) -> center -> top(2) -> center -> mm(lin)", "center"),
    ],
)
def test_what_does_not_fit_is_said(sentence, message):
    with pytest.raises(mm.LanguageError, match=message):
        mm.check(sentence, 8, (4, 4))
