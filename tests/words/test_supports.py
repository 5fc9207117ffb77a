"""Contracts of supports beyond the neighbourhood, alone, behind one another and in unions."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.testing import WordContract


class TestLag(WordContract):
    word = "lag"
    examples = (
        ("att(lin,lin,lin)@lag(2)@h(2)", 4, (7,)),
        ("att(lin,lin,lin)@lag(1)", 4, (2, 3)),
        ("att(lin,pool(4,lin),pool(4))@lag(0)", 4, (8,)),
        ("(dot0(lin,lin) -> gelu -> mm(lin))@lag(1)", 4, (2, 2, 2)),
        ("let k = lin in dot(k, last(k)@blk(2)@lag(3) & k@N(3)) -> softmax -> mm(last(lin)@blk(2) & lin)", 4, (8,)),
    )


class TestStride(WordContract):
    word = "stride"
    examples = (
        ("att(lin,lin,lin)@stride(3)@h(2)", 4, (7,)),
        ("att(lin,lin,lin)@stride(2,b=2)@h(4)", 4, (4, 2)),
        ("(dot0(lin,lin) -> gelu -> mm(lin))@stride(4)@causal@h(2)", 4, (2, 2, 2)),
    )


class TestFirstAsPlace(WordContract):
    word = "first"
    examples = (
        ("att(lin,lin,lin)@first(2)@h(2)", 4, (7,)),
        ("cls >> att(lin,lin,lin)@first(3)", 4, (3, 2)),
        ("(dot(lin,lin) -> gelu -> mm(lin))@(first(2) | N(2))", 4, (2, 3, 4)),
    )


class TestLast(WordContract):
    word = "last"
    examples = (
        ("lin >> last", 4, (7,)),
        ("last(2,lin) >> lin", 4, (3, 2)),
        ("lin >> last(3)", 4, (2, 2, 2)),
    )


class TestConsecutive(WordContract):
    word = "blk"
    examples = (
        ("att(lin,lin,lin)@blk(4)@h(2)", 4, (8,)),
        ("let q = lin, k = lin in att(last(q),k,k)@blk(6)", 4, (4, 3)),
        ("(lin >> pool(2))@blk(4) >> lin", 4, (2, 2, 2)),
        ("dw(3)@blk(5)", 4, (5,)),
        ("gn@blk(3)", 4, (3, 4)),
    )


class TestUnion(WordContract):
    word = "|"
    examples = (
        ("att(lin,lin,lin)@(N(3) | stride(4))@causal@h(2)", 4, (12,)),
        ("att(lin,lin,lin)@(N(3) | first(1) | stride(4))@h(2)", 4, (4, 5)),
        ("(dot0(lin,lin) -> gelu -> mm(lin))@(causal | N(3,mask))", 4, (7,)),
        ("att(lin,lin,lin)@((N(1) | first(1)) | N(3x1)@causal)", 4, (4, 4)),
        ("att(lin,lin,lin)@(lag(4) | N(2x1x2))", 4, (2, 3, 2)),
    )


class TestStacked(WordContract):
    word = "causal"
    examples = (
        ("att(lin,lin,lin)@N(3)@causal@h(2)", 4, (7,)),
        ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@causal@N(3,wrap)", 4, (5, 3)),
        ("(dot0(lin,lin) -> elu1 -> l1 -> mm(lin))@N(3)@N(5x3,mask)@causal", 4, (5, 3)),
        ("(dot(lin,lin) -> gelu -> mm(lin))@N(3,mask)@N(2)@causal", 4, (2, 3, 4)),
    )


class TestBlocks(WordContract):
    word = "softmax"
    examples = (
        ("(dot(lin,lin) -> softmax[blk(3)] -> mm(lin))@h(2)", 4, (9,)),
        ("(dot(lin,lin) -> softmax[blk(2)] -> mm(lin))@causal", 4, (2, 3)),
        ("lin >> softmax[blk(2)]", 4, (2, 3)),
        ("(dot0(x,#6) -> softmax[blk(3)] -> mm(#6))@h(2)", 4, (2, 2, 2)),
    )


def support(place: str, grid: tuple[int, ...], heads: int = 1) -> torch.Tensor:
    """(heads, tokens, tokens): whether a token's result feels a value, read off the Jacobian of a sum."""
    channels = 2 * heads
    net = mm.build(f"(dot0(lin,lin) -> exp -> mm(x))@{place}@h({heads})", channels, grid).double()
    x = torch.zeros(1, *grid, channels, dtype=torch.float64)  # zero scores: every present slot weighs 1
    felt = torch.autograd.functional.jacobian(lambda v: net(v).flatten(0, -2), x).flatten(2, -2)
    return torch.stack([felt[:, 2 * head, :, 2 * head] for head in range(heads)]) > 0


