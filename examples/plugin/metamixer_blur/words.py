"""Two words: an activation, which is a few lines, and a mixer of tokens, which shows most of what a word may say."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from math import comb, prod
from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Context, Mismatch, Type, field_of
from metamixer.language.checking.vocabulary import Done, Plain, Span, Spans, Weighing, on_grid, per_axis, register
from metamixer.words.activations import Pointwise


@register
class Mish(Pointwise):
    """x * tanh(softplus(x)) (arXiv 1908.08681)."""

    name = torch_name = "mish"


@register
class Blur(Plain):
    """``blur(k=3)``: binomial smoothing over k tokens an axis, borders repeated (anti-aliasing, arXiv 1904.11486).

    ``(*grid, C) -> (*grid, C)``; no weights. MACs: tokens * C * k for each axis of the kernel, multiplied.
    """

    name = "blur"
    sizes = {"k": (3,)}
    sources = roles = ("x",)
    channelwise = True  # every channel by itself

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x = on_grid(field_of(sources[0], "the source of blur"), "blur")
        k = per_axis(settings["k"], x.grid, "the kernel of blur")
        for width, length in zip(k, x.grid, strict=True):
            if width % 2 == 0 or width > 2 * length - 1:
                raise Mismatch(f"blur({width}) along an axis of {length}", f"take an odd k up to {2 * length - 1}")
        return Done(x, {"k": k})

    # What it costs, for readers and for one occurrence. It owns no weights, so `weights` stays as it is.

    counted = "tokens * c * k"

    def macs(self, t: Typed) -> int:
        return int(t.out.tokens * t.out.channels * prod(t.settings["k"]))

    # What derived attributes follow from: where it reads, and by what kind of coefficients.

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (tuple(Span(1, -(k // 2), k // 2) for k in t.settings["k"]),)

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("tokens", "static", "convex")

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if signs[0] == "signed" else "positive"

    # What it computes: the fast kernel, and the definition that it is compared with.

    def constants(self, t: Typed) -> Mapping[str, Any]:
        import numpy as np

        kernel = np.ones((), np.float32)
        for k in t.settings["k"]:
            weights = np.asarray([comb(k - 1, i) for i in range(k)], np.float32)
            kernel = np.multiply.outer(kernel, weights / 2 ** (k - 1))
        return {"kernel": kernel}

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn import functional

        k, c = t.settings["k"], t.out.channels
        convolution = (functional.conv1d, functional.conv2d, functional.conv3d)[len(k) - 1]
        border = [width // 2 for width in reversed(k) for _ in range(2)]
        padded = functional.pad(x.movedim(-1, 1), border, mode="replicate")
        return convolution(padded, w.kernel.expand(c, 1, *k).to(x.dtype), groups=c).movedim(1, -1)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        out: Any = 0
        for slot in product(*map(range, t.settings["k"])):
            moved = x
            for axis, (i, k, length) in enumerate(zip(slot, t.settings["k"], t.out.grid, strict=True)):
                where = torch.arange(length, device=x.device) + i - k // 2
                moved = moved.index_select(axis + 1, where.clamp(0, length - 1))
            out = out + w.kernel[slot] * moved
        return out
