"""A search space: rules whose sentences contain choices."""

from __future__ import annotations

import hashlib
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from metamixer.errors import LanguageError, SpaceError
from metamixer.language.checking.types import Field, Given, Score, start
from metamixer.language.sentence import Sentence, parse
from metamixer.language.spaces import names
from metamixer.language.spaces.choice import Choice, Choose, Value
from metamixer.language.spaces.drawing.outcomes import Outcome, Reach
from metamixer.language.spaces.drawing.plan import Drawer, Ruled
from metamixer.language.spaces.drawing.sampling import Drawing
from metamixer.language.spaces.membership import Astray, Derivation
from metamixer.language.spaces.number import Number, plus
from metamixer.language.spaces.path import ChoicePath
from metamixer.language.spaces.productive import unending
from metamixer.language.spaces.refusals import offence
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, count_of, walk, word
from metamixer.language.syntax.parser import Spans, nearest, parse_node, pointed
from metamixer.language.syntax.printer import text

if TYPE_CHECKING:
    from metamixer.language.spaces.file import SpaceFile

SHOWN, LONGEST = 8, 40  # alternatives in a message, and letters of one
FRAMES = 12_000  # of Python, that walks over derivations may stand in
COPIES = 500  # of an each


@dataclass(frozen=True)
class Draw:
    """One architecture of a space.

    Attributes:
        sentence: the architecture; no choices left.
        choices: its derivation, name of each choice met -> what was taken (an integer, or the alternative's text).
    """

    sentence: Sentence
    choices: dict[str, Value]


class Measured(Protocol):
    """What ``Space.profile`` needs of a cost."""

    @property
    def macs(self) -> int: ...

    @property
    def params(self) -> int: ...


@dataclass(frozen=True)
class Profile:
    """What draws of a space look like.

    Attributes:
        draws: number of draws.
        distinct: number of different keys among them.
        macs, params: sorted costs of the draws.
        within: draws within the limits.
        values: for each choice name (numbers of copies left out) how often each value was taken.
    """

    draws: int
    distinct: int
    macs: tuple[int, ...]
    params: tuple[int, ...]
    within: int
    values: dict[str, Counter[Value]]


