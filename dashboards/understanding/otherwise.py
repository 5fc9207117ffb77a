"""The choices of an architecture, and the architectures that it would be had one of them been taken otherwise.

A choice is often conditional: another mixer has other choices of its own. So "otherwise" is the architecture's
derivation with the one choice changed, every other choice kept where it is still met (repaired to the nearest viable
value where its own is none), and what is newly met drawn from the prior, several times where there is anything to draw.
"""

from __future__ import annotations

import math
import random
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from metamixer.cost import cost
from metamixer.dashboards.understanding.trained import COSTS, Architecture, Context, Value
from metamixer.errors import LanguageError
from metamixer.language import Sentence
from metamixer.language.spaces.choice import Choice
from metamixer.language.spaces.path import ChoicePath
from metamixer.record.trial import RECIPE

COMPLETIONS = 8  # derivations of one alternative, where it opens choices of its own


@dataclass(frozen=True)
class Taken:
    """A choice of a derivation.

    Attributes:
        name: as the record has it, a path of rules.
        value: what was taken.
        choice: what could have been.
    """

    name: str
    value: Value
    choice: Choice

    @property
    def slot(self) -> str:
        """The choice by its rule, wherever the rule was used: ``mixer#1``."""
        return slot(self.name)

    @property
    def others(self) -> tuple[Value, ...]:
        """The alternatives that were viable there."""
        return tuple(value for value in self.choice.viable if value != self.value)


@dataclass(frozen=True)
class Derived:
    """An architecture that a derivation makes: the sentence without the head, costs with it."""

    sentence: Sentence
    choices: dict[str, Value]
    cost: dict[str, int]
    key: str


@dataclass(frozen=True)
class Otherwise:
    """An architecture with one choice taken otherwise.

    Attributes:
        taken: the choice.
        value: what is taken instead.
        derived: distinct architectures that this leads to; several where choices are newly met.
    """

    taken: Taken
    value: Value
    derived: tuple[Derived, ...] = field(repr=False)

    def cost_ratio(self, macs: int) -> float:
        """MACs of what it leads to, over those of the architecture: geometric mean."""
        return math.exp(sum(math.log(one.cost["macs"] / macs) for one in self.derived) / len(self.derived))


def slot(name: str) -> str:
    """A choice's rule and number, without the path and the occurrence.

    >>> slot("network[2]/block~2/mixer#1")
    'mixer#1'
    """
    path = ChoicePath.find(name)
    return name if path is None else f"{path.rules[-1]}#{path.number}"  # choices of the recipe have no path


def taken(one: Architecture, context: Context) -> list[Taken]:
    """The choices of an architecture in the order in which they are met.

    Raises:
        LanguageError: the space does not make it of its recorded choices.
    """
    met: dict[str, Choice] = {}

    def choose(name: str, choice: Choice) -> Value:
        met[name] = choice
        if one.choices.get(name) not in choice.viable:
            raise LanguageError(
                f"the space does not make architecture {one.number} of its recorded choices: {name}",
                advice="the record was written with another space",
            )
        return one.choices[name]

    drawn = context.space.draw(random.Random(0), context.channels, context.grid, choose)
    return [Taken(name, value, met[name]) for name, value in drawn.choices.items()]


def otherwise(one: Architecture, context: Context, completions: int = COMPLETIONS) -> Iterator[Otherwise]:
    """Every choice of an architecture taken in every other way that was viable there.

    Deterministic: draws are seeded by the architecture's choices.
    """
    for choice in taken(one, context):
        for value in choice.others:
            found = changed(one.choices, choice.name, value, context, completions)
            if found:
                yield Otherwise(choice, value, found)


def changed(
    choices: Mapping[str, Value], name: str, value: Value, context: Context, completions: int = COMPLETIONS
) -> tuple[Derived, ...]:
    """What a derivation makes with one choice taken otherwise; empty where nothing of it fits together."""
    found: dict[str, Derived] = {}
    recipe = {met: taken for met, taken in choices.items() if met.startswith(RECIPE)}
    for number in range(completions):
        rng = random.Random(zlib.crc32(f"{sorted(choices.items(), key=str)} {name} {value} {number}".encode()))
        open_ones = 0

        def choose(met: str, choice: Choice, rng: random.Random = rng) -> Value:
            nonlocal open_ones
            if met == name:
                return choice.repair(value)
            if met in choices:
                return choice.repair(choices[met])
            open_ones += len(choice.viable) > 1
            return choice.draw(rng)

        derived = _derived(choose, context, rng)
        if derived is not None:
            found.setdefault(derived.key, replace(derived, choices={**derived.choices, **recipe}))
        if not open_ones:
            break
    return tuple(found.values())


def _derived(choose: Any, context: Context, rng: random.Random) -> Derived | None:
    try:
        drawn = context.space.draw(rng, context.channels, context.grid, choose)
        network = context.network(drawn.sentence)
        counted = cost(network, context.channels, context.grid)
    except LanguageError:  # weights tied over unequal grids: seen only when the whole is drawn
        return None
    costs = {item: int(getattr(counted, item)) for item in COSTS}
    return Derived(drawn.sentence, dict(drawn.choices), costs, network.key(context.channels, context.grid))
