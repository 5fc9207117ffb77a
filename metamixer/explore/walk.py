"""The walk behind derived attributes: what every value reads of the input, and facts found on the way.

It knows forms (sequence, read, view, ..), never operators: what a word reads, weighs and minds is declared by the word
(``spans``, ``weighs``, ``sign``, ``positional``, ..).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from math import lcm
from typing import Any, NamedTuple

from metamixer.compile.plan import runs_on, stages
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import (
    EverySlot,
    MarginalNormaliser,
    Match,
    Neutral,
    Projection,
    RelativePositions,
    WeightedSum,
)
from metamixer.language.checking.types import Field, Score, field_of
from metamixer.language.checking.vocabulary import SAME, Macro, Span, Spans, Weighing, aligned, place_word
from metamixer.words import supports
from metamixer.words.views import View


class Axis(NamedTuple):
    """Along one axis, token p reads ``jump * p + low`` to ``jump * p + high`` of the input; all of it where None."""

    jump: Fraction
    low: Fraction | None
    high: Fraction | None


class Value(NamedTuple):
    """What is known of a value: what it reads (None: no token), and its sign. Memories have several."""

    axes: tuple[Axis, ...] | None
    sign: str = "signed"


QUERY, MEMORY, BOUND = "query", "memory", "bound"


@dataclass
class Facts:
    """What the walk has found within one view.

    Attributes:
        shifts: smallest shifts of the view's field; None once there are none.
        tokens: what is tokens of the field here: ``tokens``, ``channels`` (in a transposed view), ``neither``.
        mixed: whether, where tokens are channels, a result reads several of them.
        used: values that memories are made from, those used elsewhere, and those that others are made from.
    """

    shifts: tuple[Fraction | int, ...] | None
    tokens: str = "tokens"
    mixed: bool = False
    used: dict[str, set[str]] = field(default_factory=lambda: {QUERY: set(), MEMORY: set(), BOUND: set()})
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
        if len(steps) != len(axes):  # in the order of memory, across rows
            self.shifts = None
            return
        self.shifts = tuple(
            old if step is None else _multiple(Fraction(old), axis.jump * _multiple(Fraction(1), Fraction(step)))
            for old, axis, step in zip(self.shifts, axes, steps, strict=True)
        )


def _multiple(a: Fraction, b: Fraction) -> Fraction:
    return Fraction(lcm(a.numerator * b.denominator, b.numerator * a.denominator), a.denominator * b.denominator)


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


Env = Mapping[str, Value]


class Walk:
    """One pass over an occurrence and all below it; ``value`` returns what it reads and notes facts on the way."""

    def __init__(self, facts: Facts, side: str = QUERY, needs: Mapping[str, frozenset[str]] | None = None) -> None:
        self.facts = facts
        self.side = side  # whether what is walked is a memory, or bound to a name that says it where it is used
        self.needs = needs or {}  # of each bound value in scope, itself and those that it is made from

    def _beside(self, t: Typed, x: Value, env: Env, side: str, state: Value | None = None) -> Value:
        """What a part reads that stands on another side."""
        before, self.side = self.side, side
        try:
            return self.value(t, x, env, state)
        finally:
            self.side = before

    def value(self, t: Typed, x: Value, env: Env, state: Value | None) -> Value:
        """What an occurrence reads, found together with the facts about it."""
        how = t.word.form
        if how == "input":
            return x
        if how == "bound":
            self.facts.used[self.side] |= self.needs.get(t.settings["name"], set())
            return env.get(t.settings["name"], Value(None))  # a further input reads nothing of x
        if how == "let":
            name, needs = t.settings["name"], self.needs
            bound = self._beside(t.kids[0], x, env, BOUND)
            made_from = frozenset().union(*(needs[used] for used in t.kids[0].node.names if used in needs))
            self.needs = {**needs, name: made_from | {name}}
            result = self.value(t.kids[1], x, {**env, name: bound}, state)
            self.needs = needs
            return result
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
        memory = MEMORY if self.side == QUERY and how == "leaf" and _weighs_tokens(t) else self.side
        sides = [memory if role in ("k", "v") else self.side for role in (*t.roles, *[""] * len(t.kids))]
        kids = [self._beside(kid, x, env, side, state) for kid, side in zip(t.kids, sides, strict=False)]
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
        known = how != "residual" and "-" not in t.signs and all(kid.sign != "signed" for kid in kids)
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
            further = any(
                value.axes is None and span is not None and getattr(kind, "tokens", 1) > 1 and set(span) != {SAME}
                for value, span, kind in zip(inputs, spans, t.inputs, strict=True)
            )  # tokens of a further input
            counts = (mixes or further) and sums is not None and sums.over in ("tokens", "both")
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
        if isinstance(word, Match) and not t.out.as_field:
            alike = bool(t.context.place) or any(part.place for part in t.out.parts)
            facts.cross.append(facts.tokens == "tokens" and not alike)
        coefficients = t.settings.get("score") if isinstance(word, WeightedSum) else None
        if isinstance(coefficients, Score) and any(part.place for part in coefficients.parts):
            facts.cross.append(False)  # also where the coefficients are predicted
        sets = isinstance(word, Projection) and t.settings.get("sets")  # a matrix for each set of tokens
        extra = bool(t.inputs) and not word.weights(t) and t.inputs[0].extra >= t.out.tokens  # not on the grid
        if sets or (word.positional and not extra):
            facts.permutation, facts.shifts = False, None
        if isinstance(word, EverySlot):
            facts.causal = False
        if isinstance(word, RelativePositions):
            facts.permutation = False
            if isinstance(t.out, Score) and any(_everywhere(part) for part in t.out.parts):
                facts.shifts = None

    def _note_reach(self, t: Typed, inputs: list[Value], spans: tuple[Spans, ...]) -> bool:
        """What follows from the tokens that a word reads; whether it reads others than the one in its place."""
        facts, word, mixes = self.facts, t.word, False
        reads = isinstance(word, (Match, WeightedSum))
        for value, span, kind in zip(inputs, spans, t.inputs, strict=True):
            if value.axes is None or span is None:
                continue
            here = any(axis != SAME for axis in span)
            mixes = mixes or here
            if len(value.axes) == len(span):
                lengths = getattr(kind, "grid", t.out.grid)
                axes = zip(span, lengths, strict=True)
                facts.bind(value.axes, tuple(None if n == 1 else 1 if a is None else a.stride for a, n in axes))
            whole = reads or t.out.tokens in (1, getattr(kind, "tokens", 1))
            if here and (any(span) or not whole):  # neighbours, or cells of a coarser grid
                facts.permutation = False
            # a learned kernel has a form without what comes later; a mean, or a reach over all of an axis, has none
            later = any(axis is None or axis.high > 0 for axis in span) and not (all(span) and word.weights(t))
            if later and not reads and getattr(kind, "tokens", 1) > 1:
                facts.causal = False
        for part in t.out.parts if isinstance(t.out, Score) and isinstance(word, Match) else ():
            if part.place:
                facts.permutation = False
                if _everywhere(part):
                    facts.shifts = None
                if any(place_word(place).foresees for place in part.place):
                    facts.causal = False
                for steps in supports.steps(part.place, t.out.grid):
                    if steps and inputs[0].axes is not None:
                        facts.bind(inputs[0].axes, steps)
        return mixes

    def _linear(self, t: Typed) -> None:
        steps = [step for _, step in stages(t) if not isinstance(step.word, Neutral)]
        score = steps[0].out
        if not isinstance(steps[0].word, Match) or score.as_field:
            return
        between, stack = steps[1:-1], score.parts[0].place
        if any(part.place for part in score.parts):
            if len(score.parts) == 1 and all(place_word(place).prefix for place in stack):
                kept = tuple(((), step) for step in between)
                self.facts.linear.append(isinstance(steps[-1].word, WeightedSum) and runs_on(stack, kept))
            return
        self.facts.linear.append(
            len(score.parts) == 1
            and isinstance(steps[-1].word, WeightedSum)
            and all(isinstance(s.word, MarginalNormaliser) and not s.settings.get("scope") for s in between)
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
        inner = Walk(facts, self.side, self.needs)._view(t, rest, Value(identity(inside).axes, x.sign), values, state)
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
        for side, names in inner.used.items():
            facts.used[side] |= names
        alone = spans is None or all(span == SAME for span in spans)  # parts do not matter to single tokens
        facts.causal = facts.causal and inner.causal and (view.ordered or alone)
        whole = view.parts(x, place) == 1 or view.rewidth
        facts.cross += inner.cross if whole and not view.tokens else [False] * len(inner.cross)
        facts.permutation = facts.permutation and inner.permutation and (whole or alone) and not view.mixes
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


def _everywhere(part: Any) -> bool:
    """Whether every token looks at slots from one end of the memory to the other: no token is far from the borders."""
    if part.memory is None:
        return False
    masks = [place for place in part.place or () if place_word(place).whole(place, part.memory)]
    others = tuple(place for place in part.place or () if place not in masks)
    if not others:
        return True
    return bool(masks) and None in (supports.offsets(others, part.memory[0]) or ())


def _placed(kind: Any, out: Any) -> Any:
    """Where the tokens of an input stand; memories side by side stand together."""
    return kind if hasattr(kind, "grid") else out


def _all(axes: tuple[Axis, ...] | None) -> tuple[Axis, ...] | None:
    return None if axes is None else tuple(axis._replace(low=None, high=None) for axis in axes)


def _weighs_tokens(t: Typed) -> bool:
    """Whether a word matches with, or sums, tokens of a memory."""
    if isinstance(t.word, Match):
        score = t.out
    else:
        score = t.settings.get("score") if isinstance(t.word, WeightedSum) else None
    return isinstance(score, Score) and not score.as_field
