"""Whatever is written, only the library's own errors leave the parser, the checker, costs, keys and spaces.

`make fuzz` runs 100,000 inputs; METAMIXER_FUZZ_INPUTS and METAMIXER_FUZZ_SEED say how many, and which. A failure prints
the input, and the seed and number that make it again.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import metamixer as mm
from metamixer.errors import UserError
from metamixer.language import Space
from metamixer.language.checking.vocabulary import words

INPUTS = int(os.environ.get("METAMIXER_FUZZ_INPUTS", "2000"))
SEED = int(os.environ.get("METAMIXER_FUZZ_SEED", "0"))
LINES = (Path(__file__).parent.parent / "language" / "sentences.txt").read_text(encoding="utf-8").splitlines()
SENTENCES = [line.split("\t")[2] for line in LINES if not line.startswith("#")]
NAMES = sorted(words())
SIGNS = [
    " >> ", " + ", " - ", " * ", " ++ ", " & ", "@", " -> ", "^", "(", ")", "[", "]", "{", "}", "|", ",", ":", "=", "#",
    "..", " step ", "let a = ", "tie b = ", "pick c = ", " in ", "a", "b", "c", "x", "ctx", "T", "N", "N(3)", "D", "C",
    "2C", "C/4", "3x1", "/2", "0", "1", "2", "3", "7", "16", "99999999999999999999", ".5", "1e-6", "1e400", "\ud800",
    "é", "😀", "\n", "res(", "each(", "b=", "s=", "sets=", "fix=1",
]  # fmt: skip


def written(rng: random.Random) -> str:
    """A text: tokens at random, a phrase of nested words, or a sentence with some of it changed."""
    how = rng.random()
    if how < 0.1:
        return "".join(rng.choice([*SIGNS, *NAMES]) for _ in range(rng.randrange(1, 14)))
    if how < 0.5:
        return phrase(rng, 4)
    text = rng.choice(SENTENCES)
    for _ in range(rng.randrange(1, 4)):
        at, end = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        piece = rng.choice([rng.choice(SIGNS), rng.choice(NAMES), text[at:end], phrase(rng, 1), ""])
        text = text[:at] + piece + text[at if rng.random() < 0.5 else min(end, at + 6) :]
    return text[:400]


def phrase(rng: random.Random, depth: int) -> str:
    """A phrase whose brackets close, of words that seldom fit."""
    if depth == 0 or rng.random() < 0.25:
        return rng.choice([*NAMES, "x", "a", "3", "C", "2C", ".5", "#3", "N(3)", "T", "{1..3}", "{lin|gelu}"])

    def inner() -> str:
        return phrase(rng, depth - 1)

    how = rng.randrange(9)
    if how < 3:
        return f"{rng.choice(NAMES)}({','.join(inner() for _ in range(rng.randrange(4)))})"
    if how == 3:
        return f"{inner()}{rng.choice([' >> ', ' + ', ' - ', ' * ', ' ++ ', ' & ', ' -> '])}{inner()}"
    if how == 4:
        return f"({inner()})@{rng.choice([*NAMES, 'T', 'N(3)', f'({inner()})', 'h(2)', 'win(4)'])}"
    if how == 5:
        return f"({inner()})^{rng.choice(['0', '2', '3', 'C', '{1..3}', '1000000000'])}"
    if how == 6:
        return f"{rng.choice(['let', 'tie', 'pick'])} {rng.choice('abc')} = {inner()} in {inner()}"
    if how == 7:
        return f"{{{inner()} | {inner()}}}"
    return f"[{rng.choice(['', '.5: ', '3: ', 'C/2: '])}{inner()} | {inner()}]"


def told(error: UserError) -> None:
    """A message can be printed anywhere."""
    assert str(error).encode()


def taken_through(text: str, rng: random.Random) -> None:
    """Everything that a user does with a text; errors of the library end single steps."""
    grid = rng.choice([(8,), (4, 4), (4, 2, 2)])
    channels = rng.choice([1, 4, 8])
    try:
        sentence = mm.parse(text)
    except UserError as error:
        told(error)
    else:
        printed = str(sentence)
        assert mm.parse(printed) == sentence, f"prints {printed!r}, which reads back otherwise"
        for step in (
            lambda: sentence.key(),
            lambda: mm.check(sentence, channels, grid),
            lambda: mm.cost(sentence, channels, grid),
            lambda: sentence.key(channels, grid),
        ):
            try:
                step()
            except UserError as error:
                told(error)
    try:
        space = Space({"net": text, "r": "{lin | gelu | res(r)}"}, "net", max_depth=2)
        space.size(channels, grid)
        drawn = space.draw(rng, channels, grid)
        mm.cost(drawn.sentence, channels, grid)
    except UserError as error:
        told(error)


def test_only_the_library_s_own_errors_leave_it():
    for number in range(INPUTS):
        rng = random.Random(f"{SEED} {number}")
        text = written(rng)
        try:
            taken_through(text, rng)
        except Exception as error:
            raise AssertionError(f"input {number} of seed {SEED}: {text!r}: {type(error).__name__}: {error}") from error
