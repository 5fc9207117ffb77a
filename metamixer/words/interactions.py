"""The read: a query meets keys, an activation turns the match into coefficients, the coefficients aggregate values.

    o[i, c] = sum_j  nu( sigma( S[h(c), i, j] ) ) * v[P(i, j), c]          (attention-systems.md 3.1)

``dot`` and ``conv`` make the match, ``mm`` and ``conv`` aggregate; ``->`` runs the stages one after the other
without rebinding ``x``.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from metamixer.language.nodes import Node, chain, make, size, word
from metamixer.language.typed import Typed
from metamixer.language.types import Bank, Context, Field, Mismatch, Score, Type, field_of
from metamixer.language.vocabulary import (
    Demand,
    Done,
    Evaluate,
    KindOf,
    Plain,
    Weight,
    Word,
    on_grid,
    one,
    per_axis,
    register,
    words,
)
from metamixer.words.combinators import broadcast, elements, multiply, neutral
from metamixer.words.places import neighbourhood, slots_of


@register
class Read(Word):
    """``interaction -> activation .. -> aggregation``: the stages of one read."""

    name, kinds, form = "->", ("term", "stage"), "read"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if not done:
            return Demand(0, ctx)
        if len(done) == len(node.kids):
            return Done(done[-1])
        return Demand(len(done), ctx._replace(kind="stage", state=done[-1]))

    def headed(self, t: Typed) -> bool:
        return any(kid.word.headed(kid) for kid in t.kids)

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        stages: list[Node] = []
        for kid in (inner for outer in kids for inner in (outer.kids if outer.op == "read" else (outer,))):
            if stages and neutral(kid):
                continue
            before = stages[-1].data[0] if stages and stages[-1].op == "word" else ""
            if kid.op == "word" and before in words()[kid.data[0]].behind:
                stages[-1] = word(words()[kid.data[0]].behind[before])
            else:
                stages.append(kid)
        return chain("read", stages)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        for i in range(len(t.kids)):
            state = evaluate(i, x, env, state)
        return state


def heads_split(x: Any, heads: int) -> Any:
    """(B, n, C) -> (B, heads, n, C / heads)."""
    return x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] // heads).transpose(1, 2)


def flat(x: Any, field: Field) -> Any:
    """The tokens of a field in one axis, (B, tokens, channels)."""
    return x.reshape(x.shape[0], field.tokens, field.channels)


def gathered(x: Any, field: Field, table: Any) -> Any:
    """(B, n, slots, C): the tokens that each token's slots name; absent slots (-1) are zero."""
    values = flat(x, field)[:, table.clamp(min=0)]
    return values * (table >= 0).unsqueeze(-1).to(values.dtype)


