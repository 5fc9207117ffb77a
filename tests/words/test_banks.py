"""Contracts of banks that are not merely learned, and of banks that stand alone."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.testing import WordContract


class TestCube(WordContract):
    word = "cube"
    examples = (
        ("dot0(x,#cube(4)) -> softmax -> top(1) -> mm(#16)@hsum(C/4)", 8, (5,)),
        ("dot0(x,#cube(2)) -> softmax -> top(1) -> mm(#4,c=6,b=1)@hsum(C/2)", 8, (3, 2)),
        ("(dot(lin,#cube(3)) -> softmax -> top(1) -> mm(#8,c=5))@hsum(2) >> norm", 6, (2, 1, 3)),
        ("(dot0(x,#cube(3)) -> softmax -> mm(#8,c=5))@hsum(2)", 6, (3, 2)),
        ("(dot0(x,#cube(3)) -> softmax -> top(2) -> mm(#8))@h(2)", 6, (3, 2)),
        ("dot0(x,#cube(4))", 4, (3, 2)),
        ("cls >> (dot0(x,#cube(2)) -> softmax -> top(1) -> mm(#4))@hsum(2)", 4, (3, 3)),
    )


class TestFixed(WordContract):
    word = "fix"
    examples = (
        ("res(norm >> (#fix(N) -> softmax -> mm(x)))", 4, (5,)),
        ("#fix(N) -> softmax -> mm(lin)", 4, (3, 2)),
        ("(#fix(N) -> softmax -> mm(x))@h(2)", 4, (2, 2, 2)),
        ("(dot(lin,#fix(6)) -> softmax -> mm(#fix(6)))@h(2)", 4, (3, 2)),
        ("conv(lin,#fix(3),b=1)", 4, (5, 3)),
        ("att(#fix(2),lin,lin)@h(2)", 4, (3, 2)),
        ("let c = #fix(3) in att(lin,lin(c),lin(c))@h(2) + att(x,c,c)", 4, (5,)),
    )


class TestPositionScores(WordContract):
    word = "->"
    examples = (
        ("#N -> softmax -> mm(lin)", 4, (5,)),
        ("(#N -> mm(x))@h(2)", 4, (3, 2)),
        ("(#9 -> mm(x))@N(3)@h(C)", 4, (4, 3)),
        ("(#N -> relu -> mm(lin))@h(2)", 4, (2, 1, 3)),
        ("(#3 -> softmax -> mm(lin))@N(3,mask)@h(2)", 4, (6,)),
        ("(#3x3 -> softmax -> mm(x))@N(3,zero)", 4, (4, 3)),
        ("#6 -> softmax -> mm(#6)", 4, (3, 2)),
        ("(#4 -> softmax) * lin", 4, (3, 2)),
        ("(#N -> mm(x))@win(2)", 4, (4, 2)),
    )


class TestBoundBank(WordContract):
    word = "let"
    examples = (
        ("let c = #3 in att(lin,lin(c),lin(c))@h(2) >> lin", 4, (5,)),
        ("let c = #4 in att(lin,c,lin(c))@h(2)", 4, (3, 2)),
        ("let c = #2x3 in att(lin,c >> dw(3),c)", 4, (2, 2, 2)),
        ("let c = #2 in att(c,lin,lin)@h(2) >> lin", 4, (3, 2)),
        ("let c = #N in x + c", 4, (5,)),
        ("(let c = #2 in att(lin,c,lin(c)))@win(2)", 4, (4, 2)),
        ("let c = #3, d = lin(c) in [.5: att(x,lin(2,c),lin(2,c)) | x] + (att(lin,d,d))", 4, (5,)),
    )


class TestQueries(WordContract):
    word = "#"
    examples = (
        ("att(#1,lin,lin)@h(4) >> lin", 4, (5,)),
        ("att(#3,lin,lin(6))@h(2)", 4, (3, 2)),
        ("(dot(#2x3,lin) -> relu -> mm(lin))@h(2) >> dw(3)", 4, (2, 2, 2)),
        ("dot0(#9,lin) -> mm(lin)", 4, (5, 5)),
        ("(dot(#2,lin & pool(1)) -> softmax -> mm(lin & pool(1)))@h(2)", 4, (3, 2)),
        ("cls >> att(#2,lin,lin)", 4, (3, 2)),
        ("att(lin,#5,#5)@h(2) >> att(#1,x,x)", 4, (3, 2)),
        ("let s = dot(lin,pool(2) >> lin)@h(2) in (s -> mm(#4,c=9)) -> rel -> softmax -> mm(lin)@N(3)@h(2)", 4, (4, 5)),
        ("let s = dot(lin,pool(2))@h(2) in s -> softmax -> mm(#2,c=3)", 4, (5,)),
        ("(dot(lin,pool(2)) -> softmax -> mm(#2,c=3))@hsum(2)", 4, (5,)),
        ("dot(lin,lin) -> softmax -> mm(#N,c=3)", 4, (5,)),
    )


class TestSummedHeads(WordContract):
    word = "hsum"
    examples = (
        ("att(lin,lin,lin)@hsum(2)", 4, (5,)),
        ("(dot0(lin,lin) -> mm(lin(8)))@hsum(4)", 4, (5, 4)),
        ("(dot(lin,lin) -> relu -> mm(lin(6)))@hsum(2)", 4, (2, 1, 3)),
        ("att(lin,lin,lin)@N(3)@hsum(2)", 4, (4, 3)),
        ("att(lin,lin,lin)@N(4,s=2,zero)@hsum(2)", 4, (8, 4)),
        ("(dot0(lin,lin) -> decay -> mm(lin))@causal@hsum(2)", 4, (40,)),
        ("(dot0(x,#5,b=1) -> gelu -> mm(#5,c=6,b=1))@hsum(2)", 4, (3, 2)),
        ("(dot(lin,#2 & x) -> softmax -> mm(#2 & x))@h(2)@hsum(2)", 4, (3, 2)),
        ("(lin(10) -> softmax -> mm(#5))@hsum(2)", 4, (3, 2)),
        ("att(lin,lin,lin)@hsum(1)", 4, (5,)),
        ("att(lin,att(lin,lin,lin)@h(4),lin)@hsum(2)", 4, (3, 2)),
    )


def test_memory_layers_are_counted_as_sums_of_table_rows():
    cost = mm.cost("dot0(x,#cube(8)) -> softmax -> top(1) -> mm(#256)@hsum(C/8)", 512, (14, 14))
    assert cost.macs == 196 * 512 * 512 // 8
    assert cost.params == 512 // 8 * 256 * 512
    dense = mm.cost("dot0(x,#cube(8)) -> softmax -> top(1) -> mm(#256)@hsum(C/8)", 512, (14, 14), order="dense")
    assert dense.macs == 196 * 256 * (512 + 64 * 512)


def test_the_closed_form_of_memory_layers():
    """y = sum_k p_k T_k[sign(z_k)] with p_k = prod 1 / (1 + exp(-2|z|)), written from the paper (arXiv 2411.12992)."""
    tau, channels, width = 3, 12, 7
    net = mm.build(
        f"dot0(x,#cube({tau})) -> softmax -> top(1) -> mm(#8,c={width})@hsum(C/{tau})", channels, (5,)
    ).double()
    tables = next(p for p in net.parameters()).detach()  # (chunks, 2^tau, width)
    x = torch.randn(2, 5, channels, dtype=torch.float64)
    expected = torch.zeros(2, 5, width, dtype=torch.float64)
    for k in range(channels // tau):
        z = x[..., k * tau : (k + 1) * tau]
        row = sum((z[..., i] > 0).long() << i for i in range(tau))
        p = torch.prod(1 / (1 + torch.exp(-2 * z.abs())), -1)
        expected += p[..., None] * tables[k][row]
    torch.testing.assert_close(net(x), expected, rtol=1e-12, atol=1e-12)


def test_memory_layers_run_in_half_precision():
    net = mm.build("dot0(x,#cube(4)) -> softmax -> top(1) -> mm(#16)@hsum(C/4)", 8, (5,))
    x = torch.randn(2, 5, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(net(x).float(), net(x.float()).float(), rtol=0.1, atol=0.1)
    assert net.bfloat16()(x.bfloat16()).dtype == torch.bfloat16


def test_frozen_numbers_are_saved_but_not_trained():
    net = mm.build("res(norm >> (#fix(N) -> softmax -> mm(x)))", 4, (3, 2))
    assert sum(p.numel() for p in net.parameters()) == 8
    assert sum(b.numel() for b in net.state_dict().values()) == 8 + 36


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("dot0(x,#cube(3)) -> softmax -> mm(#8)", "a head has 8"),
        ("dot0(x,#cube(8),b=1)", "learned bank"),
        ("let c = #rep(3) in x", "cannot be bound"),
        ("att(#1,#2,#2)", "follow from the input"),
        ("dot(lin,lin) -> top(3) -> gelu -> mm(lin)", "slots are left out"),
        ("dot0(x,#8) -> top(3)", "slots left out"),
        ("#9 -> mm(x)", "no coefficients of 1 heads over 16 slots"),
        ("dot(lin,pool(2)) -> mm(#4)", r"mm\(#49,c=25\)"),
    ],
)
def test_what_does_not_fit_is_said(sentence, message):
    with pytest.raises(mm.LanguageError, match=message):
        mm.check(sentence, 8, (4, 4))
