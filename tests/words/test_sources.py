"""Contracts of the sources: input, banks, projections, pooling, numbers and sizes."""

from __future__ import annotations

from metamixer.testing import WordContract


class TestInput(WordContract):
    word = "x"
    examples = (
        ("x", 4, (5,)),
        ("x + lin", 4, (5, 3)),
        ("lin(x) * x", 4, (2, 3, 2)),
        ("cls >> x ++ x", 4, (3, 3)),
    )


class TestBank(WordContract):
    word = "#"
    examples = (
        ("dot0(x,#5) -> relu -> mm(#5)", 4, (5,)),
        ("dot0(x,#2C) -> gelu -> mm(#2C)", 4, (3, 5)),
        ("conv(x,#3)", 4, (7,)),
        ("conv(x,#3x1)", 4, (5, 4)),
        ("conv(x,#1xW)", 4, (3, 5)),
        ("conv(x,#3x1x5)", 4, (3, 2, 4)),
    )


class TestRep(WordContract):
    word = "rep"
    examples = (
        ("conv(x,#rep(3))", 4, (7,)),
        ("conv(x,#rep(7,3))", 4, (5, 4)),
        ("conv(lin(b=0) >> bn,#rep(5,3)) -> gelu -> conv(#rep(5,3))", 4, (5, 3)),
        ("conv(x,#rep(3,1),s=2,c=2C)", 4, (5, 4)),
        ("conv(x,#rep(3x1,1x3))", 4, (5, 4)),
        ("conv(x,#rep(3,1))", 4, (2, 3, 2)),
    )


class TestLinear(WordContract):
    word = "lin"
    examples = (
        ("lin", 4, (5,)),
        ("lin(6)", 4, (5, 3)),
        ("lin(6,b=0)", 4, (2, 3, 2)),
        ("lin(8,g=2)", 4, (5, 3)),
        ("lin(2C,g=4,b=0)", 4, (3, 3)),
        ("lin(C/2)", 4, (3, 3)),
        ("lin(1)", 1, (1,)),
        ("lin(6,lin(10) >> relu)", 4, (3, 3)),
        ("lin(c=6)", 4, (3, 3)),
        ("cls(2) >> lin(6)", 4, (3, 3)),
        ("lin(7)@T", 4, (5, 3)),
        ("lin(sets=2)", 4, (6,)),
        ("lin(6,sets=3,b=0)", 4, (3, 5)),
        ("lin(sets=2)@T", 4, (5, 3)),
        ("lin(3,sets=5)", 1, (5,)),
        ("lin(6,fix=1) >> relu >> lin", 4, (5,)),
        ("att(lin(fix=1),lin(b=0,fix=1),lin)@h(2)", 4, (3, 2)),
    )


class TestPool(WordContract):
    word = "pool"
    examples = (
        ("pool(1)", 4, (7,)),
        ("pool(1)", 4, (5, 3)),
        ("pool(1) >> lin", 4, (3, 2, 2)),
        ("cls >> pool(1)", 4, (3, 3)),
        ("pool(/2)", 4, (6, 4)),
        ("pool(/2)", 4, (4, 2, 2)),
        ("pool(3)", 4, (7,)),
        ("pool(3)", 4, (7, 5)),
        ("pool(3)", 4, (3, 3)),
        ("pool(2x5)", 4, (7, 5)),
        ("pool(Hx1)", 4, (3, 5)),
        ("pool(1xW,lin(6))", 4, (3, 5)),
    )


class TestMean(WordContract):
    word = "mean"
    examples = (
        ("mean", 4, (7,)),
        ("mean >> lin(10)", 4, (5, 3)),
        ("mean(lin(6))", 4, (3, 2, 2)),
        ("cls >> mean", 4, (3, 3)),
        ("x * mean", 4, (3, 3)),
        ("mean >> mean", 4, (3, 3)),
    )


class TestNumber(WordContract):
    word = "number"
    examples = (
        (".5 * x", 4, (5,)),
        ("lin + 1.5", 4, (5, 3)),
        ("1.0 - lin", 4, (3, 3)),
        ("x - 2.5e-1 * lin", 4, (2, 2, 3)),
        ("scale(.25)", 4, (3, 3)),
    )


class TestSize(WordContract):
    word = "size"
    examples = (
        ("lin(2C) >> lin(C/2) >> lin(3C/2)", 4, (5,)),
        ("res(lin(2C) >> lin(D))", 4, (2, 3, 2)),
        ("lin(N)", 4, (5, 3)),
        ("pool(H/2xW)", 4, (4, 3)),
        ("lin(W)", 4, (5, 3)),
    )
