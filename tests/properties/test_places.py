"""Random combinations of places, memories and stages keep the whole contract; places are drawn and counted."""

from __future__ import annotations

import random
import re

import pytest

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.testing import check_sentence, checks

PHRASES = {
    "sentence": ("READ@PLACE", "READ@PLACE@OUTER", "MEMORY", "let c = pool(2) in READ@CENTRED"),
    "READ": (
        "att(lin,lin,lin)", "let k = lin in att(lin,k,k)", "lin(N) -> softmax -> mm(x)",
        "dot0(lin,lin) -> gelu -> mm(lin)", "dot0(lin,lin) -> elu1 -> l1 -> mm(lin)",
        "dot(lin,lin) -> rel -> softmax -> mm(lin(8))", "dot(lin,lin) -> relq(lin) -> softmax -> mm(lin)",
        "dot(lin,lin) -> top(2) -> softmax -> mm(lin)",
    ),
    "PLACE": ("NEAR", "(NEAR | FAR)", "(NEAR | FAR | CHOSEN)", "CHOSEN", "CHOSEN@FAR", "NEAR@FAR"),
    "NEAR": (
        "N(3)", "N(2,s=2,mask)", "N(3,wrap)", "N(2,causal)", "N(4,s=2,zero)",
        "causal", "lag(2)", "stride(2)", "first(2)",
    ),
    "FAR": ("N(4,mask)", "causal", "stride(3,b=2)", "first(1)", "N(3)", "lag(1)"),
    "CHOSEN": (
        "top(2)", "top(N/2,dot(lin,lin))", "top(1,dot(lin,pool(2)))", "adj(lin(N))", "rand(.5)",
        "top(2,dot(pool(2),pool(2))@h(2))",
    ),
    "OUTER": ("win(4)", "roll(1)", "causal", "T", "blk(4)", "h(2)", "seg(2)"),
    "CENTRED": ("sort(c)", "PLACE@sort(c)", "clus(c,3)", "(clus(c,2) | first(1))", "clus(c,2)@causal"),
    "MEMORY": (
        "(dot(lin, lin@NEAR & pool(2)) -> softmax -> mm(lin & pool(2)))@h(2)",
        "dot(lin, lin@NEAR & lin@FAR) -> softmax -> mm(lin & lin)",
        "dot(lin, #3 & lin@(NEAR | FAR)) -> softmax -> mm(#3 & lin)",
    ),
}  # fmt: skip
GRIDS = ((8,), (4, 4), (4, 2, 2), (12,))


def sentence(rng: random.Random, grid: tuple[int, ...]) -> str:
    """A random text that fits the grid."""
    while True:
        text = rng.choice(PHRASES["sentence"])
        while found := re.search("[A-Z]{2,}", text):
            chosen = rng.choice(PHRASES[found.group()])
            chosen = f"({chosen})@h({rng.choice('12')})" if found.group() == "READ" else chosen
            text = text[: found.start()] + chosen + text[found.end() :]
        try:
            mm.check(text, 8, grid)
        except LanguageError:
            continue
        return text


@pytest.mark.parametrize("seed", range(24))
def test_random_places(seed):
    grid = GRIDS[seed % len(GRIDS)]
    checks.trains(check_sentence(sentence(random.Random(seed), grid), 8, grid, seed))


def test_places_are_drawn_and_counted():
    """16 of the first rule (2 * (1 + 6 + 1)), 22 of the second (2 * 11: first(1) leaves one slot), 12 of the third."""
    rules = {
        "network": "lin >> res(norm >> {union | static | centred}) >> lin",
        "union": (
            "let a = {lin|x} in "
            "att(a,a,lin)@{win(7)@h(4) | (N({3..7 step 2}) | top(N/4, dot({lin|x},lin))) | all} >> lin"
        ),
        "static": (
            "att(lin,lin,lin)@{N(3)@causal | stride({4|7}) | rand(.5) | first({1..4})"
            " | top({2|3},{dot(lin,lin)|lin(N)})@N(5)}@h({2|4})"
        ),
        "centred": (
            "let c = {pool(7)|pool(2)} in att(lin,lin,lin)@"
            "{clus(c,{3|4}) | sort(c) | top({2|3},dot(pool(7),pool(7)))@causal | blk(4)}"
        ),
    }
    space, rng = mm.Space(rules, "network"), random.Random(0)
    assert space.size(16, (14, 14)) == 16 + 22 + 12
    drawn = {str(space.draw(rng, 16, (14, 14)).sentence) for _ in range(400)}
    assert len(drawn) == 50
    keys = {mm.parse(text).key(16, (14, 14)) for text in drawn}
    assert len(keys) == 50 - 3  # a binding that nothing uses: blk(4), and top(2, ..), top(3, ..)
