"""Three ways to share: a value (let), a set of weights (tie), a draw (pick)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Combinator, Concluding, Evaluate
from metamixer.language.checking.types import Bound, Context, Field, Mismatch, Score, Type
from metamixer.language.checking.vocabulary import Demand, Done, Form, KindOf, Word, register, words
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node
from metamixer.words.banks import BoundBank, alone


def check_name(name: str) -> None:
    """A binding must not hide a word.

    Raises:
        Mismatch: it would.
    """
    if name in words():
        raise Mismatch(f"the binding {name} has the name of a word", "choose another name")


@register
class Let(Word, Combinator, Concluding):
    """``let n = e in b``: the value of e, computed once from the x where the let stands."""

    name, form = "let", Form.LET

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        assert isinstance(node, nodes.Binder)
        if not done:
            check_name(node.name)
            value = node.value
            return Demand(alone(BoundBank.name, value) if isinstance(value, nodes.Bank) else 0, ctx.source())
        if not isinstance(done[0], (Field, Score)):
            raise Mismatch(f"let binds fields, scores and banks; {node.name} is none of them", None, node.value)
        if len(done) == 1:
            return Demand(1, ctx.bind(node.name, Bound("let", done[0])))
        return Done(done[1], {"name": node.name})

    def conclude(self, t: Typed) -> Typed:
        """A value that nothing uses is not computed."""
        return t if is_used(t.settings["name"], t.kids[1]) else t.kids[1]

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        value = evaluate(0, x, env, None)
        return evaluate(1, x, {**env, t.settings["name"]: value}, state)


@register
class LetUse(Word, Combinator):
    """A name bound by let, at a place where it is used."""

    name, form, use_of = "let use", Form.BOUND, "let"

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return env[t.settings["name"]]


@register
class Tie(Word, Combinator, Concluding):
    """``tie n = e in b``: one set of weights, applied to the x of each use."""

    name, form = "tie", Form.TIE

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        assert isinstance(node, nodes.Binder)
        if not done:
            check_name(node.name)
            return Demand(1, ctx.bind(node.name, Bound("tie", node=node.value, env=ctx.env, depth=ctx.depth)))
        return Done(done[0], {"name": node.name})

    def conclude(self, t: Typed) -> Typed:
        """All uses must ask for the same tensors."""
        uses = list(uses_of(t.settings["name"], t.kids[0]))
        shapes = [[weight.shape for phrase in inside(use) for weight in phrase.word.weights(phrase)] for use in uses]
        for use, other in zip(uses, shapes, strict=True):
            if other != shapes[0]:
                raise Mismatch(
                    f"the tied {use.settings['name']} is used at {uses[0].x} and at {use.x}: its weights would differ",
                    "tie phrases of one input width, or drop the tie",
                )
        return t

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return evaluate(0, x, env, state)


@register
class TieUse(Word, Combinator):
    """A name bound by tie, at a place where it is used."""

    name, form, use_of = "tie use", Form.TIED, "tie"

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return evaluate(0, x, env, state)


@register
class Pick(Word):
    """``pick n = e in b``: one draw of the choices in e; drawing replaces it, so no checked tree has one."""

    name = "pick"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        assert isinstance(node, nodes.Binder)
        if not done:
            check_name(node.name)
            return Demand(1, ctx.bind(node.name, Bound("pick", node=node.value, env=ctx.env, depth=ctx.depth)))
        return Done(done[0])


def inside(t: Typed) -> list[Typed]:
    """The occurrence and all below it."""
    found = [t]
    for kid in t.kids:
        found += inside(kid)
    return found


def is_used(name: str, t: Typed) -> bool:
    """Whether a phrase uses the value bound to a name outside of it."""
    if t.word.form in ("bound", "tied") and t.settings["name"] == name:
        return True
    if t.word.form in ("let", "tie") and t.settings["name"] == name:
        return t.word.form == "let" and is_used(name, t.kids[0])
    return any(is_used(name, kid) for kid in t.kids)


def uses_of(name: str, t: Typed) -> list[Typed]:
    """Uses of a tied name that are not hidden by an inner binding of the same name."""
    if t.word.form == "tied" and t.settings["name"] == name:
        return [t]
    hidden = t.word.form in ("tie", "let") and t.settings["name"] == name
    kids = t.kids[:1] if hidden and t.word.form == "let" else () if hidden else t.kids
    return [use for kid in kids for use in uses_of(name, kid)]
