"""Network words: convolutions that change grid and width, norms, positions, class tokens."""

from __future__ import annotations

from math import prod
from typing import Any

from metamixer.language.typed import Typed
from metamixer.language.types import Context, Field, Mismatch, Type, field_of
from metamixer.language.vocabulary import REQUIRED, Done, Plain, Weight, on_grid, one, per_axis, register
from metamixer.words.combinators import elements
from metamixer.words.interactions import convolve, same_padding, shifted_sum


@register
class FullConv(Plain):
    """``fconv(k, c, s=1, g=1)``: full convolution to c channels.

    Zero padding (k-1)/2 a side (even k: one less in front), none if k <= s (then s divides the grid); ``pad=``
    overrides both sides. MACs: tokens out * c * C / g * k.
    """

    name = "fconv"
    sizes = {"k": REQUIRED, "c": REQUIRED}
    sources = roles = ("x",)
    keywords = {"s": (1,), "g": (1,), "b": (1,), "pad": None}

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
            if width > length + sum(pads[axis]) or (width > step and width > 2 * length - 1):
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
            "pad": None if pads == default else pad,
        }
        return Done(Field(grid, c), resolved | {"pads": tuple(pads)})

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        fan_in, kernel = t.inputs[0].channels // t.settings["g"], t.settings["k"]
        bias = (Weight("bias", (t.out.channels,), "fill", 0.0),) if t.settings["b"] else ()
        return (Weight("weight", (t.out.channels, fan_in, *kernel), "normal", (fan_in * prod(kernel)) ** -0.5), *bias)

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


class Keeping(Plain):
    """A word that keeps the field's type."""

    sources = roles = ("x",)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done(field_of(sources[0], f"the source of {self.name}"), self.resolved(settings, field_of(sources[0])))

    def resolved(self, settings: dict[str, Any], x: Field) -> dict[str, Any]:
        return {"b": one(settings["b"], "b")} if "b" in settings else {}

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        shift = (Weight("shift", (t.out.channels,), "fill", 0.0),) if t.settings["b"] else ()
        return (Weight("scale", (t.out.channels,), "fill", 1.0), *shift)

    def affine(self, t: Typed, w: Any, x: Any) -> Any:
        return x * w.scale + w.shift if t.settings["b"] else x * w.scale


@register
class LayerNorm(Keeping):
    """``norm``: over the channels of each token, eps 1e-6; inside ``@T`` the channels are the tokens."""

    name = "norm"
    keywords = {"b": (1,)}
    eps = 1e-6

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import layer_norm

        return layer_norm(x, (t.out.channels,), w.scale, w.shift if t.settings["b"] else None, self.eps)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        return self.affine(t, w, centred / (centred.square().mean(-1, keepdim=True) + self.eps).sqrt())


@register
class BatchNorm(Keeping):
    """``bn``: over batch and tokens while training, by running statistics (momentum 0.1) in evaluation; eps 1e-5."""

    name = "bn"
    keywords = {"b": (1,)}
    eps = 1e-5

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        c = t.out.channels
        return (
            *super().weights(t),
            Weight("mean", (c,), "fill", 0.0, False),
            Weight("variance", (c,), "fill", 1.0, False),
        )

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import batch_norm

        shift = w.shift if t.settings["b"] else None
        y = batch_norm(x.reshape(-1, t.out.channels), w.mean, w.variance, w.scale, shift, w.training, 0.1, self.eps)
        return y.reshape(x.shape)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return self.affine(t, w, (x - w.mean) / (w.variance + self.eps).sqrt())


