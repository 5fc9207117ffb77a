"""Derived attributes of an architecture (attention-systems.md 3.12), by one recursion over the checked sentence.

The walk knows forms (sequence, read, view, ..), never operators: what a word reads, weighs and minds is declared by
the word (``spans``, ``weighs``, ``sign``, ``positional``, ..).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import reduce
from math import ceil, floor, lcm, log, prod
from typing import Any, NamedTuple

from metamixer.compile.plan import runs_on, stages
from metamixer.cost import cost
from metamixer.errors import LanguageError
from metamixer.language import Sentence, parse
from metamixer.language.typed import Typed
from metamixer.language.types import Field, Score, field_of
from metamixer.language.vocabulary import SAME, Macro, Span, Spans, Weighing, aligned, place_word
from metamixer.words import supports
from metamixer.words.views import View

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
            None if there is none at all.
        causal: whether it has a form in which no token sees later ones: tokens mix only by reads and convolutions.
        cross: whether it can read another field: every read over tokens takes query and memory from phrases that
            share no value, over all of the memory; there is one.
        coefficients: kinds of coefficients in sums over tokens: ``dynamic`` (made from the input), ``static``.
        weights: what is known of them: ``convex`` (positive, with sum 1), ``positive``, ``signed``.
        linear: whether every read of scores over all tokens can sum its values first (attention-systems.md 3.5);
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


def attributes(sentence: Sentence | str, channels: int, grid: tuple[int, ...]) -> Attributes:
    """The derived attributes of a sentence for an input of ``channels`` channels on ``grid``.

    Raises:
        LanguageError: the sentence does not fit that input.
    """
    sentence = parse(sentence) if isinstance(sentence, str) else sentence
    t = sentence.typed(channels, tuple(grid))
    facts = Facts(tuple(1 for _ in grid))
    here = _Walk(facts).value(t, identity(Field(tuple(grid), channels)), {}, None)
    held = locked(sentence, channels, tuple(grid))
    return Attributes(
        growth=None if held else growth(sentence, channels, tuple(grid)),
        locked=held,
        receptive_field=_radius(here.axes, field_of(t.out), tuple(grid)),
        permutation=facts.permutation,
        translation=_shifts(facts.shifts, tuple(grid)),
        causal=facts.causal,
        cross=bool(facts.cross) and all(facts.cross),
        coefficients=tuple(sorted(facts.coefficients)),
        weights=tuple(sorted(facts.weights)),
        linear=all(facts.linear) if facts.linear else None,
    )


# -- costs and weights at other grids ----------------------------------------------------------------------------------


def grown(grid: tuple[int, ...], factor: int) -> tuple[int, ...]:
    """A grid of about ``factor`` times the tokens, in the same proportions."""
    times = round(factor ** (1 / len(grid)))
    return tuple(length * times for length in grid)


def growth(sentence: Sentence, channels: int, grid: tuple[int, ...]) -> float | None:
    """See ``Attributes.growth``."""
    points = []
    for factor in GROWTH:
        larger = grown(grid, factor)
        try:
            macs = cost(sentence, channels, larger).macs
        except LanguageError:
            continue
        if macs:
            points.append((log(prod(larger)), log(macs)))
    return slope(points) if len(points) > 1 else None


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares."""
    x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
    return sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)


def locked(sentence: Sentence, channels: int, grid: tuple[int, ...]) -> bool:
    """Whether the sentence fits no grid of two or three times the length with weights of the same shapes."""
    here = list(shapes(sentence.typed(channels, grid)))
    for times in (2, 3):
        try:
            if list(shapes(sentence.typed(channels, tuple(length * times for length in grid)))) == here:
                return False
        except LanguageError:
            continue
    return True


def shapes(t: Typed) -> Iterator[tuple[int, ...]]:
    """Shapes of all weights."""
    yield from (weight.shape for weight in t.word.weights(t))
    for kid in t.kids:
        yield from shapes(kid)


# -- the walk ----------------------------------------------------------------------------------------------------------


class Axis(NamedTuple):
    """Along one axis, token p reads ``jump * p + low`` to ``jump * p + high`` of the input; all of it where None."""

    jump: Fraction
    low: Fraction | None
    high: Fraction | None


class Value(NamedTuple):
    """What is known of a value: what it reads (None: no token), and its sign. Memories have several."""

    axes: tuple[Axis, ...] | None
    sign: str = "signed"


