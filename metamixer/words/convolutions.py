"""Convolutions: depthwise as an interaction or aggregation of a read, and what all convolutions share."""

from __future__ import annotations

from functools import partial
from math import prod
from typing import Any

from metamixer.language.checking.affine import Affine, Tensors, held, same, sized
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import AffineMap
from metamixer.language.checking.types import Bank, Context, Field, Mismatch, Type, field_of
from metamixer.language.checking.vocabulary import (
    Done,
    Plain,
    Span,
    Spans,
    Weighing,
    Weight,
    on_grid,
    one,
    per_axis,
    register,
)
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, X, size, word
from metamixer.words.banks import frozen, special, trained
from metamixer.words.combinators import elements
from metamixer.words.norms import evaluated
from metamixer.words.sources import sharing


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


BLOCK = 2**15  # fewer weights than these of a wide depthwise convolution get their gradient in one go


def portion(kernel: tuple[int, ...], channels: int) -> int:
    """How many channels of a depthwise convolution go together where gradients are taken on a CPU.

    There oneDNN finds the gradient of kernels wider than 3 in blocks of 16 x 16 channels, that is in 1 KiB for each
    weight. From 32 MiB on that memory comes fresh from the system in every step, which costs more than the sums.
    """
    if kernel[-1] <= 3 or channels * prod(kernel) < BLOCK:
        return channels
    most = max((BLOCK - 1) // prod(kernel) // 16, 1)
    blocks = -(-channels // 16)
    return 16 * -(-blocks // -(-blocks // most))


def depthwise(x: Any, weight: Any, bias: Any, stride: tuple[int, ...]) -> Any:
    """Depthwise convolution of a channels-last field, with the padding of ``same_padding``."""
    import torch

    channels = x.shape[-1]
    width = portion(tuple(weight.shape[2:]), channels)
    if width >= channels or len(weight) > channels or x.device.type != "cpu" or not torch.is_grad_enabled():
        return convolve_same(x, weight, bias, stride, channels)
    parts, kernels = x.split(width, -1), weight.split(width)
    shifts = [None] * len(parts) if bias is None else bias.split(width)
    done = (convolve_same(a, w, b, stride, len(w)) for a, w, b in zip(parts, kernels, shifts, strict=True))
    return torch.cat(list(done), -1)


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


EPS = 1e-5  # of the norms inside #rep


def centred(weight: Any, own: tuple[int, ...], kernel: tuple[int, ...]) -> Any:
    """A kernel in the middle of a larger one."""
    from torch.nn.functional import pad

    sides = []
    for k, wide in zip(reversed(own), reversed(kernel), strict=True):
        front = same(wide)[0] - same(k)[0]
        sides += [front, wide - k - front]
    return pad(weight, sides)


def one_kernel(tensors: Tensors, kernels: tuple[tuple[int, ...], ...], kernel: tuple[int, ...]) -> tuple[Any, Any]:
    """The sum of batch-normed kernels in evaluation as one kernel and bias."""
    found = tensors()
    weight: Any = 0
    bias: Any = 0
    for i, own in enumerate(kernels):
        factor, shift = evaluated(found, EPS, str(i))
        weight = weight + centred(found[f"kernel{i}"].double() * factor.reshape(-1, *[1] * (len(own) + 1)), own, kernel)
        bias = bias + shift
    return weight, bias


def over_tokens(a: Affine) -> tuple[Any, Any]:
    """A depthwise convolution as a matrix over the tokens, (rows, to, from), for each row of its kernels."""
    import torch

    kernel, bias = a.tensors()
    q = prod(a.grid)
    pixels = torch.eye(q, dtype=kernel.dtype, device=kernel.device).reshape(q, *a.grid, 1)
    pixels = pixels.expand(*pixels.shape[:-1], len(kernel))
    matrix = convolve_same(pixels, kernel, None, a.stride, len(kernel)).reshape(q, q, -1)  # (from, to, row)
    return matrix.permute(2, 1, 0), bias


@register
class Conv(Plain, AffineMap):
    """``conv(q,#k)``: depthwise convolution, a position score over the neighbourhood k with one head a channel.

    Zero padding keeps the grid (stride ``s`` shrinks it); ``c`` a multiple of the width gives several results a
    channel; with ``sets=S`` channel i uses kernel i mod S; ``fix=1`` or ``#fix(3)`` keeps the random numbers it starts
    with. ``#rep(7,3)`` is a sum of batch-normed kernels. MACs: tokens out * k * c, padding included.
    """

    name, kinds = "conv", ("term", "stage")
    instead = "its kernel is a bank: conv(lin,#3); dw(3) is a depthwise convolution of x, fconv(3,64) a full one"
    counted = "tokens * c * k, for each kernel of a sum"
    sources = roles = ("q", "k")
    keywords = {"s": (1,), "c": None, "b": (0,), "sets": None, "fix": None}
    channelwise = True

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        kernel = (max(sizes) for sizes in zip(*t.settings["kernels"], strict=True))
        axes = zip(t.settings["s"], kernel, strict=True)
        return (tuple(Span(s, -((k - 1) // 2), k // 2) for s, k in axes), None)

    def weighs(self, t: Typed, signs: tuple[str, ...]) -> Weighing:
        return Weighing("tokens", "static")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        q, bank = on_grid(field_of(sources[0], "the query of conv"), "conv"), sources[1]
        how = special(bank) if isinstance(bank, Bank) else None
        if not isinstance(bank, Bank) or (how is not None and not how.kernel):
            raise Mismatch("the kernel of conv is a bank", "write conv(lin,#7)")
        if not q.grid:
            raise Mismatch("conv needs a grid")
        kernels = [per_axis(size, q.grid, "the kernel") for size in bank.values or (bank.size,)]
        stride = per_axis(settings["s"], q.grid, "the stride")
        for length, step, *widths in zip(q.grid, stride, *kernels, strict=True):
            if max(widths) > 2 * length - 1 and not ctx.lenient:
                raise Mismatch(
                    f"a kernel of {max(widths)} on an axis of {length} has weights that touch nothing",
                    f"at most {2 * length - 1} here",
                )
            if step < 1:
                raise Mismatch("a stride is at least 1")
        c = q.channels if settings["c"] is None else one(settings["c"], "c")
        if c % q.channels:
            raise Mismatch(f"c={c} is no multiple of the width {q.channels}")
        grid = tuple(-(-length // s) for length, s in zip(q.grid, stride, strict=True))
        b, sets = one(settings["b"], "b"), sharing(settings["sets"], c, "channels")
        normed, fixed = bank.how == "rep", frozen(settings["fix"]) if trained(bank) else 1
        if normed and (b or sets or fixed):
            raise Mismatch("a sum of normed kernels has shifts of its own", "leave out b=, sets= and fix=")
        return Done(
            Field(grid, c),
            {
                "kernels": tuple(kernels),
                "normed": normed,
                "s": stride,
                "c": c,
                "b": b,
                "sets": sets,
                "fix": fixed,
            },
        )

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        sizes = [size(kernel) for kernel in t.settings["kernels"]]
        bank = word("rep", *sizes) if t.settings["normed"] else sizes[0]
        return super().written(t, (*kids[:-1], nodes.Bank(bank)))

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        rows, learned = t.settings["sets"] or t.out.channels, not t.settings["fix"]
        found: list[Weight] = []
        for i, kernel in enumerate(t.settings["kernels"]):
            found.append(Weight(f"kernel{i}", (rows, 1, *kernel), "normal", prod(kernel) ** -0.5, learned))
            if t.settings["normed"]:
                found += [
                    Weight(f"scale{i}", (rows,), "fill", 1.0),
                    Weight(f"shift{i}", (rows,), "fill", 0.0),
                    Weight(f"mean{i}", (rows,), "fill", 0.0, False),
                    Weight(f"variance{i}", (rows,), "fill", 1.0, False),
                ]
        return (*found, *((Weight("bias", (rows,), "fill", 0.0, learned),) if t.settings["b"] else ()))

    def as_affine(self, t: Typed, tensors: Tensors) -> Affine | None:
        s, x = t.settings, t.inputs[0]
        if s["fix"]:  # frozen numbers stay apart
            return None
        kernel = tuple(max(sizes) for sizes in zip(*s["kernels"], strict=True))
        whole = x.channels == s["c"] and all(step == 1 for step in s["s"])
        return Affine(
            self.name, self.spelled, ("kernel0", "bias"), (x.channels, s["c"]), x.channels, s["sets"] or s["c"], x.grid,
            partial(one_kernel, tensors, s["kernels"], kernel) if s["normed"] else held(tensors, "kernel0"),
            bool(s["b"] or s["normed"]), kernel, s["s"], tuple(map(same, kernel)),
            as_matrix=over_tokens if whole else None, anew=s["normed"],
        )  # fmt: skip

    def spelled(self, a: Affine, arguments: tuple[Node, ...]) -> Node:
        """How a depthwise convolution is written."""
        options = {
            **({"s": sized(a.stride)} if any(step > 1 for step in a.stride) else {}),
            **({"c": size(a.channels[1])} if len(set(a.channels)) > 1 else {}),
            **({"sets": size(a.rows)} if a.rows != a.channels[1] else {}),
        }
        if a.of_x and a.bias:
            return word("dw", sized(a.kernel), **options)
        bank = nodes.Bank(sized(a.kernel))
        first = (X,) if a.of_x else arguments
        return word(self.name, *first, bank, **options, **({"b": size(1)} if a.bias else {}))

    def macs(self, t: Typed) -> int:
        return int(elements(t.out) * sum(prod(kernel) for kernel in t.settings["kernels"]))

    def _shared(self, t: Typed, value: Any) -> Any:
        """One row for each channel."""
        sets = t.settings["sets"]
        return value.repeat(t.out.channels // sets, *([1] * (value.ndim - 1))) if sets else value

    def apply(self, t: Typed, w: Any, q: Any, bank: Any) -> Any:
        from torch.nn.functional import batch_norm

        total: Any = 0
        for i in range(len(t.settings["kernels"])):
            kernel = self._shared(t, getattr(w, f"kernel{i}"))
            bias = self._shared(t, w.bias) if t.settings["b"] else None
            y = depthwise(q, kernel, bias, t.settings["s"])
            if t.settings["normed"]:
                mean, variance, scale, shift = (getattr(w, f"{n}{i}") for n in ("mean", "variance", "scale", "shift"))
                y = batch_norm(y.movedim(-1, 1), mean, variance, scale, shift, w.training, 0.1, EPS).movedim(1, -1)
            total = total + y if i else y
        return total

    def dense(self, t: Typed, w: Any, q: Any, bank: Any) -> Any:
        copies = t.out.channels // t.inputs[0].channels
        total: Any = 0
        for i, kernel in enumerate(t.settings["kernels"]):
            taps = self._shared(t, getattr(w, f"kernel{i}"))
            y = shifted_sum(
                q, kernel, t.settings["s"], same_padding(kernel),
                lambda at, view, taps=taps: view.repeat_interleave(copies, -1) * taps[(slice(None), 0, *at)],
            )  # fmt: skip
            if t.settings["normed"]:
                mean, variance, scale, shift = (getattr(w, f"{n}{i}") for n in ("mean", "variance", "scale", "shift"))
                y = (y - mean) / (variance + EPS).sqrt() * scale + shift
            total = total + y
        return total + self._shared(t, w.bias) if t.settings["b"] else total
