"""Two architectures side by side: stages aligned by their canonical texts, costs, attributes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import NamedTuple

from metamixer.cost import Cost, cost
from metamixer.cost.count import counts, parts
from metamixer.explore.attributes import Attributes, attributes
from metamixer.language import Sentence, parse
from metamixer.language.canonical import canonical_node
from metamixer.language.checking.inference import Typed
from metamixer.language.syntax.printer import text


class Stage(NamedTuple):
    """One stage of the outermost sequence.

    Attributes:
        text: as written.
        canonical: its canonical form, in which sizes are numbers and macros are written out.
        macs, params: of one input.
    """

    text: str
    canonical: str
    macs: int
    params: int


class Pair(NamedTuple):
    """A row of the comparison: equal or changed stages stand side by side; one of them is None where one is missing."""

    a: Stage | None
    b: Stage | None

    @property
    def same(self) -> bool:
        return self.a is not None and self.b is not None and self.a.canonical == self.b.canonical


@dataclass(frozen=True)
class Difference:
    """How two architectures differ for one input.

    Attributes:
        pairs: their stages, aligned.
        costs, attributes, keys: of each, head and all.
    """

    pairs: tuple[Pair, ...]
    costs: tuple[Cost, Cost]
    attributes: tuple[Attributes, Attributes]
    keys: tuple[str, str]

    @property
    def same(self) -> bool:
        """Whether they are one architecture."""
        return self.keys[0] == self.keys[1]


def diff(a: Sentence | str, b: Sentence | str, channels: int, grid: tuple[int, ...]) -> Difference:
    """Compares two sentences for an input of ``channels`` channels on ``grid``.

    Raises:
        LanguageError: one of them does not fit that input.
    """
    first, second = (parse(s) if isinstance(s, str) else s for s in (a, b))
    grid = tuple(grid)
    return Difference(
        tuple(_pairs(_stages(first, channels, grid), _stages(second, channels, grid))),
        (cost(first, channels, grid), cost(second, channels, grid)),
        (attributes(first, channels, grid), attributes(second, channels, grid)),
        (first.key(channels, grid), second.key(channels, grid)),
    )


def _stages(sentence: Sentence, channels: int, grid: tuple[int, ...]) -> list[Stage]:
    return [_stage(part) for _, part in parts(sentence.typed(channels, grid))]


def _stage(t: Typed) -> Stage:
    macs, params, _, _ = counts(t)
    # with the field that it reads: equal words at other widths or grids are other stages
    return Stage(t.text, f"{t.x} {text(canonical_node(t))}", macs, params)


def _pairs(a: list[Stage], b: list[Stage]) -> Iterator[Pair]:
    matcher = SequenceMatcher(None, [s.canonical for s in a], [s.canonical for s in b], autojunk=False)
    for _, low, high, start, end in matcher.get_opcodes():
        for pair in zip_longest(a[low:high], b[start:end]):
            yield Pair(*pair)
