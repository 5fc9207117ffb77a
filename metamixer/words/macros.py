"""Words that abbreviate: they mean their expansion (docs/language.md#abbreviations)."""

from __future__ import annotations

from typing import Any

from metamixer.language.checking.types import Context
from metamixer.language.checking.vocabulary import REQUIRED, Macro, one, register
from metamixer.language.syntax.nodes import Bank, Node, Product, Read, Sequence, X, chain, place, size, word


def bank(value: int | str | tuple[int, ...]) -> Node:
    """``#value``."""
    return Bank(size(value))


@register
class Attention(Macro):
    """``att(q,k,v)`` is ``dot(q,k) -> softmax -> mm(v)`` (arXiv 1706.03762)."""

    name = "att"
    sources = roles = ("q", "k", "v")
    reads = True

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        q, k, v = sources
        return chain(Read, [word("dot", q, k), word("softmax"), word("mm", v)])


@register
class UnscaledAttention(Macro):
    """``att0(q,k,v)`` is ``dot0(q,k) -> softmax -> mm(v)``."""

    name = "att0"
    sources = roles = ("q", "k", "v")
    reads = True

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        q, k, v = sources
        return chain(Read, [word("dot0", q, k), word("softmax"), word("mm", v)])


@register
class FeedForward(Macro):
    """``ffn(r)`` is ``dot0(x,#rC,b=1) -> gelu -> mm(#rC,b=1)``: a key-value memory of r * C slots."""

    name = "ffn"
    sizes = {"r": REQUIRED}
    sources = roles = ("x",)

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        ratio = one(settings["r"], "the ratio")
        # C is the width of x here, also where the memory reads another source
        slots = f"{ratio}C" if sources[0] is X else ratio * ctx.x.channels
        memory = chain(
            Read, [word("dot0", X, bank(slots), b=size(1)), word("gelu"), word("mm", bank(slots), b=size(1))]
        )
        return memory if sources[0] is X else chain(Sequence, [sources[0], memory])

    def symbolic(self, node: Node) -> Node | None:
        return super().symbolic(node) if len(node.kids) == 1 else None


@register
class Depthwise(Macro):
    """``dw(k)`` is ``conv(x,#k,b=1)``."""

    name = "dw"
    sizes = {"k": REQUIRED}
    sources = roles = ("x",)
    keywords = {"s": (1,), "c": None, "b": (1,), "sets": None, "fix": None}

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        keywords = {key: size(value) for key, value in settings.items() if key in self.keywords and value is not None}
        return word("conv", sources[0], bank(settings["k"]), **keywords)


class Patches(Macro):
    """``patch(p,c)`` and ``down(r,c)`` are ``fconv(p,c,s=p)``."""

    sizes = {"p": REQUIRED, "c": REQUIRED}
    sources = roles = ("x",)
    keywords = {"b": (1,), "fix": None}

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        p, fix = size(settings["p"]), settings["fix"]
        more = {} if fix is None else {"fix": size(fix)}
        return word("fconv", p, size(settings["c"]), sources[0], s=p, b=size(settings["b"]), **more)


@register
class Patch(Patches):
    """``patch(p,c)``: non-overlapping patches to c channels."""

    name = "patch"


@register
class Down(Patches):
    """``down(r,c)``: shrinks every axis by r, to c channels."""

    name = "down"


@register
class Mean(Macro):
    """``mean``: the mean over all tokens, one token."""

    name = "mean"
    sources = roles = ("x",)

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        return word("pool", size(1), sources[0])


@register
class Tokens(Macro):
    """``tok(m)``: m mixtures of all tokens, ``lin(m)`` in the transposed view; locks the sentence to its grid."""

    name = "tok"
    sizes = {"m": REQUIRED}
    sources = roles = ("x",)

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        mixed = place(word("lin", size(settings["m"])), word("T"))
        return mixed if sources[0] is X else chain(Sequence, [sources[0], mixed])


@register
class SqueezeExcite(Macro):
    """``se(r=4, gate=sig)`` gates the channels by a bottleneck on their means (arXiv 1709.01507)."""

    name = "se"
    sizes = {"r": (4,)}
    sources = roles = ("x",)
    options = {"gate": "sig"}

    def expand(self, node: Node, ctx: Context, settings: dict[str, Any], sources: tuple[Node, ...]) -> Node:
        r = one(settings["r"], "the reduction")
        gate = chain(
            Sequence,
            [
                word("mean"),
                word("lin", size(f"C/{r}")),
                word("relu"),
                word("lin", size(f"{r}C")),
                word(settings["gate"]),
            ],
        )
        gated = Product((X, gate))
        return gated if sources[0] is X else chain(Sequence, [sources[0], gated])
