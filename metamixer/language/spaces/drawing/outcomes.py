"""What a phrase with choices can become: its reachable types, each with the number of derivations.

One recursion serves legality, exact counting and drawing. A phrase is looked at under one or several contexts at
once (several where one draw is used in several places), so a result is a tuple, one value a context. Results are
remembered for each phrase and contexts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from metamixer.language.checking.inference import Typed, check_node, kind_of, word_of
from metamixer.language.checking.types import Bound, Context, Mismatch, Type
from metamixer.language.checking.vocabulary import Demand, Done
from metamixer.language.spaces.number import Number, plus, times
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, name_of

Contexts = tuple[Context, ...]


class Use(NamedTuple):
    """What a phrase takes of a draw, or of tied weights, bound outside of it.

    Attributes:
        name: the bound name.
        context: where it is used.
        value: what it becomes there.
        inner: what its own phrase takes of names bound before it.
    """

    name: str
    context: Context
    value: Type
    inner: frozenset[Any] = frozenset()


Uses = frozenset[Use]
NO_USES: Uses = frozenset()


class Outcome(NamedTuple):
    """One way a phrase can end.

    Attributes:
        values: its type (or size, or places) under each context.
        uses: what it takes of bound names under each context; empty where it takes nothing under any.
    """

    values: tuple[Type, ...]
    uses: tuple[Uses, ...] = ()

    def taken(self, i: int) -> Uses:
        """What it takes under the context of this index."""
        return self.uses[i] if self.uses else NO_USES


Outcomes = Mapping[Outcome, Number]
NONE: Outcomes = {}


class Reach:
    """Reachable types over the rules of a space.

    Args:
        rules: body of each rule.
        max_depth: how often a recursive rule may stand on one path from the root.
    """

    def __init__(self, rules: Mapping[str, Node], max_depth: int = 1) -> None:
        self.rules = dict(rules)
        self.max_depth = max_depth
        self._names = frozenset(rules)
        self._below = {name: self._closure(name) for name in rules}
        self.recursive = frozenset(name for name in rules if name in self._below[name])
        self._outcomes: dict[tuple[Node, Contexts], Outcomes] = {}
        self._partial: dict[tuple[Node, Contexts, tuple[Outcome, ...]], Outcomes] = {}
        self._counted: dict[Node, frozenset[str]] = {}
        self._references: dict[Node, Counter[str]] = {}

    def _closure(self, name: str) -> frozenset[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for other in self.rules[waiting.pop()].names & self._names:
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return frozenset(found)

    def below(self, node: Node) -> frozenset[str]:
        """The rules that derivations of a phrase can use."""
        named = node.names & self._names
        return named.union(*(self._below[name] for name in named))

    def kind_of(self, node: Node, ctx: Context) -> str:
        return kind_of(node, ctx, self.rules)

    def references(self, node: Node) -> Counter[str]:
        """How often each rule is named inside a phrase."""
        known = self._references.get(node)
        if known is None:
            known = Counter()
            rule = name_of(node)
            if rule in self.rules and rule is not None:
                known[rule] += 1
            for kid in node.kids:
                if kid.names & self._names:
                    known += self.references(kid)
            self._references[node] = known
        return known

    def closed(self, node: Node, ctx: Context) -> bool:
        """Whether a phrase has nothing left to draw."""
        if node.open or node.names & self._names:
            return False
        return not any(name in node.names and bound.kind != "let" for name, bound in ctx.env)

    def settled(self, node: Node, ctx: Context) -> bool:
        """Whether nothing is left to draw, in the phrases behind bound names neither."""
        if node.open or any(name in self.rules and ctx.find(name) is None for name in node.names):
            return False
        shared = (bound for name, bound in ctx.env if name in node.names and bound.node is not None)
        return all(self.settled(bound.node, ctx._replace(env=bound.env)) for bound in shared if bound.node is not None)

    def narrowed(self, node: Node, ctx: Context) -> Context:
        """The context without what the phrase cannot see, so that equal questions are asked once."""
        if ctx.env:
            rules = bool(node.names & self._names)  # their bodies may read further inputs
            env = (item for item in ctx.env if item[0] in node.names or (rules and item[1].given))
            ctx = ctx._replace(env=tuple(env))
        if ctx.depth:
            counted = self._counted.get(node)
            if counted is None:
                counted = self._counted[node] = self.below(node) & self.recursive
            ctx = ctx._replace(depth=tuple(item for item in ctx.depth if item[0] in counted))
        return ctx

    def outcomes(self, node: Node, contexts: Contexts) -> Outcomes:
        """All ways the phrase can end, with the number of derivations of each."""
        contexts = tuple(self.narrowed(node, ctx) for ctx in contexts)
        key = (node, contexts)
        known = self._outcomes.get(key)
        if known is None:
            known = self._outcomes[key] = self._find(node, contexts)
        return known

    def _find(self, node: Node, contexts: Contexts) -> Outcomes:
        if all(self.closed(node, ctx) for ctx in contexts):
            try:
                checked = [check_node(node, ctx) for ctx in contexts]
            except Mismatch:
                return NONE
            return {Outcome(tuple(c.out if type(c) is Typed else c for c in checked)): 1}
        match node:
            case nodes.Choice(kids):
                return _added(self.outcomes(alternative, contexts) for alternative in kids)
            case nodes.Range():
                return {Outcome(((value,),) * len(contexts)): 1 for value in node.values}
            case nodes.Slot(_, inner):
                return self.outcomes(inner, contexts)
            case nodes.Taken():
                return self.outcomes(node.option, contexts)
            case nodes.Word(name) if not node.kids:
                bounds = [bound for bound in (ctx.find(name) for ctx in contexts) if bound is not None]
                if bounds:
                    return self._use(name, contexts, bounds)
                if name in self.rules:
                    entered = self.entered(name, contexts)
                    return self.outcomes(self.rules[name], entered) if entered else NONE
        return self.completions(node, contexts, ())

    def entered(self, rule: str, contexts: Contexts) -> Contexts | None:
        """Contexts of a rule's body at a reference; None where the rule may not be opened again."""
        inner = []
        for ctx in contexts:
            depth = dict(ctx.depth)
            if rule in self.recursive:
                depth[rule] = depth.get(rule, 0) + 1
                if depth[rule] > self.max_depth:
                    return None
            given = tuple(item for item in ctx.env if item[1].given)
            inner.append(ctx.enter()._replace(env=given, depth=tuple(sorted(depth.items()))))
        return tuple(inner)

    def step(self, node: Node, contexts: Contexts, done: tuple[Outcome, ...]) -> list[Demand] | Outcome | None:
        """What the phrase asks for next under each context, its end, or None if it does not fit."""
        steps: list[Demand | Done] = []
        try:
            for i, ctx in enumerate(contexts):
                steps.append(
                    word_of(node, ctx, self.rules).step(node, ctx, tuple(out.values[i] for out in done), self.kind_of)
                )
        except Mismatch:
            return None
        if all(isinstance(step, Done) for step in steps):
            uses = [NO_USES.union(*(out.taken(i) for out in done)) for i in range(len(contexts))]
            return outcome((step.out for step in steps), uses)  # type: ignore[union-attr]
        demands = [step for step in steps if isinstance(step, Demand)]
        if len(demands) < len(steps) or any(step.kid != demands[0].kid for step in demands):
            return None  # several uses of one draw that would not ask for the same phrases
        known = NO_USES.union(*(uses for out in done for uses in out.uses))
        return [step._replace(context=_with_uses(step.context, known)) for step in demands] if known else demands

    def refusal(
        self, node: Node, contexts: Contexts, done: tuple[Outcome, ...], rule: str
    ) -> tuple[str, str, str | None]:
        """Why ``step`` has no answer: message, rule and advice."""
        try:
            for i, ctx in enumerate(contexts):
                word_of(node, ctx, self.rules).step(node, ctx, tuple(out.values[i] for out in done), self.kind_of)
        except Mismatch as mismatch:
            return mismatch.message, rule, mismatch.advice
        return "its parts do not fit together", rule, None

    def completions(self, node: Node, contexts: Contexts, done: tuple[Outcome, ...]) -> Outcomes:
        """All ways a phrase can end after its first parts ended as ``done``."""
        key = (node, contexts, done)
        known = self._partial.get(key)
        if known is None:
            known = self._partial[key] = self._complete(node, contexts, done)
        return known

    def _complete(self, node: Node, contexts: Contexts, done: tuple[Outcome, ...]) -> Outcomes:
        step = self.step(node, contexts, done)
        if step is None:
            return NONE
        if isinstance(step, Outcome):
            return self._bound(node, contexts, step)
        kid = kid_of(node, step[0])
        if (
            isinstance(node, nodes.Power)
            and len(done) == 1
            and done[0].values[0][0] > 1
            and not self.settled(kid, contexts[0])
        ):
            # drawn once and repeated: the draw must keep its type
            kept = tuple(ctx.x for ctx in contexts)
            return {
                out: n for out, n in self.outcomes(kid, tuple(d.context for d in step)).items() if out.values == kept
            }
        found: dict[Outcome, Number] = {}
        for out, n in self.outcomes(kid, tuple(demand.context for demand in step)).items():
            for end, m in self.completions(node, contexts, (*done, out)).items():
                found[end] = plus(found.get(end, 0), times(n, m))
        return found

    def _bound(self, node: Node, contexts: Contexts, end: Outcome) -> Outcomes:
        """A binder's end: what its name was used for becomes a number of draws of the value."""
        if not isinstance(node, (nodes.Pick, nodes.Tie)):
            return {end: 1}
        own, rest = unbound(end, node.name)
        if not own:
            return {end: 1}
        count = self.outcomes(node.value, contexts_of(own)).get(drawn_as(own), 0)
        return {rest: count} if count else NONE

    def _use(self, name: str, contexts: Contexts, bounds: list[Bound]) -> Outcomes:
        """A bound name where it is used. A draw or a set of weights notes the context and what it becomes there."""
        if bounds[0].kind == "let":
            return {Outcome(tuple(bound.type for bound in bounds)): 1}
        value = bounds[0].node
        assert value is not None
        before = NO_USES.union(*(bound.uses for bound in bounds))
        asked = tuple(
            self.narrowed(value, ctx.enter()._replace(env=bound.env, depth=bound.depth))
            for ctx, bound in zip(contexts, bounds, strict=True)
        )  # fmt: skip
        earlier = contexts_of(before)
        if bounds[0].kind == "tie" and len({ctx.x.channels for ctx in (*asked, *earlier)}) > 1:
            return NONE
        every = (*earlier, *dict.fromkeys(ctx for ctx in asked if ctx not in earlier))
        known = drawn_as(before)
        found: dict[Outcome, Number] = {}
        for out in self.outcomes(value, every):
            uses = {ctx: Use(name, ctx, out.values[i], out.taken(i)) for i, ctx in enumerate(every)}
            if outcome(out.values[: len(earlier)], [out.taken(i) for i in range(len(earlier))]) == known:
                found[outcome((uses[ctx].value for ctx in asked), [frozenset((uses[ctx],)) for ctx in asked])] = 1
        return found


