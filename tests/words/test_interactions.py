"""Contracts of the read: interactions, aggregation, and the arrow between them."""

from __future__ import annotations

from metamixer.testing import WordContract


class TestRead(WordContract):
    word = "->"
    examples = (
        ("dot(lin,lin) -> softmax -> mm(lin)", 4, (7,)),
        ("dot(lin,lin) -> mm(lin)", 4, (5, 3)),
        ("conv(lin,#3) -> gelu -> conv(#3)", 4, (5, 3)),
        ("conv(lin,#3) -> gelu -> conv(#3)", 4, (3, 2, 4)),
        ("lin -> gelu -> had(lin)", 4, (3, 3)),
        ("(dot0(x,#6) -> relu) -> mm(#6)", 4, (3, 3)),
        ("dot(lin,lin) -> id -> softmax -> id -> mm(lin)", 4, (3, 3)),
        ("dot(lin,lin) -> exp -> l1 -> mm(lin)", 4, (3, 3)),
        ("lin(N) -> softmax -> mm(lin)", 4, (2, 3)),
        ("cls >> (dot(lin,lin) -> sig -> mm(lin))", 4, (3, 3)),
    )


class TestDot(WordContract):
    word = "dot"
    examples = (
        ("dot(lin,lin) -> softmax -> mm(lin)", 4, (7,)),
        ("(dot(lin(8),lin(8)) -> softmax -> mm(lin))@h(4)", 4, (5, 3)),
        ("(dot(x,lin) -> relu -> mm(lin(6)))@h(2)", 4, (2, 3, 2)),
        ("dot(lin,pool(2)) -> softmax -> mm(pool(2))", 4, (5, 3)),
        ("dot(pool(1,lin),lin) -> softmax -> mm(lin)", 4, (3, 3)),
        ("dot(lin,lin) -> mm(lin)", 2, (7, 5)),
        ("(dot(lin,#6) -> softmax -> mm(#6))@h(2)", 4, (3, 3)),
        ("dot(lin,#6,b=1)", 4, (3, 3)),
        ("cls(2) >> (dot(lin,lin) -> softmax -> mm(lin))@h(2)", 4, (3, 3)),
        ("(dot(lin,lin) -> softmax -> mm(lin))@N(3)@h(2)", 4, (5, 4)),
        ("(dot(lin,lin) -> gelu -> mm(lin))@N(3,zero)@h(2)", 4, (5, 4)),
    )


class TestDot0(WordContract):
    word = "dot0"
    examples = (
        ("dot0(lin,lin) -> mm(lin)", 3, (7,)),
        ("dot0(x,#5,b=1) -> gelu -> mm(#5,b=1)", 4, (5, 3)),
        ("(dot0(x,#5,b=1) -> softmax -> mm(#5))@h(2)", 4, (2, 3, 2)),
        ("(dot0(lin >> exp,lin >> exp) -> l1 -> mm(lin))@h(2)", 4, (5, 5)),
        ("(dot0(lin >> relu,lin >> relu) -> mm(lin(6)))@h(2)", 4, (5, 5)),
        ("(dot0(x,#2C) -> gelu -> mm(#2C))@T", 4, (3, 3)),
        ("cls >> dot0(x,#6)", 4, (3, 3)),
        ("(dot0(lin,lin) -> softmax -> mm(lin))@h(2)", 4, (3, 3)),
    )


class TestConv(WordContract):
    word = "conv"
    examples = (
        ("conv(x,#3)", 4, (7,)),
        ("conv(lin,#5,b=1)", 4, (5, 3)),
        ("conv(x,#3)", 4, (3, 2, 4)),
        ("conv(x,#2)", 4, (5, 4)),
        ("conv(x,#4x3)", 4, (5, 3)),
        ("conv(x,#9)", 4, (5, 5)),
        ("conv(x,#1)", 4, (3, 3)),
        ("conv(x,#3,s=2)", 4, (5, 4)),
        ("conv(x,#3,s=2x1,c=2C,b=1)", 4, (5, 4)),
        ("conv(x,#3,c=12)", 4, (7,)),
        ("conv(x,#3,sets=2,b=1)", 4, (5, 4)),
        ("conv(x,#3,sets=4,c=2C)", 4, (5, 4)),
        ("lin -> conv(#3) -> relu -> conv(#3x1)", 4, (4, 5)),
        ("(conv(lin,#3) -> relu -> conv(#3))@h(2)", 4, (4, 5)),
    )


class TestHad(WordContract):
    word = "had"
    examples = (
        ("had(lin,lin)", 4, (7,)),
        ("had(lin(2),lin)", 4, (5, 3)),
        ("had(pool(1),x)", 4, (5, 3)),
        ("had(pool(Hx1),lin)", 4, (3, 5)),
        ("had(lin >> sig)", 4, (2, 3, 2)),
        ("lin -> relu -> had(lin)", 4, (3, 3)),
        ("cls >> had(lin,lin)", 4, (3, 3)),
    )


