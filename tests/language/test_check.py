"""Types: what sentences become, what the size letters mean, and what a sentence that does not fit is told."""

from __future__ import annotations

import pytest

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.language import Field, check, parse

TYPES = [
    # sentence, channels, grid, what comes out
    ("x", 4, (5,), Field((5,), 4)),
    ("lin(2C)", 4, (5, 3), Field((5, 3), 8)),
    ("lin(N)", 4, (5, 3), Field((5, 3), 15)),
    ("lin(H) >> lin(W)", 4, (5, 3), Field((5, 3), 3)),
    ("lin(3C/2)", 4, (5,), Field((5,), 6)),
    ("patch(2,16)", 3, (8, 6), Field((4, 3), 16)),
    ("fconv(3,8,s=2)", 3, (7, 8), Field((4, 4), 8)),
    ("fconv(7,8,s=4,pad=2)", 3, (224, 224), Field((56, 56), 8)),
    ("dw(3,s=2,c=2C)", 4, (7, 6), Field((4, 3), 8)),
    ("cls(2)", 4, (3, 3), Field((3, 3), 4, 2)),
    ("cls >> first", 4, (3, 3), Field((1,), 4)),
    ("cls >> mean", 4, (3, 3), Field((1, 1), 4)),
    ("cls >> lin(N)", 4, (3, 3), Field((3, 3), 10, 1)),
    ("pool(/2)", 4, (6, 4), Field((3, 2), 4)),
    ("pool(Hx1)", 4, (6, 4), Field((6, 1), 4)),
    ("pool(1)", 4, (6, 4), Field((1, 1), 4)),
    ("up(2)", 4, (3, 2), Field((6, 4), 4)),
    ("shuffle(2)", 8, (3, 2), Field((6, 4), 2)),
    ("lin(7)@T", 4, (5, 3), Field((7,), 4)),
    ("lin@T", 4, (5, 3), Field((5, 3), 4)),
    ("pool(1)@win(2)", 4, (4, 6), Field((2, 3), 4)),
    ("dot0(x,#6)", 4, (5,), Field((5,), 6)),
    ("dot0(x,#6)@h(2)", 4, (5,), Field((5,), 12)),
    ("att(lin(2),lin(2),lin(6))@h(2)", 4, (3, 3), Field((3, 3), 6)),
    ("att(pool(1,lin),lin,lin(6))", 4, (3, 3), Field((1, 1), 6)),
    ("lin(2) ++ x ++ x", 4, (3,), Field((3,), 10)),
    ("lin(1) * x", 4, (3,), Field((3,), 4)),
    ("pool(Hx1) * x * pool(1xW)", 4, (3, 5), Field((3, 5), 4)),
    ("[.25: lin(7) | x]", 8, (3,), Field((3,), 13)),
    ("let a = down(2,6) in (a >> up(2)) ++ x", 4, (4, 2), Field((4, 2), 10)),
    ("down(2,2C)^2", 4, (8, 8), Field((2, 2), 16)),
    ("lin(7)^0", 4, (8, 8), Field((8, 8), 4)),
]


@pytest.mark.parametrize(("sentence", "channels", "grid", "out"), TYPES, ids=[case[0] for case in TYPES])
def test_types(sentence, channels, grid, out):
    assert check(sentence, channels, grid) == out


def test_the_letter_d_is_the_width_on_entry_to_the_innermost_scope():
    def widths(sentence, channels=8):
        typed = parse(sentence).typed(channels, (4, 4))
        found, stack = [], [typed]
        while stack:
            t = stack.pop()
            if t.word.name == "lin":
                found.append(t.out.channels)
            stack.extend(reversed(t.kids))
        return found

    assert widths("lin(4) >> (lin(D))") == [4, 8]  # parentheses are no scope
    assert widths("lin(4) >> unit(lin(2) >> lin(D))") == [4, 2, 4]
    assert widths("lin(4) >> res(lin(2) >> lin(D))") == [4, 2, 4]
    assert widths("[.5: lin(3) >> lin(D) | lin(D)]") == [3, 4, 4]
    assert widths("lin(2) >> (lin(32) >> lin(D))@T") == [2, 32, 16]
    assert widths("lin(4) >> (lin(2) >> lin(D))@seg(2)") == [4, 2, 2]
    assert widths("lin(4) >> (lin(2) >> lin(D))@win(2)") == [4, 2, 8]  # win changes no width
    assert widths("lin(4) >> (tie f = lin(2) >> lin(D) in f)") == [4, 2, 4]
    assert widths("lin(4) >> (let f = lin(2) >> lin(D) in f >> lin(D))") == [4, 2, 8, 8]
    assert widths("lin(4) >> each(lin(2C) >> lin(D),1)") == [4, 8, 8]


