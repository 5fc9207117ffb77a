"""Contracts of what stands behind @: places, heads, and views."""

from __future__ import annotations

from metamixer.testing import WordContract


class TestAt(WordContract):
    word = "@"
    examples = (
        ("att(lin,lin,lin)@h(2)@all", 4, (7,)),
        ("lin@T@h(2)", 4, (5, 3)),
        ("(lin >> dw(3))@win(3)", 4, (6, 3)),
        ("att(lin,lin,lin)@win(2)@h(2)", 4, (2, 4, 2)),
        ("lin@T@T", 4, (5, 3)),
        ("lin@T@win(2)", 4, (4, 4)),
        ("lin@flat@win(2)@seg(2)", 4, (4, 4)),
    )


class TestAll(WordContract):
    word = "all"
    examples = (
        ("att(lin,lin,lin)@all", 4, (7,)),
        ("lin@all", 4, (5, 3)),
        ("att@h(2)@all", 4, (2, 3, 2)),
    )


class TestHeads(WordContract):
    word = "h"
    examples = (
        ("att(lin,lin,lin)@h(4)", 4, (7,)),
        ("att(lin,lin,lin)@h(1)", 4, (5, 3)),
        ("att(lin,lin,att(lin,lin,lin)@h(1))@h(4)", 4, (3, 3)),
        ("(dot(lin,lin) -> sig -> mm(lin))@h(C)", 4, (2, 3, 2)),
        ("lin@h(3)", 4, (3, 3)),
        ("att(lin,lin,lin)@T@h(2)", 4, (5, 3)),
        ("(let q = lin, k = lin, v = lin in att(q,k,v)@T@h(2)) >> lin", 4, (5, 3)),
        ("cls >> att(lin,lin,lin)@h(2)", 4, (3, 3)),
    )


class TestNeighbourhood(WordContract):
    word = "N"
    examples = tuple(
        (f"({read})@N({place})@h(2)", 4, grid)
        for read in ("dot(lin,lin) -> softmax -> mm(lin)", "dot0(lin,lin) -> gelu -> mm(lin)")
        for place, grid in (
            ("3", (7,)),
            ("3,clamp", (5, 4)),
            ("3,mask", (5, 4)),
            ("5,zero", (5, 4)),
            ("3,wrap", (5, 4)),
            ("4,zero", (5, 4)),
            ("4,s=2,mask", (5, 4)),
            ("3,s=2,d=2", (7, 6)),
            ("3x1,d=2,zero", (7, 4)),
            ("3,s=3,d=2,mask", (8, 5)),
            ("2,d=2,wrap", (4, 6)),
            ("9,mask", (5, 5)),
            ("3,zero", (3, 2, 4)),
            ("5x4", (5, 4)),
        )
    )


class TestWindow(WordContract):
    word = "win"
    examples = (
        ("att(lin,lin,lin)@win(4)", 4, (8,)),
        ("att(lin,lin,lin)@win(3)@h(2)", 4, (6, 3)),
        ("att(lin,lin,lin)@h(2)@win(2x3)", 4, (4, 6)),
        ("dw(3)@win(2)", 4, (4, 2, 2)),
        ("att(lin,lin,lin)@win(5x3)", 4, (5, 3)),
        ("pool(1)@win(2)", 4, (4, 6)),
        ("lin@T@win(2)", 4, (4, 6)),
        ("let k = lin in att(lin,k,k)@win(2)", 4, (4, 6)),
        ("gn@win(2) >> bn@win(2)", 4, (4, 6)),
    )


class TestGrid(WordContract):
    word = "grid"
    examples = (
        ("att(lin,lin,lin)@grid(4)", 4, (8,)),
        ("att(lin,lin,lin)@grid(3)@h(2)", 4, (6, 3)),
        ("att(lin,lin,lin)@grid(2x3)", 4, (4, 6)),
        ("dw(3)@grid(2)", 4, (4, 2, 2)),
        ("pool(1)@grid(2)", 4, (4, 6)),
        ("att(lin,lin,lin)@win(2)@grid(4)", 4, (8, 8)),
        ("let k = lin in att(lin,k,k)@grid(2)", 4, (4, 6)),
    )


class TestTransposed(WordContract):
    word = "T"
    examples = (
        ("lin@T", 4, (7,)),
        ("(lin(6) >> gelu >> lin(D))@T", 4, (5, 3)),
        ("ffn(2)@T", 4, (2, 3, 2)),
        ("lin(6)@T", 4, (5, 3)),
        ("att(lin,lin,lin)@T", 4, (5, 3)),
        ("cls >> lin@T", 4, (3, 3)),
        ("let q = lin, k = lin in att(q,k,x)@T", 4, (3, 3)),
        ("norm@T >> dw(3)", 4, (3, 5)),
    )


class TestSegments(WordContract):
    word = "seg"
    examples = (
        ("lin@seg(2)", 4, (7,)),
        ("(lin(6) >> gelu >> lin(D))@seg(4)", 8, (5, 3)),
        ("att(lin,lin,lin)@seg(2)", 8, (2, 3, 2)),
        ("cls >> lin@seg(2)", 4, (3, 3)),
        ("let q = lin in (q * lin)@seg(2)", 4, (3, 3)),
        ("dw(3)@seg(2)", 4, (3, 3)),
        ("lin@seg(1)", 4, (3, 3)),
    )


class TestFlat(WordContract):
    word = "flat"
    examples = (
        ("lin@flat", 2, (5,)),
        ("lin(2C,g=2)@flat", 2, (3, 2)),
        ("lin(b=0)@flat@win(2)", 3, (4, 2)),
        ("lin@flat@win(2x1)@seg(2)", 4, (4, 2)),
        ("lin@flat", 2, (2, 1, 2)),
    )
