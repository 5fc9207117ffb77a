"""Normalisers: coefficients of one token set in proportion; as terms they act on a field's channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import (
    Contracting,
    EnvironmentReader,
    EverySlot,
    FusedNormaliser,
    MarginalNormaliser,
    PerHead,
    RowNormaliser,
)
from metamixer.language.checking.types import Context, Mismatch, Score, Type
from metamixer.language.checking.vocabulary import Done, Spans, one, register
from metamixer.words import supports
from metamixer.words.activations import Activation
from metamixer.words.precision import widened
from metamixer.words.reads import absent, gathers, left_out, needs


class Normaliser(Activation, PerHead, EnvironmentReader):
    """A function of all slots of one token and head; on a field, of the channels (in a stage: of each head).

    Behind ``[q]`` it runs over the tokens that ask, for each slot.
    """

    scopes: ClassVar[Mapping[str, int]] = {"q": 0, "blk": 1}
    spares = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return ((None,) * len(t.out.grid),) if t.settings["scope"] == "q" else super().spans(t)

    def headed(self, t: Typed) -> bool:
        return t.context.kind == "stage"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        out = super().type(ctx, settings, sources).out
        scope, over_tokens = settings["scope"], isinstance(out, Score) and not out.as_field
        if scope == "q" and (not over_tokens or any(part.place for part in out.parts) or supports.chosen(ctx.place)):
            raise Mismatch(f"{self.name}[q] runs over the tokens that ask, and needs scores over all tokens")
        if scope and isinstance(out, Score) and out.cut:
            raise Mismatch(f"slots are left out before {self.name}[{scope}]", f"write {self.name} without a scope")
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
        if size == 1 and not ctx.lenient:
            raise Mismatch(f"{self.name} over one slot has no effect", "give it more slots or channels, or take it out")
        return Done(out._replace(cut=False) if isinstance(out, Score) else out, resolved)

    def needs(self, t: Typed) -> tuple[str, ...]:
        return needs(t) if t.context.kind == "stage" else ()

    def normalise(self, s: Any) -> Any:
        """Over the last axis; absent slots are -inf and become 0."""
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
class Softmax(Normaliser, FusedNormaliser):
    """exp(s) / sum exp(s) over the slots of each head."""

    name = "softmax"

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
class L1(Normaliser, MarginalNormaliser, RowNormaliser, Contracting):
    """s / sum(s) over the slots of each head; sums closer to zero than 1e-6 count as 1e-6."""

    name = "l1"
    behind = {"exp": "softmax"}

    def sign(self, t: Typed, signs: tuple[str, ...]) -> str:
        return "signed" if signs[0] == "signed" else "positive" if t.settings["scope"] else "convex"

    def normalise(self, s: Any) -> Any:
        s = s.masked_fill(s == float("-inf"), 0.0)
        return widened(lambda s: s / guarded(s.sum(-1, keepdim=True)), s).to(s.dtype)

    def values_first(self, q: Any, k: Any, v: Any) -> Any:
        return q @ (k.mT @ v) / guarded(weighed(q, k))

    def by_rows(self, values: Any, sums: Any) -> Any:
        return values / guarded(sums)


class WholeNormaliser(Activation, PerHead, MarginalNormaliser, EverySlot):
    """A normaliser of scores over all tokens, every slot present."""

    kinds = ("stage",)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score = sources[0]
        if not isinstance(score, Score) or score.cut or any(part.memory is None or part.place for part in score.parts):
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

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return ((None,) * len(t.out.grid),)  # what flows into a token follows from what flows out of all slots

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
