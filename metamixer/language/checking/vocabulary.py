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
from metamixer.language.checking.registry import register as register  # words find all that they need here
from metamixer.language.checking.registry import words as words
from metamixer.language.checking.types import Context, Field, Mismatch, Place, Type
from metamixer.language.syntax.nodes import Node, X, joined, make, number, size, word

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
REQUIRED = object()


class Plain(Word):
    """A word with arguments: sizes, sources, flags and keywords.

    Attributes:
        sizes: name -> default for each size slot, in order; REQUIRED where there is none, None where it is optional.
        sources: roles of the source slots, in order; a missing source is ``x``. In a stage the first source is the
            result of the stage before and is not written.
        keywords: name -> default for each keyword that takes a size or a number.
        options: keyword -> default for each keyword that takes a name (``gate=hsig``).
        flags: names that may stand as arguments.
        scopes: name -> number of sizes, for what may stand in square brackets behind the word.
    """

    sizes: ClassVar[Mapping[str, Any]] = {}
    sources: ClassVar[tuple[str, ...]] = ()
    keywords: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[Mapping[str, str]] = {}
    flags: ClassVar[tuple[str, ...]] = ()
    scopes: ClassVar[Mapping[str, int]] = {}
    instead: ClassVar[str] = ""  # what to write where it is given a size that it does not take
    reads: ClassVar[bool] = False  # whether it may stand under a support

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done | Demand:
        """The conclusion from resolved settings and the types of the sources."""
        raise NotImplementedError

    def slots(self, node: Node, ctx: Context, kind_of: KindOf) -> tuple[tuple[str, str], ...]:
        """(kind, slot) of each argument in text order; kind is size, term, flag or option."""
        name, keys, scope, in_scope = node.data
        if scope and scope not in self.scopes:
            known = ", ".join(f"{name}[{s}]" for s in self.scopes) or name
            raise Mismatch(f"{name}[{scope}] is not known", f"write {known}")
        if scope and in_scope != self.scopes[scope]:
            raise Mismatch(f"{name}[{scope}] takes {_count(self.scopes[scope], 'size')}, here {in_scope}")
        free_sizes, free_sources = list(self.sizes), list(self.sources[1:] if ctx.kind == "stage" else self.sources)
        slots: list[tuple[str, str]] = []
        for key, arg in zip(keys, node.kids[: len(keys)], strict=True):
            if key is not None:
                if key in self.options:
                    slots.append(("option", key))
                elif key in self.keywords or key in self.sizes:
                    slots.append(("size", key))
                    if key in free_sizes:
                        free_sizes.remove(key)
                else:
                    known = [*self.keywords, *self.options]
                    raise Mismatch(f"{name} has no keyword {key}=", f"it takes {', '.join(known) or 'none'}", arg)
            elif arg.op == "word" and not arg.kids and arg.data[0] in self.flags:
                slots.append(("flag", arg.data[0]))
            elif kind_of(arg, ctx) == "size":
                if not free_sizes:
                    what = f"{name} takes {_count(len(self.sizes), 'size')}, this is one too many"
                    raise Mismatch(what, self.instead or self.signature(), arg)
                slots.append(("size", free_sizes.pop(0)))
            else:
                if not free_sources:
                    raise Mismatch(
                        f"{name} takes {_count(len(self.sources), 'source')}, this is one too many",
                        self.signature(),
                        arg,
                    )
                slots.append(("term", free_sources.pop(0)))
        missing = [slot for slot in free_sizes if self.sizes[slot] is REQUIRED]
        if missing:
            raise Mismatch(f"{name} needs a size: {missing[0]}", self.signature())
        return (*slots, *(("size", f"scope {i}") for i in range(in_scope)))

    def signature(self) -> str:
        """How the word is written."""
        parts = [s if d is REQUIRED else f"{s}={_written(d)}" for s, d in self.sizes.items()]
        parts += list(self.sources)
        parts += [f"{key}={_written(value)}" for key, value in (*self.keywords.items(), *self.options.items())]
        return f"{self.name}({', '.join(parts)})"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if ctx.place is not None and not self.reads:
            raise Mismatch(
                f"a support such as {ctx.place[0].word} binds a read, and {self.name} is none",
                "write @ behind the read: dot(..) -> .. -> mm(..)",
            )
        slots = self.slots(node, ctx, kind_of)
        position = len(done)
        if position < len(slots):
            kind = slots[position][0]
            inner = ctx.source() if kind == "term" else ctx._replace(kind="flag" if kind == "option" else kind)
            return Demand(position, inner)
        settings: dict[str, Any] = dict(self.sizes) | dict(self.keywords) | dict(self.options)
        settings |= dict.fromkeys(self.flags, False)
        settings["scope"] = node.data[2]
        given: dict[str, Type] = {}
        for (kind, slot), value in zip(slots, done, strict=True):
            if kind == "term":
                given[slot] = value
            else:
                settings[slot] = True if kind == "flag" else value
        first = {self.sources[0]: ctx.state} if ctx.kind == "stage" and self.sources else {}
        types = tuple(first[role] if role in first else given.get(role, ctx.x) for role in self.sources)
        if not self.spectral and any(type(kind) is Field and kind.spectral for kind in types):
            known = ", ".join(name for name, known in words().items() if known.spectral)
            raise Mismatch(
                f"{self.name} reads no spectrum, and inside @fft x is one",
                f"there stand {known}, and sums, products and sequences of them",
            )
        return self.type(ctx, settings, types)

    def symbolic(self, node: Node) -> Node | None:
        """Without keywords that say what holds anyway, and sources that are ``x``; keywords in the declared order."""
        name, keys, scope, in_scope = node.data
        if scope or in_scope:
            return None
        plain = [kid for key, kid in zip(keys, node.kids, strict=True) if key is None]
        while plain and plain[-1] is X:
            plain.pop()
        known = dict(self.keywords) | dict(self.options)
        given = {key: kid for key, kid in zip(keys, node.kids, strict=True) if key is not None}
        named = {key: given[key] for key in [*known, *given] if key in given}
        named = {key: kid for key, kid in named.items() if key not in known or _literal(kid) != known[key]}
        other = word(name, *plain, **named)
        return None if other is node else other

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        while kids and kids[-1] is X:
            kids = kids[:-1]
        sizes = [argument(t.settings[slot]) for slot in self.sizes if t.settings.get(slot) is not None]
        flags = [word(flag) for flag in self.flags if t.settings.get(flag)]
        named = {key: t.settings.get(key) for key in (*self.keywords, *self.options)}
        if scope := t.settings.get("scope"):
            within = tuple(argument(t.settings[f"scope {i}"]) for i in range(self.scopes[scope]))
            return make("word", (self.name, (None,) * len(kids), scope, len(within)), (*kids, *within))
        return word(
            self.name,
            *sizes,
            *kids,
            *flags,
            **{key: argument(value) for key, value in named.items() if value is not None},
        )


