"""Places that bind a read: which slots each token looks at, and in how many heads."""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

from metamixer.language.nodes import Node, size, word
from metamixer.language.types import Context, Mismatch, Place, Type
from metamixer.language.vocabulary import REQUIRED, Done, PlaceWord, Span, Spans, one, per_axis, register

EDGES = ("clamp", "mask", "zero", "wrap")


@register
class All(PlaceWord):
    """``@all``: every token looks at the whole memory; the neutral place."""

    name = "all"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done(())


@register
class Heads(PlaceWord):
    """``@h(n)``: the reads inside work in n heads of contiguous channels, put side by side."""

    name = "h"
    sizes = {"n": REQUIRED}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        n = one(settings["n"], "the number of heads")
        if n < 1:
            raise Mismatch("there is at least one head")
        return Done((Place("h", (n,)),))

    def inside(self, ctx: Context, place: Place) -> Context:
        return ctx._replace(heads=place.values[0])


@register
class Neighbourhood(PlaceWord):
    """``@N(k, s=1, d=1, edge)``: per axis a window of k slots, moving by s, every d-th token.

    Edges: ``clamp`` keeps exactly k slots by moving the window inwards (as NATTEN does), ``mask`` leaves slots
    outside the grid out, ``zero`` reads zeros there, ``wrap`` continues on the other side.
    Source: Generalized Neighborhood Attention, arXiv 2504.16922.
    """

    name = "N"
    sizes = {"k": REQUIRED}
    keywords = {"s": (1,), "d": (1,)}
    flags = EDGES
    supports = True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        edges = [edge for edge in EDGES if settings[edge]]
        if len(edges) > 1:
            raise Mismatch(f"N has one edge rule, not {' and '.join(edges)}")
        edge = edges[0] if edges else "clamp"
        grid = ctx.x.grid
        k, s, d = (per_axis(settings[name], grid, name) for name in ("k", "s", "d"))
        for width, step, dilation, length in zip(k, s, d, grid, strict=True):
            if min(width, step, dilation) < 1 or step > width:
                raise Mismatch(f"N({width}, s={step}, d={dilation}): sizes are at least 1 and s at most k")
            if edge in ("clamp", "wrap") and width * dilation > length:
                raise Mismatch(
                    f"the window N({width}) with dilation {dilation} is larger than the axis of {length}",
                    f"take k * d <= {length}",
                )
            if edge in ("mask", "zero") and width > 2 * length - 1:
                raise Mismatch(
                    f"the window N({width}) is larger than the axis of {length} allows",
                    f"at most {2 * length - 1} here",
                )
        return Done((Place("N", (k, s, d, edge)),))

    def distinct(self, place: Place) -> bool:
        """Whether the slots of a token are different tokens of the memory, and nothing else."""
        return bool(place.values[3] != "zero")

    def width(self, place: Place, grid: tuple[int, ...]) -> int:
        return prod(place.values[0])

    def table(self, place: Place, grid: tuple[int, ...]) -> Any:
        return _neighbours(place, grid)

    def offsets(self, place: Place, grid: tuple[int, ...]) -> Spans:
        edge = place.values[3]
        spans = []
        for length, k, s, d in zip(grid, *place.values[:3], strict=True):
            if edge == "wrap":  # distances are those around the edge
                spans.append(Span(1, -(k // 2 + s - 1) * d, (k - 1 - k // 2 + s) * d))
                continue
            far = [slot - i for i, slots in enumerate(_axis(length, k, s, d, edge)) for slot in slots if slot >= 0]
            spans.append(Span(1, min(far), max(far)))
        return tuple(spans)

    def steps(self, place: Place) -> tuple[int, ...]:
        return tuple(s * d if s > 1 else 1 for s, d in zip(place.values[1], place.values[2], strict=True))

    def absents(self, place: Place) -> bool:
        return bool(place.values[3] == "mask")

    def support(self, place: Place) -> Node:
        """The place in canonical form."""
        k, s, d, edge = place.values
        return word("N", size(k), word(edge), s=size(s), d=size(d))

    def inside(self, ctx: Context, place: Place) -> Context:
        if ctx.x.extra:
            raise Mismatch("N needs tokens on a grid; extra tokens stand in front")
        if ctx.place:
            raise Mismatch("two supports on one read cannot be combined yet", "keep one of them")
        return ctx._replace(place=(place,))


@register
class Causal(PlaceWord):
    """``@causal``: every token looks at itself and the tokens before it, in the order of memory."""

    name = "causal"
    supports = masks = True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done((Place("causal"),))

    def inside(self, ctx: Context, place: Place) -> Context:
        if ctx.x.extra or ctx.place:
            raise Mismatch("causal needs tokens on a grid and no other support", "keep one support on a read")
        return ctx._replace(place=(place,))

    def offsets(self, place: Place, grid: tuple[int, ...]) -> Spans:
        return (Span(1, 1 - grid[0], 0), *(None for _ in grid[1:]))

    def width(self, place: Place, grid: tuple[int, ...]) -> int:
        return prod(grid)

    def table(self, place: Place, grid: tuple[int, ...]) -> Any:
        import numpy as np

        tokens = np.arange(prod(grid))
        return np.where(tokens[None] <= tokens[:, None], tokens[None], -1)

    def absents(self, place: Place) -> bool:
        return True


@lru_cache(maxsize=256)
def _neighbours(place: Place, grid: tuple[int, ...]) -> Any:
    import numpy as np

    k, s, d, edge = place.values
    axes = [_axis(*numbers, edge) for numbers in zip(grid, k, s, d, strict=True)]
    rows = []
    for token in product(*map(range, grid)):
        row = []
        for slot in product(*(axis[i] for axis, i in zip(axes, token, strict=True))):
            absent = any(position < 0 for position in slot)
            row.append(-1 if absent else int(np.ravel_multi_index(slot, grid)))
        rows.append(row)
    return np.asarray(rows, dtype=np.int64)


def _axis(length: int, k: int, s: int, d: int, edge: str) -> list[list[int]]:
    """For each position of one axis its k candidates (attention-systems.md 2.1, #28/#56); -1 where absent."""
    rows = []
    for position in range(length):
        residue, p = position % d, position // d
        last = (length - residue - 1) // d  # the residue class has positions 0 .. last
        leader = min(p // s * s + s // 2, last)
        first = leader - k // 2
        if edge == "clamp":
            first = min(max(first, 0), last + 1 - k)
        slots = range(first, first + k)
        if edge == "wrap":
            rows.append([slot % (last + 1) * d + residue for slot in slots])
        else:
            rows.append([slot * d + residue if 0 <= slot <= last else -1 for slot in slots])
    return rows
