"""Drawing: choices are taken from left to right, each among the alternatives that can still be completed.

A draw therefore never fails where one well-typed sentence exists.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from metamixer.errors import SpaceError
from metamixer.language.checking.inference import check_node
from metamixer.language.checking.protocols import WidthScope
from metamixer.language.checking.registry import only
from metamixer.language.checking.types import Context, Mismatch
from metamixer.language.checking.vocabulary import words
from metamixer.language.memo import memo
from metamixer.language.spaces.choice import Choice, Choose, Value
from metamixer.language.spaces.drawing.holes import Copies, Hole
from metamixer.language.spaces.drawing.outcomes import Reach
from metamixer.language.spaces.drawing.plan import (
    Chosen,
    Closed,
    Deciding,
    Drawer,
    Ends,
    Goal,
    Parted,
    Passed,
    Placed,
    Ruled,
    Shared,
    State,
    Step,
    Taken,
    Written,
)
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, X, chain, count_of, joined, name_of, place, size, word
from metamixer.language.syntax.printer import domain_of

LARGEST = 100_000  # rules that one draw goes through


class Spot(NamedTuple):
    """Where a phrase stands in the body of a rule, for the names of its choices.

    Attributes:
        copy: which copies of ``each`` it stands in, ``[2]``.
        choices: choices of this body written before the phrase.
        refs: references of this body before the phrase, by rule.
        slots: for an expansion, the spots of the arguments passed through.
    """

    copy: str = ""
    choices: int = 0
    refs: tuple[tuple[str, int], ...] = ()
    slots: tuple[Spot, ...] = ()


def behind(spot: Spot, written: Written) -> Spot:
    """The spot behind so many choices and references."""
    choices, named = written
    if not named:
        return Spot(spot.copy, spot.choices + choices, spot.refs, spot.slots) if choices else spot
    refs = dict(spot.refs)
    for rule, n in named:
        refs[rule] = refs.get(rule, 0) + n
    return Spot(spot.copy, spot.choices + choices, tuple(refs.items()), spot.slots)


Drawn = tuple[Node, Ends]
Body = Generator[Step, Any, Drawn]  # asks for choices and rules, each as a step, is sent the answers, ends


class Drawing:
    """One draw: answers choices by the prior or by ``choose``, and remembers what was taken.

    A body of a rule asks for its choices and for the rules that it names, one after the other. What it asks for
    depends on the answers alone, so bodies are followed along the steps that earlier draws left behind, and only
    worked out where an answer is new.
    """

    def __init__(self, drawer: Drawer, rng: random.Random, choose: Choose | None = None) -> None:
        self.drawer, self.rng, self.choose = drawer, rng, choose
        self.taken: dict[str, Value] = {}
        self.rules = 0

    def rule(self, ruled: Ruled, path: str) -> Drawn:
        """Draws a rule; ``path`` are the references from the start rule to this one."""
        self.rules += 1
        if self.rules > LARGEST:
            raise SpaceError(
                f"a draw of the space takes more than {LARGEST:,} rules",
                None,
                "such networks are too large to be built: let rules use each other less often, or write block^n",
            )
        step = ruled.start
        if step is None:
            step = ruled.start = self._next(expanded(self.drawer, ruled), None)
        body: Body | None = None
        answers: list[Any] = []
        phrases: tuple[Node, ...] = ()
        while True:
            choice = step.choice
            answer: Any
            if choice is not None:
                name = path + step.name
                answer = choice.draw(self.rng) if self.choose is None else self._asked(name, choice)
                self.taken[name] = answer
            elif step.rule is not None:
                answer = self.rule(step.rule, path + step.name)
                if ruled.holes:
                    phrases += answer[:1]
                    answer = answer[1]
            else:
                break
            answers.append(answer)
            following = step.then.get(answer)
            if following is None:
                given = with_holes(answers)
                if body is None:
                    body = expanded(self.drawer, ruled)
                    for earlier in (None, *given[:-1]):
                        body.send(earlier)
                following = self._next(body, given[-1])
                self.drawer.remember(step, answer, following)
            step = following
        assert step.end is not None
        if not phrases:
            return step.end
        known: Drawn | None = step.then.get(phrases)
        if known is None:
            known = within(ruled, filled(step.end[0], phrases)), step.end[1]
            if not ruled.anew:
                self.drawer.remember(step, phrases, known)
        return known

    def phrase(self, node: Node, goal: Goal) -> Drawn:
        """Draws a phrase that stands in no rule and has no choices of its own."""
        body = drawn(self.drawer, node, goal, Spot())
        step = self._next(body, None)
        while step.end is None:
            assert step.choice is not None
            step = self._next(body, step.choice.draw(self.rng))
        return step.end

    def _asked(self, name: str, choice: Choice) -> Value:
        assert self.choose is not None
        value = self.choose(name, choice)
        if value not in choice.viable:
            raise ValueError(f"{name} was answered with {value!r}, which is not viable: {choice.viable}")
        return value

    @staticmethod
    def _next(body: Body, answer: Any) -> Step:
        try:
            return body.send(answer)
        except StopIteration as stop:
            return Step(end=stop.value)


def expanded(drawer: Drawer, ruled: Ruled) -> Body:
    """Draws a rule's body, as the reference to it ends."""
    node, inner = yield from drawn(drawer, ruled.body, ruled.goal, Spot())
    ends = ruled.ends.get(inner)
    if ends is None:
        reached = {contexts: inner.of[inside] for contexts, inside in ruled.entered.items() if inside in inner.of}
        allowed = {c: end for c, end in reached.items() if end in ruled.outer.worlds[c]}
        ends = ruled.ends[inner] = drawer.ends(allowed)
    return node if _holes(node) else within(ruled, node), ends


