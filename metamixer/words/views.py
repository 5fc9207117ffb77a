"""``@``, and what a view is: the operand runs inside a re-indexing of its input, and the result is put back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Combinator, Evaluate, Rebinding, Repeating
from metamixer.language.checking.types import Context, Field, Memory, Mismatch, Place, Score, Type, field_of
from metamixer.language.checking.vocabulary import (
    Demand,
    Done,
    Form,
    KindOf,
    PlaceWord,
    Spans,
    Word,
    place_word,
    register,
    written_supports,
)
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, size, word
from metamixer.language.syntax.nodes import place as attached
from metamixer.words import supports


class View(PlaceWord):
    """A place that re-indexes the input and every let value on its domain, for any operand."""

    involution = False  # whether twice is nothing
    ordered = True  # whether tokens of one part keep the order that they have in memory
    mixes = False  # whether what it makes of one token depends on the others
    tokens = ""  # what of its field the operand sees as tokens, if not those: channels, or neither

    def spread(self, field: Field, place: Place, inner: Spans, out: Field) -> Spans:
        """What a token of the result reads of ``field``, where inside one of ``out`` reads ``inner``."""
        return inner if not self.tokens else (None,) * len(field.grid)

    def shifts(self, field: Field, place: Place, inner: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
        """Shifts of ``field`` along each axis that shift the result; ``inner`` are those inside, None for none."""
        return inner

    def idle(self, field: Field, place: Place) -> bool:
        """Whether the view changes nothing on this field."""
        return False

    def inner(self, field: Field, place: Place) -> Field:
        """What the operand sees of a field."""
        raise NotImplementedError

    def outer(self, field: Field, place: Place, out: Field) -> Field:
        """What an operand's result is, put back."""
        raise NotImplementedError

    def parts(self, field: Field, place: Place) -> int:
        """How many parts the operand runs on; they lie in the batch."""
        return 1

    def work(self, field: Field, out: Field) -> int:
        """Elementwise work of entering with ``field`` and leaving with a result that is ``out`` there."""
        return 0

    def enter(self, value: Any, field: Field, place: Place, dense: bool) -> Any:
        raise NotImplementedError

    def leave(self, value: Any, field: Field, place: Place, out: Field, dense: bool) -> Any:
        """Puts a result of type ``out`` (of one part) back to where ``field`` is."""
        raise NotImplementedError

    def inside(self, ctx: Context, place: Place) -> Context:
        if supports.chosen(ctx.place):
            raise Mismatch(
                f"{place.word} stands between a read and slots that depend on the data",
                "write the support first: att(..)@top(..)@win(7)",
            )
        if ctx.x.spectral:
            raise Mismatch(f"{place.word} stands inside @fft, on a spectrum", "write it outside: (..)@fft@win(7)")
        x = self.inner(ctx.x, place)
        env = tuple(
            (name, b._replace(type=self.inner(b.type, place)) if self.sees(b, ctx.x) else b) for name, b in ctx.env
        )
        inner = ctx._replace(x=x, env=env)
        return inner.enter() if self.rewidth else inner

    def outside(self, ctx: Context, place: Place, out: Type) -> Type:
        return self.outer(ctx.x, place, field_of(out))

    def sees(self, bound: Any, x: Field) -> bool:
        """A let value on the same domain is re-indexed with x; values on another domain are used as they are."""
        return (
            bound.kind == "let"
            and isinstance(bound.type, Field)
            and (bound.type.grid, bound.type.extra) == (x.grid, x.extra)
        )


class Level(NamedTuple):
    """One place of an ``@``: the context it stands in, and the types inside and outside."""

    place: Place
    context: Context
    inner: Type
    outer: Type


