"""The read: a query meets keys, an activation turns the match into coefficients, the coefficients aggregate values.

    o[i, c] = sum_j  nu( sigma( S[h(c), i, j] ) ) * v[P(i, j), c]          (attention-systems.md 3.1)

``dot`` makes the match (``conv`` and ``had`` stand beside it in files of their own), ``mm`` aggregates; ``->`` runs
the stages one after the other without rebinding ``x``. Keys and values may come from several memories side by side
(``a & b``): their slots stand under one normaliser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.nodes import Node, chain, make
from metamixer.language.typed import Typed
from metamixer.language.types import Bank, Context, Field, Memory, Mismatch, Score, Slots, Type, field_of
from metamixer.language.vocabulary import (
    Demand,
    Done,
    Evaluate,
    KindOf,
    Plain,
    Span,
    Spans,
    Weighing,
    Weight,
    Word,
    aligned,
    on_grid,
    one,
    place_word,
    register,
    words,
)
from metamixer.words.combinators import neutral


@register
class Read(Word):
    """``interaction -> activation .. -> aggregation``: the stages of one read."""

    name, kinds, form = "->", ("term", "stage"), "read"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if not done:
            return Demand(0, ctx if _matches(node.kids[0]) else ctx._replace(place=None))
        if len(done) == len(node.kids):
            return Done(done[-1])
        return Demand(len(done), ctx._replace(kind="stage", state=done[-1]))

    def headed(self, t: Typed) -> bool:
        return any(kid.word.headed(kid) for kid in t.kids)

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        stages: list[Node] = []
        for kid in (inner for outer in kids for inner in (outer.kids if outer.op == "read" else (outer,))):
            if stages and neutral(kid):
                continue
            before = stages[-1].data[0] if stages and stages[-1].op == "word" else ""
            known = words().get(kid.data[0]) if kid.op == "word" else None  # a bound name is no word
            if known is not None and before in known.behind:
                stages[-1] = make("word", (known.behind[before], (), kid.data[2], 0))
            else:
                stages.append(kid)
        return chain("read", stages)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        for i in range(len(t.kids)):
            state = evaluate(i, x, env, state)
        return state


def _matches(head: Node) -> bool:
    """Whether a read's first phrase may be a match, which stands under the read's support; else it is a prediction."""
    if head.op == "word" and head.data[0] in words():
        return bool(getattr(words()[head.data[0]], "reads", False))
    return head.op not in ("seq", "sum", "prod", "cat", "split")


def heads_split(x: Any, heads: int) -> Any:
    """(B, n, C) -> (B, heads, n, C / heads)."""
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)


def flat(x: Any, field: Field) -> Any:
    """The tokens of a field in one axis, (B, tokens, channels)."""
    return x.reshape(x.shape[0], field.tokens, field.channels)


def gathered(x: Any, field: Field, table: Any) -> Any:
    """(B, n, slots, C): the tokens that each token's slots name; absent slots (-1) are zero."""
    values = flat(x, field)[:, table.clamp(min=0)]
    return values * (table >= 0).unsqueeze(-1).to(values.dtype)


def memory_of(value: Type, ctx: Context) -> Memory:
    """Keys or values as memories; the support of the read holds for every field without one of its own."""
    if isinstance(value, Memory):
        return Memory(
            tuple((part, place or (None if isinstance(part, Bank) else ctx.place)) for part, place in value.parts)
        )
    if isinstance(value, Bank):
        return Memory(((value, None),))
    return Memory(((field_of(value, "the memory"), ctx.place),))


def gathers(part: Slots) -> bool:
    """Whether a part's slots are taken out one by one; else all of the memory is looked at."""
    return part.place is not None and not place_word(part.place[0]).masks


def tables(parts: tuple[Slots, ...], grid: tuple[int, ...]) -> dict[str, Any]:
    """Index tables of the parts that gather their slots, under the names that kernels look for."""
    found = enumerate(parts)
    return {
        f"table{i}": place_word(part.place[0]).table(part.place[0], grid)
        for i, part in found
        if gathers(part) and part.place
    }


def absent(score: Score, always: bool = False) -> Any:
    """Array (tokens, slots): which slots take no part in a normaliser; None where all do.

    With ``always`` only what no index table leaves out: the slots of masks.
    """
    import numpy as np

    rows, found = [], False
    for part in score.parts:
        word = place_word(part.place[0]) if part.place else None
        if word is not None and part.place and (word.masks or (word.absents(part.place[0]) and not always)):
            rows.append(word.table(part.place[0], score.grid) < 0)
            found = True
        else:
            rows.append(np.zeros((score.tokens, part.number), dtype=bool))
    return np.concatenate(rows, 1) if found else None


def parts_of(value: Any, kind: Type) -> list[tuple[Any, Any]]:
    """The values and types (fields or banks) of the memories of a source."""
    if isinstance(kind, Memory):
        return [(part, field) for part, (field, _) in zip(value, kind.parts, strict=True)]
    return [(value, kind)]


@register
class Union(Word):
    """``a & b``: memories side by side, for one read; a part may carry its own support: ``k@N(3) & p``."""

    name, form = "&", "memory"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if len(done) < len(node.kids):
            kid = node.kids[len(done)]
            return Demand(len(done), ctx._replace(kind="memory" if kid.op == "at" else "term", place=None))
        parts: list[tuple[Field | Bank, tuple[Any, ...] | None]] = []
        for part in done:
            parts += (
                part.parts if isinstance(part, Memory) else [(part if isinstance(part, Bank) else field_of(part), None)]
            )
        return Done(Memory(tuple(parts)))

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        values: list[Any] = []
        for i in range(len(t.kids)):
            value = evaluate(i, x, env, None)
            values += value if isinstance(value, list) else [value]
        return values


