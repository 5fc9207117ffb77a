"""What a word is.

One operator, one class: everything about a word (where it may stand, its type rule, its weights, its cost, its
dense meaning, its fast kernel) is in its class in ``metamixer/words``, or in a package that names its module in
the entry-point group ``metamixer.words``. The walkers that check, count, compile and evaluate sentences only call
these methods and never name an operator. `Word` has what every word has; what only some words are (a match, a
normaliser, a combinator, ..) are the small protocols of ``metamixer.language.checking.protocols``.

Life of a word: ``step`` is called while a sentence is checked, once for each sub-phrase and once to conclude. From
then on there is a ``Typed`` occurrence ``t`` with resolved settings and types; ``weights``, ``macs`` and
``elementwise`` answer for one occurrence and one input, without its sub-phrases; ``apply`` computes it fast and
``dense`` computes it obviously, both on torch tensors (words import torch inside these methods only).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from metamixer.language.checking.types import Context, Type
from metamixer.language.syntax.nodes import Node, joined

if TYPE_CHECKING:
    from metamixer.language.checking.inference import Typed


class Demand(NamedTuple):
    """What a word wants to know next: the result of a sub-phrase (by index) or of an expansion, in a context."""

    kid: int | Node
    context: Context


class Done(NamedTuple):
    """The conclusion: the phrase's type, and its resolved settings."""

    out: Type
    settings: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Weight:
    """One tensor that an occurrence of a word owns.

    Attributes:
        name: attribute under which ``apply`` and ``dense`` find it.
        shape: its shape.
        init: ``normal`` (truncated, deviation ``value``), or ``fill`` (constant ``value``).
        value: see ``init``.
        trained: False for buffers such as running statistics; they are not counted as parameters.
    """

    name: str
    shape: tuple[int, ...]
    init: str = "normal"
    value: float = 0.02
    trained: bool = True


class Span(NamedTuple):
    """Along one axis, token p of a result reads ``stride * p + low`` to ``stride * p + high`` of its source."""

    stride: Fraction | int
    low: Fraction | int
    high: Fraction | int


SAME = Span(1, 0, 0)
Spans = tuple[Span | None, ...] | None  # for each axis, None for all of it; None where no token is read


class Weighing(NamedTuple):
    """A weighted sum.

    Attributes:
        over: what it runs over: ``tokens``, ``channels`` or ``both``.
        weights: ``static`` or ``dynamic``.
        sign: ``signed``, ``positive`` or ``convex`` (positive, and their sum is 1).
    """

    over: str
    weights: str
    sign: str = "signed"


def aligned(source: Type, out: Type) -> Spans:
    """Every token reads the one in its place; along axes that were broadcast, the only one there is."""
    if not hasattr(source, "grid"):
        return None
    if len(source.grid) != len(out.grid):
        return (None,) * len(out.grid)
    return tuple(SAME if a == b else None for a, b in zip(source.grid, out.grid, strict=True))


class Form(StrEnum):
    """What a word is to a phrase: walkers dispatch on it, reports draw by it."""

    LEAF = "leaf"  # computes its result from its sources
    INPUT = "input"  # the current input
    BOUND = "bound"  # a value of the context: what a let bound, or a further input; settings: name
    LET = "let"  # binds the value of its first part in its second; settings: name
    TIE = "tie"  # binds one set of weights in its only part; settings: name
    TIED = "tied"  # its only part, with the weights of the tie of that name; settings: name
    CHAIN = "chain"  # each part reads what the one before made
    REPEAT = "repeat"  # one part several times in sequence
    READ = "read"  # the stages of a read: each takes the state of the one before, all read the same x
    MEMORY = "memory"  # memories side by side, for one read
    SUM = "sum"  # parts added, or taken away, by the signs of the phrase
    RESIDUAL = "residual"  # its only part added to x
    PRODUCT = "product"  # parts multiplied
    CONCAT = "concat"  # channels of the parts side by side
    FRAME = "frame"  # its only part, in a scope of its own
    PLACE = "place"  # its first part where the others say; settings: levels


class Word:
    """An operator or combinator of the language: what every word has. The rest are ``protocols``.

    Attributes:
        name: how it is written.
        kinds: where it may stand: ``term``, ``stage``, ``place``, ``bank``, ``size``, ``memory``.
        roles: what each source is to it: ``q``, ``k``, ``v``, ``x``, ``coefficients``.
        form: what it is to a phrase.
        channelwise: no channel of the result reads another one.
        positional: it treats tokens by where they stand on the grid.
        counted: its MACs of one input for readers: C and c channels of source and result, k positions of a kernel.
        refuses: number of axes of a grid that it cannot stand on -> why.
    """

    name: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ("term",)
    roles: ClassVar[tuple[str, ...]] = ()
    form: ClassVar[Form] = Form.LEAF
    channelwise: ClassVar[bool] = False
    positional: ClassVar[bool] = False
    counted: ClassVar[str] = ""
    refuses: ClassVar[Mapping[int, str]] = {}

    # Its type.

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        """The next sub-phrase to look at after those whose results are ``done``, or the conclusion.

        Raises:
            Mismatch: the phrase does not fit.
        """
        raise NotImplementedError  # every word has one

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        """The occurrence in canonical form: sizes resolved, defaults written out, neutral parts dropped.

        ``kids`` are the canonical forms of ``t.kids``.
        """
        return joined(t.node, kids)

    # What it owns and costs.

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        """The tensors this occurrence owns."""
        return ()

    def constants(self, t: Typed) -> Mapping[str, Any]:
        """Index tables (numpy arrays) that ``apply`` needs; they are no weights."""
        return {}

    def macs(self, t: Typed) -> int:
        """Multiply-accumulates of matrix products and convolutions for one input, sub-phrases apart."""
        return 0

    def elementwise(self, t: Typed) -> int:
        """Results of elementwise work (activations, norms, gates, pooling, sums) for one input."""
        return 0

    # What attributes follow from.

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        """For each of ``t.inputs`` which of its tokens a token of the result reads; by default the one in its place."""
        return tuple(aligned(kind, t.out) for kind in t.inputs)

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing | None:
        """The weighted sums that an occurrence takes, if it takes any; ``signs`` are those of ``t.inputs``."""
        return None

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        """What is known of the results' signs: ``signed``, ``positive`` or (over the slots) ``convex``."""
        return "signed"

    # What it computes.

    def dense(self, t: Typed, w: Any, *inputs: Any) -> Any:
        """The defining formula of a leaf, slow and obvious: sources in, value out. ``w`` has weights and constants."""
        raise NotImplementedError

    def apply(self, t: Typed, w: Any, *inputs: Any) -> Any:
        """The fast kernel of a leaf; by default the formula."""
        return self.dense(t, w, *inputs)


KindOf = Callable[[Node, Context], str]