class Space:
    """Rules with choices, and the rule to start from.

    Args:
        rules: body of each rule, as sentences with choices.
        start: name of the rule that an architecture is derived from.
        max_depth: how often a recursive rule may stand on one path from the root.
        name: what the space is called.
        place: where it was read from, for messages.

    Raises:
        SpaceError: an unknown rule or word, a rule without a finite derivation, a bad key.
        LanguageError: a rule's body is no sentence.
    """

    def __init__(
        self, rules: Mapping[str, str], start: str, max_depth: int = 3, name: str = "space", place: str | None = None
    ) -> None:
        self.name, self.start, self.max_depth, self.place = name, start, max_depth, place
        self.rules: dict[str, str] = {rule: " ".join(body.split()) for rule, body in rules.items()}
        self._spans: dict[str, Spans] = {}
        self._nodes: dict[str, Node] = {}
        for rule, body in self.rules.items():
            names.check_name(rule, place)
            self._nodes[rule], self._spans[rule] = parse_node(body, self._where(rule))
        if start not in self._nodes:
            close = nearest(start, self._nodes)
            raise SpaceError(
                f"the start rule {start} is not defined",
                place,
                f"did you mean {close}?" if close else "add it under [rules]",
            )
        if max_depth < 1:
            raise SpaceError(f"max_depth = {max_depth} allows no rule at all", place, "write max_depth = 1 or more")
        for rule in self._nodes:
            names.check_words(self._nodes[rule], self.rules[rule], self._spans[rule], self._nodes, self._where(rule))
        with self._bounded():
            flaw = unending(self._nodes, start, max_depth)
        if flaw is not None:
            raise SpaceError(flaw.message, self._where(flaw.rule), flaw.advice)
        self.reach = Reach(self._nodes, max_depth)
        self._drawer = Drawer(self.reach)

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """Derivations that nest deeper than walks can follow are the user's to shorten."""
        usual = sys.getrecursionlimit()
        sys.setrecursionlimit(max(usual, FRAMES))  # each copy of an each is some frames of the walks
        try:
            yield
        except RecursionError:
            copies = max((_most(part) for node in self._nodes.values() for part in walk(node)), default=0)
            if copies > COPIES:
                message = f"an each of {copies:,} copies is more than can be followed"
                raise SpaceError(
                    message, self.place, f"at most {COPIES} copies; or write block^n, drawn once"
                ) from None
            message = f"with max_depth = {self.max_depth} derivations nest too deep to be followed"
            raise SpaceError(message, self.place, "write a smaller max_depth, or fewer rules within rules") from None
        finally:
            sys.setrecursionlimit(usual)

    @classmethod
    def load(cls, source: str | Path) -> Space:
        """Reads a space file (TOML: name, start, max_depth, [rules]).

        Args:
            source: a path, or the name of a space that ships with metamixer.

        Raises:
            SpaceError: the file is no space.
        """
        from metamixer.language.spaces import file  # pydantic: whoever reads no space file does without
        from metamixer.resources import find

        path = find("search_spaces", str(source))
        return cls._of(file.read(path), str(path))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], place: str | None = None) -> Space:
        """A space from the content of its file.

        Raises:
            SpaceError: the content is no space.
        """
        from metamixer.language.spaces import file

        return cls._of(file.checked(content, place), place)

    @classmethod
    def _of(cls, content: SpaceFile, place: str | None) -> Space:
        begin = next(iter(content.rules)) if content.start is None else content.start
        return cls(content.rules, begin, content.max_depth, content.name, place)

    @property
    def unused(self) -> list[str]:
        """Rules that no derivation can come to."""
        used = self.reach.below(word(self.start))
        return [rule for rule in self.rules if rule not in used]

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides what can be drawn under which names."""
        parts = [
            self.start,
            str(self.max_depth),
            *(f"{rule} = {text(node)}" for rule, node in sorted(self._nodes.items())),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def draw(
        self,
        rng: random.Random,
        channels: int,
        grid: tuple[int, ...],
        choose: Choose | None = None,
        context: Given = None,
    ) -> Draw:
        """One architecture for an input of ``channels`` channels on ``grid``.

        Args:
            rng: source of randomness; with ``choose`` it serves what ``choose`` leaves open.
            channels: channels of the input.
            grid: length of each axis of the input.
            choose: answers each choice ``(name, Choice) -> value`` from left to right; the value must be viable
                (``Choice.repair`` finds a viable one). By default the prior over the viable alternatives is drawn.
            context: further inputs, as for ``check``.

        Raises:
            SpaceError: no sentence of the space fits the input.
        """
        root, contexts = self._root(channels, grid, context)
        with self._bounded():
            ruled = self._drawer.plan(root, self._drawer.goal({contexts: self._ends(root, contexts)}))
        assert isinstance(ruled, Ruled)
        for _ in range(100):
            drawing = Drawing(self._drawer, rng, choose)
            with self._bounded():
                node, _ = drawing.rule(ruled, self.start)
            sentence = Sentence(node)
            try:
                sentence.typed(channels, grid, context)
            except LanguageError:  # weights tied over unequal grids: seen only when the whole is drawn
                if choose is not None:
                    raise
                continue
            return Draw(sentence, drawing.taken)
        raise SpaceError(
            "100 draws in a row do not fit together",
            self.place,
            "look at the ties of the space: their uses must ask for equal weights",
        )

    def replay(self, choices: Mapping[str, Value], channels: int, grid: tuple[int, ...]) -> Draw:
        """The architecture of a derivation; names that it lacks take their first viable alternative."""

        def choose(name: str, choice: Choice) -> Value:
            return choice.repair(choices[name]) if name in choices else choice.viable[0]

        return self.draw(random.Random(0), channels, grid, choose)

    def derivation(self, sentence: Sentence | str, channels: int, grid: tuple[int, ...], context: Given = None) -> Draw:
        """The draw that makes a given architecture: the inverse of drawing.

        The sentence may be spelled otherwise than the space spells it: with repetitions written out or drawn together,
        sums and products of a few terms in another order, other names bound, abbreviations written out where the
        space has no choice but of plain parts. What is drawn has the sentence's key. Of several derivations of one
        sentence the one with the earlier alternatives is found.

        Args:
            sentence: an architecture; a text is parsed.
            channels: channels of the input.
            grid: length of each axis of the input.
            context: further inputs, as for ``check``.

        Raises:
            LanguageError: the sentence does not fit the input, or has choices left.
            SpaceError: the space does not draw it; says where it leaves the space, and what may stand there.
        """
        sentence = parse(sentence) if isinstance(sentence, str) else sentence
        node, key = sentence.typed(channels, grid, context).node, sentence.key(channels, grid, context)
        with self._bounded():
            for loose in (False, True):
                for scoped in (False, True):
                    looked = Derivation(self._drawer, self.start, node, loose, scoped)
                    choices = looked.choices()
                    if choices is None:
                        break
                    found = self._drawn_as(choices, channels, grid, context)
                    if found is not None and found.sentence.key(channels, grid, context) == key:
                        return found
        raise self._astray(looked.astray, sentence)

    def _drawn_as(
        self, choices: Mapping[str, Value], channels: int, grid: tuple[int, ...], context: Given
    ) -> Draw | None:
        """The draw with exactly these choices, if they are viable."""

        def choose(name: str, choice: Choice) -> Value:
            if choices.get(name) not in choice.viable:
                raise LookupError(name)
            return choices[name]

        try:
            return self.draw(random.Random(0), channels, grid, choose, context)
        except (LookupError, LanguageError):
            return None

    def _astray(self, astray: Astray, sentence: Sentence) -> SpaceError:
        source, within = str(sentence), text(astray.within)
        shown = [option if len(option) <= LONGEST else f"{option[:LONGEST]} .." for option in astray.allowed[:SHOWN]]
        allowed = " | ".join(shown) + (" | .." if len(astray.allowed) > SHOWN else "")
        inside = "" if astray.phrase is astray.within else f" in {within}"
        if astray.phrase is None:
            message = f"the space {self.name} does not draw this sentence: something is missing behind {within}"
        else:
            message = f"the space {self.name} does not draw this sentence: not {text(astray.phrase)}{inside}"
        at = source.find(within)
        return SpaceError(
            pointed(source, at, message) if at >= 0 else message,
            self._where(astray.rule),
            f"there it has: {allowed}" if allowed else "there it has nothing more",
        )

    def size(self, channels: int, grid: tuple[int, ...], context: Given = None) -> Number:
        """Number of well-typed derivations for this input, exact up to a thousand digits (else ``About``).

        Different derivations may be one architecture; ``profile`` tells how many draws are distinct.
        """
        root, contexts = self._root(channels, grid, context)
        with self._bounded():
            outcomes = self.reach.outcomes(root, contexts)
            total: Number = 0
            for end in self._ends(root, contexts):
                total = plus(total, outcomes[end])
            return total

    def profile(
        self,
        draws: int,
        measure: Callable[..., Measured],
        channels: int,
        grid: tuple[int, ...],
        rng: random.Random | None = None,
        limits: Mapping[str, int] | None = None,
        network: Callable[[Sentence], Sentence] | None = None,
    ) -> Profile:
        """Costs, distinct keys and values taken over a number of draws.

        Args:
            draws: how many.
            measure: cost of a sentence, such as ``metamixer.cost``.
            channels: channels of the input.
            grid: length of each axis of the input.
            rng: source of randomness.
            limits: upper bounds on ``macs`` and ``params``.
            network: what is measured for a drawn sentence, such as a task's ``network`` that appends the head.
        """
        rng = rng or random.Random(0)
        keys: set[str] = set()
        macs, params, within = [], [], 0
        values: dict[str, Counter[Value]] = {}
        for _ in range(draws):
            drawn = self.draw(rng, channels, grid)
            sentence = network(drawn.sentence) if network else drawn.sentence
            keys.add(sentence.key(channels, grid))
            cost = measure(sentence, channels, grid)
            macs.append(cost.macs)
            params.append(cost.params)
            within += all(getattr(cost, name) <= bound for name, bound in (limits or {}).items())
            for name, value in drawn.choices.items():
                path = ChoicePath.parse(name)
                values.setdefault(f"{path.rules[-1]}#{path.number}", Counter())[value] += 1
        return Profile(draws, len(keys), tuple(sorted(macs)), tuple(sorted(params)), within, values)

    def _root(self, channels: int, grid: tuple[int, ...], context: Given) -> tuple[Node, tuple[Any, ...]]:
        return word(self.start), (start(channels, tuple(grid), context),)

    def _ends(self, root: Node, contexts: tuple[Any, ...]) -> frozenset[Outcome]:
        ends = frozenset(end for end in self.reach.outcomes(root, contexts) if _is_field(end.values[0]))
        if not ends:
            inside = self.reach.entered(self.start, contexts) or contexts
            flaw = offence(self.reach, self._nodes[self.start], inside, self.start)
            at = self._spans[flaw.rule].get(flaw.node)
            message = f"no sentence of the space fits {contexts[0].x}: {flaw.why}"
            shown = pointed(self.rules[flaw.rule], at[0], message) if at else message
            look = f"look at: {text(flaw.node)}"
            raise SpaceError(shown, self._where(flaw.rule), f"{look}\n{flaw.advice}" if flaw.advice else look)
        return ends

    def _where(self, rule: str) -> str:
        return f"{self.place}, rule {rule}" if self.place else f"rule {rule}"


def _most(node: Node) -> int:
    """Copies that an ``each`` says by itself."""
    if not isinstance(node, nodes.Each):
        return 0
    counts = [part.high if isinstance(part, nodes.Range) else count_of(part) for part in walk(node.count)]
    return max((count for count in counts if count is not None), default=0)


def _is_field(value: Any) -> bool:
    return isinstance(value, Field) or (isinstance(value, Score) and value.as_field)
