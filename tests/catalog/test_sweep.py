"""One sweep over everything that is published: entries of the catalogue, and the sentences of the language's pages.

Each is printed and read back, counted at full size, and computed: fast module against dense reference, gradients,
rows of a batch, canonical form, export. What is large is computed in pieces (`metamixer.testing.pieces`): its stages
on a small grid and a small width. A piece that several networks share is checked once.
"""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest

from metamixer import catalog
from metamixer.language import Field, Sentence, Space, parse
from metamixer.testing import Piece, Subject, check_sentence, pieces
from metamixer.testing.checks import counts_at_full_size, exports
from metamixer.testing.pieces import TOKENS

Further = tuple[tuple[str, Field], ...]
Case = tuple[str, int, tuple[int, ...], Further]

# What the sentences with choices name: rules of a space.
RULES = {
    "act": "{gelu | relu | softmax}",
    "ffnified": "conv(lin,#3) -> gelu -> conv(#3)",
    "attention": "att(lin,lin,lin)@h(4) >> lin",
    "cell": "res(norm >> {attention | dw({3|5})}) >> res(norm >> ffn({2|4}))",
    "block": "res(norm >> {attention: 3 | ffnified: 1}) >> res({norm|bn} >> ffn({2|3|4}))",
}
DRAWS = 4


def lengths(grid: str) -> tuple[int, ...]:
    return tuple(int(n) for n in grid.split("x"))


def published() -> dict[str, Case]:
    """The sentences of the language's pages by name; those with choices stand for some draws of them."""
    found: dict[str, Case] = {}
    path = Path(__file__).parent.parent / "language" / "sentences.txt"
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for i, (name, kind, text) in enumerate(lines):
        channels, grid, *others = kind.split(" ")
        further = [other.replace("=", ":").split(":") for other in others]
        context = tuple((name, Field(lengths(field), int(width))) for name, width, field in further)
        case = (text, int(channels), lengths(grid), context)
        names = [f"{i} {name}, draw {draw}" for draw in range(DRAWS)] if parse(text).node.open else [f"{i} {name}"]
        found |= dict.fromkeys(names, case)
    return found


PUBLISHED = published()
CASES: dict[str, Case] = dict(PUBLISHED)
for _name in catalog.names():
    _entry = catalog.get(_name)
    CASES[_name] = (str(_entry.network), _entry.channels, _entry.grid, ())


@cache
def architecture(name: str) -> tuple[Sentence, int, tuple[int, ...], dict[str, Field]]:
    """A case without choices."""
    text, channels, grid, further = CASES[name]
    sentence = parse(text)
    if sentence.node.open:
        rng = random.Random(int(name[-1]))
        sentence = Space({**RULES, "start": text}, "start").draw(rng, channels, grid).sentence
    return sentence, channels, grid, dict(further)


@cache
def checked(piece: Piece) -> Subject:
    """A piece after all checks but export; a failure is not remembered."""
    return check_sentence(piece.sentence, piece.channels, piece.grid, context=dict(piece.context))


@pytest.mark.parametrize("name", CASES)
def test_it_is_read_and_counted_exactly(name):
    sentence, *given = architecture(name)
    assert parse(str(sentence)) == sentence
    counts_at_full_size(sentence, *given)


@pytest.mark.parametrize("name", CASES)
def test_it_computes_what_it_means(name):
    found = pieces(*architecture(name))
    assert found
    for piece in found:
        checked(piece)


# Every sentence of the pages, the smallest entry of each family.
EXPORTED = list(PUBLISHED)
for _family in dict.fromkeys(catalog.get(name).family for name in catalog.names()):
    _members = [name for name in catalog.names() if catalog.get(name).family == _family]
    EXPORTED.append(min(_members, key=lambda name: catalog.get(name).cost.params))


@cache
def exported(piece: Piece) -> None:
    exports(checked(piece))


@pytest.mark.parametrize("name", EXPORTED)
def test_it_exports(name):
    for piece in pieces(*architecture(name)):
        exported(piece)


def test_pieces_are_small_and_nothing_is_left_out():
    """Stages of one network, put side by side, are its phrases; every phrase of it stands in a piece."""
    sentence = parse("patch(4,64) >> (res(norm >> lin@T) >> res(norm >> ffn(2)))^12 >> down(2,128) >> dw(7)^4 >> norm")
    found = pieces(sentence, 3, (224, 224))
    assert [str(piece.sentence) for piece in found] == [
        "patch(4,64)", "res(norm >> lin@T)", "res(norm >> ffn(2))", "down(2,128)", "dw(7)", "norm",
    ]  # fmt: skip
    for piece in found:
        assert piece.sentence.typed(piece.channels, piece.grid).out.tokens <= TOKENS


@pytest.mark.parametrize(
    ("text", "channels", "grid", "wanted"),
    [
        ("att(lin,lin,lin)@win(56)@h(4)", 96, (56, 56), "att(lin,lin,lin)@win(6)@h(4) for 6x6 tokens x 16"),
        ("cls >> lin >> norm", 3, (14, 14), "cls(1) >> lin for 6x6 tokens x 3"),
        ("lin(b=0)^7 + x", 64, (5, 5), "lin(b=0)^2 + x for 5x5 tokens x 16"),
        ("att(lin,lin,lin)@h(C/32)", 320, (14, 14), "att(lin,lin,lin)@h(C/32) for 6x6 tokens x 32"),
    ],
)
def test_how_a_stage_is_made_small(text, channels, grid, wanted):
    assert wanted in [str(piece) for piece in pieces(parse(text), channels, grid)]


def test_stages_of_a_bound_value_are_pieces_too():
    text = (
        "let a = fconv(3,32) >> norm >> gelu >> res(dw(3)) >> res(ffn(2)) >> norm, "
        "b = a >> down(2,64) >> norm >> gelu >> res(dw(5)) >> res(ffn(3)) >> lin in (b >> up(2)) ++ a >> dw(3)"
    )
    found = [str(piece.sentence) for piece in pieces(parse(text), 3, (64, 64))]
    assert found == [
        "fconv(3,32)", "norm", "gelu", "res(dw(3))", "res(ffn(2))", "down(2,64)", "res(dw(5))", "res(ffn(3))", "lin",
        "let a = lin(32), b = a >> down(2x2,64) in (b >> up(2)) ++ a >> dw(3)",
    ]  # fmt: skip


def test_every_sentence_of_the_pages_is_here():
    assert len({name.split(",")[0] for name in PUBLISHED}) >= 79