def test_local_and_strided_blocks_are_those_of_sharded_attention():
    """S2-Attention's dense mask, block by block, from its definition."""
    heads, block, local, stride, blocks = 4, 2, 2, 4, 8
    expected = torch.zeros(heads, blocks * block, blocks * block, dtype=torch.bool)
    for head in range(heads):
        for q in range(blocks * block):
            for k in range(q + 1):
                near = q // block - k // block < local
                expected[head, q, k] = near or (k // block + head * max(1, stride // heads)) % stride == 0
    place = f"(N({(2 * local - 1) * block},s={block},mask) | stride({stride},b={block}))@causal"
    assert torch.equal(support(place, (blocks * block,), heads), expected)


@pytest.mark.parametrize(
    ("place", "length", "k", "s", "d", "causal"),
    [
        ("N(5)", 11, 5, 1, 1, False),
        ("N(4)", 11, 4, 1, 1, False),
        ("N(4,s=3)", 11, 4, 3, 1, False),
        ("N(3,s=3,d=2)", 11, 3, 3, 2, False),
        ("N(5,causal)", 11, 5, 1, 1, True),
        ("N(5,s=2,causal)", 11, 5, 2, 1, True),
        ("N(3,d=3,causal)", 11, 3, 1, 3, True),
    ],
)
def test_neighbourhoods_follow_the_rule_of_generalized_neighbourhood_attention(place, length, k, s, d, causal):
    """arXiv 2504.16922: leaders of stride groups within residue classes, windows clamped or ending at the token."""
    expected = torch.zeros(1, length, length, dtype=torch.bool)
    for q in range(length):
        mates = [j for j in range(length) if j % d == q % d]
        p, last = q // d, len(mates) - 1
        if causal:
            leader = min(p // s * s + s - 1, last)
            window = [j for j in range(leader - k + 1, leader + 1) if 0 <= j <= p]
        else:
            leader = min(p // s * s + s // 2, last)
            centre = min(max(leader, k // 2), last - (k - 1 - k // 2))
            window = list(range(centre - k // 2, centre - k // 2 + k))
        expected[0, q, [mates[j] for j in window]] = True
    assert torch.equal(support(place, (length,)), expected)


def test_supports_behind_one_another_intersect_and_in_a_union_add_up():
    one, other = support("N(3)", (4, 3)), support("causal", (4, 3))
    assert torch.equal(support("N(3)@causal", (4, 3)), one & other)
    assert torch.equal(support("(N(3) | causal)", (4, 3)), one | other)
    lagged = torch.arange(9)[None] <= torch.arange(9)[:, None] - 4
    assert torch.equal(support("lag(4)", (9,))[0], lagged)


def test_tokens_without_a_slot_read_nothing():
    net = mm.build("att(lin,lin,lin)@lag(3)", 4, (7,)).double()
    y = net(torch.randn(2, 7, 4, dtype=torch.float64))
    assert torch.equal(y[:, :3], torch.zeros(2, 3, 4, dtype=torch.float64))
    assert bool((y[:, 3:] != 0).all())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("att(lin,lin,lin)@N(3)@causal", "att(lin,lin,lin)@causal@N(3)"),
        ("att(lin,lin,lin)@(N(3) | stride(2))", "att(lin,lin,lin)@(stride(2) | N(3))"),
        ("att(lin,lin,lin)@(N(3) | N(3))", "att(lin,lin,lin)@N(3)"),
        ("att(lin,lin,lin)@((N(3) | stride(2)) | first(1))", "att(lin,lin,lin)@(first(1) | (stride(2) | N(3)))"),
        ("att(lin,lin,lin)@h(2)@(N(3) | stride(2))", "att(lin,lin,lin)@(N(3) | stride(2))@h(2)"),
    ],
)
def test_order_and_repetition_of_supports_do_not_matter(one, other):
    assert mm.parse(one).key(4, (8,)) == mm.parse(other).key(4, (8,))


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("att(lin,lin,lin)@(N(3) | win(4))", "a union is one of supports"),
        ("att(lin,lin,lin)@(N(3,zero) | first(1))", "cannot be part of a union"),
        ("att(lin,lin,lin)@N(3,zero)@causal", "slots of zeros"),
        ("att(lin,lin,lin)@lag(8)", "leaves nothing"),
        ("att(lin,lin,lin)@lag(0)", "write @causal"),
        ("att(lin,lin,lin)@stride(9)", "stride(9"),
        ("lin@stride(2)", "binds a read"),
        ("first(2)@N(3)", "binds one read"),
        ("(dot(lin,lin) -> softmax[blk(3)] -> mm(lin))", "does not divide"),
        ("(dot(lin,lin) -> softmax[blk] -> mm(lin))", "takes 1 size"),
        ("(dot(lin,lin) -> softmax[blk(2)] -> mm(lin))@N(4)", "order of memory"),
        ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@stride(2)@h(2)", "same for all heads"),
        ("att(lin,lin,lin)@win(4)@N(5)", "larger than the axis"),
    ],
)
def test_supports_that_do_not_fit_say_so(sentence, message):
    with pytest.raises(LanguageError, match=None) as error:
        mm.check(sentence, 4, (8,))
    assert message in str(error.value)
