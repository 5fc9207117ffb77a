"""Deep and long sentences end in a result or in one clear error, never in a RecursionError, and soon."""

from __future__ import annotations

import time

import pytest
import torch

import metamixer as mm
from metamixer.errors import LanguageError, SpaceError
from metamixer.language import Space, parse
from metamixer.language.syntax.nodes import DEEPEST


@pytest.fixture(autouse=True)
def soon():
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 60


def test_parentheses_nest_without_limit():
    assert str(parse("(" * 20_000 + "lin" + ")" * 20_000)) == "lin"


@pytest.mark.parametrize(
    "sentence",
    [
        "res(" * 2000 + "lin" + ")" * 2000,
        "let a = lin in " * 2000 + "a",
        "(" * 2000 + "lin" + " >> norm)@h(2)" * 2000,
        "{lin | res(" * 2000 + "x" + ")}" * 2000,
        "[x | " * 2000 + "x" + "]" * 2000,
        "(" * 2000 + "lin" + ")^2" * 2000,
    ],
    ids=["res", "let", "at", "choice", "split", "power"],
)
def test_phrases_nest_to_a_limit_that_is_told(sentence):
    with pytest.raises(LanguageError, match=r"deep inside one another.*\n.*\n.*\n  100 levels are the limit"):
        parse(sentence)


def test_up_to_the_limit_everything_works():
    sentence = parse("res(" * (DEEPEST - 1) + "lin" + ")" * (DEEPEST - 1))
    assert parse(str(sentence)) == sentence
    assert len(sentence.key(4, (2, 2))) == len(sentence.key())
    assert mm.cost(sentence, 4, (2, 2)).params == 20
    net = mm.build(sentence, 4, (2, 2)).double()
    x = torch.randn(2, 2, 2, 4)
    torch.testing.assert_close(net(x.double()), mm.reference(net, x))
    with pytest.raises(LanguageError, match="deep inside"):
        parse(f"res({sentence})")


def test_long_sentences_are_read():
    assert len(parse(" >> ".join(["lin"] * 20_000)).node.kids) == 20_000
    assert len(parse(" + ".join(["lin"] * 20_000)).node.kids) == 20_000


def test_large_powers_are_counted_and_told():
    assert mm.cost("res(lin)^1000", 4, (2, 2)).params == 20_000
    assert mm.cost("((res(lin)^30)^30)^30", 4, (2, 2)).params == 30**3 * 20
    assert parse("(res(lin)^300)^100").key(4, (2, 2)) == parse("(res(lin)^100)^300").key(4, (2, 2))
    huge = parse("((res(lin)^1000)^1000)^1000")
    assert huge.key() != parse("(res(lin)^1000)^1000").key()
    for call in (mm.check, mm.cost, mm.build, lambda s, c, g: s.key(c, g)):
        with pytest.raises(LanguageError, match=r"stands for 3,001,001,001 phrases[^~]*100,000 are the limit"):
            call(huge, 4, (2, 2))
    with pytest.raises(LanguageError, match="repeats more than can be followed"):
        mm.check("each(each(res(lin),1000),1000)", 4, (2, 2))


def test_rules_within_rules():
    rules = {f"r{i}": f"res(r{i + 1})" for i in range(60)} | {"r60": "{lin|norm}"}
    assert Space(rules, "r0").size(4, (2, 2)) == 2
    rules = {f"r{i}": f"res(r{i + 1})" for i in range(2000)} | {"r2000": "lin"}
    with pytest.raises(SpaceError, match=r"nest too deep[^~]*fewer rules"):
        Space(rules, "r0").size(4, (2, 2))


@pytest.mark.parametrize("max_depth", [1, 2, 50, 1_000_000])
def test_recursive_rules_end_within_their_depth_or_say_so(max_depth):
    space = Space({"r": "{lin | res(r)}"}, "r", max_depth)
    try:
        assert space.size(4, (2, 2)) == max_depth
    except SpaceError as error:
        told = str(error)
    else:
        return
    assert max_depth > 50
    assert "write a smaller max_depth" in told


def test_doubling_rules_are_counted_without_writing_them_out():
    def expected(depth):
        return 1 if depth == 1 else expected(depth - 1) ** 2 + 1

    space = Space({"r": "{lin | r >> r}"}, "r", max_depth=9)
    assert space.size(4, (2, 2)) == expected(9)


def test_repetition_of_choices_is_counted():
    assert Space({"r": "s^{1..1000}", "s": "{lin|norm}"}, "r").size(4, (2, 2)) == 2000
    assert Space({"r": "each(s,{1..60})", "s": "{lin|norm}"}, "r").size(4, (2, 2)) == 2**61 - 2