class PlaceWord(Plain):
    """A word behind ``@``. ``inside`` says where the operand stands, ``outside`` what its result is."""

    kinds: ClassVar[tuple[str, ...]] = ("place",)
    reads = True  # a place inside of a support stands behind the same read
    rewidth: ClassVar[bool] = False  # whether the operand sees other channels, and so is a scope for D
    foresees: ClassVar[bool] = False  # chooses slots by tokens that come later, whatever is masked
    supports: ClassVar[bool] = False  # whether it says which slots each token has, and so binds a read
    prefix: ClassVar[bool] = False  # whether the slots of a token are itself and all before it
    trains: ClassVar[bool] = False  # whether it acts while training only

    def inside(self, ctx: Context, place: Place) -> Context:
        return ctx

    def outside(self, ctx: Context, place: Place, out: Type) -> Type:
        return out

    def around(self, field: Field, inner: Affine) -> Affine | None:
        """Of a view of ``field``: what it makes of an affine map, if that is one too."""
        return None

    def chooses(self, place: Place) -> bool:
        """Whether it depends on the data. ``apply`` and ``dense`` then compute it from its sources: for a support an
        index table (B, 1 or heads, tokens, slots), -1 where a slot is absent, or which tokens of the memory are
        present (B, 1 or heads, 1 or tokens, memory), or None for all; for a view the order of the tokens.
        """
        return False

    def by_head(self, place: Place) -> bool:
        """Of a support: whether the slots differ by head."""
        return False

    def stage(self, place: Place) -> Node | None:
        """Of a support: the stage behind the match that it stands for, instead of slots of its own."""
        return None

    def made_for(self, place: Place) -> int:
        """Of a support: how many heads it tells apart; it serves a read of as many heads, and if 1, of any."""
        return 1

    # Of a support; a ground is a grid with the number of extra tokens.

    def fits(self, place: Place, asks: tuple[Any, int], memory: tuple[Any, int]) -> None:
        """Raises Mismatch if tokens that ask and a memory do not go with it; by default they stand on one grid."""
        if asks != memory or memory[1]:
            raise Mismatch(f"{place.word} needs query and keys on one grid, without extra tokens")

    def distinct(self, place: Place) -> bool:
        """Whether the slots of a token are different tokens of the memory, and nothing else."""
        return True

    def own(self, place: Place) -> bool:
        """Whether every token is a slot of itself."""
        return False

    def full(self, place: Place) -> bool:
        """Whether it is sure that every token has a slot."""
        return self.own(place)

    def whole(self, place: Place, memory: tuple[Any, int]) -> bool:
        """Whether its slots are all of the memory, some of them absent."""
        return False

    def grouped(self, place: Place, memory: tuple[Any, int]) -> bool:
        """Whether the tokens fall into groups of one size, of several tokens, that share their slots."""
        return False

    def width(self, place: Place, memory: tuple[Any, int]) -> int:
        """How many slots each token has."""
        raise NotImplementedError

    def table(self, place: Place, asks: tuple[Any, int], memory: tuple[Any, int], heads: int) -> Any:
        """Array (1 or heads, 1 or tokens, slots) of indices into the memory, -1 where a slot is absent."""
        raise NotImplementedError

    def offsets(self, place: Place, grid: tuple[int, ...]) -> Spans:
        """How far a token's slots lie from it along each axis, around the edge where places go there."""
        return (None,) * len(grid)

    def distances(self, place: Place, grid: tuple[int, ...]) -> Any:
        """For each axis, array (tokens, slots) of how far a slot lies from its token, 0 where it lies nowhere."""
        import numpy as np

        here = np.indices(grid).reshape(len(grid), -1)
        rows = self.table(place, (grid, 0), (grid, 0), 1)[0]
        return [np.where(rows >= 0, axis[np.maximum(rows, 0)] - axis[:, None], 0) for axis in here]

    def steps(self, place: Place, grid: tuple[int, ...]) -> tuple[int, ...]:
        """Shifts of the memory along each axis that shift the slots alike; () for any."""
        return ()

    def absents(self, place: Place) -> bool:
        """Whether absent slots take no part in a normaliser."""
        return True

    def support(self, place: Place) -> Node:
        """In canonical form."""
        return word(place.word, *(argument(value) for value in place.values))


