"""Activations: pointwise functions and normalisers of coefficients; as terms they act on a field's channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.typed import Typed
from metamixer.language.types import Context, Mismatch, Score, Type, field_of
from metamixer.language.vocabulary import Done, Plain, Weight, register
from metamixer.words.combinators import elements
from metamixer.words.places import neighbourhood


class Activation(Plain):
    """A word that keeps the type: a stage on coefficients, or a term on its source."""

    kinds = ("term", "stage")
    sources = roles = ("x",)
    reads = True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        value = sources[0]
        if not isinstance(value, Score) or ctx.kind == "term":
            value = field_of(value, f"the source of {self.name}")
        return Done(value)

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)


class Pointwise(Activation):
    """A function of single numbers."""

    torch_name = ""

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        home = torch.nn.functional if hasattr(torch.nn.functional, self.torch_name) else torch
        return getattr(home, self.torch_name)(x)


@register
class Gelu(Pointwise):
    """Exact (erf) GELU."""

    name = torch_name = "gelu"


@register
class Relu(Pointwise):
    """max(x, 0)."""

    name = torch_name = "relu"


@register
class Silu(Pointwise):
    """x * sigmoid(x)."""

    name = torch_name = "silu"


@register
class Sigmoid(Pointwise):
    """1 / (1 + exp(-x))."""

    name, torch_name = "sig", "sigmoid"


@register
class Exp(Pointwise):
    """exp(x)."""

    name = torch_name = "exp"


@register
class HardSwish(Pointwise):
    """x * relu6(x + 3) / 6 (MobileNetV3, arXiv 1905.02244)."""

    name, torch_name = "hswish", "hardswish"


@register
class HardSigmoid(Pointwise):
    """relu6(x + 3) / 6."""

    name, torch_name = "hsig", "hardsigmoid"


@register
class Tanh(Pointwise):
    """tanh(x)."""

    name = torch_name = "tanh"


@register
class PositiveElu(Pointwise):
    """elu(x) + 1, a positive feature map (linear attention, arXiv 2006.16236)."""

    name = "elu1"

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import elu

        return elu(x) + 1


@register
class Square(Pointwise):
    """x * x."""

    name, torch_name = "sq", "square"


@register
class Negative(Pointwise):
    """-x."""

    name, torch_name = "neg", "neg"


@register
class StarRelu(Activation):
    """a * relu(x)^2 + b with learned numbers a and b (MetaFormer baselines, arXiv 2210.13452)."""

    name = "starrelu"

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("scale", (1,), "fill", 1.0), Weight("shift", (1,), "fill", 0.0))

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return w.scale * x.relu().square() + w.shift


@register
class Identity(Activation):
    """Keeps its input; the neutral stage."""

    name, marginal, neutral = "id", True, True

    def elementwise(self, t: Typed) -> int:
        return 0

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x


class Normaliser(Activation):
    """A function of all slots of one token and head; on a field, of the channels (in a stage: of each head)."""

    def headed(self, t: Typed) -> bool:
        return t.context.kind == "stage"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        out = super().type(ctx, settings, sources).out
        groups = out.heads if isinstance(out, Score) else ctx.heads if ctx.kind == "stage" else 1
        if out.channels % groups:
            raise Mismatch(f"{groups} heads do not divide {out.channels} channels")
        if out.channels // groups == 1:
            raise Mismatch(f"{self.name} over one slot has no effect", "give it more slots or channels, or take it out")
        return Done(out, {"groups": groups})

    def normalise(self, s: Any) -> Any:
        """Over the last axis; absent slots are -inf."""
        raise NotImplementedError

    def dense(self, t: Typed, w: Any, s: Any) -> Any:
        if not isinstance(t.out, Score) or t.out.as_field:
            return self.normalise(s.unflatten(-1, (t.settings["groups"], -1))).flatten(-2)
        if any(part.place and part.place[0].values[3] == "mask" for part in t.out.parts):
            s = s.masked_fill(w.absent, float("-inf"))
        return self.normalise(s)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        import numpy as np

        score = t.out
        if not isinstance(score, Score) or not any(
            part.place and part.place[0].values[3] == "mask" for part in score.parts
        ):
            return {}
        rows = [
            neighbourhood(part.place[0], score.grid) < 0
            if part.place and part.place[0].values[3] == "mask"
            else np.zeros((score.tokens, part.number), dtype=bool)
            for part in score.parts
        ]
        return {"absent": np.concatenate(rows, 1)}


@register
class Softmax(Normaliser):
    """exp(s) / sum exp(s) over the slots of each head."""

    name = "softmax"
    fused = True

    def normalise(self, s: Any) -> Any:
        return s.softmax(-1)


TINY = 1e-6


@register
class L1(Normaliser):
    """s / sum(s) over the slots of each head; sums closer to zero than 1e-6 count as 1e-6."""

    name, marginal = "l1", True
    behind = {"exp": "softmax"}

    def normalise(self, s: Any) -> Any:
        s = s.masked_fill(s == float("-inf"), 0.0)
        return s / guarded(s.sum(-1, keepdim=True))

    def after(self, values: Any, sums: Any) -> Any:
        return values / guarded(sums)


def guarded(sums: Any) -> Any:
    """Sums that can be divided by."""
    return sums.where(sums.abs() >= TINY, sums.new_full((), TINY))
