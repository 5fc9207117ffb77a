"""Derived attributes of an architecture, by one recursion over the checked sentence.

docs/algebra.md#derived-attributes says what they are; the walk itself is in `metamixer.explore.walk`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from math import ceil, floor, log, prod
from typing import Any

from metamixer.cost import cost
from metamixer.errors import LanguageError
from metamixer.explore.walk import MEMORY, QUERY, Axis, Facts, Walk, identity
from metamixer.language import Sentence, parse
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Field, Given, field_of, inputs

GROWTH = (4, 16, 64, 256)  # times the tokens of the input, at which MACs are counted


@dataclass(frozen=True)
class Attributes:
    """What follows from a sentence and its input.

    Attributes:
        growth: exponent of MACs in the number of tokens, by least squares over 4 to 256 times the input's tokens in
            the planned order; None where the sentence is locked to its grid, or costs nothing.
        locked: whether its weights fit one grid only.
        receptive_field: for each axis the largest distance, in tokens of the input, at which a token of the input
            can matter to a token of the result (around the edge where a place wraps); None for all of the axis.
        permutation: whether permuting the tokens permutes the result.
        translation: for each axis the smallest shift of the input that shifts the result, borders aside, or None;
            None if there is none at all, as where every token feels how far the borders are.
        causal: whether it has a form in which no token sees later ones (in the order of memory): every read of tokens
            at ``@causal``, kernels without what comes later.
        cross: whether it can read another field: every match takes query and memory from phrases that share no value
            and reads all of the memory, and no value of a memory is used elsewhere; there is one.
        coefficients: kinds of coefficients in sums over tokens: ``dynamic`` (made from the input), ``static``.
        weights: what is known of them: ``convex`` (positive, with sum 1), ``positive``, ``signed``.
        linear: whether every read of scores over all tokens can sum its values first (docs/algebra.md#values-first);
            None without such a read.
    """

    growth: float | None
    locked: bool
    receptive_field: tuple[int | None, ...]
    permutation: bool
    translation: tuple[int | None, ...] | None
    causal: bool
    cross: bool
    coefficients: tuple[str, ...]
    weights: tuple[str, ...]
    linear: bool | None

    def rows(self) -> list[tuple[str, str]]:
        """Name and value of each, as they are printed."""
        far = ["global" if radius is None else str(radius) for radius in self.receptive_field]
        steps = ["-" if step is None else str(step) for step in self.translation or ()]
        shift = "by any shift" if set(steps) == {"1"} else f"by multiples of {'x'.join(steps)}" if steps else "no"
        costs = "-" if self.growth is None else f"N^{self.growth:.2f}"
        return [
            ("MACs grow with the tokens N as", "locked" if self.locked else costs),
            ("locked to its grid", _yes(self.locked)),
            ("receptive field", far[0] if len(set(far)) == 1 else " x ".join(far)),
            ("permutation equivariant", _yes(self.permutation)),
            ("translation equivariant", shift),
            ("causal form", _yes(self.causal)),
            ("cross form", _yes(self.cross)),
            ("coefficients over tokens", " and ".join(self.coefficients) or "none"),
            ("their values", " and ".join(self.weights) or "none"),
            ("can sum values first", "no such read" if self.linear is None else _yes(self.linear)),
        ]

    def described(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def attributes(sentence: Sentence | str, channels: int, grid: tuple[int, ...], context: Given = None) -> Attributes:
    """The derived attributes of a sentence for an input of ``channels`` channels on ``grid``.

    Further inputs (``context``, as for ``check``) grow with the input where other grids are looked at.

    Raises:
        LanguageError: the sentence does not fit that input.
    """
    sentence = parse(sentence) if isinstance(sentence, str) else sentence
    t = sentence.typed(channels, tuple(grid), context)
    facts = Facts(tuple(1 for _ in grid))
    here = Walk(facts).value(t, identity(Field(tuple(grid), channels)), {}, None)
    held = locked(sentence, channels, tuple(grid), context)
    return Attributes(
        growth=None if held else growth(sentence, channels, tuple(grid), context),
        locked=held,
        receptive_field=_radius(here.axes, field_of(t.out), tuple(grid)),
        permutation=facts.permutation,
        translation=_shifts(facts.shifts, tuple(grid)),
        causal=facts.causal,
        cross=bool(facts.cross) and all(facts.cross) and not facts.used[QUERY] & facts.used[MEMORY],
        coefficients=tuple(sorted(facts.coefficients)),
        weights=tuple(sorted(facts.weights)),
        linear=all(facts.linear) if facts.linear else None,
    )


# -- costs and weights at other grids ----------------------------------------------------------------------------------


def grown(grid: tuple[int, ...], factor: int) -> tuple[int, ...]:
    """A grid of about ``factor`` times the tokens, in the same proportions."""
    times = round(factor ** (1 / len(grid)))
    return tuple(length * times for length in grid)


def enlarged(context: Given, times: int) -> dict[str, Field]:
    """Further inputs with every axis so many times as long."""
    return {
        name: field._replace(grid=tuple(length * times for length in field.grid))
        for name, field in inputs(context).items()
    }


def growth(sentence: Sentence, channels: int, grid: tuple[int, ...], context: Given = None) -> float | None:
    """See ``Attributes.growth``."""
    points = []
    for factor in GROWTH:
        larger = grown(grid, factor)
        try:
            macs = cost(sentence, channels, larger, context=enlarged(context, larger[0] // grid[0])).macs
        except LanguageError:
            continue
        if macs:
            points.append((log(prod(larger)), log(macs)))
    return slope(points) if len(points) > 1 else None


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares."""
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def locked(sentence: Sentence, channels: int, grid: tuple[int, ...], context: Given = None) -> bool:
    """Whether the sentence fits no grid of two or three times the length with weights of the same shapes."""
    here = list(shapes(sentence.typed(channels, grid, context)))
    for times in (2, 3):
        try:
            larger = tuple(length * times for length in grid)
            if list(shapes(sentence.typed(channels, larger, enlarged(context, times)))) == here:
                return False
        except LanguageError:
            continue
    return True


def shapes(t: Typed) -> Iterator[tuple[int, ...]]:
    """Shapes of all weights."""
    yield from (weight.shape for weight in t.word.weights(t))
    for kid in t.kids:
        yield from shapes(kid)


def _shifts(found: tuple[Fraction | int, ...] | None, grid: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """Shifts in whole tokens; none by all of an axis or more."""
    if found is None:
        return None
    steps = tuple(int(step) if step < max(length, 2) else None for step, length in zip(found, grid, strict=True))
    return steps if any(steps) else None


def _radius(axes: tuple[Axis, ...] | None, out: Field, grid: tuple[int, ...]) -> tuple[int | None, ...]:
    """The largest distance for each axis of the input; None where it reaches from one end to the other."""
    if axes is None:
        return (0,) * len(grid)
    if len(axes) != len(grid):
        return (None,) * len(grid)
    found: list[int | None] = []
    for axis, new, old in zip(axes, out.grid, grid, strict=True):
        if axis.low is None or axis.high is None:
            found.append(None)
            continue
        # a token of the result stands for the tokens jump * p .. jump * (p + 1) - 1 of the input
        far = max(ceil(axis.jump) - 1 - floor(axis.low), ceil(axis.high), 0)
        covers = all(
            floor(axis.jump * p + axis.low) <= 0 and ceil(axis.jump * p + axis.high) >= old - 1 for p in (0, new - 1)
        )
        found.append(None if covers else min(far, old - 1))
    return tuple(found)
