"""Aggregation: coefficients weigh values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.typed import Typed
from metamixer.language.types import Bank, Context, Field, Memory, Mismatch, Score, Slots, Type
from metamixer.language.vocabulary import Done, Plain, Spans, Weighing, Weight, aligned, one, register
from metamixer.words.reads import (
    absent,
    flat,
    gathers,
    heads_split,
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


@register
class Aggregate(Plain):
    """``-> mm(v)``: the weighted sum of values. A bank of values has ``c`` channels, by default those of ``x``.

    MACs: tokens * slots * channels of v; none if every memory stands at N(1), a weighted sum of fields.
    """

    name, kinds = "mm", ("stage",)
    counted = "tokens * slots * c"
    sources = roles = ("coefficients", "v")
    keywords = {"c": None, "b": (0,)}
    reads = True
    sums = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (aligned(t.inputs[0], t.out), reached(t.settings["score"].parts, t.out.grid))

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing | None:
        return None if t.settings["score"].as_field else Weighing("tokens", "dynamic", signs[0])

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score, b = sources[0], one(settings["b"], "b")
        memory = memory_of(sources[1], ctx)
        if isinstance(score, Field):
            score = predicted(score, memory, ctx)
        if not isinstance(score, Score):
            raise Mismatch(
                "mm aggregates with coefficients; there are none before it", "write dot(lin,lin) -> softmax -> mm(lin)"
            )
        widths = {part.channels for part, _ in memory.parts if isinstance(part, Field)}
        if len(widths) > 1:
            raise Mismatch(
                f"memories of different widths: {sorted(widths)}", "make them equal, for example with lin(..)"
            )
        banks_only = not widths
        if not banks_only and (settings["c"] is not None or b):
            raise Mismatch("c= and b= belong to a bank of values", "write mm(#3C,b=1), or shape the field with lin(..)")
        channels = widths.pop() if widths else ctx.x.channels if settings["c"] is None else one(settings["c"], "c")
        if len(memory.parts) != len(score.parts):
            raise Mismatch(f"{len(score.parts)} memories have coefficients, {len(memory.parts)} have values")
        for part, (v, _) in zip(score.parts, memory.parts, strict=True):
            self._check(part, v, score)
        if channels % score.heads:
            raise Mismatch(f"{score.heads} heads do not divide {channels} channels of the values")
        resolved = {"c": channels, "b": b} if banks_only else {"c": None, "b": None}
        return Done(Field(score.grid, channels, score.extra), {"score": score, **resolved})

    def _check(self, part: Slots, v: Field | Bank, score: Score) -> None:
        if isinstance(v, Bank):
            if part.memory is not None or v.size != (part.number,):
                size = "x".join(map(str, v.size))
                advice = f"write mm(#{part.number}) or a field as value"
                raise Mismatch(f"{part.number} slots meet a bank of {size} values", advice)
            return
        slots = part.number if gathers(part) else v.tokens
        if (part.memory is not None and (v.grid, v.extra) != part.memory) or slots != part.number:
            raise Mismatch(
                f"the coefficients weigh {part.number} slots, the values are {v}",
                "keys and values must stand on one grid",
            )

    def headed(self, t: Typed) -> bool:
        return True

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        score, c = t.settings["score"], t.out.channels
        kinds = [kind for _, kind in parts_of([None] * len(score.parts), t.inputs[1])]
        values = [
            Weight(f"values{i}", (part.number, c), "normal", score.slots**-0.5)
            for i, (part, kind) in enumerate(zip(score.parts, kinds, strict=True))
            if isinstance(kind, Bank)
        ]
        return (*values, *((Weight("bias", (c,), "fill", 0.0),) if t.settings["b"] else ()))

    def constants(self, t: Typed) -> Mapping[str, Any]:
        score = t.settings["score"]
        masked = absent(score, always=True)
        return tables(score) | ({} if masked is None else {"absent": masked})

    def needs(self, t: Typed) -> tuple[str, ...]:
        return needs(t)

    def macs(self, t: Typed) -> int:
        score = t.settings["score"]
        if all(part.place and part.number == 1 for part in score.parts):
            return 0
        return int(t.out.tokens * score.slots * t.out.channels)

    def elementwise(self, t: Typed) -> int:
        score = t.settings["score"]
        return 0 if self.macs(t) else int(t.out.tokens * score.slots * t.out.channels)

    def apply(self, t: Typed, w: Any, state: Any, v: Any, chosen: Any = None) -> Any:
        from torch.nn.functional import linear

        score = t.settings["score"]
        if isinstance(t.inputs[1], Bank) and score.heads == 1:
            return linear(state, w.values0.mT, w.bias if t.settings["b"] else None)
        return self.dense(t, w, state, v, chosen)

    def dense(self, t: Typed, w: Any, state: Any, v: Any, chosen: Any = None) -> Any:
        score: Score = t.settings["score"]
        heads = score.heads
        if score.as_field or isinstance(t.inputs[0], Field):  # coefficients lie as a field
            asked = state.numel() // (state.shape[0] * score.channels)  # one, or every token
            state = state.reshape(state.shape[0], asked, heads, score.slots).transpose(1, 2)
            state = state.expand(-1, -1, score.tokens, -1)
        masked = left_out(score, getattr(w, "absent", None), chosen)
        if masked is not None:
            state = state.masked_fill(masked, 0.0)
        coefficients = state.split([part.number for part in score.parts], -1)
        out: Any = 0
        for i, (part, share, (value, kind)) in enumerate(
            zip(score.parts, coefficients, parts_of(v, t.inputs[1]), strict=True)
        ):
            if gathers(part):
                values = taken(value, kind, heads, slots_named(i, part, w, chosen))
                if not self.macs(t):  # one slot a token: a product
                    out = out + share * values.squeeze(3)
                elif values.shape[2] == 1 and score.tokens > 1:  # the same slots for all tokens
                    out = out + share @ values.squeeze(2)
                else:
                    out = out + (share.unsqueeze(-2) @ values).squeeze(-2)
            elif isinstance(kind, Bank):
                values = getattr(w, f"values{i}").reshape(part.number, heads, -1)
                out = out + share @ values.transpose(0, 1)
            else:
                out = out + share @ heads_split(flat(value, kind), heads)
        out = out.transpose(1, 2).reshape(out.shape[0], score.tokens, t.out.channels)
        out = out + w.bias if t.settings["b"] else out
        return out if score.extra else out.reshape(out.shape[0], *score.grid, t.out.channels)


def predicted(field: Field, memory: Memory, ctx: Context) -> Score:
    """A field of heads * slots channels read as coefficients (attention-systems.md 3.1, the closure rule)."""
    parts = []
    for part, place in memory.parts:
        if isinstance(part, Bank):
            parts.append(Slots(part.size[0]))
        else:
            parts.append(slots_of(part if place else field, part, place))
    score = Score(field.grid, field.extra, ctx.heads, tuple(parts))
    on_own_grid = all(p.place is None or p.memory == (field.grid, field.extra) for p in parts)
    broadcasts = field.tokens == 1 and ctx.x.tokens > 1 and any(p.place for p in parts)
    if broadcasts:  # one prediction for all tokens: a kernel of the whole image
        score = score._replace(grid=parts[0].memory[0], extra=0)  # type: ignore[index]
    elif not on_own_grid:
        raise Mismatch(f"the coefficients stand on {field}, the values elsewhere")
    if field.channels != score.channels:
        raise Mismatch(
            f"{field.channels} channels are no coefficients of {ctx.heads} heads over {score.slots} slots",
            f"coefficients have {score.channels} channels here",
        )
    return score
