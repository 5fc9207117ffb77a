"""Activations: functions of single numbers, as stages on coefficients or as terms on a field."""

from __future__ import annotations

from typing import Any, ClassVar

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Neutral, NonNegative, Spectral
from metamixer.language.checking.types import Context, Mismatch, Score, Type, field_of
from metamixer.language.checking.vocabulary import Done, Plain, Weight, one, register
from metamixer.words.combinators import elements


class Activation(Plain):
    """A word that keeps the type: a stage on coefficients, or a term on its source."""

    kinds: ClassVar[tuple[str, ...]] = ("term", "stage")
    sources: ClassVar[tuple[str, ...]] = ("x",)
    roles: ClassVar[tuple[str, ...]] = ("x",)
    reads = True
    spares = False  # whether slots that were left out, at minus infinity, stay so or become 0

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        value = sources[0]
        if not isinstance(value, Score) or ctx.kind == "term":
            value = field_of(value, f"the source of {self.name}")
        elif value.cut and not self.spares:
            raise Mismatch(f"slots are left out before {self.name}", f"write it first: {self.name} -> top(..)")
        return Done(value)

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)


class Pointwise(Activation):
    """A function of single numbers."""

    channelwise = True
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
class TanhGelu(Pointwise):
    """GELU by its approximation with tanh (arXiv 1606.08415), as in networks that were ported from TensorFlow."""

    name = "gelu_tanh"

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import gelu

        return gelu(x, approximate="tanh")


@register
class Relu(NonNegative, Pointwise):
    """max(x, 0)."""

    name = torch_name = "relu"


@register
class Relu6(NonNegative, Pointwise):
    """min(max(x, 0), 6) (MobileNetV2, arXiv 1801.04381)."""

    name = torch_name = "relu6"


@register
class Silu(Pointwise):
    """x * sigmoid(x)."""

    name = torch_name = "silu"


@register
class Sigmoid(NonNegative, Pointwise):
    """1 / (1 + exp(-x))."""

    name, torch_name = "sig", "sigmoid"


@register
class Exp(NonNegative, Pointwise):
    """exp(x)."""

    name = torch_name = "exp"


@register
class HardSwish(Pointwise):
    """x * relu6(x + 3) / 6 (MobileNetV3, arXiv 1905.02244)."""

    name, torch_name = "hswish", "hardswish"


@register
class HardSigmoid(NonNegative, Pointwise):
    """relu6(x + 3) / 6."""

    name, torch_name = "hsig", "hardsigmoid"


@register
class Tanh(Pointwise):
    """tanh(x)."""

    name = torch_name = "tanh"


@register
class PositiveElu(NonNegative, Pointwise):
    """elu(x) + 1, a positive feature map (linear attention, arXiv 2006.16236)."""

    name = "elu1"

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import elu

        return elu(x) + 1


@register
class Square(NonNegative, Pointwise):
    """x * x."""

    name, torch_name = "sq", "square"


@register
class Negative(Pointwise):
    """-x."""

    name, torch_name = "neg", "neg"


@register
class Shrink(Pointwise, Spectral):
    """Soft shrinkage: x moved towards 0 by .01, which is 0 nearby (AFNO, arXiv 2111.13587).

    Of a spectrum the real and the imaginary part.
    """

    name = "shrink"

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch
        from torch.nn.functional import softshrink

        if x.is_complex():
            return torch.complex(softshrink(x.real, 0.01), softshrink(x.imag, 0.01))
        return softshrink(x, 0.01)


@register
class Hedgehog(NonNegative, Plain):
    """``hh(n=1)``: softmax(x) beside softmax(-x) in each of n channel groups, twice the width (arXiv 2402.04347)."""

    name = "hh"
    sizes = {"n": (1,)}
    sources = roles = ("x",)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        x, n = field_of(sources[0], "the source of hh"), one(settings["n"], "the number of groups")
        if n < 1 or x.channels % n or x.channels == n:
            raise Mismatch(f"{n} groups of {x.channels} channels", f"take a proper divisor of {x.channels}")
        return Done(x._replace(channels=2 * x.channels), {"n": n})

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        import torch

        groups = x.unflatten(-1, (t.settings["n"], -1))
        return torch.cat([groups.softmax(-1), (-groups).softmax(-1)], -1).flatten(-2)


@register
class StarRelu(Activation):
    """a * relu(x)^2 + b with learned numbers a and b (MetaFormer baselines, arXiv 2210.13452)."""

    name = "starrelu"
    channelwise = True

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("scale", (1,), "fill", 1.0), Weight("shift", (1,), "fill", 0.0))

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return w.scale * x.relu().square() + w.shift


@register
class Identity(Activation, Neutral, Spectral):
    """Keeps its input; the neutral stage."""

    name = "id"
    channelwise = spares = True

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return signs[0]

    def elementwise(self, t: Typed) -> int:
        return 0

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x
