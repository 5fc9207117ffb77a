"""What flows through a sentence, and where a phrase stands while it is checked."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, NamedTuple

from metamixer.language.syntax.nodes import Node


class Field(NamedTuple):
    """A field of tokens, in memory ``(B, *grid, channels)``, or ``(B, extra + tokens, channels)`` with extra tokens.

    Attributes:
        grid: length of each axis.
        channels: width.
        extra: tokens in front that stand on no grid (class tokens, registers).
        spectral: whether its values are complex and its tokens frequencies, as inside ``@fft``.
    """

    grid: tuple[int, ...]
    channels: int
    extra: int = 0
    spectral: bool = False

    @property
    def tokens(self) -> int:
        return prod(self.grid) + self.extra

    def __str__(self) -> str:
        front = f"{self.extra} + " if self.extra else ""
        what = "frequencies" if self.spectral else "tokens"
        return f"{front}{'x'.join(map(str, self.grid))} {what} x {self.channels}"


class Slots(NamedTuple):
    """Candidates that come from one memory.

    Attributes:
        number: how many each token has.
        memory: the grid and extra tokens that they are taken from; None for the slots of a bank.
        place: the neighbourhood that they are taken from; None for all of the memory.
    """

    number: int
    memory: tuple[tuple[int, ...], int] | None = None
    place: tuple[Any, ...] | None = None


class Score(NamedTuple):
    """Coefficients of every token over its slots, for each head.

    Over banks alone a score is a field of ``heads * slots`` channels (docs/algebra.md#the-closure-rule), in
    memory ``(B, *grid, heads * slots)``; otherwise it lies in memory as ``(B, heads, tokens, slots)``.

    Attributes:
        grid, extra: the tokens that ask.
        heads: number of heads.
        parts: the memories that the slots come from, in order.
        cut: whether some slots are left out; they lie at minus infinity.
        static: whether they are the same for every input.
    """

    grid: tuple[int, ...]
    extra: int
    heads: int
    parts: tuple[Slots, ...]
    cut: bool = False
    static: bool = False

    @property
    def tokens(self) -> int:
        return prod(self.grid) + self.extra

    @property
    def slots(self) -> int:
        return sum(part.number for part in self.parts)

    @property
    def channels(self) -> int:
        return self.heads * self.slots

    @property
    def as_field(self) -> bool:
        """Whether it lies in memory as a field: all slots are of banks."""
        return all(part.memory is None for part in self.parts)

    def __str__(self) -> str:
        return f"{self.tokens} tokens x {self.slots} slots, {self.heads} heads"


class Bank(NamedTuple):
    """A learned bank; its channels follow from the word that reads it.

    Attributes:
        size: number of slots, or size of a kernel.
        how: the word that makes it special (``#rep(7,3)``), or nothing.
        values: that word's numbers.
    """

    size: tuple[int, ...]
    how: str = ""
    values: tuple[Any, ...] = ()


class Memory(NamedTuple):
    """Memories side by side (``a & b``), each a field or a bank with its own support, if any."""

    parts: tuple[tuple[Field | Bank, tuple[Any, ...] | None], ...]


class Number(NamedTuple):
    """A number standing as a term; it adapts to anything."""

    value: float


class Place(NamedTuple):
    """A resolved place, view or head policy: a word's name and its numbers."""

    word: str
    values: tuple[Any, ...] = ()


Type = Any  # Field | Score | Bank | Memory | Number | sizes | shares | tuple[Place, ...]


class Bound(NamedTuple):
    """What a bound name stands for: a value (its type), or a set of weights or a draw (their phrase).

    ``uses`` lists, for a draw with choices left, under which circumstances it was used and with what result.
    ``given`` tells a further input from a value that the sentence binds.
    """

    kind: str
    type: Type = None
    node: Node | None = None
    env: tuple[tuple[str, Any], ...] = ()
    uses: frozenset[Any] = frozenset()
    depth: tuple[tuple[str, int], ...] = ()
    given: bool = False


class Context(NamedTuple):
    """Where a phrase stands.

    Attributes:
        x: the current input.
        width: channels on entry to the innermost scope, the letter ``D``.
        scope: grid on entry to the innermost scope.
        kind: what the position asks for: term, stage, place, size or flag.
        heads: heads of the reads inside; ``summed`` tells that they are summed, not put side by side.
        place: the support of the read that this phrase is, if any.
        state: what the stages before this one made; None outside of stages.
        env: bound names, inner ones last.
        depth: open references of each recursive rule.
        lenient: whether words may stand whose weights meet nothing, or that do nothing, on so small a grid.
    """

    x: Field
    width: int
    scope: tuple[int, ...]
    kind: str = "term"
    heads: int = 1
    summed: bool = False
    place: tuple[Place, ...] | None = None
    state: Type = None
    env: tuple[tuple[str, Bound], ...] = ()
    depth: tuple[tuple[str, int], ...] = ()
    lenient: bool = False

    def find(self, name: str) -> Bound | None:
        for bound_name, bound in reversed(self.env):
            if bound_name == name:
                return bound
        return None

    def bind(self, name: str, bound: Bound) -> Context:
        """The context inside of a binder.

        Raises:
            Mismatch: the name is that of an input.
        """
        hidden = self.find(name) if self.env else None
        if hidden is not None and hidden.given:
            raise Mismatch(f"the binding {name} has the name of an input", "choose another name")
        return self._replace(env=(*self.env, (name, bound)))

    def enter(self, x: Field | None = None) -> Context:
        """A new scope for ``D``, at this ``x`` or another."""
        x = self.x if x is None else x
        return self._replace(x=x, width=x.channels, scope=x.grid)

    def source(self) -> Context:
        """Where the sources of a read stand: same input and heads, no support of their own."""
        return self._replace(kind="term", place=None, state=None)


class Mismatch(Exception):  # noqa: N818 - the name says what it is
    """A phrase does not fit where it stands. Becomes a LanguageError with its place in the text."""

    def __init__(self, message: str, advice: str | None = None, node: Node | None = None) -> None:
        super().__init__(message)
        self.message, self.advice, self.node = message, advice, node


def field_of(value: Type, what: str = "this phrase") -> Field:
    """The value read as a field; a score over a bank is one with a channel per slot."""
    if type(value) is Field:
        return value
    if type(value) is Score and value.cut:
        raise Mismatch(f"{what} is a score with slots left out, not a field", "aggregate values with it: .. -> mm(lin)")
    if type(value) is Score and value.as_field:
        return Field(value.grid, value.channels, value.extra)
    if type(value) is Score:
        raise Mismatch(f"{what} is a score over tokens, not a field", "aggregate values with it: .. -> mm(lin)")
    raise Mismatch(f"{what} is no field of tokens")


Given = Field | Mapping[str, Field] | None


def inputs(context: Given) -> dict[str, Field]:
    """The further inputs of a sentence by name; a field alone is ``ctx``."""
    return {} if context is None else {"ctx": context} if isinstance(context, Field) else dict(context)


def start(channels: int, grid: tuple[int, ...], context: Given = None, lenient: bool = False) -> Context:
    """Where a whole sentence stands, for an input and further ones."""
    env = tuple((name, Bound("let", field, given=True)) for name, field in sorted(inputs(context).items()))
    return Context(Field(tuple(grid), channels), channels, tuple(grid), env=env, lenient=lenient)