class ContentScore(Plain):
    """``<q, k>`` for every token and slot; the base of ``dot`` (scaled) and ``dot0`` (not scaled)."""

    sources = roles = ("q", "k")
    keywords = {"b": (0,)}
    reads = True
    content = True
    scaled = False
    counted = "tokens * slots * C"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        q = field_of(sources[0], "the query")
        heads, b = ctx.heads, one(settings["b"], "b")
        if q.channels % heads:
            raise Mismatch(
                f"{heads} heads do not divide {q.channels} channels",
                f"take a divisor of {q.channels}, such as {_divisor(q.channels, heads)}",
            )
        parts = tuple(self._slots(q, part, place) for part, place in memory_of(sources[1], ctx).parts)
        score = Score(q.grid, q.extra, heads, parts)
        if b and not score.as_field:
            raise Mismatch("b=1 needs a bank of keys", "bias belongs to the slots of a bank: dot0(x,#3C,b=1)")
        return Done(score, {"b": b if score.as_field else None})

    def _slots(self, q: Field, k: Field | Bank, place: tuple[Any, ...] | None) -> Slots:
        if isinstance(k, Bank):
            if len(k.size) != 1 or k.how:
                raise Mismatch("a bank of keys has one size", "write #16 or #3C")
            return Slots(k.size[0])
        if k.channels != q.channels:
            raise Mismatch(f"query and keys differ in width: {q.channels} and {k.channels}")
        if not place:
            return Slots(k.tokens, (k.grid, k.extra))
        if (q.grid, q.extra) != (k.grid, k.extra):
            raise Mismatch(f"{place[0].word} needs query and keys on one grid, got {q} and {k}")
        grid = on_grid(k, place[0].word).grid
        return Slots(place_word(place[0]).width(place[0], grid), (k.grid, k.extra), place)

    def headed(self, t: Typed) -> bool:
        return True

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        width, score = t.inputs[0].channels, t.out
        keys = [
            Weight(f"keys{i}", (part.number, width), "normal", (score.heads / width) ** 0.5)
            for i, part in enumerate(score.parts)
            if part.memory is None
        ]
        return (*keys, *((Weight("bias", (score.slots,), "fill", 0.0),) if t.settings["b"] else ()))

    def constants(self, t: Typed) -> Mapping[str, Any]:
        return tables(t.out.parts, t.out.grid)

    def macs(self, t: Typed) -> int:
        return int(t.out.tokens * t.out.slots * t.inputs[0].channels)

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (aligned(t.inputs[0], t.out), reached(t.out.parts, t.out.grid))

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("channels", "static" if t.out.as_field else "dynamic")

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if "signed" in signs else "positive"

    def scale(self, t: Typed) -> float:
        return float((t.inputs[0].channels // t.out.heads) ** -0.5) if self.scaled else 1.0

    def apply(self, t: Typed, w: Any, q: Any, k: Any) -> Any:
        from torch.nn.functional import linear

        score, scale = t.out, self.scale(t)
        if not score.as_field or score.heads > 1 or len(score.parts) > 1:
            return self.dense(t, w, q, k)
        return linear(q, w.keys0 if scale == 1.0 else w.keys0 * scale, w.bias if t.settings["b"] else None)

    def dense(self, t: Typed, w: Any, q: Any, k: Any) -> Any:
        import torch

        # products are written with @: einsum makes one over a single channel a multiplication, which no counter sees
        score, field = t.out, t.inputs[0]
        queries = heads_split(flat(q, field), score.heads) * self.scale(t)
        found = []
        for i, (part, (value, kind)) in enumerate(zip(score.parts, parts_of(k, t.inputs[1]), strict=True)):
            if part.memory is None:
                keys = getattr(w, f"keys{i}").reshape(part.number, score.heads, -1)
                found.append(queries @ keys.permute(1, 2, 0))
            elif not gathers(part):
                found.append(queries @ heads_split(flat(value, kind), score.heads).mT)
            else:
                keys = gathered(value, kind, getattr(w, f"table{i}")).unflatten(-1, (score.heads, -1))
                found.append((queries.unsqueeze(-2) @ keys.permute(0, 3, 1, 4, 2)).squeeze(-2))
        match = torch.cat(found, -1) if len(found) > 1 else found[0]
        match = match + w.bias if t.settings["b"] else match
        return match.transpose(1, 2).reshape(*q.shape[:-1], score.channels) if score.as_field else match


def reached(parts: tuple[Slots, ...], grid: tuple[int, ...]) -> Spans:
    """How far the slots of a token lie from it; banks lie nowhere."""
    found = [
        place_word(part.place[0]).offsets(part.place[0], grid) if part.place else (None,) * len(grid)
        for part in parts
        if part.memory is not None
    ]
    if not found:
        return None
    axes = zip(*(spans for spans in found if spans), strict=True)
    return tuple(
        None if None in axis else Span(1, min(span.low for span in axis), max(span.high for span in axis))
        for axis in axes
    )


def _divisor(channels: int, near: int) -> int:
    return min((d for d in range(1, channels + 1) if channels % d == 0), key=lambda d: abs(d - near))


@register
class Dot(ContentScore):
    """``dot(q,k)``: content score <q,k> / sqrt(d) for each head; MACs tokens * slots * C."""

    name, scaled = "dot", True


@register
class Dot0(ContentScore):
    """``dot0(q,k)``: content score without scale. Against a bank of M slots it is a field of M channels."""

    name = "dot0"
