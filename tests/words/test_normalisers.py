"""Contracts of what stands between a match and its aggregation, and of supports that are masks."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.testing import WordContract


class TestCenter(WordContract):
    word = "center"
    examples = (
        ("(dot(lin,lin) -> center -> mm(lin))@h(2)", 8, (4, 4)),
        ("(dot(lin,lin) -> center -> mm(lin))@h(4)@win(4)", 8, (8, 8)),
        ("dot(lin,lin) -> center -> mm(lin)", 16, (7,)),
        ("(dot(lin,pool(2) >> lin) -> center -> mm(pool(2)))@h(2)", 8, (2, 4, 2)),
    )


class TestFlow(WordContract):
    word = "flow"
    examples = (
        ("(dot0(lin >> sig,lin >> sig) -> flow -> mm(lin))@h(2)", 8, (4, 4)),
        ("(dot0(lin >> sig,lin >> sig) -> flow -> mm(lin))@h(1)", 16, (5,)),
        ("let p = pool(2) in (dot0(lin >> sig,p >> lin >> sig) -> flow -> mm(p))@h(2)", 8, (4, 2, 2)),
    )


class TestRelativeBias(WordContract):
    word = "rel"
    examples = (
        ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@h(2)", 8, (4, 3)),
        ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@h(2)@win(2)", 8, (4, 4)),
        ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@N(3)@h(2)", 8, (5,)),
        ("(dot(lin,lin) -> rel -> sig -> mm(lin))@h(2)", 8, (2, 2, 3)),
    )


class TestCausal(WordContract):
    word = "causal"
    examples = (
        ("att(lin,lin,lin)@causal@h(2)", 8, (6,)),
        ("(dot(lin,lin) -> sig -> mm(lin))@causal@h(2)", 8, (3, 2, 2)),
        ("(dot0(lin >> exp,lin >> exp) -> l1 -> mm(lin))@causal", 8, (7,)),
        ("(dot(lin,lin) -> softmax -> mm(lin))@causal@win(2)", 4, (4, 4)),
    )


class TestRoll(WordContract):
    word = "roll"
    examples = (
        ("att(lin,lin,lin)@win(2)@roll(1)@h(2)", 4, (4, 4)),
        ("let v = lin in att(lin,lin,v)@win(2)@roll(1)", 4, (6,)),
        ("dw(3)@roll(2x1x0)", 4, (3, 3, 3)),
    )


class TestTokens(WordContract):
    word = "tok"
    examples = (
        ("tok(3) >> lin", 4, (3, 3)),
        ("dot(lin,tok(4,lin)) -> softmax -> mm(tok(4))", 4, (5,)),
        ("tok(2)", 4, (2, 3, 2)),
    )


class TestDecay(WordContract):
    word = "decay"
    examples = (
        ("(dot0(lin >> silu,lin >> silu) -> decay -> mm(lin >> silu))@causal@h(2)", 8, (7,)),
        ("(dot0(lin,lin) -> decay -> mm(lin))@causal", 4, (3, 3)),
        ("(dot0(lin,lin) -> decay -> mm(lin))@causal@h(4)", 4, (2, 2, 2)),
    )


class TestHedgehog(WordContract):
    word = "hh"
    examples = (
        ("(dot0(lin >> hh(2),lin >> hh(2)) -> l1 -> mm(lin))@h(2)", 8, (4, 4)),
        ("cls >> hh >> lin", 4, (5,)),
        ("hh(2)", 4, (2, 3, 2)),
    )


class TestShrink(WordContract):
    word = "shrink"
    examples = (
        ("lin >> shrink", 4, (7,)),
        ("shrink@T", 4, (2, 3)),
        ("(dot(lin,lin) -> shrink -> mm(lin))@h(2)", 4, (2, 3, 2)),
    )


class TestUnscaledAttention(WordContract):
    word = "att0"
    examples = (
        ("att0(lin,lin,lin)@h(2)", 8, (4, 4)),
        ("att0(lin,x,lin)", 4, (5,)),
        ("x + att0(lin(2),lin(2),lin)", 8, (2, 2, 2)),
    )


class TestRep(WordContract):
    word = "rep"
    examples = (
        ("conv(x,#rep(5,3))", 4, (6, 6)),
        ("conv(lin,#rep(3)) -> gelu -> conv(#rep(3,1))", 4, (5,)),
        ("conv(x,#rep(3,1),s=2,c=2C)", 4, (5, 4)),
        ("conv(x,#rep(3,1))", 4, (2, 3, 2)),
    )


@pytest.mark.parametrize("text", ["att(lin,lin,lin)@causal@h(2)", "(dot(lin,lin) -> sig -> mm(lin))@causal"])
def test_causal_reads_see_nothing_later(text):
    torch.manual_seed(0)
    net = mm.build(text, channels=8, grid=(6,)).eval()
    x = torch.randn(1, 6, 8)
    later = x.clone()
    later[:, 4:] += 1
    assert torch.equal(net(x)[:, :4], net(later)[:, :4])
    assert not torch.equal(net(x)[:, 4:], net(later)[:, 4:])


def test_every_slot_is_given_away_once_behind_q():
    """Columns of softmax[q] sum to 1: the sum over tokens of what is aggregated is the sum of the values."""
    sentence = mm.parse("let v = lin in dot(lin,lin) -> softmax[q] -> mm(v)")
    net = mm.build(sentence, channels=8, grid=(6,)).eval()
    x = torch.randn(2, 6, 8)
    values = net.store.weights[(0,)]
    assert torch.allclose(net(x).sum(1), (x @ values.weight.T + values.bias).sum(1), atol=1e-5)


def test_query_side_normalisers_have_keys_of_their_own():
    keys = {mm.parse(f"dot(lin,lin) -> {n} -> mm(lin)").key(8, (6,)) for n in ("softmax", "softmax[q]", "l1", "l1[q]")}
    assert len(keys) == 4
    assert mm.parse("dot(lin,lin) -> exp -> l1[q] -> mm(lin)").key(8, (6,)) in keys
