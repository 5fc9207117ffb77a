"""A recorded table as a space that is drawn from: every draw is one of its architectures."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cache

from metamixer.errors import SpaceError
from metamixer.language import Sentence, parse
from metamixer.language.spaces.choice import Choice, Value
from metamixer.language.spaces.space import Draw
from metamixer.simulate.table import Entry, Table

Choose = Callable[[str, Choice], Value]


class Restricted:
    """Stands for a `Space` whose derivations are those of a table alone.

    The choices of a draw are met in the order in which the real space meets them, with the same names and domains; an
    alternative is viable where it leads to a recorded architecture. So a sampler that proposes single choices is held
    to the table as it is held to what is well-typed in the real space: the nearest viable value is taken, from left to
    right. The prior is uniform over the architectures, and those seen count as any other: a proposal of one is refused
    as a duplicate by the driver, as in a real search.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.name = table.name
        self._domains = {name: tuple(domain) for name, domain in table.header["domains"].items()}
        self._entries = list(table.entries)
        self._order = [tuple(entry.choices.items()) for entry in table.entries]
        self._drawn: dict[Sentence, Entry] = {}
        self._splits: dict[tuple[int, int], tuple[str, Choice, dict[Value, tuple[int, ...]]]] = {}

    def draw(self, rng: random.Random, channels: int, grid: tuple[int, ...], choose: Choose | None = None) -> Draw:
        """One architecture of the table, see `metamixer.language.Space.draw`."""
        left: tuple[int, ...] = tuple(range(len(self._entries)))
        taken: dict[str, Value] = {}
        while len(self._order[left[0]]) > len(taken):
            name, choice, split = self._split(left, len(taken))
            value = choice.draw(rng) if choose is None else choose(name, choice)
            if value not in choice.viable:
                raise ValueError(f"{name} was answered with {value!r}, which is not viable: {choice.viable}")
            taken[name] = value
            left = split[value]
        entry = self._entries[left[0]]
        drawn = parsed(entry.sentence)
        self._drawn[drawn] = entry
        return Draw(drawn, taken)

    def entry(self, sentence: Sentence) -> Entry:
        """The entry of a sentence that was drawn."""
        return self._drawn[sentence]

    def replay(self, choices: Mapping[str, Value], channels: int, grid: tuple[int, ...]) -> Draw:
        """The architecture of a derivation; names that it lacks take their first viable alternative."""

        def choose(name: str, choice: Choice) -> Value:
            return choice.repair(choices[name]) if name in choices else choice.viable[0]

        return self.draw(random.Random(0), channels, grid, choose)

    def derivation(self, sentence: Sentence, channels: int, grid: tuple[int, ...]) -> Draw:
        """The recorded derivation of an architecture.

        Raises:
            SpaceError: the table has no such architecture.
        """
        key = self.table.task.network(sentence).key(channels, grid)
        entry = self.table.by_sentence.get(str(sentence)) or self.table.by_key.get(key)
        if entry is None:
            raise SpaceError(f"the table {self.name} has no {sentence}", None, "take one of its architectures")
        return self.replay(entry.choices, channels, grid)

    def _split(self, left: tuple[int, ...], depth: int) -> tuple[str, Choice, dict[Value, tuple[int, ...]]]:
        """The next choice of these architectures, and which of them each alternative leads to."""
        known = self._splits.get((depth, left[0]))  # groups of one depth share no architecture
        if known is None:
            name = self._order[left[0]][depth][0]
            parts: dict[Value, list[int]] = {}
            for index in left:
                parts.setdefault(self._order[index][depth][1], []).append(index)
            domain = self._domains[name]
            viable = tuple(value for value in domain if value in parts)
            weights = tuple(float(len(parts.get(value, ()))) for value in domain)
            split = {value: tuple(part) for value, part in parts.items()}
            known = self._splits[depth, left[0]] = name, Choice(domain, viable, weights), split
        return known


@cache
def parsed(text: str) -> Sentence:
    """The sentence of an entry."""
    return parse(text)
