"""Words that change the grid: full convolutions, running means, up-sampling."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

from metamixer.language.checking.affine import Affine, Tensors, held, same, sized
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import AffineMap
from metamixer.language.checking.types import Context, Field, Mismatch, Type, field_of
from metamixer.language.checking.vocabulary import (
    REQUIRED,
    Done,
    Plain,
    Span,
    Spans,
    Weighing,
    Weight,
    on_grid,
    one,
    per_axis,
    register,
)
from metamixer.language.syntax.nodes import Node, size, word
from metamixer.words.banks import frozen
from metamixer.words.combinators import elements
from metamixer.words.convolutions import convolve, same_padding, shifted_sum


@register
class FullConv(Plain, AffineMap):
    """``fconv(k, c, s=1, g=1)``: full convolution to c channels.

    Zero padding (k-1)/2 a side (even k: one less in front), none if k <= s (then s divides the grid); ``pad=``
    overrides both sides. MACs: tokens out * c * C / g * k.
    """

    name = "fconv"
    counted = "tokens * C * c / g * k"
    sizes = {"k": REQUIRED, "c": REQUIRED}
    sources = roles = ("x",)
    keywords = {"s": (1,), "g": (1,), "b": (1,), "pad": None, "fix": None}

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        axes = zip(t.settings["s"], t.settings["k"], t.settings["pads"], strict=True)
        return (tuple(Span(s, -pad[0], k - 1 - pad[0]) for s, k, pad in axes),)

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("both", "static")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[0], "the source of fconv"), "a convolution")
        k, s = per_axis(settings["k"], x.grid, "the kernel"), per_axis(settings["s"], x.grid, "the stride")
        c, g = one(settings["c"], "the width"), one(settings["g"], "g")
        if min((*k, *s, c, g)) < 1 or x.channels % g or c % g:
            raise Mismatch(
                f"{g} groups do not divide {x.channels} -> {c} channels" if g > 0 else "sizes are at least 1"
            )
        default = [
            (0, 0) if width <= step else ((width - 1) // 2, width // 2) for width, step in zip(k, s, strict=True)
        ]
        pad = None if settings["pad"] is None else per_axis(settings["pad"], x.grid, "pad")
        pads = default if pad is None else [(side, side) for side in pad]
        for axis, (width, step, length) in enumerate(zip(k, s, x.grid, strict=True)):
            if pad is None and width <= step and length % step:
                raise Mismatch(
                    f"a stride of {step} does not divide the axis of {length}", f"take a divisor of {length}"
                )
            idle = width > step and width > 2 * length - 1 and not ctx.lenient
            if width > length + sum(pads[axis]) or idle:
                raise Mismatch(f"a kernel of {width} is larger than the axis of {length} allows")
        grid = tuple(
            (length + sum(sides) - width) // step + 1
            for length, sides, width, step in zip(x.grid, pads, k, s, strict=True)
        )
        resolved = {
            "k": k,
            "c": c,
            "s": s,
            "g": g,
            "b": one(settings["b"], "b"),
            "fix": frozen(settings["fix"]),
            "pad": None if pads == default else pad,
        }
        return Done(Field(grid, c), resolved | {"pads": tuple(pads)})

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        fan_in, kernel = t.inputs[0].channels // t.settings["g"], t.settings["k"]
        trained, shape = not t.settings["fix"], (t.out.channels, fan_in, *kernel)
        bias = (Weight("bias", (t.out.channels,), "fill", 0.0, trained),) if t.settings["b"] else ()
        return (Weight("weight", shape, "normal", (fan_in * prod(kernel)) ** -0.5, trained), *bias)

    def as_affine(self, t: Typed, tensors: Tensors) -> Affine | None:
        s, x = t.settings, t.inputs[0]
        if s["fix"]:  # frozen numbers stay apart
            return None
        names = ("weight", "bias")
        return Affine(
            self.name, self.spelled, names, (x.channels, s["c"]), s["g"], s["c"], x.grid, held(tensors), bool(s["b"]),
            s["k"], s["s"], s["pads"],
        )  # fmt: skip

    def spelled(self, a: Affine, arguments: tuple[Node, ...]) -> Node:
        """How a convolution is written."""
        usual = tuple((0, 0) if k <= s else same(k) for k, s in zip(a.kernel, a.stride, strict=True))
        options = {
            **({"s": sized(a.stride)} if any(step > 1 for step in a.stride) else {}),
            **({"g": size(a.groups)} if a.groups > 1 else {}),
            **({"pad": sized(tuple(front for front, _ in a.pads))} if a.pads != usual else {}),
            **({} if a.bias else {"b": size(0)}),
        }
        return word(self.name, sized(a.kernel), size(a.channels[1]), *arguments, **options)

    def macs(self, t: Typed) -> int:
        return int(elements(t.out) * t.inputs[0].channels // t.settings["g"] * prod(t.settings["k"]))

    def _padding(self, t: Typed) -> list[int]:
        return [0, 0, *(side for pad in reversed(t.settings["pads"]) for side in pad)]

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import pad

        padding = self._padding(t)
        return convolve(
            pad(x, padding) if any(padding) else x,
            w.weight,
            w.bias if t.settings["b"] else None,
            t.settings["s"],
            t.settings["g"],
        )

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        g = t.settings["g"]
        weight = w.weight.unflatten(0, (g, -1))

        def term(position: tuple[int, ...], view: Any) -> Any:
            tap = weight[(slice(None), slice(None), slice(None), *position)]
            return torch.einsum("...gi,goi->...go", view.unflatten(-1, (g, -1)), tap).flatten(-2)

        y = shifted_sum(x, t.settings["k"], t.settings["s"], self._padding(t), term)
        return y + w.bias if t.settings["b"] else y


@register
class Average(Plain):
    """``avg(k)``: mean over k x k tokens, stride 1, at borders over the tokens that are there (PoolFormer)."""

    name = "avg"
    sizes = {"k": REQUIRED}
    sources = roles = ("x",)
    channelwise = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (tuple(Span(1, -(k // 2), k // 2) for k in t.settings["k"]),)

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("tokens", "static", "convex")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[0], "the source of avg"), "avg")
        k = per_axis(settings["k"], x.grid, "the window")
        for width, length in zip(k, x.grid, strict=True):
            if width < 1 or width % 2 == 0 or (width > 2 * length - 1 and not ctx.lenient):
                raise Mismatch(
                    f"avg({width}) on an axis of {length}", f"take an odd window of at most {2 * length - 1}"
                )
        return Done(x, {"k": k})

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import avg_pool1d, avg_pool2d, avg_pool3d

        k = t.settings["k"]
        if len(k) == 3 and any(n < width for n, width in zip(t.out.grid, k, strict=True)):
            return self.dense(t, w, x)  # avg_pool3d refuses a window larger than the unpadded grid
        pool = (avg_pool1d, avg_pool2d, avg_pool3d)[len(k) - 1]
        return pool(x.movedim(-1, 1), k, 1, tuple(n // 2 for n in k), count_include_pad=False).movedim(1, -1)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        k, sides = t.settings["k"], same_padding(t.settings["k"])
        total = shifted_sum(x, k, (1,) * len(k), sides, lambda position, view: view)
        return total / shifted_sum(torch.ones_like(x), k, (1,) * len(k), sides, lambda position, view: view)


@register
class Maximum(Plain):
    """``maxpool(k, s=1)``: the largest of k x k tokens, channel by channel, at borders of those that are there.

    Odd k; token i of the result stands at token s * i. A ResNet stem has ``maxpool(3,s=2)`` (arXiv 1512.03385).
    """

    name = "maxpool"
    sizes = {"k": REQUIRED}
    sources = roles = ("x",)
    keywords = {"s": (1,)}
    channelwise = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        axes = zip(t.settings["s"], t.settings["k"], strict=True)
        return (tuple(Span(s, -(k // 2), k // 2) for s, k in axes),)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[0], "the source of maxpool"), "maxpool")
        k, s = per_axis(settings["k"], x.grid, "the window"), per_axis(settings["s"], x.grid, "the stride")
        for width, step, length in zip(k, s, x.grid, strict=True):
            if width < 1 or width % 2 == 0 or (width > 2 * length - 1 and not ctx.lenient):
                raise Mismatch(
                    f"maxpool({width}) on an axis of {length}", f"take an odd window of at most {2 * length - 1}"
                )
            if step < 1:
                raise Mismatch("a stride is at least 1")
        grid = tuple(-(-length // step) for length, step in zip(x.grid, s, strict=True))
        return Done(Field(grid, x.channels), {"k": k, "s": s})

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import max_pool1d, max_pool2d, max_pool3d

        k, pool = t.settings["k"], (max_pool1d, max_pool2d, max_pool3d)[len(t.settings["k"]) - 1]
        return pool(x.movedim(-1, 1), k, t.settings["s"], tuple(n // 2 for n in k)).movedim(1, -1)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch
        from torch.nn.functional import pad

        k, rank = t.settings["k"], len(t.settings["k"])
        views = pad(x, same_padding(k), value=-torch.inf)
        for axis, (width, step) in enumerate(zip(k, t.settings["s"], strict=True)):
            views = views.unfold(axis + 1, width, step)
        return views.flatten(-rank).amax(-1)


def enlarged(factor: tuple[int, ...]) -> Spans:
    """Token p reads token p // r."""
    return tuple(Span(Fraction(1, r), -Fraction(r - 1, r), 0) for r in factor)


