"""The reads that an architecture is made of, as points of one table: where scores come from, what turns them into
coefficients, what is summed, and over which tokens.

Everything is read off the checked sentence and what words declare of themselves; no operator is known by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metamixer.compile.plan import stages
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import (
    AdditiveBias,
    Discontinuous,
    Match,
    Neutral,
    Projection,
    RelativePositions,
    WeightedSum,
)
from metamixer.language.checking.types import Bank, Field, Score
from metamixer.language.checking.vocabulary import SAME, Macro, place_word
from metamixer.language.syntax.printer import text
from metamixer.words import supports
from metamixer.words.views import View

SCORES = ("content", "prediction", "position", "constant", "bank")
VALUES = ("field", "bank", "read")
PLACES = ("all tokens", "neighbourhood", "window", "past", "selected", "channels", "spectrum", "itself", "slots")
NONE = "none"
OTHERWISE = (RelativePositions, AdditiveBias, Discontinuous, Match, WeightedSum)  # what stages do, if not normalise


@dataclass(frozen=True)
class Read:
    """One read.

    Attributes:
        text: the phrase.
        score: where the score comes from: ``content`` (query against keys of tokens), ``bank`` (against learned keys),
            ``position`` (learned, the same for every input), ``prediction`` (made from the token that asks, as gates
            are), ``constant``.
        activation: pointwise stages and those that bias or cut scores, by name.
        normaliser: what makes coefficients of one token comparable, by name; ``none`` where nothing does.
        value: what is summed: ``field`` (made from the input), ``bank`` (learned), ``read`` (made by another read);
            several joined by ``and``.
        place: which tokens are read, one of ``PLACES``.
        supports: places in canonical form, the outermost first.
        tokens: whether a token's result depends on other tokens by it.
        depth: how many reads it stands inside of.
    """

    text: str
    score: str
    activation: tuple[str, ...]
    normaliser: str
    value: str
    place: str
    supports: tuple[str, ...]
    tokens: bool
    depth: int


def reads(t: Typed) -> tuple[Read, ...]:
    """All reads of a checked phrase, outer ones before what is inside them; repetitions are looked at once."""
    return tuple(_reads(t, {}, (), 0))


def principal(found: tuple[Read, ...]) -> Read | None:
    """The read that a mixer is known by.

    One that mixes tokens before one over channels before any other; of those one that stands in the fewest others, by
    the order of ``SCORES``: what depends on the input before what does not.
    """
    return min(found, key=_rank, default=None)


def _rank(read: Read) -> tuple[int, int, int]:
    mixes = 0 if read.tokens else 1 if read.place == "channels" else 2
    return mixes, read.depth, SCORES.index(read.score)


Env = Mapping[str, Typed]
Views = tuple[tuple[Any, Field], ...]  # the places around, outermost first, each with the field that it stands on


def _reads(t: Typed, env: Env, views: Views, depth: int) -> Iterator[Read]:
    form = t.word.form
    if form == "let":
        yield from _reads(t.kids[1], {**env, t.settings["name"]: t.kids[0]}, views, depth)
        yield from _reads(t.kids[0], env, views, depth + 1)
    elif form == "place":
        inner = tuple((level[0], level[1].x) for level in t.settings["levels"])
        yield from _reads(t.kids[0], env, (*views, *inner), depth)
    elif form == "repeat":
        yield from (read for kid in t.kids[:1] for read in _reads(kid, env, views, depth))
    elif form == "read":
        yield _read(t, env, views, depth)
        for _, step in stages(t):
            for kid in step.kids if step.word.form == "leaf" else (step,):
                yield from _reads(kid, env, views, depth + 1)
    elif (gate := _gate(t)) is not None:
        within = tuple(read for kid in t.kids for read in _reads(kid, env, views, depth + 1))
        yield _gated(t, gate, env, views, depth, _mixes(gate, env, views))
        yield from within
    else:
        sums = t.word.weighs(t, ("signed",) * len(t.inputs)) if form == "leaf" and _reads_fields(t) else None
        if sums is not None and (sums.over != "channels" or _tokens(views) != "tokens"):
            yield _leaf(t, env, views, depth)
        for kid in t.kids:
            yield from _reads(kid, env, views, depth)


def _reads_fields(t: Typed) -> bool:
    return hasattr(t.out, "grid") and bool(t.inputs)


def _read(t: Typed, env: Env, views: Views, depth: int) -> Read:
    steps = [step for _, step in stages(t) if not isinstance(step.word, Neutral)]
    again = [i for i, step in enumerate(steps[1:-1], start=1) if _aggregates(step)]
    steps = steps[again[-1] :] if again else steps  # what is aggregated and then read as scores: a prediction
    first, rest = _scores(steps[0], env), steps[1:]
    last = rest[-1] if rest and _aggregates(rest[-1]) else None
    source = "prediction" if again else score_source(first)
    pointwise: list[str] = []
    normalisers: list[str] = []
    for step in [*_stages_of(steps[0], env), *(rest[:-1] if last is not None else rest)]:
        (normalisers if _normalises(step) else pointwise).append(_named(step))
    value = NONE if last is None else _value(last, env)
    score = first.out if isinstance(first.out, Score) else None
    stack = tuple(score.parts[0].place or ()) if score is not None and not score.as_field else ()
    if source == "bank":
        tokens, place = _tokens(views) == "channels", "all tokens" if _tokens(views) == "channels" else "slots"
    elif score is None or score.as_field:  # a field that is read as one
        spans = first.word.spans(first) if first.word.form == "leaf" and first.inputs else ()
        place, tokens = _leaf_place(spans[0] if spans else None, views), _tokens(views) == "tokens"
        if last is not None and isinstance(last.settings.get("score"), Score):
            inner = last.settings["score"]
            stack = tuple(inner.parts[0].place or ()) if not inner.as_field else ()
            place = _placed(stack, views, last.x) if not inner.as_field else "slots"
        tokens = tokens and place not in ("itself", "slots")
    else:
        place = _placed(stack, views, first.x)
        tokens = place not in ("channels", "itself")
    normaliser = " ".join(normalisers) or NONE
    written = _written(stack, views)
    return Read(t.text, source, tuple(pointwise), normaliser, value, place, written, tokens, depth)


def _aggregates(step: Typed) -> bool:
    return bool({"v", "k"} & set(step.roles))


def _scores(t: Typed, env: Env) -> Typed:
    """The phrase that makes the scores which a read begins with: of a bound name what it is bound to."""
    while True:
        if t.word.form == "bound" and t.settings["name"] in env:
            t = env[t.settings["name"]]
        elif t.word.form in ("place", "frame", "tied") or isinstance(t.word, Macro):
            t = t.kids[0]
        elif t.word.form == "let":
            t = t.kids[1]
        elif t.word.form == "read":
            t = stages(t)[0][1]
        else:
            return t


def _stages_of(t: Typed, env: Env) -> list[Typed]:
    """Stages behind the match of a score that is bound to a name."""
    while t.word.form in ("bound", "place"):
        if t.word.form == "bound" and t.settings["name"] not in env:
            return []
        t = env[t.settings["name"]] if t.word.form == "bound" else t.kids[0]
    if t.word.form != "read":
        return []
    return [step for _, step in stages(t)[1:] if not isinstance(step.word, Neutral)]


def score_source(t: Typed) -> str:
    """Where the scores of a phrase come from."""
    if isinstance(t.word, Match):
        return "bank" if t.out.as_field else "content"
    if isinstance(t.out, Bank) or (isinstance(t.out, Score) and t.out.static):
        return "position"
    sums = t.word.weighs(t, ("signed",) * len(t.inputs)) if t.word.form == "leaf" and t.inputs else None
    if sums is not None and sums.over != "channels" and sums.weights == "static":
        return "position" if t.word.weights(t) else "constant"
    return "prediction"


def _normalises(step: Typed) -> bool:
    """Whether a stage makes the coefficients of one token depend on each other, and on nothing else."""
    word = step.word
    return not word.channelwise and not isinstance(word, OTHERWISE) and len(word.roles) == 1


def _named(step: Typed) -> str:
    scope = step.settings.get("scope")
    return f"{step.word.name}[{scope}]" if scope else step.word.name


def _value(step: Typed, env: Env) -> str:
    found: dict[str, None] = {}
    for kid, role in zip(step.kids, step.roles, strict=False):
        if role in ("v", "k"):
            for part in kid.kids if kid.word.form == "memory" else (kid,):
                found[_kind(part, env)] = None
    return " and ".join(found) or NONE


def _kind(t: Typed, env: Env) -> str:
    if t.word.form == "bound" and t.settings["name"] in env:
        return _kind(env[t.settings["name"]], env)
    if isinstance(t.out, Bank) or (isinstance(t.out, Score) and t.out.static):
        return "bank"
    return "read" if _mixes(t, env, ()) else "field"


def _mixes(t: Typed, env: Env, views: Views) -> bool:
    """Whether a token of a phrase depends on other tokens, through what its names are bound to as well."""
    if any(read.tokens for read in _reads(t, env, views, 0)):
        return True
    used = [env[name] for name in t.node.names if name in env]
    return any(_mixes(bound, {k: v for k, v in env.items() if v is not bound}, ()) for bound in used)


def _gate(t: Typed) -> Typed | None:
    """The factor of a product that weighs the other, which is a plain projection or the input; None for others."""
    if t.word.form == "leaf" and t.roles == ("q", "v"):
        return t.kids[0]
    if t.word.form != "product" or len(t.kids) != 2:
        return None
    plain = [_projects(kid) for kid in t.kids]
    return t.kids[plain.index(False)] if sum(plain) == 1 else None


def _projects(t: Typed) -> bool:
    return t.word.form == "input" or (
        isinstance(t.word, Projection) and all(kid.word.form == "input" for kid in t.kids)
    )


def _gated(t: Typed, gate: Typed, env: Env, views: Views, depth: int, tokens: bool) -> Read:
    last = gate.kids[-1] if gate.word.form == "chain" else gate
    shaped = last.word.form == "leaf" and last.word.channelwise and not last.word.weights(last)
    value = next(kid for kid in reversed(t.kids) if kid is not gate)
    mixes = any(isinstance(place_word(p), View) and place_word(p).mixes for p, _ in views)  # type: ignore[attr-defined]
    place = "spectrum" if mixes else "itself"
    activation = (_named(last),) if shaped else ()
    return Read(
        t.text, "prediction", activation, NONE, _kind(value, env), place, _written((), views), tokens or mixes, depth
    )  # fmt: skip


def _leaf(t: Typed, env: Env, views: Views, depth: int) -> Read:
    score = "position" if t.word.weights(t) else "constant"
    sums = t.word.weighs(t, ("signed",) * len(t.inputs))
    if sums is not None and sums.over == "channels":  # in a view that shows channels as tokens
        view = _views(views)
        place = "window" if any(word.parts(field, p) > 1 for word, p, field in view) else "all tokens"
    else:
        place = _leaf_place(t.word.spans(t)[0], views)
    value = _kind(t.kids[0], env) if t.kids else "field"
    return Read(t.text, score, (), NONE, value, place, _written((), views), place not in ("itself", "channels"), depth)


def _leaf_place(spans: Any, views: Views) -> str:
    if _tokens(views) == "channels":
        return "channels"
    if any(word.parts(field, p) > 1 for word, p, field in _views(views)):
        return "window"
    if spans is None or any(span is None for span in spans):
        return "all tokens"
    return "itself" if all(span == SAME for span in spans) else "neighbourhood"


def _placed(stack: tuple[Any, ...], views: Views, x: Field) -> str:
    if _tokens(views) == "channels":
        return "channels"
    if any(place_word(p).chooses(p) for p in stack) or any(place_word(p).chooses(p) for p, _ in views):
        return "selected"
    if any(word.mixes for word, _, _ in _views(views)):
        return "spectrum"
    if any(word.parts(field, p) > 1 for word, p, field in _views(views)):
        return "window"
    if not stack:
        return "all tokens"
    if any(place_word(p).prefix for p in stack):
        return "past"
    offsets = supports.offsets(stack, x.grid)
    if offsets and all(span is not None for span in offsets):
        return "itself" if all(span.low == span.high == 0 for span in offsets if span) else "neighbourhood"
    return "neighbourhood" if any(span is not None for span in offsets or ()) else "selected"


def _views(views: Views) -> list[tuple[View, Any, Field]]:
    found = []
    for place, field in views:
        word = place_word(place)
        if isinstance(word, View) and not word.idle(field, place):
            found.append((word, place, field))
    return found


def _tokens(views: Views) -> str:
    """What stands as tokens inside of views: ``tokens``, ``channels``, or ``neither``."""
    now = "tokens"
    for word, _, _ in _views(views):
        if word.tokens:
            now = word.tokens if now == "tokens" else "tokens" if word.involution else "neither"
    return now


def _written(stack: tuple[Any, ...], views: Views) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text(place_word(p).support(p)) for p in (*(p for p, _ in views), *stack)))
