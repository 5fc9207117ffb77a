"""Drawing: choices are taken from left to right, each among the alternatives that can still be completed.

A draw therefore never fails where one well-typed sentence exists.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from metamixer.language.choice import Choice, Choose, Value, prior
from metamixer.language.drawer import (
    Chosen,
    Closed,
    Drawer,
    Ends,
    Goal,
    Parted,
    Passed,
    Placed,
    Ruled,
    Shared,
    State,
    Written,
)
from metamixer.language.nodes import Node, Rewritten, X, chain, joined, make, place, size, word
from metamixer.language.printer import domain_of, weights_of
from metamixer.language.reach import Reach
from metamixer.language.typed import check_node
from metamixer.language.types import Context, Mismatch


class Spot(NamedTuple):
    """Where a phrase stands in the text of the rules, for the names of its choices.

    Attributes:
        path: references from the start rule.
        choices: choices of this body written before the phrase.
        refs: references of this body before the phrase, by rule.
        slots: for an expansion, the spots of the arguments passed through.
    """

    path: str
    choices: int = 0
    refs: tuple[tuple[str, int], ...] = ()
    slots: tuple[Spot, ...] = ()


def behind(spot: Spot, written: Written) -> Spot:
    """The spot behind so many choices and references."""
    choices, named = written
    if not named:
        return Spot(spot.path, spot.choices + choices, spot.refs, spot.slots) if choices else spot
    refs = dict(spot.refs)
    for rule, n in named:
        refs[rule] = refs.get(rule, 0) + n
    return Spot(spot.path, spot.choices + choices, tuple(refs.items()), spot.slots)


class Drawing:
    """One draw: takes choices by ``choose`` and remembers what was taken."""

    def __init__(self, drawer: Drawer, choose: Choose) -> None:
        self.drawer, self.choose = drawer, choose
        self.taken: dict[str, Value] = {}

    def draw(self, node: Node, goal: Goal, spot: Spot) -> tuple[Node, Ends]:
        """The drawn phrase, and how it ends in the worlds that remain possible."""
        plan = goal.plans.get(node) or self.drawer.plan(node, goal)
        if isinstance(plan, Closed):
            return node, plan.ends
        if isinstance(plan, Parted):
            return self._parts(node, goal, plan.state, spot)
        if isinstance(plan, Chosen):
            return self._choice(plan, spot)
        if isinstance(plan, Ruled):
            return self._rule(node, goal, plan, spot)
        if isinstance(plan, Passed):
            drawn, ends = self.draw(node.kids[0], goal, spot.slots[node.data])
            return make("slot", node.data, (drawn,)), ends
        if isinstance(plan, Placed):
            drawn, ends = self.draw(node.kids[0], plan.goal, spot)
            places, final = self.drawer.behind_operand(node, goal, plan, ends)
            where, place_ends = self.draw(node.kids[1], places, self._kid_spot(node, 1, spot))
            return place(drawn, where), self.drawer.ends(dict(final[item] for item in place_ends.of.items()))
        return self._shared(node, goal, plan, spot)

    def _choice(self, plan: Chosen, spot: Spot) -> tuple[Node, Ends]:
        name, choice = f"{spot.path}#{spot.choices + 1}", plan.choice
        value = self.choose(name, choice)
        if value not in choice.viable:
            raise ValueError(f"{name} was answered with {value!r}, which is not viable: {choice.viable}")
        self.taken[name] = value
        index = choice.domain.index(value)
        return self.draw(plan.options[index], plan.goals[value], behind(spot, plan.before[index]))

    def _kid_spot(self, node: Node, index: int, spot: Spot) -> Spot:
        return behind(spot, self.drawer.before(node, index)) if index else spot

    def _rule(self, node: Node, goal: Goal, plan: Ruled, spot: Spot) -> tuple[Node, Ends]:
        rule = node.data[0]
        nth = dict(spot.refs).get(rule, 0) + 1 if spot.refs else 1
        path = f"{spot.path}/{rule}" + (f"~{nth}" if nth > 1 else "") if spot.path else rule
        if plan.start is None:
            return self._expanded(goal, plan, path)
        step, answers = plan.start, {}
        while step.choice is not None:
            name = path + step.name
            answers[name] = value = self.choose(name, step.choice)
            following = step.then.get(value)
            if following is None:
                break
            step = following
        if step.end is not None:
            self.taken.update(answers)
            return step.end
        return self._derived(goal, plan, path, answers)

    def _derived(self, goal: Goal, plan: Ruled, path: str, answers: dict[str, Value]) -> tuple[Node, Ends]:
        """A derivation that was not met before: its first choices are answered, the others are asked."""
        ask, met = self.choose, []

        def answer(name: str, choice: Choice) -> Value:
            value = answers[name] if name in answers else ask(name, choice)
            met.append((name[len(path) :], choice, value))
            return value

        self.choose = answer
        try:
            end = self._expanded(goal, plan, path)
        finally:
            self.choose = ask
        assert plan.start is not None
        self.drawer.remember(plan.start, met, end)
        return end

    def _expanded(self, goal: Goal, plan: Ruled, path: str) -> tuple[Node, Ends]:
        drawn, inner = self.draw(plan.body, plan.goal, Spot(path))
        if plan.rewidth and _names_width(drawn):
            drawn = word("unit", drawn)
        ends = plan.ends.get(inner)
        if ends is None:
            reached = {contexts: inner.of[inside] for contexts, inside in plan.entered.items() if inside in inner.of}
            ends = plan.ends[inner] = self.drawer.ends({c: end for c, end in reached.items() if end in goal.worlds[c]})
        return drawn, ends

    def _parts(self, node: Node, goal: Goal, state: State, spot: Spot) -> tuple[Node, Ends]:
        drawn: dict[int, Node] = {}
        copies: list[Node] = []
        each = node.op == "word" and node.data[0] == "each"
        while state.final is None:
            index = state.index
            if index >= 0:
                where = self._kid_spot(node, index, spot) if state.kid.choices or state.kid.names else spot
                if each and index == 0:
                    where = where._replace(path=f"{where.path}[{len(copies) + 1}]")
                part, ends = self.draw(state.kid, state.goal, where)
                drawn[index] = part
                if index == 0:
                    copies.append(part)
            else:  # an expansion: its arguments keep the names they have in the text
                where = Spot(spot.path, slots=tuple(self._kid_spot(node, i, spot) for i in range(len(node.kids))))
                part, ends = self.draw(state.kid, state.goal, where)
                drawn |= {slot.data: slot.kids[0] for slot in _slots(part)}
            state = state.next.get(ends) or self.drawer.following(node, goal, state, ends)
        return _rebuilt(node, drawn, copies), state.final

    def _shared(self, node: Node, goal: Goal, plan: Shared, spot: Spot) -> tuple[Node, Ends]:
        name, value, body = node.data[0], node.kids[0], node.kids[1]
        # a name that nothing uses is not drawn
        drawn = self.draw(value, plan.goal, spot)[0] if plan.goal.worlds else X
        after = behind(spot, self.drawer.before(node, 1))
        if node.op == "pick":
            settled = substitute(body, name, word("unit", drawn) if _names_width(drawn) else drawn)
        else:
            settled = make("tie", node.data, (drawn, body))
        return self.draw(settled, self.drawer.reaching(settled, goal), after)


def _slots(node: Node) -> list[Node]:
    if node.op == "slot":
        return [node]
    return [slot for kid in node.kids for slot in _slots(kid)]


def _rebuilt(node: Node, drawn: Mapping[int, Node], copies: list[Node]) -> Node:
    """The phrase with its parts drawn; repetitions drawn one by one are written out."""
    kids = tuple(drawn.get(i, kid) for i, kid in enumerate(node.kids))
    if node.op == "word" and node.data[0] == "each":
        return repeated(copies)
    if node.op == "power" and kids[1].op == "size" and kids[1].data in ("0", "1"):
        return kids[0] if kids[1].data == "1" else X
    if node.op == "seq" and X in drawn.values():  # an alternative that was nothing
        kids = tuple(kid for kid in kids if kid is not X) or (X,)
    return joined(node, kids)


def repeated(copies: list[Node]) -> Node:
    """Copies in sequence, equal neighbours as a power."""
    runs: list[tuple[Node, int]] = []
    for copy in copies:
        if runs and runs[-1][0] is copy:
            runs[-1] = (copy, runs[-1][1] + 1)
        else:
            runs.append((copy, 1))
    phrases = [copy if n == 1 else make("power", None, (copy, size(n))) for copy, n in runs]
    return chain("seq", phrases) if phrases else X


def substitute(node: Node, name: str, value: Node) -> Node:
    """The phrase with a bound name replaced; inner bindings of the same name hide it."""
    if name not in node.names:
        return node
    if node.op == "word" and not node.kids:
        return value
    if node.op == "choice":
        kids = tuple(substitute(kid, name, value) for kid in node.kids)
        return make("choice", Rewritten(weights_of(node), domain_of(node)), kids)
    if node.op in ("let", "tie", "pick") and node.data[0] == name:
        return make(node.op, node.data, (substitute(node.kids[0], name, value), node.kids[1]))
    return joined(node, tuple(substitute(kid, name, value) for kid in node.kids))


def _names_width(node: Node) -> bool:
    """Whether the letter D stands outside of an inner scope."""
    if node.op == "size":
        return "D" in node.data
    if node.op == "word" and node.data[0] in ("res", "unit"):
        return False
    return any(_names_width(kid) for kid in node.kids)


def settle(node: Node, ctx: Context) -> Node:
    """A phrase that only names draws and repetitions (``pick``, ``each``) without choices, written out."""
    drawer = Drawer(Reach({}))
    goal = drawer.goal({(ctx,): frozenset(drawer.reach.outcomes(node, (ctx,)))})
    if not goal.worlds[(ctx,)]:
        check_node(node, ctx)  # says which part does not fit
        raise Mismatch("its parts do not fit together", None, node)
    drawn, _ = Drawing(drawer, prior(random.Random(0))).draw(node, goal, Spot(""))
    return drawn
