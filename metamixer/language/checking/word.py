"""What a word is.

One operator, one class: everything about a word (where it may stand, its type rule, its weights, its cost, its
dense meaning, its fast kernel) is in its class in ``metamixer/words``, or in a package that names its module in
the entry-point group ``metamixer.words``. The walkers that check, count, compile and evaluate sentences only call
these methods and never name an operator.

Life of a word: ``step`` is called while a sentence is checked, once for each sub-phrase and once to conclude. From
then on there is a ``Typed`` occurrence ``t`` with resolved settings and types; ``weights``, ``macs`` and
``elementwise`` answer for one occurrence and one input, without its sub-phrases; ``apply`` computes it fast and
``dense`` computes it obviously, both on torch tensors (words import torch inside these methods only).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from metamixer.language.checking.affine import Affine, Scaling, Tensors
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


class Word:
    """An operator or combinator of the language."""

    name: ClassVar[str] = ""
    kinds: ClassVar[tuple[str, ...]] = ("term",)
    roles: ClassVar[tuple[str, ...]] = ()
    form: ClassVar[str] = "leaf"

    # Declared properties that walkers plan by.
    neutral: ClassVar[bool] = False  # keeps its input
    chained: ClassVar[bool] = False  # each sub-phrase reads what the one before made; the last makes the result
    scope: ClassVar[bool] = False  # its operand is a scope for the letter D
    skip: ClassVar[bool] = False  # as a term of a sum it is the way around the other terms
    projection: ClassVar[bool] = False  # y = x W^T + b; several on one input may run as one product
    content: ClassVar[bool] = False  # makes scores <q, k>
    sums: ClassVar[bool] = False  # aggregates values with scores
    fused: ClassVar[bool] = False  # with content scores it is what scaled_dot_product_attention computes
    additive: ClassVar[bool] = False  # adds to scores what does not depend on the input
    selects: ClassVar[bool] = False  # a comparison of numbers decides what is kept: results jump where two are equal
    stays: ClassVar[bool] = False  # a bound value that is not put in place where it is used once
    marginal: ClassVar[bool] = False  # diag(a) S diag(b) + alpha of scores S: docs/algebra.md#values-first

    spectral: ClassVar[bool] = False  # reads spectra, so that it may stand inside @fft

    # Declared properties that derived attributes follow from.
    channelwise: ClassVar[bool] = False  # no channel of the result reads another one
    positional: ClassVar[bool] = False  # treats tokens by where they stand on the grid
    relative: ClassVar[bool] = False  # treats pairs of tokens by where they stand to each other
    nonnegative: ClassVar[bool] = False  # results are not negative
    every_slot: ClassVar[bool] = False  # needs every slot present, so that nothing can be masked before it

    rows: ClassVar[bool] = False  # of scores needs but the sum over the slots of each token: by_rows says how

    behind: ClassVar[Mapping[str, str]] = {}  # stage before it -> the one word that both together are

    # Declared for readers and, the second, for the checker.
    counted: ClassVar[str] = ""  # its MACs of one input: C and c channels of source and result, k positions of a kernel
    refuses: ClassVar[Mapping[int, str]] = {}  # number of axes of a grid that it cannot stand on -> why

    def scale(self, t: Typed) -> float:
        """Factor on content scores."""
        return 1.0

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        """For each of ``t.inputs`` which of its tokens a token of the result reads; by default the one in its place."""
        return tuple(aligned(kind, t.out) for kind in t.inputs)

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing | None:
        """The weighted sums that an occurrence takes, if it takes any; ``signs`` are those of ``t.inputs``."""
        return None

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        """What is known of the results' signs: ``signed``, ``positive`` or (over the slots) ``convex``."""
        return "positive" if self.nonnegative else "signed"

    def queries(self, t: Typed, w: Any, q: Any, k: Any) -> Any:
        """Of a match: its queries, (B, tokens, channels), from its sources and the weights of a bank of queries."""
        raise NotImplementedError

    def codes(self, t: Typed) -> bool:
        """Of a match: whether the best slot follows from the query alone; see ``best``."""
        return False

    def best(self, t: Typed, q: Any) -> tuple[Any, Any]:
        """Of a match with ``codes``: for queries (.., channels of a head) the best slot, and its softmax over all."""
        raise NotImplementedError

    def kept(self, t: Typed) -> int | None:
        """Of a stage that leaves slots out: how many it keeps for each token and head."""
        return None

    def values_first(self, q: Any, k: Any, v: Any) -> Any:
        """What a marginal normaliser of the scores ``q k^T`` makes of values, without forming the scores.

        ``q``, ``k``, ``v``: (B, heads, tokens or slots, channels of a head). Counted products are those of
        ``q @ (k.mT @ v)``.
        """
        return q @ (k.mT @ v)

    def fades(self, t: Typed) -> tuple[float, ...] | None:
        """Of a stage that only makes scores fade by exp(-rate * distance in memory): the rate of each head."""
        return None

    def by_rows(self, values: Any, sums: Any) -> Any:
        """What a normaliser with ``rows`` makes of sums over values and of scores, (.., channels) and (.., 1)."""
        raise NotImplementedError

    def bias(self, t: Typed, w: Any) -> Any:
        """What an additive stage adds to scores, (heads, tokens, slots)."""
        raise NotImplementedError

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

    def symbolic(self, node: Node) -> Node | None:
        """What a phrase is another spelling of where the input, and so every number, is not known; None for itself."""
        return None

    def headed(self, t: Typed) -> bool:
        """Whether the occurrence depends on the number of heads in force."""
        return False

    def rebinds(self, t: Typed) -> bool:
        """Whether the sub-phrases read another ``x`` than the occurrence itself."""
        return False

    def verify(self, t: Typed) -> None:
        """Last word on a checked occurrence without choices; raises Mismatch if its parts do not go together."""

    def settle(self, t: Typed) -> Typed:
        """The occurrence that stands for a checked one: itself, or the part of it that matters."""
        return t

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        """The tensors this occurrence owns."""
        return ()

    def macs(self, t: Typed) -> int:
        """Multiply-accumulates of matrix products and convolutions for one input, sub-phrases apart."""
        return 0

    def elementwise(self, t: Typed) -> int:
        """Results of elementwise work (activations, norms, gates, pooling, sums) for one input."""
        return 0

    def times(self, t: Typed) -> int:
        """How often the sub-phrases run for one input (windows, channel groups)."""
        return 1

    def as_affine(self, t: Typed, tensors: Tensors) -> Affine | None:
        """The occurrence as an affine map of its first source in evaluation, if it is one."""
        return None

    def as_scaling(self, t: Typed, tensors: Tensors) -> Scaling | None:
        """The occurrence as a factor and a shift for each channel in evaluation, if it is that."""
        return None

    def constants(self, t: Typed) -> Mapping[str, Any]:
        """Index tables (numpy arrays) that ``apply`` needs; they are no weights."""
        return {}

    def needs(self, t: Typed) -> tuple[str, ...]:
        """Names of values that the phrases around provide and a leaf's kernel takes behind its sources."""
        return ()

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        """A combinator's value, from its sub-phrases: ``evaluate(i, x, env, state)``. Leaves do not define it."""
        raise NotImplementedError

    def apply(self, t: Typed, w: Any, *inputs: Any) -> Any:
        """The fast kernel of a leaf: sources in, value out. ``w`` has the weights as attributes."""
        return self.dense(t, w, *inputs)

    def dense(self, t: Typed, w: Any, *inputs: Any) -> Any:
        """The defining formula of a leaf, slow and obvious."""
        raise NotImplementedError


Evaluate = Callable[[int, Any, Mapping[str, Any], Any], Any]
KindOf = Callable[[Node, Context], str]
