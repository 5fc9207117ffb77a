"""Places that bind a read: which slots each token looks at, and in how many heads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import lcm, prod
from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Context, Mismatch, Place, Type
from metamixer.language.checking.vocabulary import (
    REQUIRED,
    Demand,
    Done,
    KindOf,
    PlaceWord,
    Span,
    Spans,
    one,
    per_axis,
    place_word,
    register,
    written_supports,
)
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, size, word
from metamixer.words import supports
from metamixer.words.supports import BY_HEAD, BY_HEAD_ADVICE, NEVER, Ground, Stack, cells, tokens_of

EDGES = ("clamp", "mask", "zero", "wrap", "causal")


class Support(PlaceWord):
    """A place that says which slots each token has; it binds one read."""

    supports = True

    def inside(self, ctx: Context, place: Place) -> Context:
        return ctx._replace(place=supports.stacked(ctx.place, place))


@register
class All(PlaceWord):
    """``@all``: every token looks at the whole memory; the neutral place."""

    name, everywhere = "all", True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done(())


@register
class Heads(PlaceWord):
    """``@h(n)``: the reads inside work in n heads of contiguous channels, put side by side."""

    name, heads = "h", "side by side"
    sizes = {"n": REQUIRED}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        n = one(settings["n"], "the number of heads")
        if n < 1:
            raise Mismatch("there is at least one head")
        return Done((Place(self.name, (n,)),))

    def inside(self, ctx: Context, place: Place) -> Context:
        return ctx._replace(heads=place.values[0], summed=False)


@register
class SummedHeads(Heads):
    """``@hsum(n)``: the reads inside work in n heads, whose results are summed (MemoryFormer, arXiv 2411.12992)."""

    name, heads = "hsum", "summed"

    def inside(self, ctx: Context, place: Place) -> Context:
        return ctx._replace(heads=place.values[0], summed=place.values[0] > 1)


@register
class Neighbourhood(Support):
    """``@N(k, s=1, d=1, edge)``: per axis a window of k slots, moving by s, every d-th token.

    Edges: ``clamp`` keeps exactly k slots by moving the window inwards (as NATTEN does), ``mask`` leaves slots
    outside the grid out, ``zero`` reads zeros there, which take part in a normaliser (as timm's HaloNet does), ``wrap``
    continues on the other side. With ``causal`` the window ends at the token (s > 1: at the last of its group), and
    what comes after the token is left out.
    Source: Generalized Neighborhood Attention, arXiv 2504.16922.
    """

    name = "N"
    sizes = {"k": REQUIRED}
    keywords = {"s": (1,), "d": (1,)}
    flags = EDGES

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        edges = [edge for edge in EDGES if settings[edge]]
        if len(edges) > 1:
            raise Mismatch(f"N has one edge rule, not {' and '.join(edges)}")
        k, s, d = (per_axis(settings[name], ctx.x.grid, name) for name in ("k", "s", "d"))
        place = Place("N", (k, s, d, edges[0] if edges else "clamp"))
        self.fits(place, (ctx.x.grid, ctx.x.extra), (ctx.x.grid, ctx.x.extra))
        return Done((place,))

    def fits(self, place: Place, asks: Ground, memory: Ground) -> None:
        super().fits(place, asks, memory)
        *sizes, edge = place.values
        if len(sizes[0]) != len(memory[0]):
            raise Mismatch(f"N has {len(sizes[0])} axes, the tokens of the read {len(memory[0])}")
        for width, step, dilation, length in zip(*sizes, memory[0], strict=True):
            if min(width, step, dilation) < 1 or step > width:
                raise Mismatch(f"N({width}, s={step}, d={dilation}): sizes are at least 1 and s at most k")
            if edge in ("clamp", "wrap", "causal") and width * dilation > length:
                raise Mismatch(
                    f"the window N({width}) with dilation {dilation} is larger than the axis of {length}",
                    f"take k * d <= {length}",
                )
            if edge in ("mask", "zero") and width > 2 * length - 1:
                raise Mismatch(
                    f"the window N({width}) is larger than the axis of {length} allows",
                    f"at most {2 * length - 1} here",
                )

    def distinct(self, place: Place) -> bool:
        return bool(place.values[3] != "zero")

    def own(self, place: Place) -> bool:
        return True

    def width(self, place: Place, memory: Ground) -> int:
        return prod(place.values[0])

    def grouped(self, place: Place, memory: Ground) -> bool:
        k, s, d, edge = place.values
        whole = all(length % (step * gap) == 0 for length, step, gap in zip(memory[0], s, d, strict=True))
        # windows that are moved inwards by more than a step are those of their neighbours: groups of unequal size
        apart = edge != "clamp" or all(
            length == step * gap or (width // 2 < step + step // 2 and width - width // 2 < 2 * step - step // 2)
            for length, width, step, gap in zip(memory[0], k, s, d, strict=True)
        )
        return whole and apart and prod(s) > 1 and edge != "causal"

    def table(self, place: Place, asks: Ground, memory: Ground, heads: int) -> Any:
        return _neighbours(place, memory[0])[None]

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

    def distances(self, place: Place, grid: tuple[int, ...]) -> Any:
        """Slots outside the grid lie where the window goes, and those around the edge behind it."""
        import numpy as np

        k, s, d, edge = place.values
        axes = [np.asarray(_positions(*numbers, edge)) for numbers in zip(grid, k, s, d, strict=True)]
        return _spread([axis - np.arange(len(axis))[:, None] for axis in axes], grid)

    def steps(self, place: Place, grid: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(s * d if s > 1 else 1 for s, d in zip(place.values[1], place.values[2], strict=True))

    def absents(self, place: Place) -> bool:
        return place.values[3] in ("mask", "causal")

    def support(self, place: Place) -> Node:
        k, s, d, edge = place.values
        return word("N", size(k), word(edge), s=size(s), d=size(d))


class Masking(Support):
    """A support whose slots are all of the memory, some of them absent."""

    def whole(self, place: Place, memory: Ground) -> bool:
        return True

    def width(self, place: Place, memory: Ground) -> int:
        return tokens_of(memory)


@register
class Causal(Masking):
    """``@causal``: every token looks at itself and the tokens before it, in the order of memory."""

    name, prefix = "causal", True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done((Place("causal"),))

    def own(self, place: Place) -> bool:
        return True

    def offsets(self, place: Place, grid: tuple[int, ...]) -> Spans:
        return (Span(1, 1 - grid[0], 0), *(None for _ in grid[1:]))

    def table(self, place: Place, asks: Ground, memory: Ground, heads: int) -> Any:
        import numpy as np

        tokens = np.arange(tokens_of(memory))
        return np.where(tokens[None] <= tokens[:, None], tokens[None], -1)[None]


@register
class Lag(Masking):
    """``@lag(n)``: the tokens at least n before the token, in the order of memory.

    Of a coarse memory those slots whose parts of the sequence end so far before it. Tokens without a slot read
    nothing: zeros.
    Source: the global keys of core context aware attention, arXiv 2412.12465.
    """

    name = "lag"
    sizes = {"n": REQUIRED}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done((Place("lag", (one(settings["n"], "the lag"),)),))

    def fits(self, place: Place, asks: Ground, memory: Ground) -> None:
        cells(asks, memory, "lag")
        if place.values[0] == 0 and asks == memory:
            raise Mismatch("lag(0) is causal", "write @causal")
        if asks[1] or place.values[0] >= prod(asks[0]):
            raise Mismatch(f"lag({place.values[0]}) on {prod(asks[0])} tokens leaves nothing", "take a smaller lag")

    def offsets(self, place: Place, grid: tuple[int, ...]) -> Spans:
        return (Span(1, 1 - grid[0], -place.values[0] if len(grid) == 1 else 0), *(None for _ in grid[1:]))

    def table(self, place: Place, asks: Ground, memory: Ground, heads: int) -> Any:
        import numpy as np

        tokens, slots = np.arange(tokens_of(asks)), np.arange(tokens_of(memory))
        part = cells(asks, memory, "lag")
        last = np.array([tokens[part == slot].max() for slot in slots])
        return np.where(last[None] <= tokens[:, None] - place.values[0], slots[None], -1)[None]


@register
class Stride(Support):
    """``@stride(v, b=1)``: of blocks of b tokens every v-th, in the order of memory; which of them differs by head.

    Head i takes the blocks j with (j + i * max(1, v // heads)) mod v = 0.
    Source: S2-Attention (heterogeneous sharding), arXiv 2407.17678.
    """

    name = "stride"
    sizes = {"v": REQUIRED}
    keywords = {"b": (1,)}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        place = Place("stride", (one(settings["v"], "the stride"), one(settings["b"], "b")))
        self.fits(place, (ctx.x.grid, ctx.x.extra), (ctx.x.grid, ctx.x.extra))
        return Done((place,))

    def fits(self, place: Place, asks: Ground, memory: Ground) -> None:
        super().fits(place, asks, memory)
        (v, b), tokens = place.values, prod(memory[0])
        if v < 1 or b < 1 or tokens % b or v > tokens // b:
            raise Mismatch(
                f"stride({v}, b={b}) on {tokens} tokens", f"blocks divide {tokens}, with at least one in a stride"
            )

    def by_head(self, place: Place) -> bool:
        return True

    def full(self, place: Place) -> bool:
        return True

    def width(self, place: Place, memory: Ground) -> int:
        v, b = place.values
        return int(-(-(prod(memory[0]) // b) // v) * b)

    def table(self, place: Place, asks: Ground, memory: Ground, heads: int) -> Any:
        import numpy as np

        (v, b), tokens = place.values, prod(memory[0])
        rows = np.full((heads, 1, self.width(place, memory)), -1)
        for head in range(heads):
            blocks = [j for j in range(tokens // b) if (j + head * max(1, v // heads)) % v == 0]
            slots = [j * b + i for j in blocks for i in range(b)]
            rows[head, 0, : len(slots)] = slots
        return rows

    def steps(self, place: Place, grid: tuple[int, ...]) -> tuple[int, ...]:
        row = prod(grid[1:])  # tokens by which a shift along the first axis moves
        return (lcm(place.values[0] * place.values[1], row) // row, *(NEVER for _ in grid[1:]))

    def support(self, place: Place) -> Node:
        return word("stride", size(place.values[0]), b=size(place.values[1]))


@register
class Either(Support):
    """``@(a | b)``: the slots of any of several supports; one that two of them name counts twice, and is read once."""

    name, kinds = "|", ("place",)

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if len(done) < len(node.kids):
            return Demand(len(done), ctx)
        members: list[Stack] = []
        for places, kid in zip(done, node.kids, strict=True):
            if not places or not all(place_word(place).supports for place in places):
                raise Mismatch("a union is one of supports, such as N(3), causal, stride(8) or top(4, ..)", None, kid)
            stack: Stack = ()
            for place in reversed(places):
                stack = supports.stacked(stack, place)
            if not supports.distinct(stack) or supports.lasting(stack) != stack:
                raise Mismatch(f"{stack[0].word} with these settings cannot be part of a union", None, kid)
            members.append(stack)
        dynamic = [stack for stack in members if supports.chosen(stack)]
        if dynamic and any(supports.by_head(stack) for stack in members):
            raise Mismatch(BY_HEAD, BY_HEAD_ADVICE)
        known = {one for stack in members if not supports.chosen(stack) for one in _opened(stack)}
        static = sorted(known, key=repr)
        if not dynamic and len(static) == 1:
            return Done(tuple(reversed(static[0])))
        return Done((Place("|", (*static, *dynamic)),))

    def chooses(self, place: Place) -> bool:
        return any(supports.chosen(stack) for stack in place.values)

    def own(self, place: Place) -> bool:
        return any(supports.own(stack) for stack in place.values)

    def full(self, place: Place) -> bool:
        return any(supports.full(stack) for stack in place.values)

    def made_for(self, place: Place) -> int:
        return max(place_word(inner).made_for(inner) for stack in place.values for inner in stack)

    def by_head(self, place: Place) -> bool:
        return any(supports.by_head(stack) for stack in place.values)

    def fits(self, place: Place, asks: Ground, memory: Ground) -> None:
        for stack in place.values:
            for inner in stack:
                place_word(inner).fits(inner, asks, memory)

    def whole(self, place: Place, memory: Ground) -> bool:
        sizes = [supports.number(stack, memory) for stack in place.values]
        return any(supports.whole(stack, memory) for stack in place.values) or sum(sizes) >= tokens_of(memory)

    def width(self, place: Place, memory: Ground) -> int:
        if self.whole(place, memory):
            return tokens_of(memory)
        return sum(supports.number(stack, memory) for stack in place.values)

    def table(self, place: Place, asks: Ground, memory: Ground, heads: int) -> Any:
        import numpy as np

        found = [supports.table(stack, asks, memory, heads) for stack in place.values if not supports.chosen(stack)]
        if not self.whole(place, memory):
            return supports.merged(found, tokens_of(asks))
        masks = [supports.present(rows, tokens_of(memory)) for rows in found]
        mask = np.logical_or.reduce(np.broadcast_arrays(*masks))
        return np.where(mask, np.arange(tokens_of(memory)), -1)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        """Of a union with members that depend on the data: the slots of the others, within the supports around it."""
        import numpy as np

        (place,), ground = t.out, (t.x.grid, t.x.extra)
        static = tuple(stack for stack in place.values if not supports.chosen(stack))
        if not static:
            return {}
        found = [supports.table(stack, ground, ground, 1) for stack in static]
        rows = supports.merged(found, tokens_of(ground))
        if stack := supports.lasting(t.context.place):
            around = supports.table(stack, ground, ground, 1)
            rows = supports.kept(rows, supports.present(around, tokens_of(ground)))
        return {"table": np.ascontiguousarray(rows)}

    def dense(self, t: Typed, w: Any, *tables: Any) -> Any:
        (place,), ground = t.out, (t.x.grid, t.x.extra)
        known = [w.table[None]] if hasattr(w, "table") else []
        return supports.united([*known, *tables], self.whole(place, ground), ground)

    def offsets(self, place: Place, grid: tuple[int, ...]) -> Spans:
        found = [supports.offsets(stack, grid) or () for stack in place.values]
        return tuple(
            None if None in axis else Span(1, min(span.low for span in axis), max(span.high for span in axis))
            for axis in zip(*found, strict=True)
        )

    def steps(self, place: Place, grid: tuple[int, ...]) -> tuple[int, ...]:
        found = [steps for stack in place.values for steps in supports.steps(stack, grid) if steps]
        return tuple(lcm(*axis) for axis in zip(*found, strict=True)) if found else ()

    def support(self, place: Place) -> Node:
        return nodes.Group(tuple(written_supports(stack) for stack in place.values))

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        static = (stack for stack in t.out[0].values if not supports.chosen(stack))
        return nodes.Group((*map(written_supports, static), *kids))


def _opened(stack: Stack) -> tuple[Stack, ...]:
    """The members of a union within a union; any other support is its own member."""
    return stack[0].values if len(stack) == 1 and stack[0].word == "|" else (stack,)


def _spread(axes: list[Any], grid: tuple[int, ...]) -> list[Any]:
    """Of each axis the array (tokens of the axis, slots of the axis), spread over (tokens, slots) of the grid."""
    import numpy as np

    found, full = [], (*grid, *(axis.shape[1] for axis in axes))
    for i, axis in enumerate(axes):
        shape = [1] * len(full)
        shape[i], shape[len(grid) + i] = axis.shape
        found.append(np.broadcast_to(axis.reshape(shape), full).reshape(prod(grid), -1))
    return found


@lru_cache(maxsize=256)
def _neighbours(place: Place, grid: tuple[int, ...]) -> Any:
    import numpy as np

    k, s, d, edge = place.values
    axes = [np.asarray(_axis(*numbers, edge)) for numbers in zip(grid, k, s, d, strict=True)]
    spread = _spread(axes, grid)
    absent = np.logical_or.reduce([axis < 0 for axis in spread])
    return np.where(absent, -1, np.ravel_multi_index(spread, grid, mode="clip")).astype(np.int64)


def _axis(length: int, k: int, s: int, d: int, edge: str) -> list[list[int]]:
    """For each position of one axis its k candidates; -1 where absent."""
    rows = []
    for position, slots in enumerate(_positions(length, k, s, d, edge)):
        residue, last = position % d, position if edge == "causal" else length - 1
        if edge == "wrap":
            around = (length - residue - 1) // d * d + d  # what the residue class takes of the axis
            rows.append([(slot - residue) % around + residue for slot in slots])
        else:
            rows.append([slot if 0 <= slot <= last else -1 for slot in slots])
    return rows


def _positions(length: int, k: int, s: int, d: int, edge: str) -> list[list[int]]:
    """For each position of one axis where its k candidates lie, outside the axis too.

    docs/algebra.md#neighbourhoods: positions p of a residue class share leaders in groups of s.
    """
    rows = []
    for position in range(length):
        residue, p = position % d, position // d
        last = (length - residue - 1) // d  # the residue class has positions 0 .. last
        leader = min(p // s * s + (s - 1 if edge == "causal" else s // 2), last)
        first = leader - (k - 1 if edge == "causal" else k // 2)
        if edge == "clamp":
            first = min(max(first, 0), last + 1 - k)
        rows.append([slot * d + residue for slot in range(first, first + k)])
    return rows