@register
class At(Word, Combinator, Rebinding, Repeating):
    """``operand@place``; the leftmost place is the innermost."""

    name, kinds, form = "@", ("term", "place", "memory"), Form.PLACE

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if ctx.kind == "place":  # a sequence of places as an alternative: {win(7)@h(4) | all}; the outer ones first
            if not done:
                return Demand(1, ctx)
            return Demand(0, self._inside(done[0], ctx)) if len(done) == 1 else Done(done[1] + done[0])
        if not done:
            return Demand(1, ctx._replace(kind="place", state=None, heads=1))
        if ctx.kind == "memory":  # a part of a memory with its own support: k@N(3) & p
            binds = all(place_word(place).supports for place in done[0])
            if binds and done[0] and not isinstance(node.kids[0], nodes.Read):
                stack = self._inside(done[0], ctx).place
                if supports.chosen(stack) or supports.lasting(stack) != stack:
                    raise Mismatch(
                        "a part of a memory has no support that depends on the data", "write it behind the read"
                    )
                if len(done) == 1:
                    return Demand(0, ctx._replace(kind="term"))
                return Done(Memory(((field_of(done[1]), stack),)), {"levels": ()})
            ctx = ctx._replace(kind="term")
        contexts = [ctx]
        places = list(self._with_segments(done[0], ctx))
        for place in places:
            contexts.append(place_word(place).inside(contexts[-1], place))
        if len(done) == 1:
            return Demand(0, contexts[-1])
        out, levels = done[1], []
        for place, outside in zip(reversed(places), reversed(contexts[:-1]), strict=True):
            result = place_word(place).outside(outside, place, out)
            levels.append(Level(place, outside, out, result))
            out = result
        own = [place for place in places if place_word(place).supports]
        if isinstance(out, Score) and (supports.chosen(tuple(own)) or supports.stages(tuple(own))):
            raise Mismatch("scores of slots that depend on the data end at the @", "aggregate inside: .. -> mm(v)")
        return Done(out, {"levels": tuple(reversed(levels))})

    def _inside(self, places: tuple[Place, ...], ctx: Context) -> Context:
        """The context inside of supports; views and heads change nothing for the places within."""
        for place in reversed(places):
            ctx = place_word(place).inside(ctx, place) if place_word(place).supports else ctx
        return ctx

    def _with_segments(self, places: tuple[Place, ...], ctx: Context) -> list[Place]:
        """Places from the outermost in; heads outside of a view of other width run it on channel groups."""
        result: list[Place] = []
        heads = ctx.heads
        for place in reversed(places):
            if place.word == "h":
                heads = place.values[0]
            elif place.word == "hsum":
                heads = 1
            elif place_word(place).rewidth and place.word != "seg" and heads > 1:
                result += [Place("seg", (heads,)), Place("h", (1,))]
                heads = 1
            result.append(place)
        return result

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        """Views, and supports that depend on the data: heads and other supports are written where a read uses them."""
        node = kids[0]
        if isinstance(t.out, Memory):
            support = t.out.parts[0][1]
            return attached(node, written_supports(support)) if support else node
        chosen = list(kids[1:])
        for level in reversed(t.settings["levels"]):
            view = place_word(level.place)
            if view.supports and view.chooses(level.place):  # here with those around it, which it heeds
                node = attached(node, chosen.pop(0))
                outer = supports.lasting(t.context.place)
                node = attached(node, written_supports(outer)) if outer else node
            if not isinstance(view, View) or view.idle(level.context.x, level.place):
                continue
            where = (
                chosen.pop(0) if view.chooses(level.place) else word(level.place.word, *map(size, level.place.values))
            )
            twice = isinstance(node, nodes.At) and node.place is where and view.involution
            node = node.kids[0] if twice else nodes.At(node, where)
        return node

    def elementwise(self, t: Typed) -> int:
        count = 0
        for level in t.settings["levels"]:
            word = place_word(level.place)
            if isinstance(word, View) and isinstance(level.outer, Field):
                count += word.work(level.context.x, level.outer)
        return count

    def rebinds(self, t: Typed) -> bool:
        for level in t.settings["levels"]:
            view = place_word(level.place)
            if isinstance(view, View) and not view.idle(level.context.x, level.place):
                return True
        return False

    def times(self, t: Typed) -> int:
        count = 1
        for level in t.settings["levels"]:
            word = place_word(level.place)
            count *= word.parts(level.context.x, level.place) if isinstance(word, View) else 1
        return count

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        views: list[tuple[View, Level, tuple[Any, ...]]] = []
        used, phrases, kept = t.node.kids[0].names, iter(range(1, len(t.kids))), None
        for level in t.settings["levels"]:
            (place, ctx, _, _), view = level, place_word(level.place)
            chosen = (evaluate(next(phrases), x, env, None),) if view.chooses(place) else ()
            if view.supports and chosen:
                env = {**env, supports.CHOSEN: chosen[0]}
            if not isinstance(view, View):
                continue
            views.append((view, level, chosen))
            kept = kept or (x.dtype if view.mixes else None)
            seen = {n: b.type for n, b in ctx.env if n in used and n in env and view.sees(b, ctx.x)}
            parts = view.parts(ctx.x, place)
            if parts > 1:  # values on another domain serve every part
                others = (n for n in _needed(used, ctx) if n in env and n not in seen)
                env = {**env, **{n: env[n].repeat_interleave(parts, 0) for n in others}}
            env = {**env, **{n: view.enter(env[n], kind, place, dense, *chosen) for n, kind in seen.items()}}
            x = view.enter(x, ctx.x, place, dense, *chosen)
        value = evaluate(0, x, env, state)
        for view, (place, ctx, inner, _), chosen in reversed(views):
            value = view.leave(value, ctx.x, place, field_of(inner), dense, *chosen)
        return value if kept is None else value.to(kept)  # a view may compute in a wider type than it was given


def _needed(used: frozenset[str], ctx: Context) -> frozenset[str]:
    """Names that phrases use, themselves or in tied phrases."""
    tied = [bound.node.names for name, bound in ctx.env if name in used and bound.node is not None]
    return used.union(*tied)
