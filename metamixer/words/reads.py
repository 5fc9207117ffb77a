"""The read: a query meets keys, an activation turns the match into coefficients, the coefficients aggregate values.

    o[i, c] = sum_j  nu( sigma( S[h(c), i, j] ) ) * v[P(i, j), c]          (docs/algebra.md#the-read)

``dot`` makes the match (``conv`` and ``had`` stand beside it in files of their own), ``mm`` aggregates; ``->`` runs
the stages one after the other without rebinding ``x``. Keys and values may come from several memories side by side
(``a & b``): their slots stand under one normaliser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.checking.affine import Affine, Tensors, held
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import (
    AffineMap,
    Combinator,
    Contracting,
    EnvironmentReader,
    Evaluate,
    Match,
    PerHead,
)
from metamixer.language.checking.types import Bank, Context, Field, Memory, Mismatch, Score, Slots, Type, field_of
from metamixer.language.checking.vocabulary import (
    Demand,
    Done,
    Form,
    KindOf,
    Plain,
    Span,
    Spans,
    Weighing,
    Weight,
    Word,
    aligned,
    neutral,
    one,
    place_word,
    register,
    words,
)
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, chain
from metamixer.words import supports
from metamixer.words.banks import PlacedScores, PositionScores, SpecialBank, alone, special, trained
from metamixer.words.precision import widened
from metamixer.words.supports import CHOSEN, Stack


@register
class Read(Word, Combinator, PerHead):
    """``interaction -> activation .. -> aggregation``: the stages of one read."""

    name, kinds, form = "->", ("term", "stage"), Form.READ

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if not done:
            head = node.kids[0]
            scores = PositionScores if ctx.place else PlacedScores
            begin = alone(scores.name, head) if isinstance(head, nodes.Bank) else 0
            return Demand(begin, ctx if _matches(head) else ctx._replace(place=None))
        added, stage = supports.stages(ctx.place), ctx._replace(kind="stage", state=done[-1])
        if len(done) <= len(added):
            return Demand(added[len(done) - 1], stage)
        if len(done) == len(node.kids) + len(added):
            return Done(done[-1])
        return Demand(len(done) - len(added), stage)

    def headed(self, t: Typed) -> bool:
        return any(isinstance(kid.word, PerHead) and kid.word.headed(kid) for kid in t.kids)

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        stages: list[Node] = []
        for kid in (inner for outer in kids for inner in (outer.kids if isinstance(outer, nodes.Read) else (outer,))):
            if stages and neutral(kid):
                continue
            last = stages[-1] if stages else None
            before = last.name if isinstance(last, nodes.Word) else ""
            known = words().get(kid.name) if isinstance(kid, nodes.Word) else None  # a bound name is no word
            behind = known.behind if known is not None and isinstance(known, Contracting) else {}
            if isinstance(kid, nodes.Word) and before in behind:
                stages[-1] = kid.renamed(behind[before])
            else:
                stages.append(kid)
        return chain(nodes.Read, stages)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        for i in range(len(t.kids)):
            state = evaluate(i, x, env, state)
        return state


def _matches(head: Node) -> bool:
    """Whether a read's first phrase may be a match, which stands under the read's support; else it is a prediction."""
    match head:
        case nodes.Word(name) if name in words():
            return bool(getattr(words()[name], "reads", False))
        case nodes.Sequence() | nodes.Sum() | nodes.Product() | nodes.Concatenation() | nodes.Split() | nodes.Each():
            return False
    return True


def heads_split(x: Any, heads: int) -> Any:
    """(B, n, C) -> (B, heads, n, C / heads)."""
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)


def flat(x: Any, field: Field) -> Any:
    """The tokens of a field in one axis, (B, tokens, channels)."""
    return x.reshape(x.shape[0], field.tokens, field.channels)


def taken(x: Any, field: Field, heads: int, table: Any) -> Any:
    """(B, heads, tokens, slots, C / heads): the tokens that slots name; absent slots (-1) are zero.

    ``table``: (1 or B, 1 or heads, 1 or tokens, slots).
    """
    present = (table >= 0).unsqueeze(-1).to(x.dtype)
    found = table.clamp(min=0)
    if table.shape[:2] == (1, 1):  # alike for all heads: whole tokens are taken
        values = flat(x, field)[:, found[0, 0]].unflatten(-1, (heads, -1)).permute(0, 3, 1, 2, 4)
        return values * present
    source = heads_split(flat(x, field), heads)
    index = found.expand(source.shape[0], heads, -1, -1).flatten(2).unsqueeze(-1)
    values = source.gather(2, index.expand(-1, -1, -1, source.shape[-1]))
    return values.unflatten(2, found.shape[2:]) * present


def memory_of(value: Type, ctx: Context) -> Memory:
    """Keys or values as memories; the support of the read holds for every field without one of its own."""
    if isinstance(value, Memory):
        return Memory(
            tuple((part, place or (None if isinstance(part, Bank) else ctx.place)) for part, place in value.parts)
        )
    if isinstance(value, Bank):
        return Memory(((value, None),))
    return Memory(((field_of(value, "the memory"), ctx.place),))


def slots_of(asks: Field, memory: Field, stack: Stack | None) -> Slots:
    """The slots that tokens have of a memory under a support.

    Raises:
        Mismatch: they do not go together.
    """
    ground = (memory.grid, memory.extra)
    for place in stack or ():
        place_word(place).fits(place, (asks.grid, asks.extra), ground)
    stack = supports.lasting(stack)
    return Slots(supports.number(stack, ground) if stack else memory.tokens, ground, stack)


def gathers(part: Slots) -> bool:
    """Whether a part's slots are taken out one by one; else all of the memory is looked at."""
    return part.place is not None and part.memory is not None and not supports.whole(part.place, part.memory)