@register
class Up(Plain):
    """``up(r)``: every token r times along each axis (nearest); bare ``up`` returns to the grid of the scope."""

    name = "up"
    sizes = {"r": None}
    sources = roles = ("x",)
    channelwise = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (enlarged(t.settings["r"]),)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[0], "the source of up"), "up")
        if settings["r"] is not None:
            r = per_axis(settings["r"], x.grid, "the factor")
        elif len(ctx.scope) != len(x.grid) or any(new % old for new, old in zip(ctx.scope, x.grid, strict=True)):
            raise Mismatch(f"up cannot reach the grid {ctx.scope} from {x.grid}", "write the factor: up(2)")
        else:
            r = tuple(new // old for new, old in zip(ctx.scope, x.grid, strict=True))
        if min(r) < 1:
            raise Mismatch("up enlarges the grid", "write up(2)")
        return Done(Field(tuple(n * k for n, k in zip(x.grid, r, strict=True)), x.channels), {"r": r})

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        for axis, r in enumerate(t.settings["r"]):
            x = x.repeat_interleave(r, axis + 1)
        return x


@register
class Shuffle(Plain):
    """``shuffle(r)``: r x r channels become r x r tokens (sub-pixel convolution, arXiv 1609.05158).

    The channel is sub-pixel * C' + channel of the result.
    """

    name = "shuffle"
    sizes = {"r": REQUIRED}
    sources = roles = ("x",)

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (enlarged(t.settings["r"]),)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[0], "the source of shuffle"), "shuffle")
        r = per_axis(settings["r"], x.grid, "the factor")
        if min(r) < 1 or x.channels % prod(r):
            raise Mismatch(f"shuffle({'x'.join(map(str, r))}) does not divide {x.channels} channels")
        grid = tuple(n * k for n, k in zip(x.grid, r, strict=True))
        return Done(Field(grid, x.channels // prod(r)), {"r": r})

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        r, grid, c = t.settings["r"], t.inputs[0].grid, t.out.channels
        rank = len(grid)
        x = x.reshape(x.shape[0], *grid, *r, c)
        axes = [axis for pair in zip(range(1, rank + 1), range(rank + 1, 2 * rank + 1), strict=True) for axis in pair]
        return x.permute(0, *axes, 2 * rank + 1).reshape(x.shape[0], *t.out.grid, c)


@register
class Unshuffle(Plain):
    """``unshuffle(r)``: r x r tokens become channels of one (space to depth); undoes ``shuffle(r)``."""

    name = "unshuffle"
    sizes = {"r": REQUIRED}
    sources = roles = ("x",)

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (tuple(Span(r, 0, r - 1) for r in t.settings["r"]),)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[0], "the source of unshuffle"), "unshuffle")
        r = per_axis(settings["r"], x.grid, "the factor")
        if min(r) < 1 or any(n % k for n, k in zip(x.grid, r, strict=True)):
            raise Mismatch(f"unshuffle({'x'.join(map(str, r))}) does not divide the grid {'x'.join(map(str, x.grid))}")
        grid = tuple(n // k for n, k in zip(x.grid, r, strict=True))
        return Done(Field(grid, x.channels * prod(r)), {"r": r})

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        r, grid, c = t.settings["r"], t.out.grid, t.inputs[0].channels
        rank = len(grid)
        x = x.reshape(x.shape[0], *(n for pair in zip(grid, r, strict=True) for n in pair), c)
        axes = [*range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2)]
        return x.permute(0, *axes, 2 * rank + 1).reshape(x.shape[0], *grid, t.out.channels)
