"""The contract kit measures what a word declares, and contradicts what is wrong."""

from __future__ import annotations

import subprocess
import sys
from itertools import count

import pytest

from metamixer.language.checking import registry
from metamixer.language.checking.types import field_of
from metamixer.language.checking.vocabulary import SAME, Done, Plain, Span, Weighing
from metamixer.testing import Subject, check_word
from metamixer.testing.declared import declared
from metamixer.testing.word import minds_places, subject_of

WIDTHS = count(3)
GRIDS = ((9,), (9, 8), (7, 5, 5))


class Shifted(Plain):
    """``shifted``: each token is its neighbour before it along the first axis, around the edge."""

    name = "shifted"
    sources = roles = ("x",)
    channelwise = True
    span: Span | None = Span(1, -1, -1)
    weighing: Weighing | None = Weighing("tokens", "static", "convex")

    def type(self, ctx, settings, sources):
        return Done(field_of(sources[0]))

    def spans(self, t):
        return ((self.span, *(SAME for _ in t.out.grid[1:])),)

    def weighs(self, t, signs):
        return self.weighing

    def sign(self, t, signs):
        return "positive" if signs[0] == "positive" else "signed"

    def elementwise(self, t):
        return t.out.tokens * t.out.channels

    def dense(self, t, w, x):
        return self.factor * x.roll(1, 1)

    factor = 1.0


@pytest.fixture
def shifted(monkeypatch):
    """A shift operator with one wrong declaration or other."""

    def make(**wrong):
        kind = type("Shifted", (Shifted,), {**wrong, "__doc__": Shifted.__doc__, "__module__": __name__})
        monkeypatch.setitem(registry._words, "shifted", kind())
        subject_of.cache_clear()
        width = next(WIDTHS)  # what is known of a checked phrase is kept: each word takes a width of its own
        return [("shifted", width, grid) for grid in GRIDS]

    return make


def check(examples):
    for text, channels, grid in examples:
        declared(Subject(text, channels, grid), "shifted")
    minds_places("shifted", tuple(examples))


def test_a_right_declaration_passes(shifted):
    examples = shifted()
    check(examples)
    check_word("shifted", examples)


def by_place(self, t, w, x):
    return x * x.new_tensor(range(x.shape[1])).reshape(-1, *[1] * (x.ndim - 2))


def mean_of_channels(self, t, w, x):
    return x.roll(1, 1).mean(-1, keepdim=True).expand(x.shape)


WRONG = [
    ({"span": SAME}, "token .* reads token"),
    ({"span": Span(1, 0, 1)}, "token .* reads token"),
    ({"factor": 2.0}, "weights of token .* sum to 2"),
    ({"factor": -1.0}, "weighs a value by -1|results are positive"),
    ({"weighing": Weighing("tokens", "dynamic", "signed")}, "do not follow from the input"),
    ({"factor": -1.0, "weighing": None, "sign": lambda self, t, signs: "positive"}, "results are positive; one is"),
    ({"sign": lambda self, t, signs: "convex"}, "convex"),
    ({"positional": True}, "declared positional, and treats tokens alike"),
    ({"span": None, "dense": by_place, "weighing": None}, "treats tokens by where they stand"),
    ({"dense": lambda self, t, w, x: x.roll(1, 1).flip(-1), "weighing": None}, "declared channelwise; channel"),
    ({"dense": lambda self, t, w, x: x.roll(1, 1).square()}, "linear in none"),
    ({"dense": mean_of_channels, "channelwise": False}, "channels of input 0"),
]


@pytest.mark.parametrize(("wrong", "said"), WRONG)
def test_a_wrong_declaration_is_contradicted(shifted, wrong, said):
    with pytest.raises(AssertionError, match=said):
        check(shifted(**wrong))


def test_the_kit_works_without_pytest():
    program = """
import sys
sys.modules["pytest"] = None
from metamixer.testing import check_sentence, check_word
check_sentence("norm >> lin(3)", 4, (3,))
check_word("neg", [("neg", 2, (3,)), ("neg", 2, (3, 2)), ("neg", 2, (2, 2, 2))])
try:
    from metamixer.testing import WordContract
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "check_word does the same without" in done.stdout
