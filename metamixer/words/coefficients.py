"""Stages that change scores one by one: what is added to them, what they are multiplied by, which are left out."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import EnvironmentReader, Fading, PerHead, RelativePositions
from metamixer.language.checking.types import Context, Field, Mismatch, Place, Score, Slots, Type, field_of
from metamixer.language.checking.vocabulary import Done, register
from metamixer.words import supports
from metamixer.words.activations import Activation
from metamixer.words.reads import gathers, kept, left_out, needs, slots_named, tables


@register
class Decay(Activation, PerHead, Fading, RelativePositions):
    """``decay``: causal scores times exp(-rate * (i - j)), the rate 2^(-8 h / heads) for head h = 1 .. heads.

    Source: Lightning Attention, TransNormer, arXiv 2401.04658, with fixed rates.
    """

    name = "decay"
    kinds = ("stage",)

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if signs[0] == "signed" else "positive"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score = sources[0]
        causal = (
            isinstance(score, Score)
            and not score.cut
            and len(score.parts) == 1
            and score.parts[0].place == (Place("causal"),)
        )
        if not causal:
            raise Mismatch("decay needs causal scores", "write (dot0(lin,lin) -> decay -> mm(lin))@causal")
        return Done(score)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        import numpy as np

        tokens, rates = np.arange(t.out.tokens), np.asarray(self.fades(t))
        distance = np.maximum(tokens[:, None] - tokens[None], 0)
        return {"factor": np.exp(-rates[:, None, None] * distance)}

    def fades(self, t: Typed) -> tuple[float, ...]:
        heads = t.out.heads
        return tuple(2.0 ** (-8 * (head + 1) / heads) for head in range(heads))

    def dense(self, t: Typed, w: Any, s: Any) -> Any:
        return s * w.factor.to(s.dtype)


@register
class Times(Activation, PerHead, EnvironmentReader):
    """``times(s)``: scores times other coefficients of the same tokens and slots.

    They may have one head for all, or stand over a coarser grid of the memory, each cell serving its members (the
    gate of landmark attention, arXiv 2305.16300). A field with a token for each pair of token and slot gives one
    factor a head: edges, as in the graph transformer, arXiv 2012.09699.
    """

    name = "times"
    kinds = ("stage",)
    sources = roles = ("x", "s")

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if "signed" in signs else "positive"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score, other = super().type(ctx, settings, sources[:1]).out, sources[1]
        if not isinstance(score, Score) or score.as_field:
            raise Mismatch("times multiplies scores over tokens", "the product of fields is *")
        if isinstance(other, Field):
            other = self._edges(score, other)
        if not isinstance(other, Score) or other.tokens != score.tokens or other.heads not in (1, score.heads):
            raise Mismatch(f"times needs coefficients of {score.tokens} tokens and {score.heads} heads, or 1 head")
        if len(other.parts) != len(score.parts):
            raise Mismatch(f"{len(score.parts)} memories meet coefficients over {len(other.parts)}")
        how = tuple(self._how(own, part) for own, part in zip(score.parts, other.parts, strict=True))
        return Done(score, {"other": other, "how": how})

    def _edges(self, score: Score, edges: Field) -> Score:
        memory = score.parts[0].memory
        if len(score.parts) != 1 or memory is None or edges.grid != (*score.grid, *memory[0]) or score.extra:
            raise Mismatch(
                f"a field of edges has a token for each of {score.tokens} tokens and {score.slots} slots, not {edges}",
                "give it the grid of the tokens followed by that of the memory",
            )
        return Score(score.grid, 0, edges.channels, (Slots(prod(memory[0]), memory),))

    def _how(self, own: Slots, part: Slots) -> str:
        """How a slot finds its factor: in its own position, by the token it is, or by the cell that it lies in."""
        all_of = not gathers(own) and not gathers(part)
        if (own.number, own.memory) == (part.number, part.memory) and (all_of or own.place == part.place):
            return "same"
        if own.memory is not None and part.memory is not None and part.place is None:
            if own.memory == part.memory and gathers(own):
                return "token"
            if own.place is None or not gathers(own):
                supports.cells(own.memory, part.memory, "times")
                return "cell"
        raise Mismatch(
            f"times: {own.number} slots meet coefficients over {part.number}",
            "the other scores stand over the same memory, or over a coarser grid of it",
        )

    def needs(self, t: Typed) -> tuple[str, ...]:
        return needs(t)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        parts = zip(t.settings["how"], t.out.parts, t.settings["other"].parts, strict=True)
        found = {
            f"cell{i}": supports.cells(own.memory, part.memory, "times")
            for i, (how, own, part) in enumerate(parts)
            if how == "cell"
        }
        return found | tables(t.out)

    def dense(self, t: Typed, w: Any, s: Any, other: Any, chosen: Any = None) -> Any:
        import torch

        score: Score = t.settings["other"]
        if isinstance(t.inputs[1], Field):
            other = other.reshape(other.shape[0], score.tokens, -1, score.heads).permute(0, 3, 1, 2)
        shares = []
        split = kept(score, other).split([part.number for part in score.parts], -1)
        for i, (how, own, share) in enumerate(zip(t.settings["how"], t.out.parts, split, strict=True)):
            if how == "token":
                index = slots_named(i, own, w, chosen).clamp(min=0)
                heads = max(share.shape[1], index.shape[1])
                shape = (share.shape[0], heads, score.tokens)
                share = share.expand(*shape, -1).gather(-1, index.expand(*shape, -1))
            elif how == "cell":
                share = share[..., getattr(w, f"cell{i}")]
            shares.append(share)
        heads = max(share.shape[1] for share in shares)
        return s * torch.cat([share.expand(-1, heads, -1, -1) for share in shares], -1)


def shortened(value: Type, n: int, ctx: Context) -> Done:
    """What is left of scores (or of a field's channels) of which each token and head keeps the n largest.

    Raises:
        Mismatch: there are not so many.
    """
    if not isinstance(value, Score) or ctx.kind == "term":
        value = field_of(value, "the source of top")
    if isinstance(value, Field) and ctx.kind == "stage":
        if value.channels % ctx.heads:
            raise Mismatch(f"{ctx.heads} heads do not divide {value.channels} channels")
        value = Score(value.grid, value.extra, ctx.heads, (Slots(value.channels // ctx.heads),))
    slots = value.slots if isinstance(value, Score) else value.channels
    if not 1 <= n <= slots:
        raise Mismatch(f"top({n}) of {slots} {'slots' if isinstance(value, Score) else 'channels'}")
    cut = isinstance(value, Score) and n < slots
    return Done(value._replace(cut=True) if cut else value, {"n": n, "slots": slots})


def largest(t: Typed, w: Any, s: Any, chosen: Any) -> Any:
    """Scores with minus infinity, or channels with 0, for all but the n largest."""
    import torch

    n, slots = t.settings["n"], t.settings["slots"]
    if n == slots:
        return s
    rows = s.unflatten(-1, (-1, slots))
    masked = left_out(t.out, getattr(w, "absent", None), chosen) if isinstance(t.out, Score) else None
    if masked is not None:  # of a token without slots the scores stay as they are, for finite gradients
        rows = s.masked_fill(masked & ~masked.all(-1, keepdim=True), float("-inf")).unflatten(-1, (-1, slots))
    kept = torch.zeros_like(rows, dtype=torch.bool).scatter(-1, rows.topk(n, -1).indices, True)
    return rows.masked_fill(~kept, float("-inf") if isinstance(t.out, Score) else 0.0).flatten(-2)