@dataclass
class Facts:
    """What the walk has found within one view.

    Attributes:
        shifts: smallest shifts of the view's field; None once there are none.
        tokens: what is tokens of the field here: ``tokens``, ``channels`` (in a transposed view), ``neither``.
        mixed: whether, where tokens are channels, a result reads several of them.
    """

    shifts: tuple[Fraction | int, ...] | None
    tokens: str = "tokens"
    mixed: bool = False
    permutation: bool = True
    causal: bool = True
    cross: list[bool] = field(default_factory=list)
    linear: list[bool] = field(default_factory=list)
    coefficients: set[str] = field(default_factory=set)
    weights: set[str] = field(default_factory=set)

    def bind(self, axes: tuple[Axis, ...], steps: tuple[Fraction | int | None, ...]) -> None:
        """Only shifts that are multiples of ``steps`` tokens of a field with these axes; None for any."""
        if self.shifts is None or len(self.shifts) != len(axes):
            return
        self.shifts = tuple(
            old if step is None else _multiple(Fraction(old), axis.jump * _multiple(Fraction(1), Fraction(step)))
            for old, axis, step in zip(self.shifts, axes, steps, strict=True)
        )


def _multiple(a: Fraction, b: Fraction) -> Fraction:
    return Fraction(lcm(a.numerator * b.denominator, b.numerator * a.denominator), a.denominator * b.denominator)


def _shifts(found: tuple[Fraction | int, ...] | None, grid: tuple[int, ...]) -> tuple[int | None, ...] | None:
    """Shifts in whole tokens; none by all of an axis or more."""
    if found is None:
        return None
    steps = tuple(int(step) if step < max(length, 2) else None for step, length in zip(found, grid, strict=True))
    return steps if any(steps) else None


def identity(x: Field) -> Value:
    """The input itself."""
    return Value(tuple(Axis(Fraction(1), Fraction(0), Fraction(0)) for _ in x.grid))


def through(axes: tuple[Axis, ...] | None, spans: Spans, source: Any, out: Any) -> tuple[Axis, ...] | None:
    """What a result reads of the input, if it reads ``spans`` of a value that reads ``axes``."""
    if axes is None or spans is None:
        return None
    if not len(axes) == len(spans) == len(source.grid) == len(out.grid):
        return tuple(Axis(Fraction(1), None, None) for _ in out.grid)
    return tuple(
        Axis(axis.jump * Fraction(old, new), None, None)
        if span is None
        else Axis(axis.jump * span.stride, None, None)
        if axis.low is None or axis.high is None
        else Axis(axis.jump * span.stride, axis.low + axis.jump * span.low, axis.high + axis.jump * span.high)
        for axis, span, old, new in zip(axes, spans, source.grid, out.grid, strict=True)
    )


def joined(parts: list[tuple[Axis, ...] | None]) -> tuple[Axis, ...] | None:
    """What several values read together."""
    found = [axes for axes in parts if axes is not None]
    return reduce(_both, found) if found else None


def _both(a: tuple[Axis, ...], b: tuple[Axis, ...]) -> tuple[Axis, ...]:
    if len(a) != len(b):
        return tuple(Axis(Fraction(1), None, None) for _ in a)
    return tuple(_either(p, q) for p, q in zip(a, b, strict=True))


def _either(a: Axis, b: Axis) -> Axis:
    if a.low is None or b.low is None or a.high is None or b.high is None or a.jump != b.jump:
        return Axis(b.jump if a.low is None else a.jump, None, None)
    return Axis(a.jump, min(a.low, b.low), max(a.high, b.high))


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


Env = Mapping[str, Value]


