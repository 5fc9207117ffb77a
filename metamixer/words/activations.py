"""Activations: pointwise functions and normalisers of coefficients; as terms they act on a field's channels."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, ClassVar

from metamixer.language.typed import Typed
from metamixer.language.types import Context, Mismatch, Place, Score, Type, field_of
from metamixer.language.vocabulary import Done, Plain, Spans, Weight, one, register
from metamixer.words import supports
from metamixer.words.combinators import elements
from metamixer.words.reads import absent, gathers, left_out, needs, table_of


class Activation(Plain):
    """A word that keeps the type: a stage on coefficients, or a term on its source."""

    kinds: ClassVar[tuple[str, ...]] = ("term", "stage")
    sources: ClassVar[tuple[str, ...]] = ("x",)
    roles: ClassVar[tuple[str, ...]] = ("x",)
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
class Relu(Pointwise):
    """max(x, 0)."""

    name = torch_name = "relu"
    nonnegative = True


@register
class Silu(Pointwise):
    """x * sigmoid(x)."""

    name = torch_name = "silu"


@register
class Sigmoid(Pointwise):
    """1 / (1 + exp(-x))."""

    name, torch_name = "sig", "sigmoid"
    nonnegative = True


@register
class Exp(Pointwise):
    """exp(x)."""

    name = torch_name = "exp"
    nonnegative = True


@register
class HardSwish(Pointwise):
    """x * relu6(x + 3) / 6 (MobileNetV3, arXiv 1905.02244)."""

    name, torch_name = "hswish", "hardswish"


@register
class HardSigmoid(Pointwise):
    """relu6(x + 3) / 6."""

    name, torch_name = "hsig", "hardsigmoid"
    nonnegative = True


@register
class Tanh(Pointwise):
    """tanh(x)."""

    name = torch_name = "tanh"


@register
class PositiveElu(Pointwise):
    """elu(x) + 1, a positive feature map (linear attention, arXiv 2006.16236)."""

    name = "elu1"
    nonnegative = True

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import elu

        return elu(x) + 1


@register
class Square(Pointwise):
    """x * x."""

    name, torch_name = "sq", "square"
    nonnegative = True


@register
class Negative(Pointwise):
    """-x."""

    name, torch_name = "neg", "neg"


@register
class Shrink(Pointwise):
    """Soft shrinkage: x moved towards 0 by .01, which is 0 nearby (AFNO, arXiv 2111.13587)."""

    name = "shrink"

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        from torch.nn.functional import softshrink

        return softshrink(x, 0.01)


@register
class Hedgehog(Plain):
    """``hh(n=1)``: softmax(x) beside softmax(-x) in each of n channel groups, twice the width (arXiv 2402.04347)."""

    name = "hh"
    nonnegative = True
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
class Identity(Activation):
    """Keeps its input; the neutral stage."""

    name, marginal, neutral = "id", True, True
    channelwise = True

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return signs[0]

    def elementwise(self, t: Typed) -> int:
        return 0

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x


class Normaliser(Activation):
    """A function of all slots of one token and head; on a field, of the channels (in a stage: of each head).

    Behind ``[q]`` it runs over the tokens that ask, for each slot.
    """

    scopes: ClassVar[Mapping[str, int]] = {"q": 0, "blk": 1}

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return ((None,) * len(t.out.grid),) if t.settings["scope"] == "q" else super().spans(t)

    def headed(self, t: Typed) -> bool:
        return t.context.kind == "stage"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        out = super().type(ctx, settings, sources).out
        scope, over_tokens = settings["scope"], isinstance(out, Score) and not out.as_field
        if scope == "q" and (not over_tokens or any(part.place for part in out.parts) or supports.chosen(ctx.place)):
            raise Mismatch(f"{self.name}[q] runs over the tokens that ask, and needs scores over all tokens")
        groups = out.heads if isinstance(out, Score) else ctx.heads if ctx.kind == "stage" else 1
        if out.channels % groups:
            raise Mismatch(f"{groups} heads do not divide {out.channels} channels")
        size, resolved = out.tokens if scope == "q" else out.channels // groups, {"groups": groups, "scope": scope}
        if scope == "blk":
            block = one(settings["scope 0"], "the block")
            if over_tokens and any(gathers(part) for part in out.parts):
                raise Mismatch(f"{self.name}[blk] needs slots in the order of memory, not those of a neighbourhood")
            if block < 1 or size % block:
                raise Mismatch(f"{self.name}[blk({block})] does not divide {size} slots", f"take a divisor of {size}")
            resolved |= {"scope": None} if block == size else {"scope 0": (block,)}
            size = block
        if size == 1:
            raise Mismatch(f"{self.name} over one slot has no effect", "give it more slots or channels, or take it out")
        return Done(out, resolved)

    def needs(self, t: Typed) -> tuple[str, ...]:
        return needs(t) if t.context.kind == "stage" else ()

    def normalise(self, s: Any) -> Any:
        """Over the last axis; absent slots are -inf."""
        raise NotImplementedError

    def dense(self, t: Typed, w: Any, s: Any, chosen: Any = None) -> Any:
        block = t.settings.get("scope 0")
        if not isinstance(t.out, Score) or t.out.as_field:
            return self.normalise(s.unflatten(-1, (-1, *block) if block else (t.settings["groups"], -1))).flatten(-2)
        if t.settings["scope"] == "q":
            return self.normalise(s.mT).mT
        masked = left_out(t.out, getattr(w, "absent", None), chosen)
        if block:
            s = s.unflatten(-1, (-1, *block))
            masked = None if masked is None else masked.unflatten(-1, (-1, *block))
        if masked is not None:  # a token without slots reads nothing; its scores stay as they are, for finite gradients
            s = s.masked_fill(masked & ~masked.all(-1, keepdim=True), float("-inf"))
        s = self.normalise(s)
        s = s if masked is None else s.masked_fill(masked, 0.0)
        return s.flatten(-2) if block else s

    def constants(self, t: Typed) -> Mapping[str, Any]:
        masked = absent(t.out) if isinstance(t.out, Score) and not t.out.as_field else None
        return {} if masked is None else {"absent": masked}


@register
class Softmax(Normaliser):
    """exp(s) / sum exp(s) over the slots of each head."""

    name = "softmax"
    fused = True

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "positive" if t.settings["scope"] else "convex"

    def normalise(self, s: Any) -> Any:
        return s.softmax(-1)


TINY = 1e-6


def guarded(sums: Any) -> Any:
    """Sums that can be divided by: closer to zero than 1e-6 they count as 1e-6."""
    return sums.where(sums.abs() >= TINY, sums.new_full((), TINY))


def weighed(q: Any, k: Any) -> Any:
    """sum_j <q_i, k_j>, without the scores: (.., tokens, 1)."""
    return (q * k.sum(-2, keepdim=True)).sum(-1, keepdim=True)


@register
class L1(Normaliser):
    """s / sum(s) over the slots of each head; sums closer to zero than 1e-6 count as 1e-6."""

    name = "l1"
    marginal = rows = True
    behind = {"exp": "softmax"}

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if signs[0] == "signed" else "positive" if t.settings["scope"] else "convex"

    def normalise(self, s: Any) -> Any:
        s = s.masked_fill(s == float("-inf"), 0.0)
        return s / guarded(s.sum(-1, keepdim=True))

    def values_first(self, q: Any, k: Any, v: Any) -> Any:
        return q @ (k.mT @ v) / guarded(weighed(q, k))

    def by_rows(self, values: Any, sums: Any) -> Any:
        return values / guarded(sums)


class WholeNormaliser(Activation):
    """A normaliser of scores over all tokens, every slot present."""

    kinds = ("stage",)
    marginal = every_slot = True

    def headed(self, t: Typed) -> bool:
        return True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score = sources[0]
        if not isinstance(score, Score) or any(part.memory is None or part.place for part in score.parts):
            raise Mismatch(
                f"{self.name} normalises scores over all tokens", f"write dot(lin,lin) -> {self.name} -> mm(lin)"
            )
        return Done(score)


@register
class Center(WholeNormaliser):
    """``(1 + s - mean(s)) / slots``: rows sum to 1 and may be negative (InLine attention, arXiv 2412.06590)."""

    name = "center"

    def dense(self, t: Typed, w: Any, s: Any) -> Any:
        return (1 + s - s.mean(-1, keepdim=True)) / s.shape[-1]

    def values_first(self, q: Any, k: Any, v: Any) -> Any:
        slots = k.shape[-2]
        return q @ (k.mT @ v) / slots + (1 - weighed(q, k) / slots) * v.mean(-2, keepdim=True)


@register
class Flow(WholeNormaliser):
    """Conservation of incoming and outgoing flow (Flowformer, arXiv 2202.06258), for scores that are positive.

    With I = S 1, O = S^T 1: ``diag(sig(S (1/O) tokens/slots) / I) S diag(slots softmax(S^T (1/I)))``.
    """

    name = "flow"

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if signs[0] == "signed" else "positive"

    def dense(self, t: Typed, w: Any, s: Any) -> Any:
        tokens, slots = s.shape[-2:]
        into, out = guarded(s.sum(-1, keepdim=True)), guarded(s.sum(-2, keepdim=True))
        sink = (s / out).sum(-1, keepdim=True) * (tokens / slots)
        source = (s / into).sum(-2, keepdim=True)
        return sink.sigmoid() / into * s * (source.clamp(-1, 1).softmax(-1) * slots)

    def values_first(self, q: Any, k: Any, v: Any) -> Any:
        tokens, slots = q.shape[-2], k.shape[-2]
        into, out = guarded(weighed(q, k)), guarded(weighed(k, q))
        sink = weighed(q, k / out) * (tokens / slots)
        source = weighed(k, q / into)
        gated = v * (source.clamp(-1, 1).softmax(-2) * slots)
        return q @ (k.mT @ gated) * sink.sigmoid() / into


@register
class RelativeBias(Activation):
    """``rel``: a learned bias for every head and offset between token and slot (Swin, arXiv 2103.14030)."""

    name, additive = "rel", True
    relative = True
    kinds = ("stage",)

    def headed(self, t: Typed) -> bool:
        return True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score = sources[0]
        if not isinstance(score, Score) or len(score.parts) != 1 or score.parts[0].memory != (score.grid, 0):
            raise Mismatch("rel needs scores of a grid over itself", "write dot(lin,lin) -> rel -> softmax -> mm(lin)")
        place = score.parts[0].place
        if place and gathers(score.parts[0]) and (supports.chosen(place) or supports.by_head(place)):
            raise Mismatch("rel needs slots that are the same for all heads and inputs", "leave out rel")
        return Done(score)

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        return (Weight("offsets", (t.out.heads, prod(2 * length - 1 for length in t.out.grid)), "normal", 0.02),)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        import numpy as np

        grid, place = t.out.grid, t.out.parts[0].place
        here = np.stack(np.unravel_index(np.arange(prod(grid)), grid), -1)
        if place and gathers(t.out.parts[0]):
            rows = np.broadcast_to(table_of(t.out.parts[0], t.out)[0], (len(here), t.out.slots))
            there = here[np.maximum(rows, 0)]
        else:
            there = np.broadcast_to(here[None], (len(here), *here.shape))
        shift = there - here[:, None] + np.asarray(grid) - 1
        return {"index": np.ravel_multi_index(tuple(np.moveaxis(shift, -1, 0)), tuple(2 * n - 1 for n in grid))}

    def bias(self, t: Typed, w: Any) -> Any:
        return w.offsets[:, w.index]

    def dense(self, t: Typed, w: Any, s: Any) -> Any:
        return s + self.bias(t, w)


@register
class Decay(Activation):
    """``decay``: causal scores times exp(-rate * (i - j)), the rate 2^(-8 h / heads) for head h = 1 .. heads.

    Source: Lightning Attention, TransNormer, arXiv 2401.04658, with fixed rates.
    """

    name = "decay"
    kinds = ("stage",)
    relative = True

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if signs[0] == "signed" else "positive"

    def headed(self, t: Typed) -> bool:
        return True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score = sources[0]
        causal = isinstance(score, Score) and len(score.parts) == 1 and score.parts[0].place == (Place("causal"),)
        if not causal:
            raise Mismatch("decay needs causal scores", "write (dot0(lin,lin) -> decay -> mm(lin))@causal")
        return Done(score)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        import numpy as np

        tokens, rates = np.arange(t.out.tokens), np.asarray(self.fades(t))
        distance = np.maximum(tokens[:, None] - tokens[None], 0)
        return {"factor": np.exp(-rates[:, None, None] * distance)}

    def fades(self, t: Typed) -> tuple[float, ...]:
        heads = t.out.heads
        return tuple(2.0 ** (-8 * (head + 1) / heads) for head in range(heads))

    def dense(self, t: Typed, w: Any, s: Any) -> Any:
        return s * w.factor.to(s.dtype)
