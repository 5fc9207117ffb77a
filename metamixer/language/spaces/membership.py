"""The inverse of drawing: under which choices a space draws a given sentence.

The bodies of the rules are laid over the sentence, choices, repetitions and references open; what fits is named as
drawing names it, and drawing itself has the last word: it is given these choices and must come to the sentence. So
types, scopes and limits of nesting are known in one place alone. What a phrase can cover from a place on is worked out
once for each place, so that alternatives that begin alike do not multiply (as in Earley 1970).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

from metamixer.language.canonical import symbolic
from metamixer.language.checking.registry import only
from metamixer.language.spaces.choice import Value
from metamixer.language.spaces.derivation import Copies, Entered, Parts, Taking, Took, give_names, parts_of
from metamixer.language.spaces.drawing.liveness import alternatives
from metamixer.language.spaces.drawing.plan import Drawer
from metamixer.language.spaces.drawing.sampling import Spot, names_width
from metamixer.language.spaces.items import Part, Row, plain
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, X, count_of, joined, name_of, size, word, word_name
from metamixer.language.syntax.printer import domain_of, text

SPELLINGS = 64  # of a phrase with choices of sizes, compared with one that is written otherwise
WINDOW = 6  # parts of a sequence that may be another spelling of one phrase

Depth = tuple[tuple[str, int], ...]
Bound = tuple[tuple[str, Node], ...]  # what names of picks came to stand for


class Fit(NamedTuple):
    """A phrase of a rule covers a row up to ``end``."""

    end: int
    bound: Bound
    taking: Taking


class Named(NamedTuple):
    """What a bound name of a rule stands for: a name of the sentence, or what a pick draws, once it is known."""

    name: str | None = None
    value: Node | None = None
    phrase: Node | None = None


Names = tuple[tuple[str, Named], ...]


class Astray(NamedTuple):
    """Where a sentence leaves a space, as far as it could be followed.

    Attributes:
        phrase: the phrase of the sentence; None where one is missing at the end of ``within``.
        within: the phrase around it.
        rule: whose body was followed.
        allowed: what may stand there; empty where nothing may.
    """

    phrase: Node | None
    within: Node
    rule: str
    allowed: tuple[str, ...]


class Derivation:
    """Looks for the choices under which the rules draw one sentence.

    Args:
        drawer: of the space.
        start: its start rule.
        node: the sentence; no choices left.
        loose: whether phrases that are spelled otherwise count.
        scoped: whether a rule that names D covers no phrase without a scope of its own.
    """

    def __init__(self, drawer: Drawer, start: str, node: Node, loose: bool, scoped: bool = False) -> None:
        self.drawer, self.reach, self.loose, self.scoped = drawer, drawer.reach, loose, scoped
        self.root = Part(plain(node), 0)
        self._fits: dict[Any, list[Fit]] = {}
        self._spelled: dict[tuple[Row, int, int], Node] = {}
        self._forms: dict[Node, list[tuple[Node, Taking]]] = {}
        self._owner: dict[Row, Node] = {}
        self._rules: list[str] = [start]
        self._quiet = 0
        self._far: tuple[float, Node | None, Node, str] = (-1.0, None, self.root.node, start)
        self._allowed: dict[str, None] = {}
        self._start = start

    def choices(self) -> dict[str, Value] | None:
        """Values by the names of choices; None if the sentence leaves the space."""
        root = word(self._start)
        for fit in self._whole(root, self.root, (), ()):
            found: dict[str, Value] = {}
            assert isinstance(fit.taking, Entered)
            give_names(self.drawer, fit.taking.body, fit.taking.inner, Spot(), self._start, found)
            return found
        return None

    @property
    def astray(self) -> Astray:
        _, phrase, within, rule = self._far
        return Astray(phrase, within, rule, tuple(self._allowed))

    # -- what covers what

    def _whole(self, pattern: Node, part: Part, names: Names, depth: Depth) -> Iterator[Fit]:
        """Ways to cover all of a phrase."""
        row = part.row(nodes.Sequence)
        self._owner.setdefault(row, part.node)
        reached = -1
        for fit in self._from(pattern, row, 0, names, depth):
            reached = max(reached, fit.end)
            if fit.end == len(row.parts):
                yield fit
        if 0 <= reached < len(row.parts):
            self._miss(row.parts[reached].first, row.parts[reached].node, part.node, None)

    def _from(self, pattern: Node, row: Row, at: int, names: Names, depth: Depth) -> list[Fit]:
        """Ways to cover some of a row from a place on, one for each end."""
        names = self._seen(pattern, names)
        if depth:
            below = self.reach.below(pattern) & self.reach.recursive
            depth = tuple(item for item in depth if item[0] in below)
        key = (pattern, row, at, names, depth)
        known = self._fits.get(key)
        if known is None:
            ends: dict[tuple[int, Bound], Fit] = {}
            for fit in self._fitting(pattern, row, at, names, depth):
                ends.setdefault((fit.end, fit.bound), fit)
            known = self._fits[key] = list(ends.values())
        return known

    def _fitting(self, pattern: Node, row: Row, at: int, names: Names, depth: Depth) -> Iterator[Fit]:
        match pattern:
            case nodes.Choice() | nodes.Range():
                domain = domain_of(pattern)
                for index, option in enumerate(alternatives(pattern)):
                    for fit in self._from(option, row, at, names, depth):
                        yield fit._replace(taking=Took(domain[index], index, fit.taking))
                return
            case nodes.Pick():
                yield from self._pick(pattern, row, at, names, depth)
                return
            case nodes.Word(name) if not pattern.kids:
                named = _found(names, name)
                if named is not None and named.value is not None:
                    yield from self._picked(name, named, row, at, names, depth)
                    return
                if named is None and name in self.reach.rules:
                    yield from self._rule(name, row, at, depth)
                    return
        in_sequence = row.kind is nodes.Sequence
        if not in_sequence and (isinstance(pattern, (nodes.Sequence, nodes.Repetition)) or pattern is X):
            if at < len(row.parts):
                for fit in self._whole(pattern, row.parts[at], names, depth):
                    yield fit._replace(end=at + 1)
            return
        if pattern is X and in_sequence:
            yield Fit(at, (), None)
            return
        found = False
        if type(pattern) is row.kind and (isinstance(pattern, nodes.Chain) or at == 0):
            fits = self._chain(pattern, row, at, names, depth)
        elif isinstance(pattern, nodes.Repetition):
            fits = self._repeated(pattern, row, at, names, depth)
        elif at < len(row.parts):
            fits = (fit._replace(end=at + 1) for fit in self._one(pattern, row.parts[at], names, depth))
        else:
            self._miss(row.last + 0.5, None, self._owner.get(row) or row.phrase(0, len(row.parts)), pattern)
            fits = iter(())
        for fit in fits:
            found = True
            yield fit
        if self.loose and not found and at < len(row.parts):
            yield from self._otherwise(pattern, row, at, names)

    def _chain(self, pattern: Node, row: Row, at: int, names: Names, depth: Depth) -> Iterator[Fit]:
        """The parts of a chain, one behind the other; a leading sum in a sum is open, any other sum is one term."""
        kids: list[tuple[int, Node]] = list(enumerate(pattern.kids))
        states: dict[tuple[int, Bound], tuple[tuple[int, Taking], ...]] = {(at, ()): ()}
        for index, kid in kids:
            following: dict[tuple[int, Bound], tuple[tuple[int, Taking], ...]] = {}
            for (place, bound), takings in states.items():
                now = _with(names, bound)
                for fit in self._term(pattern, index, kid, row, place, now, depth):
                    taken = takings if fit.taking is None else (*takings, (index, fit.taking))
                    following.setdefault((fit.end, _merged(bound, fit.bound)), taken)
            states = following
        for (place, bound), takings in states.items():
            yield Fit(place, bound, Parts(takings) if takings else None)

    def _term(
        self, pattern: Node, index: int, kid: Node, row: Row, at: int, names: Names, depth: Depth
    ) -> Iterable[Fit]:
        if not isinstance(pattern, nodes.Sum) or index == 0:
            return self._from(kid, row, at, names, depth)
        if at >= len(row.parts) or row.signs[at] != pattern.signs[index]:
            self._miss(row.last + 0.5, None, row.phrase(0, len(row.parts)), kid)
            return ()
        return (fit._replace(end=at + 1) for fit in self._whole(kid, row.parts[at], names, depth))

    def _one(self, pattern: Node, part: Part, names: Names, depth: Depth) -> Iterator[Fit]:
        """Ways in which a phrase of a rule is a phrase of the sentence; their ``end`` means nothing."""
        node = part.node
        if pattern is node and self._closed(pattern, names):
            yield Fit(0, (), None)
            return
        if type(node) is not type(pattern):
            self._miss(part.first, node, part.parent if not node.kids else node, pattern)
            return
        match pattern:
            case nodes.Chain() | nodes.Sum():
                yield from self._side_by_side(pattern, part, names, depth)
            case nodes.At():
                yield from self._at(pattern, part, names, depth)
            case nodes.Let() | nodes.Tie():
                yield from self._bound(pattern, part, names, depth)
            case nodes.Word(name) if not pattern.kids and (named := _found(names, name)) is not None:
                if node is word(named.name or ""):
                    yield Fit(0, (), None)
            case nodes.Number(text) if isinstance(node, nodes.Number) and float(node.text) == float(text):
                yield Fit(0, (), None)
            case _ if len(node.kids) == len(pattern.kids) and node.with_kids(pattern.kids) is pattern:
                yield from self._kids(pattern, part, names, depth)
            case _:
                self._miss(part.first, node, part.parent if not node.kids else node, pattern)

    def _side_by_side(self, pattern: Node, part: Part, names: Names, depth: Depth) -> Iterator[Fit]:
        """All of a chain or sum, by one of the rule."""
        row, found = part.row(type(pattern)), False
        self._owner.setdefault(row, part.node)
        for fit in self._from(pattern, row, 0, names, depth):
            if fit.end == len(row.parts):
                found = True
                yield fit
        if self.loose and not found:
            yield from self._reordered(pattern, part, names, depth)

    def _bound(self, pattern: nodes.Let | nodes.Tie, part: Part, names: Names, depth: Depth) -> Iterator[Fit]:
        """A binder of the sentence, whose name may be another one than in the rule."""
        assert isinstance(part.node, nodes.Binder)
        inner = (*names, (pattern.name, Named(name=part.node.name)))
        values = list(self._whole(pattern.value, part.kids[0], names, depth))
        if isinstance(pattern, nodes.Tie) and part.node.value is X:
            values.append(Fit(0, (), None))  # a set of weights that nothing came to use is not drawn
        for value in values:
            for body in self._whole(pattern.body, part.kids[1], _with(inner, value.bound), depth):
                yield Fit(0, _merged(value.bound, body.bound), parts_of((0, value.taking), (1, body.taking)))

    def _kids(self, pattern: Node, part: Part, names: Names, depth: Depth) -> Iterator[Fit]:
        states: dict[Bound, tuple[tuple[int, Taking], ...]] = {(): ()}
        for index, (kid, inner) in enumerate(zip(pattern.kids, part.kids, strict=True)):
            following: dict[Bound, tuple[tuple[int, Taking], ...]] = {}
            for bound, takings in states.items():
                for fit in self._whole(kid, inner, _with(names, bound), depth):
                    taken = takings if fit.taking is None else (*takings, (index, fit.taking))
                    following.setdefault(_merged(bound, fit.bound), taken)
            states = following
        for bound, takings in states.items():
            yield Fit(0, bound, Parts(takings) if takings else None)

    def _at(self, pattern: nodes.At, part: Part, names: Names, depth: Depth) -> Iterator[Fit]:
        """Places in sequence are written one after the other, so a place may cover several."""
        number, inner = 0, part
        while isinstance(inner.node, nodes.At):
            number, inner = number + 1, inner.kids[0]
            operand, places = part.places(number)
            for fit in self._whole(pattern.operand, operand, names, depth):
                for where in self._from(pattern.place, places, 0, _with(names, fit.bound), depth):
                    if where.end == number:
                        yield Fit(0, _merged(fit.bound, where.bound), parts_of((0, fit.taking), (1, where.taking)))

    def _reordered(self, pattern: Node, part: Part, names: Names, depth: Depth) -> Iterator[Fit]:
        """Sums and products are equal in every order."""
        self._quiet += 1
        for row in part.reordered(type(pattern)):
            yield from (fit for fit in self._from(pattern, row, 0, names, depth) if fit.end == len(row.parts))
        self._quiet -= 1

    def _rule(self, name: str, row: Row, at: int, depth: Depth) -> Iterator[Fit]:
        body = self.reach.rules[name]
        if name in self.reach.recursive:
            opened = dict(depth)
            opened[name] = opened.get(name, 0) + 1
            if opened[name] > self.reach.max_depth:
                if at < len(row.parts):
                    node = row.parts[at].node
                    self._miss(row.parts[at].first, node, node, f"{name} no deeper than max_depth")
                return
            depth = tuple(sorted(opened.items()))
        self._rules.append(name)
        for fit in self._from(body, row, at, (), depth):
            if not self.scoped or not names_width(row.phrase(at, fit.end)):
                yield Fit(fit.end, (), Entered(body, fit.taking))
        scope = row.parts[at] if at < len(row.parts) else None
        if scope is not None and word_name(scope.node) == only("bare_scope"):
            for fit in self._whole(body, scope.kids[0], (), depth):  # D means another width in the rule
                yield Fit(at + 1, (), Entered(body, fit.taking))
        self._rules.pop()

    def _pick(self, pattern: nodes.Pick, row: Row, at: int, names: Names, depth: Depth) -> Iterator[Fit]:
        name, value, body = pattern.name, pattern.value, pattern.body
        for fit in self._from(body, row, at, (*names, (name, Named(value=value))), depth):
            phrase = dict(fit.bound).get(name)
            rest = tuple(item for item in fit.bound if item[0] != name)
            if phrase is None:  # nothing came to use it
                yield Fit(fit.end, rest, parts_of((1, fit.taking)))
                continue
            self._quiet += 1
            drawn = list(self._whole(value, Part(phrase, 0), _with(names, rest), depth))
            self._quiet -= 1
            for one in drawn[:1]:
                yield Fit(fit.end, _merged(rest, one.bound), parts_of((0, one.taking), (1, fit.taking)))

    def _picked(self, name: str, named: Named, row: Row, at: int, names: Names, depth: Depth) -> Iterator[Fit]:
        """A name of a pick: its first use says what it stands for, the others must stand for the same."""
        scope = row.parts[at].node if at < len(row.parts) else None
        scoped = scope if scope is not None and word_name(scope) == only("bare_scope") else None
        if named.phrase is not None:
            phrases = named.phrase.kids if type(named.phrase) is row.kind else (named.phrase,)
            phrases = () if named.phrase is X and row.kind is nodes.Sequence else phrases
            end = at + len(phrases)
            if tuple(part.node for part in row.parts[at:end]) == phrases:
                yield Fit(end, (), None)
            elif scoped is not None and scoped.kids[0] is named.phrase:
                yield Fit(at + 1, (), None)
            elif at < len(row.parts):
                self._miss(row.parts[at].first, row.parts[at].node, row.parts[at].node, named.phrase)
            return
        assert named.value is not None
        before = names[: max(i for i, (other, _) in enumerate(names) if other == name)]
        for fit in self._from(named.value, row, at, before, depth):
            yield Fit(fit.end, _merged(fit.bound, ((name, row.phrase(at, fit.end)),)), None)
        if scoped is not None:
            for fit in self._whole(named.value, row.parts[at].kids[0], before, depth):
                yield Fit(at + 1, _merged(fit.bound, ((name, scoped.kids[0]),)), None)

    def _repeated(self, pattern: nodes.Repetition, row: Row, at: int, names: Names, depth: Depth) -> Iterator[Fit]:
        """A power draws once for all of its copies, an ``each`` anew for every one."""
        counts, once = self._counts(pattern.count, names, depth), isinstance(pattern, nodes.Power)
        most = max((len(row.parts) + 1 if n is None else n for n, _, _ in counts), default=0)
        done: dict[tuple[int, Bound], tuple[Taking, ...]] = {(at, ()): ()}
        written = [part.node for part in row.parts]
        for number in range(most + 1):
            for (place, bound), copies in done.items():
                for count, more, taking in counts:
                    if count is None or count == number:
                        takings: Taking = Copies(taking, copies)
                        if once:
                            takings = parts_of((0, copies[0] if copies else None), (1, taking))
                        yield Fit(place, _merged(bound, more), takings)
            following: dict[tuple[int, Bound], tuple[Taking, ...]] = {}
            for (place, bound), copies in done.items():
                if once and number:
                    length = (place - at) // number
                    if written[place : place + length] == written[at : at + length]:
                        following[place + length, bound] = copies
                    continue
                for fit in self._from(pattern.operand, row, place, _with(names, bound), depth):
                    following.setdefault((fit.end, _merged(bound, fit.bound)), (*copies, fit.taking))
            done = following
            if not done:
                return

    def _counts(self, node: Node, names: Names, depth: Depth) -> list[tuple[int | None, Bound, Taking]]:
        """Numbers of copies that a phrase can say; None for one that depends on the input."""
        if isinstance(node, (nodes.Choice, nodes.Range)):
            domain = domain_of(node)
            return [
                (n, bound, Took(domain[i], i, taking))
                for i, option in enumerate(alternatives(node))
                for n, bound, taking in self._counts(option, names, depth)
            ]
        name = name_of(node)
        if name is not None:
            named = _found(names, name)
            if named is not None and named.phrase is not None:
                return self._counts(named.phrase, names, depth)
            if named is not None and named.value is not None:
                found = self._counts(named.value, names, depth)
                return [(n, ((name, size(n)),) if n is not None else (), None) for n, _, _ in found]
            if name in self.reach.rules:
                body = self.reach.rules[name]
                return [(n, bound, Entered(body, taking)) for n, bound, taking in self._counts(body, (), depth)]
        return [(count_of(node), (), None)]

    def _otherwise(self, pattern: Node, row: Row, at: int, names: Names) -> Iterator[Fit]:
        """A phrase that is spelled otherwise in the sentence: the same once abbreviations are written out."""
        if self._seen(pattern, names):
            return
        if pattern not in self._forms:
            self._forms[pattern] = [(symbolic(node), taking) for node, taking in self._spellings(pattern)]
        for form, taking in self._forms[pattern]:
            least = len(form.kids) if isinstance(form, nodes.Sequence) else 1
            for end in range(at + 1, min(len(row.parts), at + min(least, WINDOW)) + 1):
                key = (row, at, end)
                if key not in self._spelled:
                    self._spelled[key] = symbolic(row.phrase(at, end))
                if self._spelled[key] is form:
                    yield Fit(end, (), taking)

    def _spellings(self, pattern: Node) -> Iterator[tuple[Node, Taking]]:
        """A phrase without rules, with its choices of plain parts taken, if that are not too many."""
        if self._closed(pattern, ()):
            yield pattern, None
        if not isinstance(pattern, nodes.Word) or not pattern.choices:
            return
        options: list[list[tuple[Node, Taking]]] = []
        total = 1
        for kid in pattern.kids:
            if self._closed(kid, ()):
                options.append([(kid, None)])
            elif isinstance(kid, (nodes.Choice, nodes.Range)) and all(
                self._closed(option, ()) for option in alternatives(kid)
            ):
                domain = domain_of(kid)
                options.append([(o, Took(domain[i], i, None)) for i, o in enumerate(alternatives(kid))])
            else:
                return
            total *= len(options[-1])
        if total <= SPELLINGS:
            for parts in product(*options):
                taken = tuple((i, taking) for i, (_, taking) in enumerate(parts) if taking is not None)
                yield joined(pattern, tuple(node for node, _ in parts)), Parts(taken)

    def _closed(self, node: Node, names: Names) -> bool:
        """Whether a phrase of a rule can mean one thing only."""
        return (
            not node.open and not any(name in self.reach.rules for name in node.names) and not self._seen(node, names)
        )

    @staticmethod
    def _seen(pattern: Node, names: Names) -> Names:
        """The names that a phrase can see, those of what it draws by them included."""
        if not names:
            return names
        wanted, kept = set(pattern.names), []
        for name, named in reversed(names):
            if name in wanted:
                kept.append((name, named))
                wanted |= named.value.names if named.value is not None else frozenset()
        return tuple(reversed(kept))

    def _miss(self, place: float, phrase: Node | None, within: Node, pattern: Node | str | None) -> None:
        """Remember where the sentence was last seen in the space, and what may stand there."""
        if self._quiet or place < self._far[0]:
            return
        if place > self._far[0]:
            self._far = (place, phrase, within, self._rules[-1])
            self._allowed = {}
        if pattern is not None:
            self._allowed[pattern if isinstance(pattern, str) else text(pattern)] = None


def _found(names: Names, name: str) -> Named | None:
    return next((named for other, named in reversed(names) if other == name), None)


def _with(names: Names, bound: Bound) -> Names:
    """Names, now that it is known what some picks stand for."""
    if not bound:
        return names
    phrases = dict(bound)
    inner = {name: index for index, (name, _) in enumerate(names)}
    return tuple(
        (name, named._replace(phrase=phrases[name]))
        if name in phrases and inner[name] == index and named.value is not None
        else (name, named)
        for index, (name, named) in enumerate(names)
    )


def _merged(bound: Bound, more: Bound) -> Bound:
    return tuple(sorted({**dict(bound), **dict(more)}.items(), key=lambda item: item[0])) if more else bound
