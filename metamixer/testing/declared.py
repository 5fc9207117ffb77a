"""What a word declares of itself, measured: what it reads, what it sums and with which signs, whether places matter.

Receptive fields and other derived attributes are put together from these declarations, so a wrong one makes a report
false. An occurrence of the word is taken out of a sentence with its weights and with inputs of its own types, and its
dense formula is probed: reads by derivatives, signs and convexity by inputs of known sign, places by permutations.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Match, Projection, WeightedSum
from metamixer.language.checking.types import Field, Score
from metamixer.language.checking.vocabulary import Span, Weighing
from metamixer.reference.evaluate import evaluate
from metamixer.testing.checks import Subject

ELEMENTS = 64  # of a result whose derivatives are taken, at most
EXACT = 1e-9


@dataclass(frozen=True)
class Probe:
    """One occurrence of a word, with what its formula takes.

    Attributes:
        t: the occurrence.
        w: its tensors.
        inputs: a value for each of ``t.inputs``, for one input of the network; tensors unless memories or banks.
        rest: what the formula takes behind them.
    """

    t: Typed
    w: Any
    inputs: tuple[Any, ...]
    rest: tuple[Any, ...]

    def __call__(self, inputs: tuple[Any, ...]) -> Any:
        return self.t.word.dense(self.t, self.w, *inputs, *self.rest)

    def plain(self, i: int) -> bool:
        """Whether an input is real numbers on tokens of a grid."""
        kind, value = self.t.inputs[i], self.inputs[i]
        real = isinstance(value, Tensor) and value.is_floating_point() and bool(value.isfinite().all())
        return real and isinstance(kind, (Field, Score))


def probes(subject: Subject, name: str) -> list[Probe]:
    """The different occurrences of a word in a sentence that have a formula of their own."""
    found: dict[int, Probe] = {}

    def watch(t: Typed, w: Any, inputs: tuple[Any, ...]) -> None:
        if t.word.name == name and t.context.kind in ("term", "stage") and isinstance(t.out, (Field, Score)):
            count = len(t.inputs)
            found.setdefault(id(t), Probe(t, w, tuple(inputs[:count]), tuple(inputs[count:])))

    x, *further = subject.given(torch.float64, slice(0, 1))
    net: Any = subject.double
    evaluate(net, x, further[0] if further else None, watch)
    return list(found.values())


def by_tokens(value: Tensor, kind: Field | Score) -> Tensor:
    """A value of one input as (tokens, numbers of each)."""
    if isinstance(kind, Score) and not kind.as_field:
        return value.reshape(-1, kind.heads, value.shape[-2], value.shape[-1])[0].transpose(0, 1).flatten(1)
    return value.reshape(-1, kind.tokens, kind.channels)[0]


def fresh(probe: Probe, generator: torch.Generator, sign: str = "signed", others: str = "signed") -> tuple[Any, ...]:
    """Inputs of the same types: coefficients of one sign, everything else of another."""
    made = []
    for i, (value, kind) in enumerate(zip(probe.inputs, probe.t.inputs, strict=True)):
        if not probe.plain(i):
            made.append(value)
            continue
        wanted = sign if isinstance(kind, Score) or (i == 0 and probe.t.context.kind == "stage") else others
        drawn = torch.randn(value.shape, generator=generator, dtype=value.dtype)
        if wanted == "positive":
            drawn = drawn.abs() + 0.05
        elif wanted == "convex":
            heads = kind.heads if isinstance(kind, Score) and kind.as_field else 1
            drawn = drawn.unflatten(-1, (heads, -1)).softmax(-1).flatten(-2)
        made.append(drawn)
    return tuple(made)


def derivatives(probe: Probe, inputs: tuple[Any, ...], of: list[int]) -> Iterator[tuple[int, int, list[Tensor | None]]]:
    """(token, number of the token, derivatives by tokens of the inputs ``of``) of a selection of results."""
    leaves = [value.clone().requires_grad_() if i in of else value for i, value in enumerate(inputs)]
    wanted = [leaves[i] for i in of]
    result = probe(tuple(leaves))
    if not isinstance(result, Tensor) or not result.requires_grad:
        return
    rows = by_tokens(result, probe.t.out)
    total = rows.numel()
    step = max(1, total // ELEMENTS)
    step += step > 1 and total % step == 0  # so that not always the same channel is looked at
    for index in range(0, total, step):
        token, number = divmod(index, rows.shape[1])
        if not bool(rows[token, number].isfinite()):
            continue
        grads = torch.autograd.grad(rows[token, number], wanted, retain_graph=True, allow_unused=True)
        yield (
            token,
            number,
            [
                None if g is None else by_tokens(g.nan_to_num(), probe.t.inputs[i])
                for g, i in zip(grads, of, strict=True)
            ],
        )


def position(token: int, grid: tuple[int, ...]) -> tuple[int, ...]:
    """A token's place on a grid, tokens in the order of memory."""
    place = []
    for length in reversed(grid):
        token, at = divmod(token, length)
        place.append(at)
    return tuple(reversed(place))