def place_word(place: Place) -> PlaceWord:
    """The word that a resolved place came from."""
    found = words()[place.word]
    assert isinstance(found, PlaceWord)
    return found


def written_supports(stack: tuple[Place, ...]) -> Node:
    """Supports in canonical form, the innermost (the last) written first; those that stand for a stage are left out."""
    nodes = [place_word(place).support(place) for place in reversed(stack) if place_word(place).stage(place) is None]
    node = nodes[0] if nodes else word("all")
    for outer in nodes[1:]:
        node = make("at", None, (node, outer))
    return node


class Macro(Plain):
    """A word that is an abbreviation: it means its expansion."""

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        """The phrase that the word stands for; sources are passed through as given."""
        raise NotImplementedError

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        slots = self.slots(node, ctx, kind_of)
        wanted = [i for i, (kind, _) in enumerate(slots) if kind != "term"]
        if len(done) < len(wanted):
            position = wanted[len(done)]
            kind = slots[position][0]
            return Demand(position, ctx._replace(kind="flag" if kind == "option" else kind))
        if len(done) > len(wanted):
            return Done(done[-1])
        settings: dict[str, Any] = dict(self.sizes) | dict(self.keywords) | dict(self.options)
        for position, value in zip(wanted, done, strict=True):
            slot = slots[position][1]
            if isinstance(value, float) and not isinstance(settings.get(slot), float):
                raise Mismatch(
                    f"{slot} of {self.name} is a whole size, not {value:g}", self.signature(), node.kids[position]
                )
            settings[slot] = value
        given = {slot: make("slot", i, (node.kids[i],)) for i, (kind, slot) in enumerate(slots) if kind == "term"}
        sources = tuple(given.get(role, X) for role in self.sources)
        return Demand(self.expand(node, ctx, settings, sources), ctx)

    def symbolic(self, node: Node) -> Node | None:
        """The expansion, sizes as they are written; None where it takes numbers that are not written."""
        from metamixer.language.checking.inference import kind_of

        ctx = Context(Field((1,), 1), 1, (1,))
        slots = self.slots(node, ctx, kind_of)
        settings: dict[str, Any] = dict(self.sizes) | dict(self.keywords) | dict(self.options)
        for (kind, slot), kid in zip(slots, node.kids, strict=True):
            if kind != "term":
                if kid.op not in ("size", "word"):
                    raise Mismatch(f"{slot} of {self.name} is a whole size", self.signature(), kid)
                settings[slot] = _literal(kid) or (kid.data if kid.op == "size" else kid.data[0])
        given = {slot: kid for (kind, slot), kid in zip(slots, node.kids, strict=True) if kind == "term"}
        return self.expand(node, ctx, settings, tuple(given.get(role, X) for role in self.sources))

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return evaluate(0, x, env, state)

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return kids[0]