def within(ruled: Ruled, node: Node) -> Node:
    """A drawn body as it stands for the reference: with a scope of its own where D would mean another width."""
    return scoped(node) if ruled.rewidth else node


def scoped(node: Node) -> Node:
    """A phrase that keeps its meaning where D is another width: with a scope of its own if it names D."""
    return word(only("bare_scope"), node) if names_width(node) else node


def with_holes(answers: list[Any]) -> list[Any]:
    """Answers as a body takes them: where a rule's phrase was left open, a numbered hole stands for it."""
    numbers = count()
    return [(Hole(next(numbers)), answer) if type(answer) is Ends else answer for answer in answers]


def drawn(drawer: Drawer, node: Node, goal: Goal, spot: Spot) -> Body:
    """Draws a phrase: what is written, and how it ends in the worlds that remain possible."""
    plan = goal.plans.get(node) or drawer.plan(node, goal)
    if isinstance(plan, Closed):
        return node, plan.ends
    if isinstance(plan, Parted):
        return (yield from _parts(drawer, node, goal, plan.state, spot))
    if isinstance(plan, Chosen):
        value = yield Step(f"{spot.copy}#{spot.choices + 1}", plan.choice)
        index = plan.choice.domain.index(value)
        option, before = plan.options[index], plan.before[index]
        return (yield from drawn(drawer, option, plan.goals[value], behind(spot, before)))
    if isinstance(plan, Ruled):
        return (yield Step(spot.copy + reference(node, spot), rule=plan))
    if isinstance(plan, Passed):
        assert isinstance(node, nodes.Slot)
        inner, ends = yield from drawn(drawer, node.inner, goal, spot.slots[node.number])
        return nodes.Slot(node.number, inner), ends
    if isinstance(plan, Taken):
        assert isinstance(node, nodes.Taken)
        return (yield from drawn(drawer, node.option, goal, behind(spot, plan.before)))
    if isinstance(plan, Deciding):
        value = yield Step(f"{spot.copy}#{spot.choices + plan.number}", plan.choice)
        index = plan.choice.domain.index(value)
        return (yield from drawn(drawer, plan.options[index], plan.goals[value], spot))
    if isinstance(plan, Placed):
        inner, ends = yield from drawn(drawer, node.kids[0], plan.goal, spot)
        places, final = drawer.behind_operand(node, goal, plan, ends)
        where, place_ends = yield from drawn(drawer, node.kids[1], places, behind(spot, drawer.before(node, 1)))
        return place(inner, where), drawer.ends(
            {k: v for item in place_ends.of.items() for k, v in final[item].items()}
        )
    return (yield from _shared(drawer, node, goal, plan, spot))


def _parts(drawer: Drawer, node: Node, goal: Goal, state: State, spot: Spot) -> Body:
    done: dict[int, Node] = {}
    copies: list[Node] = []
    each = isinstance(node, nodes.Each)
    names: dict[int, str] = {}
    while state.final is None:
        index, kid = state.index, state.kid
        plan = state.goal.plans.get(kid) or drawer.plan(kid, state.goal)
        if index < 0:  # an expansion: its arguments keep the names they have in the text
            slots = tuple(behind(spot, drawer.before(node, i)) for i in range(len(node.kids)))
            part, ends = yield from drawn(drawer, kid, state.goal, Spot(spot.copy, slots=slots))
            done |= {slot.number: slot.inner for slot in _slots(part)}
        else:
            if isinstance(plan, Closed):
                part, ends = kid, plan.ends
            else:
                copy = f"{spot.copy}[{len(copies) + 1}]" if each and index == 0 else spot.copy
                if isinstance(plan, Ruled):
                    name = names.get(index)
                    if name is None:
                        name = names[index] = reference(kid, behind(spot, drawer.before(node, index)))
                    part, ends = yield Step(copy + name, rule=plan)
                else:
                    where = behind(spot, drawer.before(node, index))
                    part, ends = yield from drawn(drawer, kid, state.goal, where._replace(copy=copy))
            done[index] = part
            if index == 0:
                copies.append(part)
        state = state.next.get(ends) or drawer.following(node, goal, state, ends)
    return _rebuilt(node, done, copies), state.final


