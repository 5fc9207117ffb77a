"""A large network as small phrases that can be computed densely: every check of its parts, at a fraction of the work.

A network is cut where `>>` joins its stages, copies of `e^n` are one copy (two inside a stage), and each stage is
then set on a smaller grid and a smaller width on which it still type-checks. Nothing inside of a stage is changed but
what follows from that: a size in a place that was the length of an axis (a window of 56 on a grid of 56) is the new
length. So stages of several networks that differ in width, depth or resolution only become one phrase, which is
checked once. What is not seen this way is that stages are joined as written: counts and shapes of whole networks, and
whole networks against timm, show that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from metamixer.errors import LanguageError
from metamixer.language import Field, Sentence
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Given, inputs
from metamixer.language.syntax.nodes import At, Let, Node, Power, Sequence, Size, X, chain, count_of, joined, size, word

TOKENS = 256  # on which a stage is computed densely, at most
ENOUGH = 30  # tokens that show borders and what lies inside
PIXELS = 1024  # of a stem that makes one token of many
WIDTHS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
LONG = 6  # phrases in a row from which a bound value of a network is a stage of its own


Further = tuple[tuple[str, Field], ...]


@dataclass(frozen=True)
class Piece:
    """A phrase with the input, and further inputs, that it is computed for."""

    sentence: Sentence
    channels: int
    grid: tuple[int, ...]
    context: Further = ()

    def __str__(self) -> str:
        return f"{self.sentence} for {'x'.join(map(str, self.grid))} tokens x {self.channels}"


def pieces(sentence: Sentence, channels: int, grid: tuple[int, ...], context: Given = None) -> list[Piece]:
    """The different stages of a network, each made small; a sentence without stages is one piece.

    A sentence with further inputs is one piece too: they shrink as its own input does.

    Args:
        sentence: an architecture (no choices left).
        channels: channels of its input.
        grid: length of each axis of its input.
        context: types of further inputs.

    Raises:
        LanguageError: a stage fits no grid of at most ``TOKENS`` tokens.
    """
    if context:
        further = tuple(sorted(inputs(context).items()))
        return [_small(sentence.node, Field(tuple(grid), channels), further)]
    return list(dict.fromkeys(_small(node, x) for node, x in _stages(sentence.typed(channels, tuple(grid)))))


def _stages(t: Typed) -> Iterator[tuple[Node, Field]]:
    """Stages with their inputs, in order."""
    if t.word.form in ("chain", "repeat"):
        for kid in dict.fromkeys(t.kids):
            yield from _stages(kid)
    elif t.word.form == "let" and _long(t.kids[0]):
        yield from _bound_stages(t)
    elif t.node is not X:
        yield t.node, t.x


def _long(value: Typed) -> bool:
    return isinstance(value.node, Sequence) and len(value.node.kids) >= LONG


def _bound_stages(t: Typed) -> Iterator[tuple[Node, Field]]:
    """The stages of long values that a let binds, then its body, where one word of the same type stands for each.

    The body is read on the grid of the first of those values, its own input is not.
    """
    base = t.kids[0].out
    short: list[tuple[str, Node]] = []
    while t.word.form == "let":
        value = t.kids[0]
        if not _long(value):
            short.append((t.settings["name"], value.node))
        elif value.kids[0].word.form == "bound":
            for kid in value.kids[1:]:
                yield from _stages(kid)
            start = value.kids[0]
            short.append((t.settings["name"], chain(Sequence, [start.node, _bridge(start.out, value.out)])))
        else:
            yield from _stages(value)
            short.append((t.settings["name"], _bridge(base, value.out)))
        t = t.kids[1]
    body = t.node
    for name, phrase in reversed(short):
        body = Let(name, phrase, body)
    yield body, base


def _bridge(x: Field, out: Field) -> Node:
    """One word from a field to another, on the same grid or a coarser one."""
    ratio = [before // after for before, after in zip(x.grid, out.grid, strict=True)]
    return word("lin", size(out.channels)) if max(ratio) == 1 else word("down", size(ratio), size(out.channels))


@lru_cache(maxsize=4096)
def _small(node: Node, x: Field, further: Further = ()) -> Piece:
    """The phrase on a small grid and the smallest width that it fits."""
    front = [word("cls", size(x.extra))] if x.extra else []
    short = _shortened(node)
    for grid in _grids(x.grid):
        for phrase in dict.fromkeys((short, _resized(short, x.grid, grid), node)):
            sentence = Sentence(chain(Sequence, [*front, phrase]))
            for width in (*(w for w in WIDTHS if w < x.channels), x.channels):
                context = _alike(further, x, Field(grid, width))
                if _fits(sentence, width, grid, context):
                    return Piece(sentence, width, grid, context)
    raise LanguageError(f"{Sentence(node)} fits no grid of at most {TOKENS} tokens")


def _alike(further: Further, x: Field, smaller: Field) -> Further:
    """Further inputs with lengths and widths that were those of x as those of its smaller form."""
    axes = {**dict(zip(x.grid, smaller.grid, strict=True)), x.tokens: smaller.tokens}
    widths = {x.tokens: smaller.tokens, x.channels: smaller.channels}
    return tuple(
        (name, Field(tuple(axes.get(n, n) for n in field.grid), widths.get(field.channels, field.channels)))
        for name, field in further
    )


def _grids(grid: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Grids of the same proportions: from ``ENOUGH`` tokens to ``TOKENS``, then smaller ones, then larger ones.

    More than ``TOKENS`` pixels are needed only where a stage makes one token of many.
    """
    longest = max(grid)
    scaled = [
        tuple(n * length // longest for n in grid)
        for length in range(1, longest + 1)
        if all(n * length % longest == 0 for n in grid)
    ]
    if len(scaled) == 1:  # axes of unlike length and meaning, such as time and variables
        scaled = [tuple(length if n == longest else n for n in grid) for length in range(1, longest + 1)]
    yield from (smaller for smaller in scaled if ENOUGH <= prod(smaller) <= TOKENS)
    yield from (smaller for smaller in reversed(scaled) if prod(smaller) < ENOUGH)
    yield from (smaller for smaller in scaled if TOKENS < prod(smaller) <= PIXELS)


def _fits(sentence: Sentence, channels: int, grid: tuple[int, ...], context: Further) -> bool:
    """Whether the phrase type-checks; more tokens than allowed are the input's only."""
    try:
        t = sentence.typed(channels, grid, dict(context))
    except LanguageError:
        return False
    return all(not isinstance(part.out, Field) or part.out.tokens <= TOKENS for part in _parts(t) if part.node is not X)


def _parts(t: Typed) -> Iterator[Typed]:
    yield t
    for kid in t.kids:
        yield from _parts(kid)


def _shortened(node: Node) -> Node:
    """The phrase with two copies in place of more."""
    if not node.kids:
        return node
    kids = tuple(_shortened(kid) for kid in node.kids)
    if isinstance(node, Power) and (count_of(kids[1]) or 0) > 2:
        kids = (kids[0], size(2))
    return joined(node, kids)


def _resized(node: Node, grid: tuple[int, ...], smaller: tuple[int, ...]) -> Node:
    """The phrase with sizes in places that are the length of an axis replaced by the new length."""
    lengths = {str(n): str(m) for n, m in zip(grid, smaller, strict=True)}

    def change(part: Node, placed: bool) -> Node:
        if isinstance(part, Size) and placed:
            return size("x".join(lengths.get(atom, atom) for atom in part.text.split("x")))
        if not part.kids:
            return part
        kids = tuple(change(kid, placed or (isinstance(part, At) and i > 0)) for i, kid in enumerate(part.kids))
        return joined(part, kids)

    return change(node, False)
