"""Spaces of any size are counted and drawn from in seconds, or refused with the reason that holds."""

from __future__ import annotations

import random
import time

import pytest

import metamixer as mm
from metamixer.errors import LanguageError, SpaceError
from metamixer.language import Space
from metamixer.language.spaces.number import About, magnitude, plus, times

DOUBLING = {f"r{i}": f"{{r{i + 1} >> r{i + 1} | r{i + 1} >> gelu}}" for i in range(40)} | {"r40": "{lin|gelu}"}


@pytest.fixture(autouse=True)
def in_seconds():
    begun = time.process_time()
    yield
    assert time.process_time() - begun < 30


@pytest.mark.parametrize("depth", [16, 30, 60])
def test_towers_are_counted_by_their_order_of_magnitude(depth):
    space = Space({"a": "{lin | res(a) | a * a}"}, "a", depth)
    size = space.size(8, (8, 8))
    assert isinstance(size, About)
    assert f"{size:,}".startswith("about 10^")
    assert space.draw(random.Random(0), 8, (8, 8)).sentence


def test_what_can_be_written_out_is_exact():
    assert Space({"a": "{lin | res(a) | a * a}"}, "a", 4).size(8, (8, 8)) == 183
    assert Space({"a": "each({lin|gelu},500)"}, "a").size(8, (8, 8)) == 2**500


def test_doubling_rules_are_counted_and_their_draws_refused():
    space = Space(DOUBLING, "r0")
    assert isinstance(space.size(8, (8, 8)), About)
    with pytest.raises(SpaceError, match="a draw of the space takes more than 100,000 rules"):
        space.draw(random.Random(0), 8, (8, 8))


def test_hundreds_of_copies_are_drawn():
    space = Space({"a": "each({lin|gelu},500)"}, "a")
    assert mm.cost(space.draw(random.Random(0), 8, (8, 8)).sentence, 8, (8, 8)).macs > 0


def test_thousands_of_copies_are_refused_for_what_they_are():
    with pytest.raises(SpaceError, match="counts lie between 0 and 1000"):
        Space({"a": "each({lin|gelu},100000)"}, "a").size(8, (8, 8))


@pytest.mark.parametrize("body", ["lin({1..100000})", "lin^{1..1000000000}", "each(lin,{1..99999999999999999999999})"])
def test_ranges_that_nobody_lists_are_refused_with_a_step(body):
    with pytest.raises(LanguageError, match=r"is too large|values, the limit is 4,096"):
        Space({"a": body}, "a")


def test_a_range_of_a_thousand_widths_is_counted():
    assert Space({"a": "lin({1..1024})"}, "a").size(8, (8, 8)) == 1024


@pytest.mark.parametrize("text", ["gelu^1000000000", "(lin >> gelu)^1000000000", "res(gelu^99999999)"])
def test_a_repetition_without_end_has_a_key_and_no_network(text):
    assert mm.parse(text).key()
    with pytest.raises(LanguageError):
        mm.check(text, 8, (8, 8))


def test_large_numbers_add_multiply_and_compare_as_integers_do():
    rng = random.Random(0)
    for _ in range(300):
        a, b = (rng.randrange(10 ** rng.randrange(1, 1500)) for _ in range(2))
        for found, exact in ((plus(a, b), a + b), (times(a, b), a * b)):
            assert (isinstance(found, int) and found == exact) or abs(magnitude(found) - magnitude(exact)) < 1e-6
        assert (plus(a, 0) < plus(b, 0)) == (a < b) or abs(magnitude(a) - magnitude(b)) < 1e-9
    assert times(0, About(5000.0)) == 0