def test_the_letters_c_and_n_describe_x_and_not_a_source():
    assert check("lin(C,lin(6))", 4, (3,)).channels == 4
    assert check("lin(6) >> lin(C)", 4, (3,)).channels == 6
    assert check("pool(2) >> lin(N)", 4, (4, 4)).channels == 4
    assert check("lin(N)@win(2)", 4, (4, 4)).channels == 4


MISFITS = [
    # sentence, column of the caret, words of the message, words of the advice
    ("lin >> gleu", 8, "unknown word gleu", "did you mean gelu"),
    ("lin >> zzz", 8, "unknown word zzz", ""),
    ("att(lin,lin,lin)@h(3)", 1, "3 heads do not divide 64 channels", "take a divisor of 64"),
    ("(dot(lin,lin) -> sig -> mm(lin(30)))@h(4)", None, "4 heads do not divide 30 channels of the values", ""),
    ("lin@win(16)", 5, "win(16) is larger than the axis of 8", "take a divisor of 8"),
    ("lin@win(3)", 5, "win(3) does not divide the axis of 8", "take a divisor of 8"),
    ("lin@grid(16)", 5, "grid(16) is larger than the axis of 8", "take a divisor of 8"),
    ("att(lin,lin,lin)@N(9)", 18, "the window N(9) with dilation 1 is larger than the axis of 8", "k * d <= 8"),
    ("att(lin,lin,lin)@N(3,d=3)", 18, "larger than the axis of 8", "k * d <= 8"),
    ("att(lin,lin,lin)@N(17,mask)", 18, "the window N(17) is larger than the axis of 8 allows", "at most 15"),
    ("att(lin,lin,lin)@N(3,mask,zero)", 18, "N has one edge rule, not mask and zero", ""),
    ("att(lin,lin,lin)@N(3,s=4)", 18, "s at most k", ""),
    ("let lin = norm in lin", 1, "the binding lin has the name of a word", "choose another name"),
    ("let gelu = norm in gelu", 1, "the binding gelu has the name of a word", "choose another name"),
    ("tie norm = lin in norm", 1, "the binding norm has the name of a word", "choose another name"),
    ("pick dw = lin in dw", 1, "the binding dw has the name of a word", "choose another name"),
    ("res(lin(32))", 1, "res(..) adds its input, 8x8 tokens x 64, to 8x8 tokens x 32", "lin(D)"),
    ("lin + lin(32)", 1, "the terms of a sum differ", "make widths and grids equal"),
    ("lin * lin(48)", 1, "the smaller width must divide the larger", ""),
    ("x ++ pool(/2)", 1, "++ needs equal grids", ""),
    ("softmax(lin(1))", 1, "softmax over one slot has no effect", "take it out"),
    ("att(lin,lin,lin)@N(1)", 1, "softmax over one slot has no effect", ""),
    ("conv(lin,lin)", 1, "the kernel of conv is a bank", "conv(lin,#7)"),
    ("conv(x,#99)", 1, "a kernel of 99 on an axis of 8 has weights that touch nothing", "at most 15"),
    ("patch(3,8)", 1, "a stride of 3 does not divide the axis of 8", "take a divisor of 8"),
    ("cls >> dw(3)", 8, "1 extra token(s) stand in front", "map(..)"),
    ("cls >> lin@win(2)", None, "1 extra token(s) stand in front", "map(..)"),
    ("cls >> pool(2)", 8, "1 extra stand in front", "pool(1) sees all"),
    ("lin(C/3)", 5, "C/3 is 64/3 here, not a whole number", "nothing is rounded"),
    ("lin(30,g=4)", 1, "4 groups do not divide 64 -> 30 channels", "g must divide both"),
    ("gn(3)", 1, "3 groups do not divide 64 channels", "take a divisor of 64"),
    ("let a = #rep(3) in a", 1, "#rep cannot be bound", "bind #16"),
    ("dw", 1, "dw needs a size: k", "dw(k, x, s=1"),
    ("lin(3,4)", 7, "lin takes 1 size, this is one too many", ""),
    ("lin(k=3)", 7, "lin has no keyword k=", "it takes g, b"),
    ("ffn(2,lin,norm)", 11, "ffn takes 1 source, this is one too many", "ffn(r, x)"),
    ("lin[q]", 1, "lin[q]", ""),
    ("x(3)", 1, "x takes no arguments", ""),
    ("dot(lin,lin)", 1, "the sentence is a score over tokens, not a field", "mm(lin)"),
    ("dot(lin,lin) >> lin", None, "is a score over tokens, not a field", "mm(lin)"),
    ("dot(lin,lin(32)) -> mm(lin)", None, "query and keys differ in width: 64 and 32", ""),
    ("dot(lin,lin) -> mm(pool(2))", None, "the coefficients weigh 64 slots, the values are 2x2", "one grid"),
    ("mm(lin)", 1, "mm(lin) cannot stand as a term", "it is a stage"),
    ("lin -> lin", 1, "lin cannot stand as a stage", "it is a term"),
    ("lin@gelu", 5, "gelu cannot stand as a place behind @", "it is a term or a stage"),
    ("win(4)", 1, "win(4) cannot stand as a term", "it is a place"),
    ("lin@N(3)", None, "a support such as N binds a read, and lin is none", "write @ behind the read"),
    ("(lin >> gelu)@N(3)", None, "a support such as N binds one read", ""),
    ("4", 1, "the size 4 stands where a term belongs", "2.0"),
    ("4.0", 1, "no field of tokens", ""),
    ("1.0 + 2.0", 1, "a sum of numbers only is no field", "must read the input"),
    ("{2..6}", 1, "the sentence has choices left", "Space"),
    ("pick c = {lin|norm} in c", 1, "the sentence has choices left", "Space"),
    ("lin^2000", 1, "a count of 2000", "between 0 and 1000"),
    ("lin@h(0)", 5, "there is at least one head", ""),
    ("[.3: lin | x]", 1, "the share 0.3 of 64 channels is 19.2", ""),
    ("[.5: lin | .25: x]", 1, "the shares add up to 48 of 64 channels", "leave one share out"),
    ("up(0)", 1, "up enlarges the grid", "up(2)"),
    ("each(lin)", 1, "each takes a term and a count", "each(block, {1..3})"),
    ("pick c = lin(3) in res(c)", 20, "res(..) adds its input", "lin(D)"),
    ("(lin(2C))^2 >> res(lin(65))", 16, "res(..) adds its input, 8x8 tokens x 256", ""),
    ("att(lin,lin,lin)@h(2)@seg(3)", None, "3 channel groups do not divide 64 channels", "take a divisor"),
    ("(lin(65))@T >> lin@T@T >> first(66)", 27, "first(66) of 65 tokens", ""),
    ("shuffle(3)", 1, "shuffle(3x3) does not divide 64 channels", ""),
    ("avg(2)", 1, "avg(2) on an axis of 8", "odd window"),
    ("se(3)", 1, "C/3 is 64/3", "nothing is rounded"),
]


