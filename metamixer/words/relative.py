"""Relative positions: what scores gain from the distance between a token and a slot."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import prod
from typing import Any, ClassVar

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import AdditiveBias, PerHead, RelativePositions
from metamixer.language.checking.types import Context, Mismatch, Score, Type, field_of
from metamixer.language.checking.vocabulary import Done, Weighing, Weight, on_grid, register
from metamixer.words import supports
from metamixer.words.activations import Activation
from metamixer.words.reads import flat, gathers, heads_split, slots_of
from metamixer.words.supports import Stack


@register
class QueryPositions(Activation, PerHead, RelativePositions):
    """``relq(q)``: adds <q, r> for every axis, r a learned vector for the distance of the slot, shared by the heads.

    A table of an axis holds the distances that occur. MACs: tokens * C of the query * distances, over the axes.
    Source: relative logits of attention augmented convolution, arXiv 1904.09925; HaloNet, arXiv 2103.12731.
    """

    name = "relq"
    counted = "tokens * C * distances"
    kinds = ("stage",)
    sources: ClassVar[tuple[str, ...]] = ("coefficients", "q")
    roles: ClassVar[tuple[str, ...]] = ("coefficients", "q")

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("channels", "static")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score, q = sources[0], field_of(sources[1], "the query of relq")
        if not isinstance(score, Score) or len(score.parts) != 1 or score.parts[0].memory != (score.grid, 0):
            raise Mismatch("relq needs scores of a grid over itself", "write dot(q,k) -> relq(q) -> softmax -> mm(v)")
        place = score.parts[0].place
        if place and gathers(score.parts[0]) and (supports.chosen(place) or supports.by_head(place)):
            raise Mismatch("relq needs slots that are the same for all heads and inputs", "leave out relq")
        if q.grid != score.grid or q.extra or q.channels % score.heads:
            raise Mismatch(f"the query of relq stands on {q}, the scores have {score.heads} heads over {score.grid}")
        return Done(score)

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        width = t.inputs[1].channels // t.out.heads
        sizes = _sizes(_stack(t.out), t.out.grid)
        return tuple(Weight(f"axis{i}", (size, width), "normal", width**-0.5) for i, size in enumerate(sizes))

    def constants(self, t: Typed) -> Mapping[str, Any]:
        return {f"at{i}": index for i, (_, index) in enumerate(_distances(_stack(t.out), t.out.grid))}

    def macs(self, t: Typed) -> int:
        return t.out.tokens * int(t.inputs[1].channels) * sum(_sizes(_stack(t.out), t.out.grid))

    def apply(self, t: Typed, w: Any, s: Any, q: Any) -> Any:
        queries = heads_split(flat(q, t.inputs[1]), t.out.heads)
        for i in range(len(t.out.grid)):
            index = getattr(w, f"at{i}").expand(*s.shape)
            s = s + (queries @ getattr(w, f"axis{i}").mT).gather(-1, index)
        return s

    def dense(self, t: Typed, w: Any, s: Any, q: Any) -> Any:
        import torch

        queries = heads_split(flat(q, t.inputs[1]), t.out.heads)
        for i in range(len(t.out.grid)):
            vectors = getattr(w, f"axis{i}")[getattr(w, f"at{i}")].expand(t.out.tokens, t.out.slots, -1)
            s = s + torch.einsum("bhnd,nsd->bhns", queries, vectors)
        return s


def _stack(score: Score) -> Stack | None:
    """The support that takes slots out one by one, if there is one."""
    return score.parts[0].place if gathers(score.parts[0]) else None


def _sizes(stack: Stack | None, grid: tuple[int, ...]) -> list[int]:
    """For each axis how many distances occur."""
    return [len(axis) for axis, _ in _distances(stack, grid)] if stack else [2 * length - 1 for length in grid]


@lru_cache(maxsize=256)
def _distances(stack: Stack | None, grid: tuple[int, ...]) -> tuple[tuple[Any, Any], ...]:
    """For each axis the distances that occur, and which of them that of each slot is, (tokens, slots)."""
    import numpy as np

    found = []
    for shift, length in zip(supports.distances(stack, grid), grid, strict=True):
        if not stack:  # all that there are
            found.append((np.arange(1 - length, length), shift + length - 1))
            continue
        axis, index = np.unique(shift, return_inverse=True)
        found.append((axis, index.reshape(shift.shape)))
    return tuple(found)


@register
class RelativeBias(Activation, PerHead, AdditiveBias, RelativePositions):
    """``rel``: a learned bias for every head and distance between token and slot (Swin, arXiv 2103.14030).

    A table holds the distances that occur: 2L - 1 an axis over all of the grid, 2k - 1 under ``@N(k)``.
    """

    name = "rel"
    spares = True
    kinds = ("stage",)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        value = sources[0]
        score = value if isinstance(value, Score) and not value.as_field else over_own_grid(value, ctx)
        if len(score.parts) != 1 or score.parts[0].memory != (score.grid, 0):
            raise Mismatch("rel needs scores of a grid over itself", "write dot(lin,lin) -> rel -> softmax -> mm(lin)")
        place = _stack(score)
        if place and (supports.chosen(place) or supports.by_head(place)):
            raise Mismatch("rel needs slots that are the same for all heads and inputs", "leave out rel")
        return Done(value, {"score": score})

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        score: Score = t.settings["score"]
        return (Weight("offsets", (score.heads, prod(_sizes(_stack(score), score.grid))), "normal", 0.02),)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        import numpy as np

        score: Score = t.settings["score"]
        found = _distances(_stack(score), score.grid)
        index = np.ravel_multi_index([index for _, index in found], [len(axis) for axis, _ in found])
        return {"index": np.broadcast_to(index, (score.tokens, score.slots)).copy()}

    def bias(self, t: Typed, w: Any) -> Any:
        return w.offsets[:, w.index]

    def dense(self, t: Typed, w: Any, s: Any) -> Any:
        bias, score = self.bias(t, w), t.settings["score"]
        if isinstance(t.out, Score) and not t.out.as_field:
            return s + bias
        return s + bias.transpose(0, 1).reshape(*score.grid, score.channels)


def over_own_grid(value: Type, ctx: Context) -> Score:
    """A field of coefficients, for the slots that the read's place gives each token of the field itself."""
    field = on_grid(field_of(value, "the source of rel"), "rel")
    score = Score(field.grid, 0, ctx.heads, (slots_of(field, field, ctx.place),))
    if field.channels != score.channels:
        raise Mismatch(
            f"{field.channels} channels are no coefficients of {ctx.heads} heads over {score.slots} slots",
            f"coefficients have {score.channels} channels here",
        )
    return score
