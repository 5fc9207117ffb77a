"""Drawing: choices are taken from left to right, each among the alternatives that can still be completed.

A draw therefore never fails where one well-typed sentence exists. While a phrase is drawn, it may stand in one of
several worlds (its place behind ``@`` is drawn after it); a choice is viable if it is viable in one of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from metamixer.language.nodes import X, Node, chain, make, place, size, total, word
from metamixer.language.printer import text
from metamixer.language.reach import Contexts, Outcome, Reach, contexts_of, kid_of, values_of
from metamixer.language.types import Context

Value = int | str
Goals = dict[Contexts, set[Outcome]]
Ends = dict[Contexts, Outcome]


@dataclass(frozen=True)
class Choice:
    """One choice met while drawing.

    Attributes:
        domain: all alternatives as written, integers or printed texts; it never changes for one name of one space.
        viable: those that can still be completed here.
        weights: prior weight of each entry of the domain.
    """

    domain: tuple[Value, ...]
    viable: tuple[Value, ...]
    weights: tuple[float, ...]

    def draw(self, rng: random.Random) -> Value:
        """A viable alternative by the prior."""
        if len(self.viable) == 1:
            return self.viable[0]
        weight = dict(zip(self.domain, self.weights, strict=True))
        return rng.choices(self.viable, [weight[value] for value in self.viable])[0]

    def repair(self, value: Value) -> Value:
        """The value itself if it is viable; else the nearest viable integer (the lower on a tie), or the next
        viable alternative in text order, cyclically."""
        if value in self.viable:
            return value
        if all(isinstance(v, int) for v in self.domain) and isinstance(value, int):
            return min((v for v in self.viable if isinstance(v, int)), key=lambda v: (abs(v - value), v))
        start = self.domain.index(value) if value in self.domain else 0
        order = self.domain[start:] + self.domain[:start]
        return next(v for v in order if v in self.viable)


Choose = Callable[[str, Choice], Value]


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


class Drawing:
    """One draw in progress: takes choices by ``choose`` and remembers what was taken."""

    def __init__(self, reach: Reach, choose: Choose) -> None:
        self.reach, self.choose = reach, choose
        self.taken: dict[str, Value] = {}

    def draw(self, node: Node, goals: Goals, spot: Spot) -> tuple[Node, Ends]:
        """The drawn phrase, and how it ends in the worlds that remain possible."""
        reach = self.reach
        if all(reach.closed(node, ctx) for contexts in goals for ctx in contexts):
            ends = {contexts: next(iter(reach.outcomes(node, contexts)), None) for contexts in goals}
            return node, {contexts: end for contexts, end in ends.items() if end is not None and end in goals[contexts]}
        if node.op in ("choice", "range"):
            return self._choice(node, goals, spot)
        if node.op == "slot":
            drawn, ends = self.draw(node.kids[0], goals, spot.slots[node.data])
            return make("slot", node.data, (drawn,)), ends
        if node.op == "word" and not node.kids:
            first = next(iter(goals))[0]
            if first.find(node.data[0]) is not None:
                return node, _only(goals)
            if node.data[0] in reach.rules:
                return self._rule(node, goals, spot)
        if node.op in ("pick", "tie") and not reach.closed(node.kids[0], next(iter(goals))[0]):
            return self._shared(node, goals, spot)
        return self._parts(node, goals, spot)

    def _choice(self, node: Node, goals: Goals, spot: Spot) -> tuple[Node, Ends]:
        name = f"{spot.path}#{spot.choices + 1}"
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
        open_to = [self._reaching(option, goals) for option in options]
        viable = tuple(value for value, worlds in zip(domain, open_to, strict=True) if worlds)
        value = self.choose(name, Choice(domain, viable, weights))
        if value not in viable:
            raise ValueError(f"{name} was answered with {value!r}, which is not viable: {viable}")
        self.taken[name] = value
        index = domain.index(value)
        if node.op == "range":
            return options[index], {contexts: next(iter(ends)) for contexts, ends in open_to[index].items()}
        before = sum(option.choices for option in options[:index])
        return self.draw(options[index], open_to[index], self._after(spot, node.kids[:index], before + 1))

    def _reaching(self, node: Node, goals: Goals) -> Goals:
        """The goals that a phrase can reach."""
        found: Goals = {}
        for contexts, allowed in goals.items():
            ends = allowed & self.reach.outcomes(node, contexts).keys()
            if ends:
                found[contexts] = ends
        return found

    def _after(self, spot: Spot, kids: tuple[Node, ...], choices: int) -> Spot:
        """The spot behind some parts of a phrase."""
        named = [self.reach.references(kid) for kid in kids if kid.names]
        if not any(named):
            return spot._replace(choices=spot.choices + choices)
        refs = dict(spot.refs)
        for counts in named:
            for rule, n in counts.items():
                refs[rule] = refs.get(rule, 0) + n
        return spot._replace(choices=spot.choices + choices, refs=tuple(refs.items()))

    def _kid_spot(self, node: Node, index: int, spot: Spot) -> Spot:
        before = node.kids[:index]
        return self._after(spot, before, sum(kid.choices for kid in before)) if before else spot

    def _rule(self, node: Node, goals: Goals, spot: Spot) -> tuple[Node, Ends]:
        rule = node.data[0]
        nth = dict(spot.refs).get(rule, 0) + 1
        path = f"{spot.path}/{rule}" + (f"~{nth}" if nth > 1 else "") if spot.path else rule
        inside: Goals = {}
        entered: dict[Contexts, Contexts | None] = {}
        for contexts, allowed in goals.items():
            inner = entered[contexts] = self.reach.entered(rule, contexts)
            if inner is not None:
                inside.setdefault(inner, set()).update(allowed)
        body = self.reach.rules[rule]
        drawn, ends = self.draw(body, self._reaching(body, inside), Spot(path))
        first = next(iter(goals))[0]
        if first.kind == "term" and _names_width(drawn) and any(ctx.width != ctx.x.channels for cs in goals for ctx in cs):
            drawn = word("unit", drawn)
        return drawn, {contexts: ends[inner] for contexts, inner in entered.items() if inner in ends and ends[inner] in goals[contexts]}

    def _parts(self, node: Node, goals: Goals, spot: Spot) -> tuple[Node, Ends]:
        """A phrase drawn part by part, in all its worlds at once."""
        worlds: list[tuple[Contexts, tuple[Outcome, ...]]] = [(contexts, ()) for contexts in goals]
        if node.op == "at" and next(iter(goals))[0].kind != "place" and not self.reach.closed(node.kids[0], next(iter(goals))[0]):
            return self._at(node, goals, spot)
        drawn: dict[int, Node] = {}
        copies: list[Node] = []
        while True:
            steps = [self.reach.step(node, contexts, done) for contexts, done in worlds]
            if isinstance(steps[0], Outcome):
                break
            if _kept(node, worlds[0][1]):
                break
            kid = kid_of(node, steps[0][0])  # type: ignore[index]
            wanted, asked = self._wanted(node, goals, worlds, steps, kid)
            index = steps[0][0].kid  # type: ignore[index]
            if isinstance(index, int):
                where = self._kid_spot(node, index, spot)
                if node.op == "word" and node.data[0] == "each" and index == 0:
                    where = where._replace(path=f"{where.path}[{len(copies) + 1}]")
            else:  # an expansion: its arguments keep the names they have in the text
                where = Spot(spot.path, slots=tuple(self._kid_spot(node, i, spot) for i in range(len(node.kids))))
            part, ends = self.draw(kid, wanted, where)
            survivors = []
            for (contexts, done), demand in zip(worlds, asked, strict=True):
                end = ends.get(demand) if demand is not None else None
                if end is not None and self._ends(node, contexts, (*done, end)) & goals[contexts]:
                    survivors.append((contexts, (*done, end)))
            worlds = survivors
            if isinstance(index, int):
                drawn[index] = part
                if index == 0:
                    copies.append(part)
            else:
                for slot in _slots(part):
                    drawn[slot.data] = slot.kids[0]
        ends = {contexts: next(iter(self._ends(node, contexts, done) & goals[contexts])) for contexts, done in worlds}
        return _rebuilt(node, drawn, copies), ends

    def _ends(self, node: Node, contexts: Contexts, done: tuple[Outcome, ...]) -> set[Outcome]:
        if _kept(node, done):
            return self.reach.completions(node, contexts, done[:1]).keys() & {done[1]}
        return set(self.reach.completions(node, contexts, done))

    def _wanted(
        self, node: Node, goals: Goals, worlds: list[tuple[Contexts, tuple[Outcome, ...]]], steps: list[Any], kid: Node
    ) -> tuple[Goals, list[Contexts | None]]:
        """How the next part may end in each world, and which contexts each world asks about."""
        wanted: Goals = {}
        asked: list[Contexts | None] = []
        for (contexts, done), step in zip(worlds, steps, strict=True):
            if not isinstance(step, list) or kid_of(node, step[0]) is not kid:
                asked.append(None)
                continue
            inner = tuple(self.reach.narrowed(kid, demand.context) for demand in step)
            ends = {out for out in self.reach.outcomes(kid, inner) if self._ends(node, contexts, (*done, out)) & goals[contexts]}
            asked.append(inner)
            if ends:
                wanted.setdefault(inner, set()).update(ends)
        return wanted, asked

    def _at(self, node: Node, goals: Goals, spot: Spot) -> tuple[Node, Ends]:
        """The operand is written first but stands where its place puts it: one world for each place possible."""
        operand, where = node.kids
        wanted: Goals = {}
        worlds: list[tuple[Contexts, Outcome, Contexts]] = []
        for contexts, allowed in goals.items():
            step = self.reach.step(node, contexts, ())
            if not isinstance(step, list):
                continue
            for place_end in self.reach.outcomes(where, tuple(d.context for d in step)):
                inner_step = self.reach.step(node, contexts, (place_end,))
                if not isinstance(inner_step, list):
                    continue
                inner = tuple(self.reach.narrowed(operand, d.context) for d in inner_step)
                ends = {out for out in self.reach.outcomes(operand, inner) if self._ends(node, contexts, (place_end, out)) & allowed}
                if ends:
                    wanted.setdefault(inner, set()).update(ends)
                    worlds.append((contexts, place_end, inner))
        drawn, ends = self.draw(operand, wanted, spot)
        places: Goals = {}
        final: dict[tuple[Contexts, Outcome], tuple[Contexts, Outcome]] = {}
        for contexts, place_end, inner in worlds:
            end = ends.get(inner)
            reached = self._ends(node, contexts, (place_end, end)) & goals[contexts] if end is not None else set()
            if reached:
                step = self.reach.step(node, contexts, ())
                asked = tuple(self.reach.narrowed(where, d.context) for d in step)  # type: ignore[union-attr]
                places.setdefault(asked, set()).add(place_end)
                final[asked, place_end] = (contexts, next(iter(reached)))
        drawn_place, place_ends = self.draw(where, places, self._kid_spot(node, 1, spot))
        return place(drawn, drawn_place), dict(final[item] for item in place_ends.items())

    def _shared(self, node: Node, goals: Goals, spot: Spot) -> tuple[Node, Ends]:
        """A draw (or a set of weights) with choices: drawn for all of its uses at once, then put in place."""
        name, value, body = node.data[0], node.kids[0], node.kids[1]
        wanted: Goals = {}
        for contexts, allowed in goals.items():
            step = self.reach.step(node, contexts, ())
            assert isinstance(step, list)
            for end in self.reach.outcomes(body, tuple(d.context for d in step)):
                own = frozenset(use for use in end.uses if use[0] == name)
                drawn_as = Outcome(values_of(own))
                if own and Outcome(end.values, end.uses - own) in allowed and drawn_as in self.reach.outcomes(value, contexts_of(own)):
                    wanted.setdefault(contexts_of(own), set()).add(drawn_as)
        drawn = self.draw(value, wanted, spot)[0] if wanted else X  # a name that nothing uses is not drawn
        behind = self._after(spot, (value,), value.choices)
        if node.op == "pick":
            settled = substitute(body, name, word("unit", drawn) if _names_width(drawn) else drawn)
        else:
            settled = make("tie", node.data, (drawn, body))
        return self.draw(settled, self._reaching(settled, goals), behind)


def _only(goals: Goals) -> Ends:
    return {contexts: next(iter(allowed)) for contexts, allowed in goals.items()}


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
    return joined(node, kids)


def joined(node: Node, kids: tuple[Node, ...]) -> Node:
    """A phrase like this one with other parts, written without needless parentheses."""
    if node.op in ("seq", "prod", "cat", "mem", "read"):
        return chain(node.op, kids)
    if node.op == "sum":
        return total(node.data, kids)
    if node.op == "at":
        return place(*kids)
    return make(node.op, node.data, kids)


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


def prior(rng: random.Random) -> Choose:
    """Takes every choice by its prior over the viable alternatives."""
    return lambda name, choice: choice.draw(rng)


def settle(node: Node, ctx: Context) -> Node:
    """A phrase that only names draws and repetitions (``pick``, ``each``) without choices, written out."""
    reach = Reach({})
    contexts = (ctx,)
    ends = set(reach.outcomes(node, contexts))
    drawn, _ = Drawing(reach, prior(random.Random(0))).draw(node, {contexts: ends}, Spot(""))
    return drawn
