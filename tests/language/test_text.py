"""Text in, text out: messages instead of tracebacks, printing that reads back, advice that helps."""

from __future__ import annotations

import pytest

import metamixer as mm
from metamixer.errors import LanguageError, SpaceError
from metamixer.language import Space


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("number", "unknown word number"),
        ("size", "unknown word size"),
        ("let a = shrink in last@a", "a is a value that let binds, and no place"),
        ("let a = sq in H@a & gelu + 0", "no place behind @"),
        ("dw(.5)", "k of dw is a whole size, not 0.5"),
        ("patch(.5,8)", "whole size"),
        ("\ud800", "no part of the language"),
        ("lin >> \udfff", "no part of the language"),
        ("1e400 * x", "1e400 is too large"),
        ("scale(1e999)", "1e999 is too large"),
    ],
)
def test_a_slip_is_a_message(text, said):
    with pytest.raises(LanguageError, match=said) as caught:
        mm.check(text, 8, (8, 8))
    str(caught.value).encode()


@pytest.mark.parametrize("text", ["res", "unit", "res()", "res(lin,lin)", "each", "dw(.5)", "ffn(.5)", "x(1)"])
def test_an_ill_formed_sentence_has_a_key(text):
    assert mm.parse(text).key() == mm.parse(str(mm.parse(text))).key()


@pytest.mark.parametrize(
    "text",
    [
        "x@N()@N(3)",
        "x -> {1..3}",
        "x -> {lin >> gelu}",
        "lin@{N()}",
        "att(lin,lin,lin)@(N() | N(3))",
        "lin@(h(2)@win(4))",
    ],
)
def test_what_is_printed_reads_back(text):
    sentence = mm.parse(text)
    assert mm.parse(str(sentence)) == sentence


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("Conv2d(3,32,3)", "Conv2d is no word: words have small letters"),
        ("lin >> ReLU", "ReLU is no word"),
        ("lin({32,64})", r"separated by \|: \{32\|64\}"),
        ("lin(2w)", "2w is none"),
        ("conv(3)", r"dw\(3\) is a depthwise convolution of x, fconv\(3,64\) a full one"),
        ("dropout", "drop_path_rate"),
        ("linear", r"write lin\(64\)"),
        ("lin(3,4)", r"lin\(c"),
    ],
)
def test_habits_of_other_libraries_are_answered(text, advice):
    with pytest.raises(LanguageError, match=advice):
        mm.check(text, 8, (8, 8))


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"net": "{1..3}"}, r"\{1..3\} is a number, no network"),
        ({"net": "{1|2}"}, "is a number, no network"),
        ({"net": "patch(2,32) -> each(b,2)", "b": "{lin|gelu}"}, r"cannot stand as a stage behind -> \(column 16\)"),
        ({"net": "each(b)", "b": "{lin|gelu}"}, "each takes a term and a count"),
        ({"net": "pick w = {16|32} in lin(w) >> down(2,2*w)"}, r"down needs a size: c \(column 31\)"),
        ({"net": "lin >> b", "b": "{lin|gelu} >> att(lin,lin,lin)@h(3)"}, "3 heads do not divide"),
    ],
)
def test_a_space_that_fits_nothing_says_rule_column_and_reason(rules, said):
    with pytest.raises(SpaceError, match=said) as caught:
        Space(rules, "net").size(4, (8, 8))
    assert "column" in str(caught.value)
    assert f"rule {'b' if 'heads' in said else 'net'}" in str(caught.value)


def test_a_name_that_is_an_option_is_refused_as_one():
    with pytest.raises(SpaceError, match="zero has the name of a word, an option of N"):
        Space({"zero": "lin"}, "zero")


def test_rules_that_nothing_uses_are_told():
    assert Space({"net": "lin >> a", "a": "gelu", "b": "lin", "c": "b"}, "net").unused == ["b", "c"]