def table_of(part: Slots, score: Score) -> Any:
    """The index table of a part whose slots are known beforehand."""
    assert part.place is not None
    assert part.memory is not None
    return supports.table(part.place, (score.grid, score.extra), part.memory, score.heads)


def tables(score: Score) -> dict[str, Any]:
    """Index tables of the parts that gather slots known beforehand, under the names that kernels look for."""
    return {
        f"table{i}": table_of(part, score)
        for i, part in enumerate(score.parts)
        if gathers(part) and not supports.chosen(part.place)
    }


def slots_named(i: int, part: Slots, w: Any, chosen: Any) -> Any:
    """The index table of a part that gathers, (1 or B, 1 or heads, 1 or tokens, slots)."""
    return chosen if supports.chosen(part.place) else getattr(w, f"table{i}")[None]


def absent(score: Score, always: bool = False) -> Any:
    """Array (1 or heads, tokens, slots): which slots take no part in a normaliser; None where all do.

    With ``always`` only what no index table leaves out. Slots that depend on the data are not known here.
    """
    import numpy as np

    rows = []
    for part in score.parts:
        known = part.place is not None and not supports.chosen(part.place)
        if known and part.place and supports.absents(part.place) and not (always and gathers(part)):
            rows.append(table_of(part, score) < 0)
        else:
            rows.append(np.zeros((1, 1, part.number), dtype=bool))
    if not any(row.any() for row in rows):
        return None
    heads = max(len(row) for row in rows)
    return np.concatenate([np.broadcast_to(row, (heads, score.tokens, row.shape[-1])) for row in rows], -1)


def left_out(score: Score, known: Any, chosen: Any) -> Any:
    """Which slots are absent, (1 or B, 1 or heads, 1 or tokens, slots), what was chosen included; None for none."""
    import torch

    known = None if known is None else known[None]
    if chosen is None:
        return known
    out = ~chosen if chosen.dtype == torch.bool else chosen < 0
    if len(score.parts) > 1:
        none = out.new_zeros(1, 1, 1, 1)
        parts = [
            out
            if part.memory is not None and (part.place is None or supports.chosen(part.place))
            else none.expand(1, 1, 1, part.number)
            for part in score.parts
        ]
        shape = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
        out = torch.cat([part.expand(*shape, -1) for part in parts], -1)
    return out if known is None else out | known


def needs(t: Typed) -> tuple[str, ...]:
    """What a stage takes from the ``@`` around its read: the slots that were chosen, if they depend on the data."""
    return (CHOSEN,) if supports.chosen(t.context.place) else ()


def parts_of(value: Any, kind: Type) -> list[tuple[Any, Any]]:
    """The values and types (fields or banks) of the memories of a source."""
    if isinstance(kind, Memory):
        return [(part, field) for part, (field, _) in zip(value, kind.parts, strict=True)]
    return [(value, kind)]


def kept(score: Score, state: Any) -> Any:
    """Coefficients with 0 for slots that were left out."""
    return state.masked_fill(state == float("-inf"), 0.0) if score.cut else state