@register
class GroupNorm(Keeping):
    """``gn(g=1)``: over all tokens and the channels of each of g groups, eps 1e-5."""

    name = "gn"
    sizes = {"g": (1,)}
    keywords = {"b": (1,)}
    eps = 1e-5

    def resolved(self, settings: dict[str, Any], x: Field) -> dict[str, Any]:
        g = one(settings["g"], "g")
        if g < 1 or x.channels % g:
            raise Mismatch(f"{g} groups do not divide {x.channels} channels", f"take a divisor of {x.channels}")
        return {"g": g, "b": one(settings["b"], "b")}

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        import torch
        from torch.nn.functional import group_norm

        channels_first = x.movedim(-1, 1)
        if torch.is_grad_enabled() and not x.requires_grad:
            # torch 2.13 on the CPU crashes in the backward pass of a channels-last input that needs no gradient itself
            channels_first = channels_first.contiguous()
        shift = w.shift if t.settings["b"] else None
        return group_norm(channels_first, t.settings["g"], w.scale, shift, self.eps).movedim(1, -1)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        groups = x.reshape(x.shape[0], t.out.tokens, t.settings["g"], -1)
        centred = groups - groups.mean((1, 3), keepdim=True)
        return self.affine(
            t, w, (centred / (centred.square().mean((1, 3), keepdim=True) + self.eps).sqrt()).reshape(x.shape)
        )


@register
class Affine(Keeping):
    """``aff``: per-channel scale and shift without statistics (ResMLP, arXiv 2105.03404)."""

    name = "aff"
    keywords = {"b": (1,)}

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return self.affine(t, w, x)


@register
class Scale(Keeping):
    """``scale(v)``: a learned factor per channel that starts at v (layer scale)."""

    name = "scale"
    sizes = {"v": 1.0}

    def resolved(self, settings: dict[str, Any], x: Field) -> dict[str, Any]:
        v = settings["v"]
        return {"v": float(v if isinstance(v, float) else one(v, "the start value"))}

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("scale", (t.out.channels,), "fill", t.settings["v"]),)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x * w.scale


@register
class Average(Plain):
    """``avg(k)``: mean over k x k tokens, stride 1, at borders over the tokens that are there (PoolFormer)."""

    name = "avg"
    sizes = {"k": REQUIRED}
    sources = roles = ("x",)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[0], "the source of avg"), "avg")
        k = per_axis(settings["k"], x.grid, "the window")
        for width, length in zip(k, x.grid, strict=True):
            if width < 1 or width % 2 == 0 or width > 2 * length - 1:
                raise Mismatch(
                    f"avg({width}) on an axis of {length}", f"take an odd window of at most {2 * length - 1}"
                )
        return Done(x, {"k": k})

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import avg_pool1d, avg_pool2d, avg_pool3d

        k = t.settings["k"]
        pool = (avg_pool1d, avg_pool2d, avg_pool3d)[len(k) - 1]
        return pool(x.movedim(-1, 1), k, 1, tuple(n // 2 for n in k), count_include_pad=False).movedim(1, -1)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        k, sides = t.settings["k"], same_padding(t.settings["k"])
        total = shifted_sum(x, k, (1,) * len(k), sides, lambda position, view: view)
        return total / shifted_sum(torch.ones_like(x), k, (1,) * len(k), sides, lambda position, view: view)


@register
class Positions(Keeping):
    """``pos``: adds a learned table over all tokens; the sentence is then locked to its grid."""

    name = "pos"

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("table", (t.out.tokens, t.out.channels), "normal", 0.02),)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x + w.table.reshape(x.shape[1:])


@register
class ClassToken(Plain):
    """``cls(n=1)``: n learned tokens in front of the others."""

    name = "cls"
    sizes = {"n": (1,)}
    sources = roles = ("x",)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x, n = field_of(sources[0], "the source of cls"), one(settings["n"], "the number of tokens")
        if n < 1:
            raise Mismatch("cls adds at least one token")
        return Done(x._replace(extra=x.extra + n), {"n": n})

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("tokens", (t.settings["n"], t.out.channels), "normal", 0.02),)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        rest = x.reshape(x.shape[0], t.inputs[0].tokens, t.out.channels)
        return torch.cat([w.tokens.expand(x.shape[0], -1, -1), rest], 1)


@register
class First(Plain):
    """``first(n=1)``: keeps the first n tokens (the class-token read-out)."""

    name = "first"
    sizes = {"n": (1,)}
    sources = roles = ("x",)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x, n = field_of(sources[0], "the source of first"), one(settings["n"], "the number of tokens")
        if not 1 <= n <= x.tokens:
            raise Mismatch(f"first({n}) of {x.tokens} tokens")
        return Done(Field((n,), x.channels), {"n": n})

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x.reshape(x.shape[0], t.inputs[0].tokens, t.out.channels)[:, : t.out.tokens]