def _literal(node: Node) -> Any:
    """The value of a phrase that is a number, or a name; None where it follows from the input."""
    if node.op == "size" and all(part.isdigit() for part in node.data.split("x")):
        return tuple(int(part) for part in node.data.split("x"))
    if node.op == "num":
        return float(node.data)
    return node.data[0] if node.op == "word" and not node.kids else None


def argument(value: Any) -> Node:
    """A resolved setting as a phrase."""
    if isinstance(value, str):
        return word(value)
    return number(value) if isinstance(value, float) else size(value)


def _written(value: Any) -> str:
    """A setting as it is written; .. where it follows from the input."""
    if isinstance(value, tuple):
        return f"/{value[1]}" if value[0] == "/" else "x".join(map(str, value))
    return ".." if value is None else str(value)


def one(value: Any, what: str) -> int:
    """A size with a single number."""
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], int):
        return value[0]
    if isinstance(value, int):
        return value
    raise Mismatch(f"{what} is one number, not {_written(value)}")


def per_axis(value: tuple[int, ...], grid: tuple[int, ...], what: str) -> tuple[int, ...]:
    """A size spread over the axes: one number serves all of them."""
    if len(value) == 1:
        return value * len(grid)
    if len(value) != len(grid):
        raise Mismatch(f"{what} has {len(value)} numbers, the grid has {len(grid)} axes")
    return value


def on_grid(field: Field, what: str) -> Field:
    """The field, refused if tokens stand outside the grid, or are none."""
    if field.spectral:
        raise Mismatch(f"{what} stands inside @fft, on a spectrum", "write it outside: (..)@fft@win(7)")
    if field.extra:
        raise Mismatch(
            f"{what} needs tokens on a grid; {field.extra} extra token(s) stand in front",
            "wrap it: map(..), or put it before cls",
        )
    return field


def _count(n: int, noun: str) -> str:
    return f"no {noun}" if n == 0 else f"{n} {noun}{'s' if n > 1 else ''}"