def kinds_of(score: Score, kind: Type) -> list[Type]:
    """The types (fields or banks) of the memories of a source of this score."""
    return [part for _, part in parts_of([None] * len(score.parts), kind)]


def coded_by(kind: Type) -> SpecialBank | None:
    """The word that tells the keys of a bank which has no weights of its own."""
    found = special(kind) if isinstance(kind, Bank) else None
    return found if found is not None and found.coded else None


@register
class Union(Word, Combinator):
    """``a & b``: memories side by side, for one read; a part may carry its own support: ``k@N(3) & p``."""

    name, form = "&", Form.MEMORY

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if len(done) < len(node.kids):
            kid = node.kids[len(done)]
            return Demand(len(done), ctx._replace(kind="memory" if isinstance(kid, nodes.At) else "term", place=None))
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


class ContentScore(Plain, Match, PerHead, EnvironmentReader, AffineMap):
    """``<q, k>`` for every token and slot; the base of ``dot`` (scaled) and ``dot0`` (not scaled)."""

    sources = roles = ("q", "k")
    keywords = {"b": (0,)}
    reads = True
    scaled = False
    counted = "tokens * slots * C"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        heads, b, memory = ctx.heads, one(settings["b"], "b"), memory_of(sources[1], ctx)
        q = self._query(sources[0], memory)
        if q.channels % heads:
            raise Mismatch(
                f"{heads} heads do not divide {q.channels} channels",
                f"take a divisor of {q.channels}, such as {_divisor(q.channels, heads)}",
            )
        parts = tuple(self._slots(q, part, place, heads) for part, place in memory.parts)
        supports.made_for(ctx.place, heads)
        if supports.drawn(ctx.place) and len(parts) > 1:
            raise Mismatch("rand draws among the keys of one memory", "leave out rand, or the other memories")
        score = Score(q.grid, q.extra, heads, parts)
        if b and (not score.as_field or any(coded_by(part) for part, _ in memory.parts)):
            raise Mismatch("b=1 needs a learned bank of keys", "bias belongs to the slots of a bank: dot0(x,#3C,b=1)")
        return Done(score, {"b": b if score.as_field else None, "width": q.channels})

    def _query(self, q: Type, memory: Memory) -> Field:
        """A bank of queries takes the width of the keys; its tokens are those of the result."""
        if not isinstance(q, Bank):
            return field_of(q, "the query")
        widths = [part.channels for part, _ in memory.parts if isinstance(part, Field)]
        if not widths or special(q) not in (None, words()["fix"]):
            raise Mismatch("a bank of queries meets keys that follow from the input", "write att(#1,lin,lin)")
        return Field(q.size, widths[0])

    def _slots(self, q: Field, k: Field | Bank, place: tuple[Any, ...] | None, heads: int) -> Slots:
        if isinstance(k, Bank):
            coded = coded_by(k)
            if len(k.size) != 1 or not (coded or special(k) in (None, words()["fix"])):
                raise Mismatch("a bank of keys has one size", "write #16 or #3C")
            if coded and len(coded.keys(k)[0]) != q.channels // heads:
                wanted = len(coded.keys(k)[0])
                raise Mismatch(
                    f"the keys of #{k.how} have {wanted} channels, a head has {q.channels // heads}",
                    f"write @hsum(C/{wanted}) behind the read",
                )
            return Slots(k.size[0])
        if k.channels != q.channels:
            raise Mismatch(f"query and keys differ in width: {q.channels} and {k.channels}")
        return slots_of(q, k, place)

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        width, score, q = t.settings["width"], t.out, t.inputs[0]
        deviation = (score.heads / width) ** 0.5
        asked = (
            [Weight("queries", (score.tokens, width), "normal", width**-0.5, trained(q))] if isinstance(q, Bank) else []
        )
        keys = [
            Weight(f"keys{i}", (part.number, width), "normal", deviation, trained(kind))
            for i, (part, kind) in enumerate(zip(score.parts, kinds_of(score, t.inputs[1]), strict=True))
            if part.memory is None and not coded_by(kind)
        ]
        return (*asked, *keys, *((Weight("bias", (score.slots,), "fill", 0.0),) if t.settings["b"] else ()))

    def needs(self, t: Typed) -> tuple[str, ...]:
        return needs(t)

    def as_affine(self, t: Typed, tensors: Tensors) -> Affine | None:
        """A match with a bank is a projection; its bias is written, so a shift can go there."""
        score = t.out
        bank = isinstance(score, Score) and score.as_field and score.heads == 1 and len(score.parts) == 1
        if self.scaled or not bank or not t.settings["b"] or t.context.kind == "stage":
            return None
        width, names = t.inputs[0].channels, ("keys0", "bias")
        read = held(tensors, "keys0")
        return Affine("match", None, names, (width, score.slots), 1, score.slots, t.x.grid, read, True)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        found = tables(t.out)
        for i, kind in enumerate(kinds_of(t.out, t.inputs[1])):
            if coded := coded_by(kind):
                found[f"codes{i}"] = coded.keys(kind)
        return found

    def macs(self, t: Typed) -> int:
        return int(t.out.tokens * t.out.slots * t.settings["width"])

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (aligned(t.inputs[0], t.out), reached(t.out.parts, t.out.grid))

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("channels", "static" if t.out.as_field else "dynamic")

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if "signed" in signs else "positive"

    def scale(self, t: Typed) -> float:
        return float((t.settings["width"] // t.out.heads) ** -0.5) if self.scaled else 1.0

    def apply(self, t: Typed, w: Any, q: Any, k: Any, chosen: Any = None) -> Any:
        from torch.nn.functional import linear

        score, scale = t.out, self.scale(t)
        if not score.as_field or score.heads > 1 or len(score.parts) > 1 or coded_by(t.inputs[1]):
            return self.dense(t, w, q, k, chosen)
        return linear(q, w.keys0 if scale == 1.0 else w.keys0 * scale, w.bias if t.settings["b"] else None)

    def dense(self, t: Typed, w: Any, q: Any, k: Any, chosen: Any = None) -> Any:
        import torch

        def product(a: Any, b: Any) -> Any:  # scores over tokens are often larger than float16 holds
            return a @ b if score.as_field else widened(torch.matmul, a, b)

        # products are written with @: einsum makes one over a single channel a multiplication, which no counter sees
        score = t.out
        queries = heads_split(self.queries(t, w, q, k), score.heads) * self.scale(t)
        found = []
        for i, (part, (value, kind)) in enumerate(zip(score.parts, parts_of(k, t.inputs[1]), strict=True)):
            if part.memory is None:
                if coded_by(kind):
                    keys = getattr(w, f"codes{i}").to(queries.dtype).unsqueeze(1).expand(-1, score.heads, -1)
                else:
                    keys = getattr(w, f"keys{i}").reshape(part.number, score.heads, -1)
                found.append(product(queries, keys.permute(1, 2, 0)))
            elif not gathers(part):
                found.append(product(queries, heads_split(flat(value, kind), score.heads).mT))
            else:
                keys = taken(value, kind, score.heads, slots_named(i, part, w, chosen))
                alike = keys.shape[2] == 1 and score.tokens > 1  # for all tokens: one product
                found.append(
                    product(queries, keys.squeeze(2).mT)
                    if alike
                    else product(queries.unsqueeze(-2), keys.mT).squeeze(-2)
                )
        match = torch.cat(found, -1) if len(found) > 1 else found[0]
        match = match + w.bias if t.settings["b"] else match
        return match.transpose(1, 2).reshape(*q.shape[:-1], score.channels) if score.as_field else match

    def codes(self, t: Typed) -> bool:
        return coded_by(t.inputs[1]) is not None

    def best(self, t: Typed, q: Any) -> tuple[Any, Any]:
        coded = coded_by(t.inputs[1])
        assert coded is not None
        return coded.nearest(t.inputs[1], q * self.scale(t))

    def queries(self, t: Typed, w: Any, q: Any, k: Any) -> Any:
        """(B, tokens, channels): the field of queries, or a bank of them for every input that the keys come from."""
        if not isinstance(t.inputs[0], Bank):
            return flat(q, t.inputs[0])
        batch = next(value.shape[0] for value, kind in parts_of(k, t.inputs[1]) if isinstance(kind, Field))
        return w.queries.repeat(batch, 1, 1)


def reached(parts: tuple[Slots, ...], grid: tuple[int, ...]) -> Spans:
    """How far the slots of a token lie from it; banks lie nowhere."""
    found = [
        supports.offsets(part.place, grid) if part.place else (None,) * len(grid)
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
