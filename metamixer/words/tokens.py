"""Learned tokens and positions, and the read-out of single tokens."""

from __future__ import annotations

from typing import Any, ClassVar

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Context, Field, Mismatch, Place, Type, field_of
from metamixer.language.checking.vocabulary import Done, Plain, Spans, Weight, one, register
from metamixer.words.combinators import unplaced
from metamixer.words.norms import Keeping
from metamixer.words.places import Support
from metamixer.words.supports import NEVER, Ground, tokens_of


@register
class Positions(Keeping):
    """``pos``: adds a learned table over all tokens; the sentence is then locked to its grid."""

    name = "pos"
    channelwise = positional = True

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
class First(Support):
    """``first(n=1)``: keeps the first n tokens (the class-token read-out); behind ``@`` every token looks at them."""

    name = "first"
    kinds: ClassVar[tuple[str, ...]] = ("term", "place")
    sizes = {"n": (1,)}
    sources = roles = ("x",)
    positional = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return ((None,),)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        n = one(settings["n"], "the number of tokens")
        x = ctx.x if ctx.kind == "place" else field_of(sources[0], "the source of first")
        if not 1 <= n <= x.tokens:
            raise Mismatch(f"first({n}) of {x.tokens} tokens")
        if ctx.kind == "place":
            return Done((Place("first", (n,)),))
        unplaced(ctx, "first")
        return Done(Field((n,), x.channels), {"n": n})

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x.reshape(x.shape[0], t.inputs[0].tokens, t.out.channels)[:, : t.out.tokens]

    def fits(self, place: Place, asks: Ground, memory: Ground) -> None:
        if place.values[0] > tokens_of(memory):
            raise Mismatch(f"first({place.values[0]}) of {tokens_of(memory)} tokens")

    def full(self, place: Place) -> bool:
        return True

    def width(self, place: Place, memory: Ground) -> int:
        return int(place.values[0])

    def table(self, place: Place, asks: Ground, memory: Ground, heads: int) -> Any:
        import numpy as np

        return np.arange(place.values[0])[None, None]

    def steps(self, place: Place, grid: tuple[int, ...]) -> tuple[int, ...]:
        return (NEVER,) * len(grid)

    def absents(self, place: Place) -> bool:
        return False


@register
class Last(Plain):
    """``last(n=1)``: keeps the last n tokens."""

    name = "last"
    sizes = {"n": (1,)}
    sources = roles = ("x",)
    positional = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return ((None,),)

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        n, x = one(settings["n"], "the number of tokens"), field_of(sources[0], "the source of last")
        if not 1 <= n <= x.tokens:
            raise Mismatch(f"last({n}) of {x.tokens} tokens")
        return Done(Field((n,), x.channels), {"n": n})

    def dense(self, t: Typed, w: Any, x: Any) -> Any:
        return x.reshape(x.shape[0], t.inputs[0].tokens, t.out.channels)[:, -t.out.tokens :]