class _Walk:
    def __init__(self, facts: Facts) -> None:
        self.facts = facts

    def value(self, t: Typed, x: Value, env: Env, state: Value | None) -> Value:
        """What an occurrence reads, found together with the facts about it."""
        how = t.word.form
        if how == "input":
            return x
        if how == "bound":
            return env[t.settings["name"]]
        if how == "let":
            bound = self.value(t.kids[0], x, env, None)
            return self.value(t.kids[1], x, {**env, t.settings["name"]: bound}, state)
        if how in ("chain", "repeat"):
            for kid in t.kids:
                x = self.value(kid, x, env, None)
            return x
        if how == "read":
            if self.facts.tokens == "tokens":
                self._linear(t)
            for kid in t.kids:
                state = self.value(kid, x, env, state)
            assert state is not None
            return state
        if how == "place" and t.settings["levels"]:
            for chosen in t.kids[1:]:
                self.value(chosen, x, env, None)
            return self._view(t, list(t.settings["levels"]), x, env, state)
        kids = [self.value(kid, x, env, state) for kid in t.kids]
        if how in ("tie", "tied", "place", "frame") or isinstance(t.word, Macro):
            return kids[0]
        if how == "leaf":
            return self._leaf(t, kids, state)
        if how == "memory":
            known = all(kid.sign != "signed" for kid in kids)
            return Value(joined([kid.axes for kid in kids]), "positive" if known else "signed")
        axes = [
            through(kid.axes, aligned(part.out, t.out), part.out, t.out) for kid, part in zip(kids, t.kids, strict=True)
        ]
        if how == "residual":
            axes.append(x.axes)
        known = how != "residual" and "-" not in str(t.node.data) and all(kid.sign != "signed" for kid in kids)
        return Value(joined(axes), "positive" if known else "signed")

    def _leaf(self, t: Typed, kids: list[Value], state: Value | None) -> Value:
        inputs = [state, *kids] if t.context.kind == "stage" and state is not None else kids
        signs = tuple(value.sign for value in inputs)
        if not hasattr(t.out, "grid"):  # a bank
            return Value(joined([value.axes for value in inputs]))
        spans = t.word.spans(t)
        self._note(t, inputs, spans, t.word.weighs(t, signs))
        parts = [
            through(value.axes, span, _placed(kind, t.out), t.out)
            for value, span, kind in zip(inputs, spans, t.inputs, strict=True)
        ]
        return Value(joined(parts), t.word.sign(t, signs))

    def _note(self, t: Typed, inputs: list[Value], spans: tuple[Spans, ...], sums: Weighing | None) -> None:
        """Facts that follow from one word."""
        facts, word = self.facts, t.word
        if facts.tokens == "tokens":
            mixes = self._note_reach(t, inputs, spans)
            counts = mixes and sums is not None and sums.over in ("tokens", "both")
        else:
            mixes = not word.channelwise
            facts.mixed = facts.mixed or mixes
            facts.causal = facts.causal and not mixes
            counts = sums is not None and (sums.over in ("channels", "both") or facts.tokens == "neither")
            if word.weights(t) or (isinstance(t.out, Score) and t.out.heads > 1):
                facts.permutation, facts.shifts = False, None
        if sums is not None and counts:
            facts.coefficients.add(sums.weights)
            facts.weights.add(sums.sign)
        if word.content and not t.out.as_field:
            facts.cross.append(facts.tokens == "tokens" and _crosses(t))
        sets = word.projection and t.settings.get("sets")  # a matrix for each set of tokens
        extra = bool(t.inputs) and not word.weights(t) and t.inputs[0].extra >= t.out.tokens  # not on the grid
        if sets or (word.positional and not extra):
            facts.permutation, facts.shifts = False, None
        if word.relative:
            facts.permutation = False

    def _note_reach(self, t: Typed, inputs: list[Value], spans: tuple[Spans, ...]) -> bool:
        """What follows from the tokens that a word reads; whether it reads others than the one in its place."""
        facts, word, mixes = self.facts, t.word, False
        for value, span, kind in zip(inputs, spans, t.inputs, strict=True):
            if value.axes is None or span is None:
                continue
            here = any(axis != SAME for axis in span)
            mixes = mixes or here
            if len(value.axes) == len(span):
                lengths = getattr(kind, "grid", t.out.grid)
                whole = zip(span, lengths, strict=True)
                facts.bind(value.axes, tuple(None if n == 1 else 1 if a is None else a.stride for a, n in whole))
            if here and any(span):
                facts.permutation = False
            if not all(span) and not (word.content or word.sums) and getattr(kind, "tokens", 1) > 1:
                facts.causal = False
        for part in t.out.parts if isinstance(t.out, Score) and word.content else ():
            if part.place:
                facts.permutation = False
                for steps in supports.steps(part.place):
                    if steps and inputs[0].axes is not None:
                        facts.bind(inputs[0].axes, steps)
        return mixes

    def _linear(self, t: Typed) -> None:
        steps = [step for _, step in stages(t)]
        score = steps[0].out
        if not steps[0].word.content or score.as_field:
            return
        between, stack = steps[1:-1], score.parts[0].place
        if any(part.place for part in score.parts):
            if len(score.parts) == 1 and all(place_word(place).prefix for place in stack):
                kept = tuple(((), step) for step in between if not step.word.neutral)
                self.facts.linear.append(steps[-1].word.sums and runs_on(stack, kept))
            return
        self.facts.linear.append(
            len(score.parts) == 1
            and steps[-1].word.sums
            and all((s.word.marginal or s.word.neutral) and not s.settings.get("scope") for s in between)
        )

    def _view(self, t: Typed, levels: list[Any], x: Value, env: Env, state: Value | None) -> Value:
        """The operand in its views, outermost first: each is walked with an input of its own and put back."""
        if not levels:
            return self.value(t.kids[0], x, env, state)
        (place, context, inner_type, outer_type), rest = levels[0], levels[1:]
        view = place_word(place)
        if not isinstance(view, View) or view.idle(context.x, place):
            return self._view(t, rest, x, env, state)
        inside = view.inner(context.x, place)
        facts = Facts(tuple(1 for _ in inside.grid), view.tokens or "tokens")
        if self.facts.tokens != "tokens":
            facts.tokens = self.facts.tokens if not view.tokens else "tokens" if view.involution else "neither"
        seen = {name: bound.type for name, bound in context.env if name in t.node.names and view.sees(bound, context.x)}
        values = {
            name: Value(identity(inside).axes, value.sign) if name in seen else value._replace(axes=_all(value.axes))
            for name, value in env.items()
        }
        inner = _Walk(facts)._view(t, rest, Value(identity(inside).axes, x.sign), values, state)
        out = field_of(inner_type)
        spans = self._spread(view, place, context.x, inner, out, facts)
        base = joined([x.axes, *(env[name].axes for name in seen)])
        self._absorb(view, place, context.x, facts, base, spans)
        return Value(through(base, spans, context.x, field_of(outer_type)), inner.sign)

    def _spread(self, view: View, place: Any, x: Field, inner: Value, out: Field, facts: Facts) -> Spans:
        if inner.axes is None:
            return None
        if view.tokens and not facts.mixed:
            return (SAME,) * len(x.grid)
        if len(inner.axes) != len(out.grid):
            return (None,) * len(x.grid)
        local = tuple(None if a.low is None or a.high is None else Span(a.jump, a.low, a.high) for a in inner.axes)
        return view.spread(x, place, local, out)

    def _absorb(
        self, view: View, place: Any, x: Field, inner: Facts, axes: tuple[Axis, ...] | None, spans: Spans
    ) -> None:
        """Facts inside a view as facts about what it stands on."""
        facts = self.facts
        facts.coefficients |= inner.coefficients
        facts.weights |= inner.weights
        facts.linear += inner.linear
        facts.causal = facts.causal and inner.causal
        whole = view.parts(x, place) == 1 or view.rewidth
        facts.cross += inner.cross if whole and not view.tokens else [False] * len(inner.cross)
        alone = spans is None or all(span == SAME for span in spans)  # parts do not matter to single tokens
        facts.permutation = facts.permutation and inner.permutation and (whole or alone)
        if view.tokens:
            shifts: Any = (1,) * len(x.grid) if inner.shifts is not None else None
        elif alone and inner.permutation:
            shifts = inner.shifts
        else:
            shifts = view.shifts(x, place, inner.shifts)
        if shifts is None or axes is None:
            facts.shifts = None
        elif len(axes) == len(shifts):
            facts.bind(axes, shifts)


def _placed(kind: Any, out: Any) -> Any:
    """Where the tokens of an input stand; memories side by side stand together."""
    return kind if hasattr(kind, "grid") else out


def _all(axes: tuple[Axis, ...] | None) -> tuple[Axis, ...] | None:
    return None if axes is None else tuple(axis._replace(low=None, high=None) for axis in axes)


def _crosses(t: Typed) -> bool:
    """Whether query and memory of a match could be two fields: no shared value, no place that binds their grids."""
    if t.context.place or any(part.place for part in t.out.parts):
        return False
    bound = {name for name, b in t.context.env if b.kind == "let"}
    query, memory = (kid.node.names & bound for kid in t.kids)
    return not query & memory
