"""Drawing: choices are taken from left to right, each among the alternatives that can still be completed.

A draw therefore never fails where one well-typed sentence exists. While a phrase is drawn, it may stand in one of
several worlds (its place behind ``@`` is drawn after it); a choice is viable if it is viable in one of them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from metamixer.language.choice import Choice, Choose, Value, prior
from metamixer.language.nodes import Node, X, chain, joined, make, place, size, word
from metamixer.language.printer import text
from metamixer.language.reach import Contexts, Outcome, Reach, contexts_of, kid_of, values_of
from metamixer.language.types import Context, Mismatch
from metamixer.language.vocabulary import Demand

Worlds = Mapping[Contexts, frozenset[Outcome]]


class Goal:
    """In which worlds a phrase may stand, and how it may end in each. Equal goals are one object, which remembers
    for each phrase how to draw it.
    """

    __slots__ = ("plans", "worlds")

    def __init__(self, worlds: Worlds) -> None:
        self.worlds = worlds
        self.plans: dict[Node, Plan] = {}


class Ends:
    """How a drawn phrase ends in each world that remains possible. Equal ones are one object."""

    __slots__ = ("of",)

    def __init__(self, of: Mapping[Contexts, Outcome]) -> None:
        self.of = of


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


Written = tuple[int, tuple[tuple[str, int], ...]]  # choices, and references by rule


def behind(spot: Spot, written: Written) -> Spot:
    """The spot behind so many choices and references."""
    choices, named = written
    if not named:
        return Spot(spot.path, spot.choices + choices, spot.refs, spot.slots) if choices else spot
    refs = dict(spot.refs)
    for rule, n in named:
        refs[rule] = refs.get(rule, 0) + n
    return Spot(spot.path, spot.choices + choices, tuple(refs.items()), spot.slots)


class Closed(NamedTuple):
    """Nothing to draw."""

    ends: Ends


class Passed(NamedTuple):
    """An argument of an expansion: drawn where it stands in the text."""


class Chosen(NamedTuple):
    """A choice: its alternatives, the goal of each value, and what is written before each."""

    choice: Choice
    options: list[Node]
    goals: dict[Value, Goal]
    before: list[Written]


class Ruled(NamedTuple):
    """A reference to a rule: its body and goal, the contexts inside, whether D differs, and ends already seen."""

    body: Node
    goal: Goal
    entered: dict[Contexts, Contexts]
    rewidth: bool
    ends: dict[Ends, Ends]


class Shared(NamedTuple):
    """A ``pick`` or ``tie`` with choices: the goal of its value."""

    goal: Goal


class Placed(NamedTuple):
    """An ``@`` whose operand has choices: (contexts, how the place ends, contexts inside, contexts of the place)."""

    goal: Goal
    worlds: list[tuple[Contexts, Outcome, Contexts, Contexts]]
    behind: dict[Ends, tuple[Goal, Mapping[tuple[Contexts, Outcome], tuple[Contexts, Outcome]]]]


class Parted(NamedTuple):
    """A phrase drawn part by part."""

    state: State


Plan = Closed | Passed | Chosen | Ruled | Shared | Placed | Parted


class State:
    """A phrase some of whose parts are drawn, in all its worlds at once.

    Attributes:
        worlds: contexts with the outcomes of the parts drawn.
        index: which part is next; -1 for an expansion.
        kid: that part.
        goal: how it may end.
        asked: for each world the contexts in which it asks for the part.
        final: how the phrase ends, once no part is left.
        next: the state behind each end of the part.
    """

    __slots__ = ("asked", "final", "goal", "index", "kid", "next", "worlds")

    asked: list[Contexts | None]
    goal: Goal
    index: int
    kid: Node

    def __init__(self, worlds: list[tuple[Contexts, tuple[Outcome, ...]]]) -> None:
        self.worlds = worlds
        self.final: Ends | None = None
        self.next: dict[Ends, State] = {}


class Drawer:
    """Draws over one set of rules; what is worked out for one draw serves the next."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self._goals: dict[frozenset[Any], Goal] = {}
        self._ends: dict[frozenset[Any], Ends] = {}
        self._states: dict[Any, State] = {}
        self._before: dict[tuple[Node, int], Written] = {}

    def before(self, node: Node, index: int) -> Written:
        """What a phrase has of choices and references before its part of this index."""
        known = self._before.get((node, index))
        if known is None:
            refs: Counter[str] = Counter()
            for kid in node.kids[:index]:
                refs += self.reach.references(kid)
            known = self._before[node, index] = (sum(kid.choices for kid in node.kids[:index]), tuple(refs.items()))
        return known

    def goal(self, worlds: Worlds) -> Goal:
        key = frozenset(worlds.items())
        known = self._goals.get(key)
        if known is None:
            known = self._goals[key] = Goal(worlds)
        return known

    def ends(self, of: Mapping[Contexts, Outcome]) -> Ends:
        key = frozenset(of.items())
        known = self._ends.get(key)
        if known is None:
            known = self._ends[key] = Ends(of)
        return known

    def plan(self, node: Node, goal: Goal) -> Plan:
        known = goal.plans.get(node)
        if known is None:
            known = goal.plans[node] = self._plan(node, goal)
        return known

    def reaching(self, node: Node, goal: Goal) -> Goal:
        """The part of a goal that a phrase can reach."""
        found = {
            contexts: frozenset(allowed & self.reach.outcomes(node, contexts).keys())
            for contexts, allowed in goal.worlds.items()
        }
        return self.goal({contexts: ends for contexts, ends in found.items() if ends})

    def _plan(self, node: Node, goal: Goal) -> Plan:
        reach, worlds = self.reach, goal.worlds
        first = next(iter(worlds))[0]
        if all(reach.closed(node, ctx) for contexts in worlds for ctx in contexts):
            reached = {contexts: next(iter(reach.outcomes(node, contexts)), None) for contexts in worlds}
            return Closed(self.ends({c: end for c, end in reached.items() if end is not None and end in worlds[c]}))
        if node.op in ("choice", "range"):
            return self._choice(node, goal)
        if node.op == "slot":
            return Passed()
        if node.op == "word" and not node.kids:
            if first.find(node.data[0]) is not None:
                return Closed(self.ends({contexts: next(iter(allowed)) for contexts, allowed in worlds.items()}))
            if node.data[0] in reach.rules:
                return self._rule(node, goal)
        if node.op == "pick" or (node.op == "tie" and not reach.closed(node.kids[0], first)):
            return self._shared(node, goal)
        if node.op == "at" and first.kind != "place" and not reach.closed(node.kids[0], first):
            return self._at(node, goal)
        return Parted(self.state(node, goal, [(contexts, ()) for contexts in worlds]))

    def _choice(self, node: Node, goal: Goal) -> Chosen:
        if node.op == "range":
            low, high, step = node.data
            domain: tuple[Value, ...] = tuple(range(low, high + 1, step))
            options = [size(value) for value in domain if isinstance(value, int)]
            weights: tuple[float, ...] = (1.0,) * len(domain)
        else:
            options = list(node.kids)
            whole = all(option.op == "size" and option.data.isdigit() for option in options)
            domain = tuple(int(option.data) if whole else text(option) for option in options)
            weights = tuple(float(weight) if weight else 1.0 for weight in node.data or (None,) * len(options))
        goals = {value: self.reaching(option, goal) for value, option in zip(domain, options, strict=True)}
        viable = tuple(value for value in domain if goals[value].worlds)
        written = [self.before(node, 0 if node.op == "range" else i) for i in range(len(options))]
        before = [(choices + 1, refs) for choices, refs in written]
        return Chosen(Choice(domain, viable, weights), options, goals, before)

    def _rule(self, node: Node, goal: Goal) -> Ruled:
        inside: dict[Contexts, frozenset[Outcome]] = {}
        entered: dict[Contexts, Contexts] = {}
        for contexts, allowed in goal.worlds.items():
            inner = self.reach.entered(node.data[0], contexts)
            if inner is not None:
                entered[contexts] = inner
                inside[inner] = inside.get(inner, frozenset()) | allowed
        body = self.reach.rules[node.data[0]]
        first = next(iter(goal.worlds))[0]
        rewidth = first.kind == "term" and any(
            ctx.width != ctx.x.channels for contexts in goal.worlds for ctx in contexts
        )
        return Ruled(body, self.reaching(body, self.goal(inside)), entered, rewidth, {})

    def _shared(self, node: Node, goal: Goal) -> Shared:
        """A draw (or a set of weights) with choices: drawn for all of its uses at once, then put in place."""
        name, value, body = node.data[0], node.kids[0], node.kids[1]
        wanted: dict[Contexts, frozenset[Outcome]] = {}
        for contexts, allowed in goal.worlds.items():
            step = self.reach.step(node, contexts, ())
            assert isinstance(step, list)
            for end in self.reach.outcomes(body, tuple(d.context for d in step)):
                own = frozenset(use for use in end.uses if use[0] == name)
                drawn_as = Outcome(values_of(own))
                if (
                    own
                    and Outcome(end.values, end.uses - own) in allowed
                    and drawn_as in self.reach.outcomes(value, contexts_of(own))
                ):
                    wanted[contexts_of(own)] = wanted.get(contexts_of(own), frozenset()) | {drawn_as}
        return Shared(self.goal(wanted))

    def _at(self, node: Node, goal: Goal) -> Placed:
        """The operand is written first but stands where its place puts it: one world for each place possible."""
        operand, where = node.kids
        wanted: dict[Contexts, frozenset[Outcome]] = {}
        worlds: list[tuple[Contexts, Outcome, Contexts, Contexts]] = []
        for contexts, allowed in goal.worlds.items():
            step = self.reach.step(node, contexts, ())
            if not isinstance(step, list):
                continue
            asked = tuple(self.reach.narrowed(where, d.context) for d in step)
            for place_end in self.reach.outcomes(where, asked):
                inner_step = self.reach.step(node, contexts, (place_end,))
                if not isinstance(inner_step, list):
                    continue
                inner = tuple(self.reach.narrowed(operand, d.context) for d in inner_step)
                ends = frozenset(
                    out
                    for out in self.reach.outcomes(operand, inner)
                    if self.finishing(node, contexts, (place_end, out)) & allowed
                )
                if ends:
                    wanted[inner] = wanted.get(inner, frozenset()) | ends
                    worlds.append((contexts, place_end, inner, asked))
        return Placed(self.goal(wanted), worlds, {})

    def behind_operand(self, node: Node, goal: Goal, plan: Placed, ends: Ends) -> tuple[Goal, Mapping[Any, Any]]:
        """The places that remain once the operand of an ``@`` is drawn, and how the whole then ends."""
        known = plan.behind.get(ends)
        if known is None:
            places: dict[Contexts, frozenset[Outcome]] = {}
            final: dict[tuple[Contexts, Outcome], tuple[Contexts, Outcome]] = {}
            for contexts, place_end, inner, asked in plan.worlds:
                end = ends.of.get(inner)
                reached = (
                    self.finishing(node, contexts, (place_end, end)) & goal.worlds[contexts]
                    if end is not None
                    else frozenset()
                )
                if reached:
                    places[asked] = places.get(asked, frozenset()) | {place_end}
                    final[asked, place_end] = (contexts, next(iter(reached)))
            known = plan.behind[ends] = (self.goal(places), final)
        return known

    def finishing(self, node: Node, contexts: Contexts, done: tuple[Outcome, ...]) -> frozenset[Outcome]:
        """How a phrase can end after its first parts."""
        if _kept(node, done):
            return frozenset(self.reach.completions(node, contexts, done[:1]).keys() & {done[1]})
        return frozenset(self.reach.completions(node, contexts, done))

    def state(self, node: Node, goal: Goal, worlds: list[tuple[Contexts, tuple[Outcome, ...]]]) -> State:
        """The state of a phrase in these worlds: what it asks for next, or how it ends."""
        key = (node, goal, tuple(worlds))
        if key in self._states:
            return self._states[key]
        state = self._states[key] = State(worlds)
        steps = [self.reach.step(node, contexts, done) for contexts, done in worlds]
        if isinstance(steps[0], Outcome) or _kept(node, worlds[0][1]):
            state.final = self.ends(
                {
                    contexts: next(iter(self.finishing(node, contexts, done) & goal.worlds[contexts]))
                    for contexts, done in worlds
                }
            )
            return state
        demand: Demand = steps[0][0]  # type: ignore[index]
        state.kid, state.index = kid_of(node, demand), demand.kid if isinstance(demand.kid, int) else -1
        wanted: dict[Contexts, frozenset[Outcome]] = {}
        state.asked = []
        for (contexts, done), step in zip(worlds, steps, strict=True):
            if not isinstance(step, list) or kid_of(node, step[0]) is not state.kid:
                state.asked.append(None)
                continue
            inner = tuple(self.reach.narrowed(state.kid, d.context) for d in step)
            ends = frozenset(
                out
                for out in self.reach.outcomes(state.kid, inner)
                if self.finishing(node, contexts, (*done, out)) & goal.worlds[contexts]
            )
            state.asked.append(inner)
            if ends:
                wanted[inner] = wanted.get(inner, frozenset()) | ends
        state.goal = self.goal(wanted)
        return state

    def following(self, node: Node, goal: Goal, state: State, ends: Ends) -> State:
        """The state behind a part that ended so."""
        known = state.next.get(ends)
        if known is None:
            survivors = []
            for (contexts, done), asked in zip(state.worlds, state.asked, strict=True):
                end = ends.of.get(asked) if asked is not None else None
                if end is not None and self.finishing(node, contexts, (*done, end)) & goal.worlds[contexts]:
                    survivors.append((contexts, (*done, end)))
            known = state.next[ends] = self.state(node, goal, survivors)
        return known


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


def _kept(node: Node, done: tuple[Outcome, ...]) -> bool:
    """Whether the operand of a power has been drawn once for all of its copies."""
    return node.op == "power" and len(done) == 2 and bool(done[0].values[0][0] > 1)


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
        raise Mismatch("its parts do not fit together", None, node)
    drawn, _ = Drawing(drawer, prior(random.Random(0))).draw(node, goal, Spot(""))
    return drawn