def within(axis: Span | None, at: int, read: int, length: int) -> bool:
    """Whether a token may read another along one axis, around the edge too."""
    if axis is None:
        return True
    low, high = axis.stride * at + axis.low, axis.stride * at + axis.high
    return any(low <= read + turn < high + 1 for turn in (0, length, -length))


def reads(probe: Probe) -> None:
    """No result depends on a token outside of the declared spans, nor, of a channelwise word, on another channel."""
    t = probe.t
    declared = t.word.spans(t)
    if len(declared) != len(t.inputs):
        raise AssertionError(f"{t!r}: {len(declared)} spans for {len(t.inputs)} inputs")
    of = [i for i in range(len(t.inputs)) if probe.plain(i) and not t.inputs[i].extra and not t.out.extra]
    if not of or not t.out.grid:
        return
    for token, number, grads in derivatives(probe, probe.inputs, of):
        here = position(token, t.out.grid)
        for i, grad in zip(of, grads, strict=True):
            if grad is None:
                continue
            kind, span = t.inputs[i], declared[i]
            largest = float(grad.abs().max())
            felt = (grad.abs() > EXACT * max(largest, 1e-3)).nonzero()
            for source, channel in felt.tolist():
                there = position(source, kind.grid)
                if span is None and kind.tokens > 1:
                    raise AssertionError(f"{t!r} declares that it reads no token of input {i}, and reads {there}")
                same = span is not None and len(span) == len(here) == len(there)
                if same and not all(map(within, span or (), here, there, kind.grid)):
                    raise AssertionError(
                        f"{t!r} declares to read {span} of input {i}; token {here} reads token {there}"
                    )
                if t.word.channelwise and isinstance(kind, Field) and isinstance(t.out, Field):
                    copies = max(1, t.out.channels // kind.channels)
                    if number // copies != channel and number % kind.channels != channel:
                        raise AssertionError(f"{t!r} is declared channelwise; channel {number} reads channel {channel}")


SIGNS = (("signed", "signed"), ("positive", "positive"), ("convex", "signed"), ("convex", "positive"))


def signs(probe: Probe) -> None:
    """Results, and weighted sums, have the signs that are declared for inputs of known signs."""
    generator = torch.Generator().manual_seed(3)
    t = probe.t
    if not any(probe.plain(i) for i in range(len(t.inputs))):
        return
    for sign, others in SIGNS:
        coefficients = [isinstance(kind, Score) for kind in t.inputs]
        if sign == "convex" and not any(coefficients):
            continue
        inputs = fresh(probe, generator, sign, others)
        known = tuple((sign if mine else others) if probe.plain(i) else "signed" for i, mine in enumerate(coefficients))
        if any(not probe.plain(i) and isinstance(kind, (Field, Score)) for i, kind in enumerate(t.inputs)):
            continue
        with torch.no_grad():
            result = probe(inputs)
        if isinstance(result, Tensor) and result.is_floating_point():
            _signed(t, result, t.word.sign(t, known))
        weighing = t.word.weighs(t, known)
        if weighing is not None:
            _weighed(probe, inputs, fresh(probe, generator, sign, others), weighing)


def _signed(t: Typed, result: Tensor, claimed: str) -> None:
    rows = by_tokens(result, t.out)
    finite = rows[rows.isfinite()]
    if claimed in ("positive", "convex") and finite.numel() and float(finite.min()) < -EXACT:
        raise AssertionError(f"{t!r} declares that its results are {claimed}; one is {float(finite.min()):.3g}")
    if claimed == "convex":
        groups = t.out.heads if isinstance(t.out, Score) else t.settings.get("groups") or 1
        sums = rows.nan_to_num().unflatten(-1, (groups, -1)).sum(-1)
        wrong = (sums - 1).abs() > 1e-6
        if bool((wrong & (sums.abs() > EXACT)).any()):  # what has no slots reads nothing
            raise AssertionError(
                f"{t!r} declares convex results; the slots of a token sum to {float(sums[wrong][0]):.3g}"
            )


def _weighed(probe: Probe, inputs: tuple[Any, ...], others: tuple[Any, ...], weighing: Weighing) -> None:
    """Some input must be summed as declared; which one the word does not say."""
    linear = [i for i in range(len(inputs)) if probe.plain(i) and _is_linear(probe, inputs, i)]
    if not linear:
        if any(probe.plain(i) for i in range(len(inputs))) and not any(isinstance(v, list) for v in inputs):
            raise AssertionError(f"{probe.t!r} declares {weighing}, and is linear in none of its inputs")
        return
    reasons = [_not_as_declared(probe, inputs, others, i, weighing) for i in linear]
    if all(reasons):
        raise AssertionError(f"{probe.t!r} declares {weighing}: {reasons[-1]}")


def _is_linear(probe: Probe, inputs: tuple[Any, ...], i: int) -> bool:
    """Whether a result is an affine function of one input."""

    def at(value: Tensor) -> Tensor:
        with torch.no_grad():
            result: Tensor = probe((*inputs[:i], value, *inputs[i + 1 :]))
        return result

    generator = torch.Generator().manual_seed(5)
    a, b = inputs[i], torch.randn(inputs[i].shape, generator=generator, dtype=inputs[i].dtype)
    parts = at(a + b), at(a), at(b), at(torch.zeros_like(a))
    if not all(bool(part.isfinite().all()) for part in parts):
        return False
    whole, first, second, zero = parts
    scale = float(torch.stack([part.abs().max() for part in parts]).max()) or 1.0
    return float((whole - first - second + zero).abs().max()) <= 1e-9 * scale


def _not_as_declared(
    probe: Probe, inputs: tuple[Any, ...], others: tuple[Any, ...], i: int, weighing: Weighing
) -> str | None:
    """Why the sum over one input is not what is declared; None where it is."""
    kind = probe.t.inputs[i]
    moved = dynamic = False
    pairs = zip(derivatives(probe, inputs, [i]), derivatives(probe, others, [i]), strict=True)
    for (token, _, (first,)), (_, _, (second,)) in pairs:
        if first is None or second is None:
            continue
        scale = float(first.abs().max()) or 1.0
        moved = moved or float((first - second).abs().max()) > 1e-9 * scale
        dynamic = True
        felt = first.abs() > EXACT * scale
        tokens, channels = felt.any(1).sum(), felt.any(0).sum()
        if weighing.over == "channels" and int(tokens) > 1:
            return f"a result sums over {int(tokens)} tokens of input {i}"
        alike = isinstance(kind, Field)
        if weighing.over == "tokens" and alike and int(channels) > 1:
            return f"a result sums over {int(channels)} channels of input {i}"
        if weighing.sign in ("positive", "convex") and float(first.min()) < -EXACT * scale:
            return f"token {token} weighs a value by {float(first.min()):.3g}"
        total = float(first.sum())
        if weighing.sign == "convex" and abs(total - 1) > 1e-6 and abs(total) > EXACT:
            return f"the weights of token {token} sum to {total:.3g}"
    if dynamic and moved != (weighing.weights == "dynamic"):
        return f"its weights {'follow' if moved else 'do not follow'} from the input"
    return None


def places(probe: Probe) -> bool | None:
    """Whether a word treats tokens by where they stand; None where that cannot be seen on these inputs.

    A result is compared with that of inputs whose tokens are permuted, or, where tokens read their neighbours, moved by
    one stride: far from the borders nothing else may change.
    """
    t = probe.t
    fields = [i for i in range(len(t.inputs)) if probe.plain(i)]
    declared = t.word.spans(t)
    whole = all(isinstance(kind, Field) and not kind.extra for kind in (*t.inputs, t.out))
    if (
        not fields
        or len(fields) < len(t.inputs)
        or not whole
        or any(t.inputs[i].grid != t.inputs[0].grid for i in fields)
    ):
        return None
    grid, out = t.inputs[0].grid, t.out.grid
    slots, sets = t.settings.get("score"), isinstance(t.word, Projection) and t.settings.get("sets")
    placed = isinstance(slots, Score) and any(part.place for part in slots.parts)  # then it is the place that minds
    if prod(grid) < 2 or placed or isinstance(t.word, (Match, WeightedSum)) or sets:
        return None
    local = any(
        span is not None and any(axis is not None and axis != Span(1, 0, 0) for axis in span) for span in declared
    )
    with torch.no_grad():
        plain = by_tokens(probe(probe.inputs), t.out)
    if not local and t.out.tokens in (1, prod(grid)) and (out == grid or t.out.tokens == 1):
        order = torch.randperm(prod(grid), generator=torch.Generator().manual_seed(7))
        changed = by_tokens(probe(_reordered(probe, order)), t.out)
        expected = plain if t.out.tokens == 1 and prod(grid) > 1 else plain[order]
        return bool((changed - expected).abs().max() > 1e-9 * (float(plain.abs().max()) or 1.0))
    if out == grid:
        return _moves(probe, plain, grid)
    if t.word.positional and not local:  # it keeps some of the tokens
        changed = by_tokens(probe(_reordered(probe, torch.arange(prod(grid)).flip(0))), t.out)
        return bool((changed - plain).abs().max() > 1e-9 * (float(plain.abs().max()) or 1.0))
    return None


def _reordered(probe: Probe, order: Tensor) -> tuple[Any, ...]:
    return tuple(
        value.reshape(value.shape[0], -1, value.shape[-1])[:, order].reshape(value.shape) for value in probe.inputs
    )


def _moves(probe: Probe, plain: Tensor, grid: tuple[int, ...]) -> bool | None:
    """Whether results change otherwise than by the same shift, where no token read lies beyond a border."""
    t, seen = probe.t, None
    for axis, length in enumerate(grid):
        spans = [span[axis] for span in t.word.spans(t) if span is not None]
        if any(span is None or span.stride != 1 for span in spans):
            continue
        far = 1 + max(max(abs(int(span.low)), abs(int(span.high))) for span in spans if span is not None)
        if length <= 2 * far:
            continue
        moved = tuple(value.roll(1, axis + 1) for value in probe.inputs)
        with torch.no_grad():
            changed = by_tokens(probe(moved), t.out).reshape(*grid, -1)
        expected = plain.reshape(*grid, -1).roll(1, axis)
        gap = (changed - expected).narrow(axis, far, length - 2 * far).abs().max()
        seen = bool(seen) or bool(gap > 1e-9 * (float(plain.abs().max()) or 1.0))
    return seen


def declared(subject: Subject, name: str) -> None:
    """Everything that a word declares of single occurrences; see ``reads`` and ``signs``.

    Raises:
        AssertionError: a measurement contradicts it.
    """
    for probe in probes(subject, name):
        reads(probe)
        signs(probe)