class ContentScore(Plain):
    """``<q, k>`` for every token and slot; the base of ``dot`` (scaled) and ``dot0`` (not scaled)."""

    sources = roles = ("q", "k")
    keywords = {"b": (0,)}
    reads = True
    content = True
    scaled = False

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        q = field_of(sources[0], "the query")
        k, heads, b = sources[1], ctx.heads, one(settings["b"], "b")
        if q.channels % heads:
            raise Mismatch(
                f"{heads} heads do not divide {q.channels} channels",
                f"take a divisor of {q.channels}, such as {_divisor(q.channels, heads)}",
            )
        if isinstance(k, Bank):
            if len(k.size) != 1:
                raise Mismatch(f"a bank of keys has one size, not {'x'.join(map(str, k.size))}", "write #16 or #3C")
            return Done(Score(q.grid, q.extra, heads, k.size[0], None), {"b": b, "heads": heads})
        k = field_of(k, "the keys")
        if k.channels != q.channels:
            raise Mismatch(f"query and keys differ in width: {q.channels} and {k.channels}")
        if b:
            raise Mismatch("b=1 needs a bank of keys", "bias belongs to the slots of a bank: dot0(x,#3C,b=1)")
        slots = k.tokens
        if ctx.place:
            if (q.grid, q.extra) != (k.grid, k.extra):
                raise Mismatch(f"{ctx.place[0].word} needs query and keys on one grid, got {q} and {k}")
            slots = slots_of(ctx.place[0], on_grid(k, ctx.place[0].word).grid)
        return Done(Score(q.grid, q.extra, heads, slots, (k.grid, k.extra), ctx.place), {"b": None, "heads": heads})

    def headed(self, t: Typed) -> bool:
        return True

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        if t.out.memory is not None:
            return ()
        width = t.inputs[0].channels
        bias = (Weight("bias", (t.out.slots,), "fill", 0.0),) if t.settings["b"] else ()
        return (Weight("keys", (t.out.slots, width), "normal", (t.out.heads / width) ** 0.5), *bias)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        return {"table": neighbourhood(t.out.place[0], t.out.grid)} if t.out.place else {}

    def macs(self, t: Typed) -> int:
        return t.out.tokens * t.out.slots * t.inputs[0].channels

    def scale(self, t: Typed) -> float:
        return float((t.inputs[0].channels // t.out.heads) ** -0.5) if self.scaled else 1.0

    def apply(self, t: Typed, w: Any, q: Any, k: Any) -> Any:
        from torch.nn.functional import linear

        score = t.out
        if score.memory is not None or score.heads > 1:
            return self.dense(t, w, q, k)
        return linear(
            q, w.keys if self.scale(t) == 1.0 else w.keys * self.scale(t), w.bias if t.settings["b"] else None
        )

    def dense(self, t: Typed, w: Any, q: Any, k: Any) -> Any:
        import torch

        score, field = t.out, t.inputs[0]
        queries = heads_split(flat(q, field), score.heads) * self.scale(t)
        if score.memory is None:
            keys = w.keys.reshape(score.slots, score.heads, -1)
            match = torch.einsum("bhnd,jhd->bnhj", queries, keys)
            match = match + w.bias if t.settings["b"] else match
            return match.reshape(*q.shape[:-1], score.channels)
        if score.place is None:
            return torch.einsum("bhnd,bhjd->bhnj", queries, heads_split(flat(k, t.inputs[1]), score.heads))
        keys = gathered(k, t.inputs[1], w.table)
        return torch.einsum("bhnd,bnjhd->bhnj", queries, keys.unflatten(-1, (score.heads, -1)))


def _divisor(channels: int, near: int) -> int:
    return min((d for d in range(1, channels + 1) if channels % d == 0), key=lambda d: abs(d - near))


@register
class Dot(ContentScore):
    """``dot(q,k)``: content score <q,k> / sqrt(d) for each head; MACs tokens * slots * C."""

    name, scaled = "dot", True


@register
class Dot0(ContentScore):
    """``dot0(q,k)``: content score without scale. Against a bank of M slots it is a field of M channels."""

    name = "dot0"


def same_padding(kernel: tuple[int, ...]) -> list[int]:
    """Zero padding for ``torch.nn.functional.pad`` over (.., *grid, C): one less in front for even kernels."""
    pads = [0, 0]
    for k in reversed(kernel):
        pads += [(k - 1) // 2, k // 2]
    return pads


def convolve(x: Any, weight: Any, bias: Any, stride: tuple[int, ...], groups: int) -> Any:
    """Convolution of a channels-last field without padding; the permuted view is a channels-last NCHW tensor."""
    from torch.nn.functional import conv1d, conv2d, conv3d

    run = (conv1d, conv2d, conv3d)[x.ndim - 3]
    y = run(x.movedim(-1, 1), weight, bias, stride=stride, groups=groups)
    return y.movedim(1, -1)


def convolve_same(x: Any, weight: Any, bias: Any, stride: tuple[int, ...], groups: int) -> Any:
    """As ``convolve`` with the padding of ``same_padding``."""
    from torch.nn.functional import conv1d, conv2d, conv3d, pad

    kernel = tuple(weight.shape[2:])
    if all(k % 2 for k in kernel):
        run = (conv1d, conv2d, conv3d)[x.ndim - 3]
        y = run(x.movedim(-1, 1), weight, bias, stride=stride, padding=tuple(k // 2 for k in kernel), groups=groups)
        return y.movedim(1, -1)
    return convolve(pad(x, same_padding(kernel)), weight, bias, stride, groups)


def shifted_sum(x: Any, kernel: tuple[int, ...], stride: tuple[int, ...], padding: list[int], term: Any) -> Any:
    """Sum over the positions of a kernel of ``term(position, shifted input)``: convolution written out."""
    from itertools import product

    from torch.nn.functional import pad

    padded = pad(x, padding)
    axes = range(1, x.ndim - 1)
    out = [(padded.shape[a] - k) // s + 1 for a, k, s in zip(axes, kernel, stride, strict=True)]
    total = None
    for position in product(*map(range, kernel)):
        view = padded
        for axis, offset, length, s in zip(axes, position, out, stride, strict=True):
            view = view.narrow(axis, offset, (length - 1) * s + 1)
            view = view[(slice(None),) * axis + (slice(None, None, s),)]
        value = term(position, view)
        total = value if total is None else total + value
    return total


@register
class Conv(Plain):
    """``conv(q,#k)``: depthwise convolution, a position score over the neighbourhood k with one head a channel.

    Zero padding keeps the grid (stride ``s`` shrinks it); ``c`` a multiple of the width gives several results a
    channel. MACs: tokens out * k * c, padding included.
    """

    name, kinds = "conv", ("term", "stage")
    sources = roles = ("q", "k")
    keywords = {"s": (1,), "c": None, "b": (0,)}

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        q, bank = on_grid(field_of(sources[0], "the query of conv"), "conv"), sources[1]
        if not isinstance(bank, Bank):
            raise Mismatch("the kernel of conv is a bank", "write conv(lin,#7)")
        if not q.grid:
            raise Mismatch("conv needs a grid")
        kernel, stride = per_axis(bank.size, q.grid, "the kernel"), per_axis(settings["s"], q.grid, "the stride")
        for k, s, length in zip(kernel, stride, q.grid, strict=True):
            if k > 2 * length - 1:
                raise Mismatch(
                    f"a kernel of {k} on an axis of {length} has weights that touch nothing",
                    f"at most {2 * length - 1} here",
                )
            if s < 1:
                raise Mismatch("a stride is at least 1")
        c = q.channels if settings["c"] is None else one(settings["c"], "c")
        if c % q.channels:
            raise Mismatch(f"c={c} is no multiple of the width {q.channels}")
        grid = tuple(-(-length // s) for length, s in zip(q.grid, stride, strict=True))
        return Done(Field(grid, c), {"kernel": kernel, "s": stride, "c": c, "b": one(settings["b"], "b")})

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return super().written(t, (*kids[:-1], make("bank", None, (size(t.settings["kernel"]),))))

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        kernel, c = t.settings["kernel"], t.out.channels
        bias = (Weight("bias", (c,), "fill", 0.0),) if t.settings["b"] else ()
        return (Weight("kernel", (c, 1, *kernel), "normal", prod(kernel) ** -0.5), *bias)

    def macs(self, t: Typed) -> int:
        return int(elements(t.out) * prod(t.settings["kernel"]))

    def apply(self, t: Typed, w: Any, q: Any, bank: Any) -> Any:
        return convolve_same(q, w.kernel, w.bias if t.settings["b"] else None, t.settings["s"], t.inputs[0].channels)

    def dense(self, t: Typed, w: Any, q: Any, bank: Any) -> Any:
        kernel, c = t.settings["kernel"], t.out.channels
        copies = c // t.inputs[0].channels
        y = shifted_sum(
            q, kernel, t.settings["s"], same_padding(kernel),
            lambda position, view: view.repeat_interleave(copies, -1) * w.kernel[(slice(None), 0, *position)],
        )  # fmt: skip
        return y + w.bias if t.settings["b"] else y


@register
class Had(Plain):
    """``had(q,k)``: the product of two fields, token by token; as a stage the coefficients weigh a value."""

    name, kinds = "had", ("term", "stage")
    sources = roles = ("q", "v")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done(broadcast([field_of(source) for source in sources]))

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def dense(self, t: Typed, w: Any, q: Any, v: Any) -> Any:
        return multiply([q, v], [field_of(kind) for kind in t.inputs], t.out)


@register
class Aggregate(Plain):
    """``-> mm(v)``: the weighted sum of values. A bank of values has ``c`` channels, by default those of ``x``.

    MACs: tokens * slots * channels of v.
    """

    name, kinds = "mm", ("stage",)
    sources, roles = ("coefficients", "v"), ("coefficients", "v")
    keywords = {"c": None, "b": (0,)}
    reads = True
    sums = True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        score, v, b = sources[0], sources[1], one(settings["b"], "b")
        if isinstance(score, Field):
            score = _predicted(score, v, ctx)
        if not isinstance(score, Score):
            raise Mismatch(
                "mm aggregates with coefficients; there are none before it", "write dot(lin,lin) -> softmax -> mm(lin)"
            )
        if isinstance(v, Bank):
            if score.memory is not None or v.size != (score.slots,):
                raise Mismatch(
                    f"{score.slots} slots meet a bank of {'x'.join(map(str, v.size))} values",
                    f"write mm(#{score.slots}) or a field as value",
                )
            channels = ctx.x.channels if settings["c"] is None else one(settings["c"], "c")
        else:
            v = field_of(v, "the values")
            on_memory = score.memory is None or (v.grid, v.extra) == score.memory
            slots = v.tokens if score.place is None else score.slots
            if not on_memory or (score.memory is None and slots != score.slots):
                raise Mismatch(
                    f"the coefficients weigh {score.slots} slots, the values are {v}",
                    "keys and values must stand on one grid",
                )
            channels = v.channels
            if settings["c"] is not None or b:
                raise Mismatch(
                    "c= and b= belong to a bank of values", "write mm(#3C,b=1), or shape the field with lin(..)"
                )
        if channels % score.heads:
            raise Mismatch(f"{score.heads} heads do not divide {channels} channels of the values")
        bank = {"c": channels, "b": b} if isinstance(sources[1], Bank) else {"c": None, "b": None}
        return Done(Field(score.grid, channels, score.extra), {"score": score, **bank})

    def headed(self, t: Typed) -> bool:
        return True

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        if not isinstance(t.inputs[1], Bank):
            return ()
        score, c = t.settings["score"], t.out.channels
        bias = (Weight("bias", (c,), "fill", 0.0),) if t.settings["b"] else ()
        return (Weight("values", (score.slots, c), "normal", score.slots**-0.5), *bias)

    def constants(self, t: Typed) -> Mapping[str, Any]:
        score = t.settings["score"]
        return {"table": neighbourhood(score.place[0], score.grid)} if score.place else {}

    def macs(self, t: Typed) -> int:
        return int(t.out.tokens * t.settings["score"].slots * t.out.channels)

    def apply(self, t: Typed, w: Any, state: Any, v: Any) -> Any:
        from torch.nn.functional import linear

        if isinstance(t.inputs[1], Bank) and t.settings["score"].heads == 1:
            return linear(state, w.values.mT, w.bias if t.settings["b"] else None)
        return self.dense(t, w, state, v)

    def dense(self, t: Typed, w: Any, state: Any, v: Any) -> Any:
        import torch

        score: Score = t.settings["score"]
        heads = score.heads
        if score.memory is None:  # coefficients lie as a field
            state = state.reshape(state.shape[0], score.tokens, heads, score.slots).transpose(1, 2)
        if score.place is not None:
            values = gathered(v, t.inputs[1], w.table).unflatten(-1, (heads, -1))
            out = torch.einsum("bhnj,bnjhd->bnhd", state, values)
        elif isinstance(t.inputs[1], Bank):
            out = torch.einsum("bhnj,jhd->bnhd", state, w.values.reshape(score.slots, heads, -1))
        else:
            out = torch.einsum("bhnj,bhjd->bnhd", state, heads_split(flat(v, t.inputs[1]), heads))
        out = out.reshape(out.shape[0], score.tokens, t.out.channels)
        out = out + w.bias if t.settings["b"] else out
        return out if score.extra else out.reshape(out.shape[0], *score.grid, t.out.channels)


def _predicted(field: Field, v: Type, ctx: Context) -> Score:
    """A field of heads * slots channels read as coefficients (attention-systems.md 3.1, the closure rule)."""
    if ctx.place:
        slots = slots_of(ctx.place[0], field.grid)
    elif isinstance(v, Bank):
        slots = v.size[0]
    else:
        slots = field_of(v, "the values").tokens
    if field.channels != ctx.heads * slots:
        raise Mismatch(
            f"{field.channels} channels are no coefficients of {ctx.heads} heads over {slots} slots",
            f"coefficients have {ctx.heads * slots} channels here",
        )
    return Score(field.grid, field.extra, ctx.heads, slots, None, ctx.place)