@pytest.mark.parametrize(("sentence", "column", "message", "advice"), MISFITS, ids=[case[0] for case in MISFITS])
def test_misfits_show_the_place_and_what_to_write(sentence, column, message, advice):
    with pytest.raises(LanguageError) as told:
        check(sentence, 64, (8, 8))
    lines = told.value.message.splitlines()
    assert message in lines[0]
    assert advice in (told.value.advice or "")
    assert lines[1] == f"    {sentence}"
    assert set(lines[2]) == {" ", "^"}
    if column is not None:
        assert f"column {column}" in lines[0]
        assert lines[2].index("^") == 4 + column - 1


def test_every_public_function_tells_the_same_error():
    sentence = parse("att(lin,lin,lin)@h(3)")
    calls = (mm.check, mm.cost, mm.build, lambda s, c, g: s.key(c, g))
    told = []
    for call in calls:
        with pytest.raises(LanguageError) as error:
            call(sentence, 64, (8, 8))
        told.append(str(error.value))
    assert len(set(told)) == 1


@pytest.mark.parametrize(
    ("binder", "rejected"),
    [
        ("tie f = lin in f >> (lin(32) >> f)", "its weights would differ"),
        ("tie f = pos in f + (pool(/2) >> f >> up(2))", "its weights would differ"),
        ("tie f = lin@T in f + (pool(/2) >> f >> up(2))", "its weights would differ"),
    ],
)
def test_all_uses_of_a_tie_need_equal_weights(binder, rejected):
    with pytest.raises(LanguageError, match=rejected):
        check(binder, 64, (8, 8))


def test_names_are_bound_in_text_order_and_inner_ones_hide_outer_ones():
    assert check("let a = lin(8), b = a ++ a in b", 4, (3,)).channels == 16
    assert check("let a = lin(8) in let a = lin(2) in a", 4, (3,)).channels == 2
    assert check("let a = lin(8) in (let a = lin(2) in a) ++ a", 4, (3,)).channels == 10
    assert check("let a = lin(8) in lin(3) >> a", 4, (3,)).channels == 8  # a value does not follow x
    with pytest.raises(LanguageError, match="unknown word b"):
        check("let a = b, b = lin in a", 4, (3,))
    with pytest.raises(LanguageError, match="unknown word a"):
        check("(let a = lin in a) + a", 4, (3,))
