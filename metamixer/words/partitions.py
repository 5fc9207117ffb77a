"""Views of a grid: windows and strided grids, blocks, segments, the transposed, flattened and rolled field."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import prod
from typing import Any

from metamixer.language.checking.affine import Affine
from metamixer.language.checking.types import Context, Field, Mismatch, Place, Type
from metamixer.language.checking.vocabulary import (
    REQUIRED,
    Done,
    Span,
    Spans,
    on_grid,
    one,
    per_axis,
    register,
)
from metamixer.language.syntax.nodes import Node, word
from metamixer.language.syntax.nodes import place as attached
from metamixer.words.views import View


class Partition(View):
    """Cuts the grid into equal parts of a given shape."""

    sizes = {"w": REQUIRED}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        on_grid(ctx.x, self.name)
        w = per_axis(settings["w"], ctx.x.grid, f"{self.name}(..)")
        for part, length in zip(w, ctx.x.grid, strict=True):
            if part > length:
                raise Mismatch(
                    f"{self.name}({part}) is larger than the axis of {length}", f"take a divisor of {length}"
                )
            if part < 1 or length % part:
                raise Mismatch(
                    f"{self.name}({part}) does not divide the axis of {length}", f"take a divisor of {length}"
                )
        return Done((Place(self.name, (w,)),))

    def inner(self, field: Field, place: Place) -> Field:
        return Field(place.values[0], field.channels)

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        on_grid(out, f"the result inside {self.name}")
        if len(out.grid) != len(field.grid):
            raise Mismatch(f"a part of {self.name} has become {out}; it must keep {len(field.grid)} axes")
        counts = (length // size for length, size in zip(field.grid, place.values[0], strict=True))
        return Field(tuple(n * size for n, size in zip(counts, out.grid, strict=True)), out.channels)

    def parts(self, field: Field, place: Place) -> int:
        return prod(field.grid) // prod(place.values[0])

    def idle(self, field: Field, place: Place) -> bool:
        return bool(place.values[0] == field.grid)

    order: tuple[int, int]  # of (part, position in the part) along each axis of the grid

    def enter(self, value: Any, field: Field, place: Place, dense: bool) -> Any:
        size = place.values[0]
        if dense:
            return self._gather(value, field, size)
        rank, counts = len(size), [length // w for length, w in zip(field.grid, size, strict=True)]
        pairs = [
            pair for n, w in zip(counts, size, strict=True) for pair in ((n, w) if self.order == (0, 1) else (w, n))
        ]
        value = value.reshape(-1, *pairs, field.channels)
        outer, inner = self.order
        axes = [1 + 2 * a + outer for a in range(rank)] + [1 + 2 * a + inner for a in range(rank)]
        return value.permute(0, *axes, 2 * rank + 1).reshape(-1, *size, field.channels)

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool) -> Any:
        size, rank = place.values[0], len(place.values[0])
        counts = [length // w for length, w in zip(field.grid, size, strict=True)]
        value = value.reshape(-1, *counts, *out.grid, out.channels)
        axes = [
            a
            for axis in range(rank)
            for a in ((1 + axis, 1 + rank + axis) if self.order == (0, 1) else (1 + rank + axis, 1 + axis))
        ]
        grid = [n * w for n, w in zip(counts, out.grid, strict=True)]
        return value.permute(0, *axes, 2 * rank + 1).reshape(-1, *grid, out.channels)

    def _gather(self, value: Any, field: Field, size: tuple[int, ...]) -> Any:
        """The parts taken out one by one."""
        from itertools import product

        import torch

        counts = [length // w for length, w in zip(field.grid, size, strict=True)]
        parts = []
        for part in product(*map(range, counts)):
            piece = value
            for axis, (i, n, w) in enumerate(zip(part, counts, size, strict=True)):
                where = range(i * w, (i + 1) * w) if self.order == (0, 1) else range(i, n * w, n)
                piece = piece.index_select(axis + 1, torch.tensor(list(where), device=value.device))
            parts.append(piece)
        return torch.stack(parts, 1).flatten(0, 1)


@register
class Window(Partition):
    """``@win(w)``: consecutive blocks of w tokens an axis (Swin, MaxViT block attention)."""

    name, order = "win", (0, 1)

    def spread(self, field: Field, place: Place, inner: Spans, out: Field) -> Spans:
        spans: list[Span | None] = []
        for w, n, span in zip(place.values[0], out.grid, inner or (), strict=True):
            stride = Fraction(w, n)
            low, high = (w, w) if span is None else (-span.low, span.high)
            spans.append(Span(stride, -min(low, (n - 1) * stride), min(high, w - 1)))
        return tuple(spans)

    def shifts(self, field: Field, place: Place, inner: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return tuple(place.values[0])


@register
class Grid(Partition):
    """``@grid(g)``: g tokens an axis, spaced L / g (MaxViT grid attention)."""

    name, order = "grid", (1, 0)

    def spread(self, field: Field, place: Place, inner: Spans, out: Field) -> Spans:
        if out.grid != place.values[0]:
            return (None,) * len(field.grid)
        spans: list[Span | None] = []
        for g, length, span in zip(place.values[0], field.grid, inner or (), strict=True):
            low, high = (1 - g, g - 1) if span is None else (span.low, span.high)
            spans.append(Span(1, low * (length // g), high * (length // g)))
        return tuple(spans)

    def shifts(self, field: Field, place: Place, inner: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        if inner is None:
            return None
        axes = zip(inner, field.grid, place.values[0], strict=True)
        return tuple(1 if step == 1 else step * (length // g) for step, length, g in axes)


@register
class Blocks(View):
    """``@blk(n)``: groups of n consecutive tokens, in the order of memory, each a sequence; on one axis ``win(n)``.

    What remains of n tokens stands in a sequence of groups; where every group keeps its tokens, so does the grid.
    """

    name = "blk"
    sizes = {"n": REQUIRED}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        n, tokens = one(settings["n"], "the number of tokens of a group"), on_grid(ctx.x, "blk").tokens
        if n < 1 or tokens % n:
            raise Mismatch(f"blk({n}) does not divide {tokens} tokens", f"take a divisor of {tokens}")
        return Done((Place("win", ((n,),)) if len(ctx.x.grid) == 1 else Place("blk", (n,)),))

    def inner(self, field: Field, place: Place) -> Field:
        return Field((place.values[0],), field.channels)

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        if len(on_grid(out, "the result inside blk").grid) != 1:
            raise Mismatch(f"a group of blk has become {out}; it is a sequence")
        if out.tokens == place.values[0]:
            return field._replace(channels=out.channels)
        return Field((field.tokens // place.values[0] * out.tokens,), out.channels)

    def parts(self, field: Field, place: Place) -> int:
        return int(field.tokens // place.values[0])

    def spread(self, field: Field, place: Place, inner: Spans, out: Field) -> Spans:
        return (None,) * len(field.grid)

    def shifts(self, field: Field, place: Place, inner: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        return None

    def enter(self, value: Any, field: Field, place: Place, dense: bool) -> Any:
        n = place.values[0]
        if dense:
            import torch

            return torch.cat([part.unsqueeze(1) for part in value.flatten(1, -2).split(n, 1)], 1).flatten(0, 1)
        return value.reshape(-1, n, field.channels)

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool) -> Any:
        grid = field.grid if out.tokens == place.values[0] else (field.tokens // place.values[0] * out.tokens,)
        return value.reshape(-1, *grid, out.channels)


@register
class Transposed(View):
    """``@T``: tokens and channels change places, so token mixers become channel mixers and the reverse."""

    name, rewidth, involution = "T", True, True
    tokens = "channels"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done((Place("T"),))

    def inner(self, field: Field, place: Place) -> Field:
        return Field((field.channels,), field.tokens)

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        on_grid(out, "the result inside T")
        if out.channels == field.tokens:
            return field._replace(channels=out.tokens)
        return Field((out.channels,), out.tokens)

    def around(self, field: Field, inner: Affine) -> Affine | None:
        """Of a projection: one matrix over the tokens for each set of channels."""
        n = inner.channels[0]
        if inner.over_tokens or inner.kernel or not inner.of_x or inner.groups > 1 or inner.channels != (n, n):
            return None
        spelled = inner.spelled
        assert spelled is not None

        def matrices() -> tuple[Any, Any]:
            weight, bias = inner.tensors()
            return weight.reshape(inner.sets, n, n), bias if bias is None else bias.reshape(inner.sets, n)

        def viewed(a: Affine, arguments: tuple[Node, ...]) -> Node:
            return attached(spelled(replace(a, sets=a.rows), arguments), word(self.name))

        return replace(
            inner, kind=f"@{self.name}", spelled=viewed, channels=(field.channels, field.channels), rows=inner.sets,
            sets=1, grid=field.grid, tensors=matrices, over_tokens=True, pointwise=False,
        )  # fmt: skip

    def enter(self, value: Any, field: Field, place: Place, dense: bool) -> Any:
        return value.reshape(value.shape[0], field.tokens, field.channels).transpose(1, 2)

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool) -> Any:
        value = value.reshape(value.shape[0], out.tokens, out.channels).transpose(1, 2)
        if out.channels == field.tokens and not field.extra:
            return value.reshape(value.shape[0], *field.grid, out.tokens)
        return value


@register
class Segments(View):
    """``@seg(n)``: the same weights for each of n contiguous channel groups."""

    name, rewidth = "seg", True
    sizes = {"n": REQUIRED}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        n = one(settings["n"], "the number of segments")
        return Done((Place("seg", (n,)),))

    def inner(self, field: Field, place: Place) -> Field:
        n = place.values[0]
        if n < 1 or field.channels % n:
            raise Mismatch(
                f"{n} channel groups do not divide {field.channels} channels", f"take a divisor of {field.channels}"
            )
        return field._replace(channels=field.channels // n)

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        return out._replace(channels=out.channels * place.values[0])

    def parts(self, field: Field, place: Place) -> int:
        return int(place.values[0])

    def idle(self, field: Field, place: Place) -> bool:
        return bool(place.values[0] == 1)

    def enter(self, value: Any, field: Field, place: Place, dense: bool) -> Any:
        import torch

        n = place.values[0]
        if dense:
            return torch.stack(value.split(field.channels // n, -1), 1).flatten(0, 1)
        return value.unflatten(-1, (n, -1)).movedim(-2, 1).flatten(0, 1)

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool) -> Any:
        value = value.unflatten(0, (-1, place.values[0]))
        return value.movedim(1, -2).flatten(-2)


@register
class Flat(View):
    """``@flat``: all tokens (of the part) of the grid as one token of tokens * C channels, channel-major."""

    name, rewidth = "flat", True
    tokens = "neither"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done((Place("flat"),))

    def inner(self, field: Field, place: Place) -> Field:
        on_grid(field, "flat")
        return Field((1,) * len(field.grid), field.tokens * field.channels)

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        if on_grid(out, "the result inside flat").tokens != 1 or out.channels % field.tokens:
            raise Mismatch(f"inside flat {out} came out; {field.tokens} tokens need a multiple of as many channels")
        return field._replace(channels=out.channels // field.tokens)

    def enter(self, value: Any, field: Field, place: Place, dense: bool) -> Any:
        value = value.reshape(-1, field.tokens, field.channels).mT
        return value.reshape(value.shape[0], *([1] * len(field.grid)), -1)

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool) -> Any:
        value = value.reshape(value.shape[0], -1, field.tokens).mT
        return value.reshape(value.shape[0], *field.grid, -1)


@register
class Roll(View):
    """``@roll(n)``: the operand sees the grid shifted cyclically by n tokens an axis (Swin's shifted windows)."""

    name, ordered = "roll", False
    sizes = {"n": REQUIRED}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        grid = on_grid(ctx.x, "roll").grid
        n = per_axis(settings["n"], grid, "the shift")
        return Done((Place("roll", (tuple(shift % length for shift, length in zip(n, grid, strict=True)),)),))

    def inner(self, field: Field, place: Place) -> Field:
        return field

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        if on_grid(out, "the result inside roll").grid != field.grid:
            raise Mismatch(f"inside roll the grid {field.grid} became {out.grid}")
        return out

    def idle(self, field: Field, place: Place) -> bool:
        return not any(place.values[0])

    def enter(self, value: Any, field: Field, place: Place, dense: bool) -> Any:
        return value.roll(tuple(-shift for shift in place.values[0]), tuple(range(1, len(field.grid) + 1)))

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool) -> Any:
        return value.roll(place.values[0], tuple(range(1, len(field.grid) + 1)))