class TestAggregate(WordContract):
    word = "mm"
    examples = (
        ("dot(lin,lin) -> mm(lin)", 4, (7,)),
        ("dot(lin,lin) -> softmax -> mm(x)", 4, (5, 3)),
        ("dot0(x,#5) -> relu -> mm(#5,c=6,b=1)", 4, (2, 3, 2)),
        ("(dot0(x,#5) -> relu -> mm(#5,c=6))@h(2)", 4, (3, 3)),
        ("lin(18) -> softmax -> mm(lin)@h(2)", 4, (3, 3)),
        ("lin(9C) -> mm(lin)@N(3,zero)@h(C)", 4, (4, 5)),
        ("(lin(18) -> softmax -> mm(lin))@N(3)@h(2)", 4, (4, 5)),
        ("(lin(6) -> relu -> mm(lin))@N(3,mask)@h(2)", 4, (7,)),
        ("dot(pool(2),lin) -> softmax -> mm(lin(6))", 4, (5, 3)),
        ("cls >> (dot(lin,lin) -> relu -> mm(lin))", 4, (3, 3)),
        ("(dot0(x,#5) -> relu -> mm(#5))@T", 4, (3, 3)),
    )


class TestMemories(WordContract):
    word = "&"
    examples = (
        ("let k = lin, v = lin in (dot(lin,#4 & k) -> softmax -> mm(#4 & v))@h(2)", 4, (7,)),
        ("(dot(lin,lin@N(3) & pool(2)) -> softmax -> mm(lin & pool(2)))@h(2)", 4, (4, 5)),
        ("(dot(lin,lin & pool(1)) -> softmax -> mm(lin & pool(1)))@h(2)", 4, (2, 3, 2)),
        ("(dot(lin,lin & pool(2)) -> mm(lin & pool(2)))@h(2)", 4, (3, 3)),
        ("dot0(x,#3 & #2,b=1) -> gelu -> mm(#3 & #2,b=1)", 4, (3, 3)),
        ("cls >> (dot(lin,#2 & lin) -> softmax -> mm(#2 & lin))@h(2)", 4, (3, 3)),
        ("let u = lin, v = gelu in (u + v >> mean >> lin(2D)) -> softmax -> mm(u@N(1) & v@N(1))@h(C)", 4, (3, 5)),
    )


class TestAttention(WordContract):
    word = "att"
    examples = (
        ("att(lin,lin,lin)", 4, (7,)),
        ("att(lin,lin,lin)@h(4) >> lin", 4, (5, 3)),
        ("att", 4, (2, 3, 2)),
        ("att(lin(2),lin(2),lin(6))@h(2)", 4, (3, 3)),
        ("att(lin,lin,lin(8))@h(2)", 4, (3, 3)),
        ("att(lin(b=0),lin,lin(b=0))", 4, (3, 3)),
        ("att(lin(b=0),lin(b=0),lin(b=0))", 4, (3, 3)),
        ("att(lin(g=2),lin,lin)", 4, (3, 3)),
        ("att(lin,pool(2),pool(2) >> lin)", 4, (5, 5)),
        ("att(lin,att(lin,lin,lin)@h(2),lin)@h(4)", 4, (3, 3)),
        ("att(lin,lin,lin)@win(2)@h(2)", 4, (4, 6)),
        ("att(lin,lin,lin)@N(3)@h(2)", 4, (5, 4)),
        ("cls >> att(lin,lin,lin)@h(2)", 4, (3, 3)),
        ("att(lin,#5,#5)@h(2) >> lin", 4, (3, 3)),
    )


class TestFeedForward(WordContract):
    word = "ffn"
    examples = (
        ("ffn(2)", 4, (7,)),
        ("ffn(1)", 4, (5, 3)),
        ("ffn(3,lin(2))", 4, (2, 3, 2)),
        ("ffn(2)@h(2)", 4, (3, 3)),
        ("ffn(2)@T", 4, (5, 3)),
        ("cls >> ffn(2)", 4, (3, 3)),
    )


class TestDepthwise(WordContract):
    word = "dw"
    examples = (
        ("dw(3)", 4, (7,)),
        ("dw(5)", 4, (5, 3)),
        ("dw(3)", 4, (3, 2, 4)),
        ("dw(3x1) >> dw(1x3,b=0)", 4, (5, 3)),
        ("dw(3,s=2,c=2C)", 4, (5, 4)),
        ("dw(2)", 4, (3, 3)),
        ("dw(3,lin(6))", 4, (3, 3)),
        ("dw(3,fix=1)", 4, (3, 3)),
    )
