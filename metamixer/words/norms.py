"""Norms and per-channel scales."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.checking.affine import Scaling, Tensors
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import ChannelScaling, Shortcut, Spectral
from metamixer.language.checking.types import Context, Field, Mismatch, Type, field_of
from metamixer.language.checking.vocabulary import Done, Plain, Spans, Weight, one, register
from metamixer.language.syntax.nodes import Node, word
from metamixer.words.combinators import elements
from metamixer.words.sources import sharing


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


class Standardising(Keeping):
    """A norm by the mean and the variance of its own input; ``eps`` is added to the variance."""

    keywords = {"b": (1,), "eps": None}
    eps: float

    def resolved(self, settings: dict[str, Any], x: Field) -> dict[str, Any]:
        given = settings["eps"]
        if given is not None and not (isinstance(given, float) and 0 < given < 1):
            raise Mismatch("eps is a small positive number", f"write {self.name}(eps={self.eps})")
        return {**super().resolved(settings, x), "eps": None if given == self.eps else given}

    def added(self, t: Typed) -> float:
        """What is added to the variance."""
        return float(t.settings["eps"] or self.eps)


@register
class LayerNorm(Standardising):
    """``norm(eps=1e-6)``: over the channels of each token; inside ``@T`` the channels are the tokens."""

    name = "norm"
    eps = 1e-6

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import layer_norm

        return layer_norm(x, (t.out.channels,), w.scale, w.shift if t.settings["b"] else None, self.added(t))

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        return self.affine(t, w, centred / (centred.square().mean(-1, keepdim=True) + self.added(t)).sqrt())


@register
class RootMeanSquareNorm(Standardising):
    """``rms(eps=1e-6)``: tokens divided by the root of the mean square of their channels; no mean is taken off.

    With a factor for each channel and no shift (RMSNorm, arXiv 1910.07467).
    """

    name = "rms"
    keywords = {"eps": None}
    eps = 1e-6

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("scale", (t.out.channels,), "fill", 1.0),)

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import rms_norm

        return rms_norm(x, (t.out.channels,), w.scale, self.added(t))

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x / (x.square().mean(-1, keepdim=True) + self.added(t)).sqrt() * w.scale


def evaluated(held: Mapping[str, Any], eps: float, i: str = "") -> tuple[Any, Any]:
    """Factor and shift that a batch norm is in evaluation; ``i`` numbers its tensors."""
    mean, variance, scale = (held[f"{name}{i}"].double() for name in ("mean", "variance", "scale"))
    factor = scale / (variance + eps).sqrt()
    shift = -mean * factor
    return factor, shift + held[f"shift{i}"].double() if f"shift{i}" in held else shift


def factors(held: Mapping[str, Any]) -> tuple[Any, Any]:
    """Factor and shift of a scaling without statistics."""
    if "scale" not in held:
        shift = held["shift"].double()
        return shift.new_ones(shift.shape), shift
    scale = held["scale"].double()
    return scale, held["shift"].double() if "shift" in held else scale.new_zeros(scale.shape)


@register
class BatchNorm(Standardising, ChannelScaling):
    """``bn(eps=1e-5, m=.1)``: over batch and tokens while training, by running statistics in evaluation.

    ``m`` is the share of a new batch in the running statistics. With ``sets=S`` the channels i mod S share statistics,
    scale and shift.
    """

    name = "bn"
    channelwise = True
    keywords = {"b": (1,), "eps": None, "m": None, "sets": None}
    eps = 1e-5
    momentum = 0.1

    def resolved(self, settings: dict[str, Any], x: Field) -> dict[str, Any]:
        given = settings["m"]
        if given is not None and not (isinstance(given, float) and 0 < given < 1):
            raise Mismatch("m is a share between 0 and 1", f"write bn(m={self.momentum})")
        return {
            **super().resolved(settings, x),
            "m": None if given == self.momentum else given,
            "sets": sharing(settings["sets"], x.channels, "channels"),
        }

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        c = t.settings["sets"] or t.out.channels
        return (
            Weight("scale", (c,), "fill", 1.0),
            *((Weight("shift", (c,), "fill", 0.0),) if t.settings["b"] else ()),
            Weight("mean", (c,), "fill", 0.0, False),
            Weight("variance", (c,), "fill", 1.0, False),
        )

    def as_scaling(self, t: Typed, tensors: Tensors) -> Scaling | None:
        return Scaling(t.settings["sets"] or t.out.channels, lambda: evaluated(tensors(), self.added(t)))

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import batch_norm

        shift = w.shift if t.settings["b"] else None
        rows = x.reshape(-1, t.settings["sets"] or t.out.channels)
        momentum = float(t.settings["m"] or self.momentum)
        y = batch_norm(rows, w.mean, w.variance, w.scale, shift, w.training, momentum, self.added(t))
        return y.reshape(x.shape)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        rows = x.reshape(-1, t.settings["sets"] or t.out.channels)
        return self.affine(t, w, (rows - w.mean) / (w.variance + self.added(t)).sqrt()).reshape(x.shape)


@register
class GroupNorm(Standardising):
    """``gn(g=1, eps=1e-5)``: over all tokens and the channels of each of g groups."""

    name = "gn"

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return ((None,) * len(t.out.grid),)

    sizes = {"g": (1,)}
    eps = 1e-5

    def resolved(self, settings: dict[str, Any], x: Field) -> dict[str, Any]:
        g = one(settings["g"], "g")
        if g < 1 or x.channels % g:
            raise Mismatch(f"{g} groups do not divide {x.channels} channels", f"take a divisor of {x.channels}")
        return {**super().resolved(settings, x), "g": g}

    def apply(self, t: Typed, w: Any, x: Any) -> Any:
        import torch
        from torch.nn.functional import group_norm

        channels_first = x.movedim(-1, 1)
        if torch.is_grad_enabled() and not x.requires_grad:
            # torch 2.13 on the CPU crashes in the backward pass of a channels-last input that needs no gradient itself
            channels_first = channels_first.contiguous()
        shift = w.shift if t.settings["b"] else None
        return group_norm(channels_first, t.settings["g"], w.scale, shift, self.added(t)).movedim(1, -1)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        groups = x.reshape(x.shape[0], t.out.tokens, t.settings["g"], -1)
        centred = groups - groups.mean((1, 3), keepdim=True)
        return self.affine(
            t, w, (centred / (centred.square().mean((1, 3), keepdim=True) + self.added(t)).sqrt()).reshape(x.shape)
        )


@register
class Affine(Keeping, ChannelScaling):
    """``aff``: per-channel scale and shift without statistics (ResMLP, arXiv 2105.03404)."""

    name = "aff"
    channelwise = True
    keywords = {"b": (1,)}

    def as_scaling(self, t: Typed, tensors: Tensors) -> Scaling | None:
        return Scaling(t.out.channels, lambda: factors(tensors()), bool(t.settings["b"]))

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return self.affine(t, w, x)


@register
class Shift(Keeping, ChannelScaling):
    """``bias``: a learned number for each channel is added; it starts at 0."""

    name = "bias"
    channelwise = True

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("shift", (t.out.channels,), "fill", 0.0),)

    def as_scaling(self, t: Typed, tensors: Tensors) -> Scaling | None:
        return Scaling(t.out.channels, lambda: factors(tensors()))

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x + w.shift


@register
class Scale(Keeping, ChannelScaling, Shortcut, Spectral):
    """``scale(v)``: a learned factor per channel that starts at v (layer scale)."""

    name = "scale"
    channelwise = True
    sizes = {"v": 1.0}

    def resolved(self, settings: dict[str, Any], x: Field) -> dict[str, Any]:
        v = settings["v"]
        return {"v": float(v if isinstance(v, float) else one(v, "the start value"))}

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("scale", (t.out.channels,), "fill", t.settings["v"]),)

    def as_scaling(self, t: Typed, tensors: Tensors) -> Scaling | None:
        return Scaling(t.out.channels, lambda: factors(tensors()), False)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x * w.scale


def plain_scaling(scaling: Scaling) -> tuple[Node, Tensors]:
    """How a factor for each channel, with a shift or without, is written, and its tensors."""

    def tensors() -> Mapping[str, Any]:
        scale, shift = scaling.vectors()
        return {"scale": scale, "shift": shift} if scaling.shifts else {"scale": scale}

    return word(Affine.name if scaling.shifts else Scale.name), tensors
