"""How phrases are drawn over one set of rules: worked out once, followed by every draw.

While a phrase is drawn it may stand in one of several worlds (its place behind ``@`` is drawn after it); a choice is
viable if it is viable in one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from metamixer.language.checking.vocabulary import Demand
from metamixer.language.spaces.choice import Choice, Value
from metamixer.language.spaces.drawing.liveness import alternatives, taken, usage
from metamixer.language.spaces.drawing.outcomes import Contexts, Outcome, Reach, contexts_of, drawn_as, kid_of, unbound
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, walk
from metamixer.language.syntax.printer import domain_of, weights_of

STEPS = 100_000  # of the drawing of rules, kept for one space
Worlds = Mapping[Contexts, frozenset[Outcome]]
Written = tuple[int, tuple[tuple[str, int], ...]]  # choices, and references by rule


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


class Step:
    """Where the drawing of a rule's body stands after some answers: what is drawn next, or how the body ended.

    Attributes:
        name: of what is drawn next, behind the path of the rule.
        choice: the choice drawn next, if it is one.
        rule: the rule drawn next, if it is one.
        end: the drawn phrase and how it ends; None before the end. Phrases of rules may be left open in it, as holes.
        then: the step behind each answer met: a value of the choice, or how the rule ended; at an end with holes,
            what came of each phrases that filled them.
    """

    __slots__ = ("choice", "end", "name", "rule", "then")

    def __init__(
        self,
        name: str = "",
        choice: Choice | None = None,
        rule: Ruled | None = None,
        end: tuple[Node, Ends] | None = None,
    ) -> None:
        self.name, self.choice, self.rule, self.end = name, choice, rule, end
        self.then: dict[Any, Any] = {}


class Ruled:
    """A reference to a rule.

    Attributes:
        body: of the rule.
        outer: how the reference may end.
        goal: how the body may end.
        entered: contexts of the reference -> contexts of the body.
        rewidth: whether D means another width in the body.
        holes: whether the phrases of rules can be left open while the body is drawn: what it asks for next, and how
            it ends, depends on how they ended alone. Else they are looked at where a name stands for them.
        anew: whether copies are drawn anew in it, so that hardly one derivation comes twice.
        ends: ends of the body -> ends of the reference, as far as met.
        start: the first step of the body, once it was met.
    """

    __slots__ = ("anew", "body", "ends", "entered", "goal", "holes", "outer", "rewidth", "start")

    def __init__(
        self,
        body: Node,
        outer: Goal,
        goal: Goal,
        entered: dict[Contexts, Contexts],
        rewidth: bool,
        holes: bool,
        anew: bool,
    ) -> None:
        self.body, self.outer, self.goal, self.entered = body, outer, goal, entered
        self.rewidth, self.holes, self.anew = rewidth, holes, anew
        self.ends: dict[Ends, Ends] = {}
        self.start: Step | None = None


class Shared(NamedTuple):
    """A ``pick`` or ``tie`` with choices: the goal of its value."""

    goal: Goal


class Deciding(NamedTuple):
    """A ``pick`` or ``tie`` of a name that its body may come to use or not: a choice of the body is taken first.

    ``number`` is the choice's, in the phrase; ``options`` and ``goals`` are the phrase with the choice taken.
    """

    choice: Choice
    number: int
    options: list[Node]
    goals: dict[Value, Goal]


class Taken(NamedTuple):
    """A choice that is taken: what is written before its alternative."""

    before: Written


class Placed(NamedTuple):
    """An ``@`` whose operand has choices: (contexts, how the place ends, contexts inside, contexts of the place)."""

    goal: Goal
    worlds: list[tuple[Contexts, Outcome, Contexts, Contexts]]
    behind: dict[Ends, tuple[Goal, Mapping[tuple[Contexts, Outcome], dict[Contexts, Outcome]]]]


class Parted(NamedTuple):
    """A phrase drawn part by part."""

    state: State


Plan = Closed | Passed | Chosen | Ruled | Shared | Deciding | Taken | Placed | Parted


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
        self._steps = 0

    def before(self, node: Node, index: int) -> Written:
        """What a phrase has of choices and references before its part of this index."""
        known = self._before.get((node, index))
        if known is None:
            refs: Counter[str] = Counter()
            for kid in node.kids[:index]:
                refs += self.reach.references(kid)
            known = self._before[node, index] = (sum(kid.choices for kid in node.kids[:index]), tuple(refs.items()))
        return known

    def remember(self, step: Step, answer: Any, following: Any) -> None:
        """Keeps what is behind an answer, up to a number in all."""
        if self._steps < STEPS:
            self._steps += 1
            step.then[answer] = following

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
        match node:
            case nodes.Choice() | nodes.Range():
                return self._choice(node, goal)
            case nodes.Slot():
                return Passed()
            case nodes.Taken(index):
                choices, refs = self.before(node, index)
                return Taken((choices + 1, refs))
            case nodes.Word(name) if not node.kids:
                if first.find(name) is not None:
                    return Closed(self.ends({contexts: next(iter(allowed)) for contexts, allowed in worlds.items()}))
                if name in reach.rules:
                    return self._rule(name, goal)
            case nodes.Pick(name, value, body) | nodes.Tie(name, value, body):
                if isinstance(node, nodes.Pick) or not reach.settled(value, first):
                    deciding = usage(body, name)
                    if isinstance(deciding, bool):
                        return self._shared(node, goal)
                    return self._deciding(node, goal, deciding)
            case nodes.At(operand) if first.kind != "place" and not reach.closed(operand, first):
                return self._at(node, goal)
        return Parted(self.state(node, goal, [(contexts, ()) for contexts in worlds]))

    def _choice(self, node: nodes.Choice | nodes.Range, goal: Goal) -> Chosen:
        options = alternatives(node)
        choice, goals = self._among(node, list(options), goal)
        written = [self.before(node, 0 if isinstance(node, nodes.Range) else i) for i in range(len(options))]
        return Chosen(choice, list(options), goals, [(choices + 1, refs) for choices, refs in written])

    def _among(
        self, node: nodes.Choice | nodes.Range, options: list[Node], goal: Goal
    ) -> tuple[Choice, dict[Value, Goal]]:
        """A choice as it is met where its alternatives mean ``options``, and the goal of each value."""
        domain: tuple[Value, ...] = domain_of(node)
        weights: tuple[float, ...] = (1.0,) * len(domain)
        if isinstance(node, nodes.Choice):
            weights = tuple(float(weight) if weight else 1.0 for weight in weights_of(node))
        goals = {value: self.reaching(option, goal) for value, option in zip(domain, options, strict=True)}
        return Choice(domain, tuple(value for value in domain if goals[value].worlds), weights), goals

    def _deciding(self, node: nodes.Pick | nodes.Tie, goal: Goal, path: tuple[int, ...]) -> Deciding:
        before, phrase = node.value.choices, node.body
        for index in path:
            before += sum(kid.choices for kid in phrase.kids[:index]) + isinstance(phrase, nodes.Taken)
            phrase = phrase.kids[index]
        assert isinstance(phrase, (nodes.Choice, nodes.Range))
        bodies = [taken(node.body, path, i) for i in range(len(alternatives(phrase)))]
        options: list[Node] = [type(node)(node.name, node.value, inner) for inner in bodies]
        choice, goals = self._among(phrase, options, goal)
        return Deciding(choice, before + 1, options, goals)

    def _rule(self, name: str, goal: Goal) -> Ruled:
        inside: dict[Contexts, frozenset[Outcome]] = {}
        entered: dict[Contexts, Contexts] = {}
        for contexts, allowed in goal.worlds.items():
            inner = self.reach.entered(name, contexts)
            if inner is not None:
                entered[contexts] = inner
                inside[inner] = inside.get(inner, frozenset()) | allowed
        body = self.reach.rules[name]
        first = next(iter(goal.worlds))[0]
        rewidth = first.kind == "term" and any(
            ctx.width != ctx.x.channels for contexts in goal.worlds for ctx in contexts
        )
        below = (body, *(self.reach.rules[rule] for rule in self.reach.below(body)))
        anew = any(isinstance(part, nodes.Each) for phrase in below for part in walk(phrase))
        holes = not any(isinstance(part, (nodes.Pick, nodes.Tie)) and self.reach.below(part) for part in walk(body))
        return Ruled(body, goal, self.reaching(body, self.goal(inside)), entered, rewidth, holes, anew)

    def _shared(self, node: nodes.Pick | nodes.Tie, goal: Goal) -> Shared:
        """A draw (or a set of weights) with choices: drawn for all of its uses at once, then put in place."""
        name, value, body = node.name, node.value, node.body
        wanted: dict[Contexts, frozenset[Outcome]] = {}
        for contexts, allowed in goal.worlds.items():
            step = self.reach.step(node, contexts, ())
            assert isinstance(step, list)
            for end in self.reach.outcomes(body, tuple(d.context for d in step)):
                own, rest = unbound(end, name)
                drawn = drawn_as(own)
                if own and rest in allowed and drawn in self.reach.outcomes(value, contexts_of(own)):
                    wanted[contexts_of(own)] = wanted.get(contexts_of(own), frozenset()) | {drawn}
        return Shared(self.goal(wanted))

    def _at(self, node: nodes.At, goal: Goal) -> Placed:
        """The operand is written first but stands where its place puts it: one world for each place possible."""
        operand, where = node.operand, node.place
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
        """The places that remain once the operand of an ``@`` is drawn, and how the whole then ends in each world.

        Worlds may differ where the place itself stands alike, as under heads that are still open.
        """
        known = plan.behind.get(ends)
        if known is None:
            places: dict[Contexts, frozenset[Outcome]] = {}
            final: dict[tuple[Contexts, Outcome], dict[Contexts, Outcome]] = {}
            for contexts, place_end, inner, asked in plan.worlds:
                end = ends.of.get(inner)
                reached = (
                    self.finishing(node, contexts, (place_end, end)) & goal.worlds[contexts]
                    if end is not None
                    else frozenset()
                )
                if reached:
                    places[asked] = places.get(asked, frozenset()) | {place_end}
                    final.setdefault((asked, place_end), {})[contexts] = next(iter(reached))
            known = plan.behind[ends] = (self.goal(places), final)
        return known

    def kept(self, node: Node, contexts: Contexts, done: tuple[Outcome, ...]) -> bool:
        """Whether the operand of a power, with choices inside, has been drawn once for all of its copies."""
        if not isinstance(node, nodes.Power) or len(done) != 2 or done[0].values[0][0] < 2:
            return False
        return not self.reach.settled(node.operand, contexts[0])

    def finishing(self, node: Node, contexts: Contexts, done: tuple[Outcome, ...]) -> frozenset[Outcome]:
        """How a phrase can end after its first parts."""
        if self.kept(node, contexts, done):
            return frozenset(self.reach.completions(node, contexts, done[:1]).keys() & {done[1]})
        return frozenset(self.reach.completions(node, contexts, done))

    def state(self, node: Node, goal: Goal, worlds: list[tuple[Contexts, tuple[Outcome, ...]]]) -> State:
        """The state of a phrase in these worlds: what it asks for next, or how it ends."""
        key = (node, goal, tuple(worlds))
        if key in self._states:
            return self._states[key]
        state = self._states[key] = State(worlds)
        steps = [self.reach.step(node, contexts, done) for contexts, done in worlds]
        if isinstance(steps[0], Outcome) or self.kept(node, *worlds[0]):
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
