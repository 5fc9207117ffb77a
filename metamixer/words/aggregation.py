"""Aggregation: coefficients weigh values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Discontinuous, EnvironmentReader, PerHead, WeightedSum
from metamixer.language.checking.types import Bank, Context, Field, Memory, Mismatch, Score, Slots, Type
from metamixer.language.checking.vocabulary import Done, Plain, Spans, Weighing, Weight, aligned, one, register
from metamixer.words.banks import special, trained
from metamixer.words.precision import widened
from metamixer.words.reads import (
    absent,
    flat,
    gathers,
    heads_split,
    kept,
    kinds_of,
    left_out,
    memory_of,
    needs,
    parts_of,
    reached,
    slots_named,
    slots_of,
    tables,
    taken,
)


class Aggregation(Plain, PerHead, EnvironmentReader):
    """A stage that makes one value of the slots of each token."""

    kinds = ("stage",)
    sources = roles = ("coefficients", "v")
    reads = True

    def coefficients(self, ctx: Context, sources: tuple[Type, ...]) -> tuple[Score, Memory]:
        """The score in front, a field read as one, and the memories behind it."""
        score, memory = sources[0], memory_of(sources[1], ctx)
        banks = all(isinstance(part, Bank) for part, _ in memory.parts)
        if isinstance(score, Field) or (isinstance(score, Score) and score.as_field and not banks):
            score = predicted(score, memory, ctx)
        if not isinstance(score, Score):
            raise Mismatch(
                f"{self.name} aggregates with coefficients; there are none before it",
                f"write dot(lin,lin) -> softmax -> {self.name}(lin)",
            )
        if len(memory.parts) != len(score.parts):
            raise Mismatch(f"{len(score.parts)} memories have coefficients, {len(memory.parts)} have values")
        for part, (v, _) in zip(score.parts, memory.parts, strict=True):
            if isinstance(v, Field):
                slots = part.number if gathers(part) else v.tokens
                if (part.memory is not None and (v.grid, v.extra) != part.memory) or slots != part.number:
                    raise Mismatch(
                        f"the coefficients weigh {part.number} slots, the values are {v}",
                        "keys and values must stand on one grid",
                    )
        return score, memory

    def width(self, memory: Memory) -> int | None:
        """The width of the values; None for banks only."""
        widths = {part.channels for part, _ in memory.parts if isinstance(part, Field)}
        if len(widths) > 1:
            raise Mismatch(
                f"memories of different widths: {sorted(widths)}", "make them equal, for example with lin(..)"
            )
        return widths.pop() if widths else None

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (aligned(t.inputs[0], t.out), reached(t.settings["score"].parts, t.out.grid))

    def constants(self, t: Typed) -> Mapping[str, Any]:
        score = t.settings["score"]
        masked = absent(score, always=True)
        return tables(score) | ({} if masked is None else {"absent": masked})

    def needs(self, t: Typed) -> tuple[str, ...]:
        return needs(t)

    def shares(self, t: Typed, w: Any, state: Any, chosen: Any) -> tuple[Any, ...]:
        """The coefficients for each memory, (B, heads, tokens, slots); 0 where a slot is absent."""
        score: Score = t.settings["score"]
        if isinstance(t.inputs[0], Field) or t.inputs[0].as_field:  # they lie as a field
            asked = state.numel() // (state.shape[0] * score.channels)  # one, or every token
            state = state.reshape(state.shape[0], asked, score.heads, score.slots).transpose(1, 2)
            state = state.expand(-1, -1, score.tokens, -1)
        masked = left_out(score, getattr(w, "absent", None), chosen)
        if masked is not None:
            state = state.masked_fill(masked, 0.0)
        return tuple(kept(score, state).split([part.number for part in score.parts], -1))


@register
class Aggregate(Aggregation, WeightedSum):
    """``-> mm(v)``: the weighted sum of values. A bank of values has ``c`` channels, by default those of ``x``.

    Heads stand side by side; under ``@hsum`` they are summed, and a bank holds ``c`` channels for each. A bank of
    values for the slots of a memory holds ``c`` channels that serve every head alike, so that ``s -> mm(#49,c=25)``
    turns scores over 49 slots into coefficients over 25 (OverLoCK, arXiv 2502.20087).
    MACs: tokens * slots * channels of v; none if every memory stands at N(1), a weighted sum of fields.
    """

    name = "mm"
    counted = "tokens * slots * c"
    keywords = {"c": None, "b": (0,)}

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing | None:
        score: Score = t.settings["score"]
        return None if score.as_field else Weighing("tokens", "static" if score.static else "dynamic", signs[0])

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        (score, memory), b = self.coefficients(ctx, sources), one(settings["b"], "b")
        width, c = self.width(memory), settings["c"]
        if width is not None and (c is not None or b):
            raise Mismatch("c= and b= belong to a bank of values", "write mm(#3C,b=1), or shape the field with lin(..)")
        alike = any(
            isinstance(v, Bank) and part.memory is not None
            for part, (v, _) in zip(score.parts, memory.parts, strict=True)
        )
        if alike and (width is not None or c is None):
            raise Mismatch(
                f"{score.slots} slots of a memory meet a bank of values",
                "write a field as value, or say how many channels each head gets: mm(#49,c=25)",
            )
        for part, (v, _) in zip(score.parts, memory.parts, strict=True):
            if isinstance(v, Bank):
                self._check(part, v)
        channels = width if width is not None else ctx.x.channels if c is None else one(c, "c")
        summed = ctx.summed and score.heads > 1
        if (width is not None or not (summed or alike)) and channels % score.heads:
            raise Mismatch(f"{score.heads} heads do not divide {channels} channels of the values")
        out = channels
        if width is not None and summed:
            out = channels // score.heads
        elif alike and not summed:
            out = channels * score.heads
        resolved = {"c": channels, "b": b} if width is None else {"c": None, "b": None}
        return Done(Field(score.grid, out, score.extra), {"score": score, "summed": summed, "alike": alike, **resolved})

    def _check(self, part: Slots, v: Bank) -> None:
        if special(v) is not None and trained(v):
            raise Mismatch(f"#{v.how} holds no values", f"write mm(#{part.number})")
        if v.size != (part.number,):
            size = "x".join(map(str, v.size))
            raise Mismatch(
                f"{part.number} slots meet a bank of {size} values", f"write mm(#{part.number}) or a field as value"
            )

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        score, alike = t.settings["score"], t.settings["alike"]
        c = t.settings["c"] if alike else t.out.channels
        heads = (score.heads,) if t.settings["summed"] and not alike else ()
        values = [
            Weight(f"values{i}", (*heads, part.number, c), "normal", score.slots**-0.5, trained(kind))
            for i, (part, kind) in enumerate(zip(score.parts, kinds_of(score, t.inputs[1]), strict=True))
            if isinstance(kind, Bank)
        ]
        return (*values, *((Weight("bias", (t.out.channels,), "fill", 0.0),) if t.settings["b"] else ()))

    def macs(self, t: Typed) -> int:
        score = t.settings["score"]
        if all(gathers(part) and part.number == 1 for part in score.parts):  # one slot taken out: a product of fields
            return 0
        return int(t.out.tokens * score.slots * t.out.channels * (score.heads if t.settings["summed"] else 1))

    def elementwise(self, t: Typed) -> int:
        score = t.settings["score"]
        return 0 if self.macs(t) else int(t.out.tokens * score.slots * t.out.channels)

    def apply(self, t: Typed, w: Any, state: Any, v: Any, chosen: Any = None) -> Any:
        from torch.nn.functional import linear

        score = t.settings["score"]
        if isinstance(t.inputs[1], Bank) and score.as_field and (score.heads == 1 or t.settings["summed"]):
            values = w.values0.flatten(0, -2)  # heads, if any, lie side by side in the state
            return linear(kept(score, state), values.mT, w.bias if t.settings["b"] else None)
        return self.dense(t, w, state, v, chosen)

    def dense(self, t: Typed, w: Any, state: Any, v: Any, chosen: Any = None) -> Any:
        import torch

        score: Score = t.settings["score"]
        heads, summed = score.heads, t.settings["summed"]
        out: Any = 0

        def product(share: Any, values: Any) -> Any:  # coefficients come in float32 where values are halves
            return (share @ values if score.as_field else widened(torch.matmul, share, values)).to(values.dtype)

        for i, (part, share, (value, kind)) in enumerate(
            zip(score.parts, self.shares(t, w, state, chosen), parts_of(v, t.inputs[1]), strict=True)
        ):
            if isinstance(kind, Bank):
                values = getattr(w, f"values{i}")
                if not summed and not t.settings["alike"]:
                    values = values.reshape(part.number, heads, -1).transpose(0, 1)
                out = out + product(share, values)
            elif gathers(part):
                values = taken(value, kind, heads, slots_named(i, part, w, chosen))
                if not self.macs(t):  # one slot a token: a product
                    out = out + (share * values.squeeze(3)).to(values.dtype)
                elif values.shape[2] == 1 and score.tokens > 1:  # the same slots for all tokens
                    out = out + product(share, values.squeeze(2))
                else:
                    out = out + product(share.unsqueeze(-2), values).squeeze(-2)
            else:
                out = out + product(share, heads_split(flat(value, kind), heads))
        out = out.sum(1) if summed else out.transpose(1, 2)
        out = out.reshape(out.shape[0], score.tokens, t.out.channels)
        out = out + w.bias if t.settings["b"] else out
        return out if score.extra else out.reshape(out.shape[0], *score.grid, t.out.channels)


@register
class Maximum(Aggregation, Discontinuous):
    """``-> max(v)``: for each channel the largest value among the slots with a positive coefficient; 0 if none has.

    Source: principal neighbourhood aggregation, arXiv 2004.05718. MACs: none.
    """

    name = "max"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score, memory = self.coefficients(ctx, sources)
        channels = self.width(memory)
        if channels is None or any(isinstance(v, Bank) for v, _ in memory.parts):
            raise Mismatch("max takes the largest of values that follow from the input", "write max(lin)")
        if channels % score.heads:
            raise Mismatch(f"{score.heads} heads do not divide {channels} channels of the values")
        if ctx.summed and score.heads > 1:
            raise Mismatch("the largest values of several heads are not summed", "write @h(..) instead of @hsum(..)")
        return Done(Field(score.grid, channels, score.extra), {"score": score})

    def elementwise(self, t: Typed) -> int:
        return int(t.out.tokens * t.settings["score"].slots * t.out.channels)

    def dense(self, t: Typed, w: Any, state: Any, v: Any, chosen: Any = None) -> Any:
        import torch

        score: Score = t.settings["score"]
        found = []
        for i, (part, share, (value, kind)) in enumerate(
            zip(score.parts, self.shares(t, w, state, chosen), parts_of(v, t.inputs[1]), strict=True)
        ):
            if gathers(part):
                table = slots_named(i, part, w, chosen)
                values = taken(value, kind, score.heads, table)
                share = share.masked_fill(table < 0, 0.0)
            else:
                values = heads_split(flat(value, kind), score.heads).unsqueeze(2)
            found.append(values.masked_fill((share <= 0).unsqueeze(-1), float("-inf")).amax(-2))
        out = torch.stack(found).amax(0)
        out = out.masked_fill(out == float("-inf"), 0.0)
        out = out.transpose(1, 2).reshape(out.shape[0], score.tokens, t.out.channels)
        return out if score.extra else out.reshape(out.shape[0], *score.grid, t.out.channels)


def predicted(given: Field | Score, memory: Memory, ctx: Context) -> Score:
    """A field of heads * slots channels read as coefficients (docs/algebra.md#the-closure-rule)."""
    heads = given.heads if isinstance(given, Score) else ctx.heads
    field = Field(given.grid, given.channels, given.extra)
    parts = []
    for part, place in memory.parts:
        if isinstance(part, Bank):
            parts.append(Slots(part.size[0]))
        else:
            parts.append(slots_of(part if place else field, part, place))
    score = Score(given.grid, given.extra, heads, tuple(parts))
    if isinstance(given, Score):
        score = score._replace(cut=given.cut, static=given.static)
    on_own_grid = all(p.place is None or p.memory == (given.grid, given.extra) for p in parts)
    broadcasts = given.tokens == 1 and ctx.x.tokens > 1 and any(p.place for p in parts)
    if broadcasts:  # one prediction for all tokens: a kernel of the whole image
        score = score._replace(grid=parts[0].memory[0], extra=0)  # type: ignore[index]
    elif not on_own_grid:
        raise Mismatch(f"the coefficients stand on {given}, the values elsewhere")
    if given.channels != score.channels:
        raise Mismatch(
            f"{given.channels} channels are no coefficients of {heads} heads over {score.slots} slots",
            f"coefficients have {score.channels} channels here",
        )
    return score