def reference(node: Node, spot: Spot) -> str:
    """The name of a rule where it is referred to, behind the copy."""
    rule = name_of(node)
    assert rule is not None
    nth = dict(spot.refs).get(rule, 0) + 1
    return f"/{rule}~{nth}" if nth > 1 else f"/{rule}"


def _shared(drawer: Drawer, node: Node, goal: Goal, plan: Shared, spot: Spot) -> Body:
    assert isinstance(node, (nodes.Pick, nodes.Tie))
    name, value, body = node.name, node.value, node.body
    inner: Node = X
    if plan.goal.worlds:  # a name that nothing uses is not drawn
        inner, _ = yield from drawn(drawer, value, plan.goal, spot)
    after = behind(spot, drawer.before(node, 1))
    settled = substitute(body, name, scoped(inner)) if isinstance(node, nodes.Pick) else nodes.Tie(name, inner, body)
    return (yield from drawn(drawer, settled, drawer.reaching(settled, goal), after))


def _slots(node: Node) -> list[nodes.Slot]:
    if isinstance(node, nodes.Slot):
        return [node]
    return [slot for kid in node.kids for slot in _slots(kid)]


def filled(node: Node, phrases: Sequence[Node]) -> Node:
    """A phrase with its holes filled."""
    if isinstance(node, Hole):
        return phrases[node.number]
    if not _holes(node):
        return node
    if isinstance(node, Copies):
        return repeated([filled(kid, phrases) for kid in node.kids])
    in_sequence = isinstance(node, nodes.Sequence)
    parts: list[list[Node]] = []
    for kid in node.kids:
        if in_sequence and isinstance(kid, Copies):
            parts.append(runs([filled(copy, phrases) for copy in kid.kids]) or [X])
        else:
            parts.append([filled(kid, phrases)])
    if in_sequence and [X] in parts:
        parts = [part for part in parts if part != [X]] or [[X]]
    return joined(node, tuple([kid for part in parts for kid in part]))


@memo
def _holes(node: Node) -> bool:
    """Whether a drawn phrase has holes."""
    return isinstance(node, Hole) or any(_holes(kid) for kid in node.kids)


def _rebuilt(node: Node, drawn: Mapping[int, Node], copies: list[Node]) -> Node:
    """The phrase with its parts drawn; repetitions drawn one by one are written out."""
    kids = tuple(drawn.get(i, kid) for i, kid in enumerate(node.kids))
    match node:
        case nodes.Each():
            return Copies(tuple(copies)) if any(map(_holes, copies)) else repeated(copies)
        case nodes.Power() if (count := count_of(kids[1])) in (0, 1):
            return kids[0] if count else X
        case nodes.Sequence() if X in drawn.values():  # an alternative that was nothing
            kids = tuple(kid for kid in kids if kid is not X) or (X,)
    return joined(node, kids)


def repeated(copies: Sequence[Node]) -> Node:
    """Copies in sequence."""
    phrases = runs(copies)
    return chain(nodes.Sequence, phrases) if phrases else X


def runs(copies: Sequence[Node]) -> list[Node]:
    """Copies in sequence, equal neighbours as a power."""
    found: list[tuple[Node, int]] = []
    for copy in copies:
        if found and found[-1][0] is copy:
            found[-1] = (copy, found[-1][1] + 1)
        else:
            found.append((copy, 1))
    return [copy if n == 1 else nodes.Power(copy, size(n)) for copy, n in found]


def substitute(node: Node, name: str, value: Node) -> Node:
    """The phrase with a bound name replaced; inner bindings of the same name hide it."""
    if name not in node.names:
        return node
    match node:
        case nodes.Word() if not node.kids:
            return value
        case nodes.Choice(kids):
            return nodes.Choice(tuple(substitute(kid, name, value) for kid in kids), node.weights, domain_of(node))
        case nodes.Binder(bound) if bound == name:
            return type(node)(name, substitute(node.value, name, value), node.body)
    return joined(node, tuple(substitute(kid, name, value) for kid in node.kids))


def names_width(node: Node) -> bool:
    """Whether the letter D stands outside of an inner scope."""
    match node:
        case nodes.Size(written):
            return "D" in written
        case nodes.Word(name) if isinstance(words().get(name), WidthScope):
            return False
    return any(names_width(kid) for kid in node.kids)


def settle(node: Node, ctx: Context) -> Node:
    """A phrase that only names draws and repetitions (``pick``, ``each``) without choices, written out."""
    drawer = Drawer(Reach({}))
    goal = drawer.goal({(ctx,): frozenset(drawer.reach.outcomes(node, (ctx,)))})
    if not goal.worlds[(ctx,)]:
        check_node(node, ctx)  # says which part does not fit
        message, _, advice = drawer.reach.refusal(node, (ctx,), (), "")
        raise Mismatch(message, advice, node)
    return Drawing(drawer, random.Random(0)).phrase(node, goal)[0]