def kid_of(node: Node, demand: Demand) -> Node:
    """The phrase that a step asks for: a part of the node, or an expansion."""
    return node.kids[demand.kid] if isinstance(demand.kid, int) else demand.kid


def outcome(values: Iterable[Type], uses: Sequence[Uses]) -> Outcome:
    """An outcome; equal ones are written alike."""
    return Outcome(tuple(values), tuple(uses) if any(uses) else ())


def _ordered(uses: Uses) -> list[Use]:
    return sorted(uses, key=lambda use: repr(use.context))


def contexts_of(uses: Uses) -> Contexts:
    """The contexts of the uses of one name, in a fixed order."""
    return tuple(use.context for use in _ordered(uses))


def drawn_as(uses: Uses) -> Outcome:
    """What the phrase behind one name became under the contexts of its uses."""
    ordered = _ordered(uses)
    return outcome((use.value for use in ordered), [use.inner for use in ordered])


def unbound(end: Outcome, name: str) -> tuple[Uses, Outcome]:
    """The uses of a name, and the outcome outside of its binder: what its phrase took is then taken directly."""
    own = frozenset(use for uses in end.uses for use in uses if use.name == name)
    rest = [(uses - own).union(*(use.inner for use in uses & own)) for uses in end.uses]
    return own, outcome(end.values, rest)


def _with_uses(ctx: Context, uses: Uses) -> Context:
    """Later parts know what earlier parts took of a draw."""
    env = []
    for name, bound in ctx.env:
        own = frozenset(use for use in uses if use.name == name) if bound.kind != "let" else NO_USES
        env.append((name, bound._replace(uses=bound.uses | own) if own else bound))
    return ctx._replace(env=tuple(env))


def _added(parts: Iterable[Outcomes]) -> Outcomes:
    found: dict[Outcome, Number] = {}
    for part in parts:
        for out, n in part.items():
            found[out] = plus(found.get(out, 0), n)
    return found
