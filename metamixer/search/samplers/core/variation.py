"""Candidates, and how new ones are made: sampled from the prior, mutated, or crossed over.

A derivation is a mapping from names of choices to values. Names may be paths of references, as those of spaces are
(`network/block~2/mixer#1`, see `metamixer.language.spaces.path`); then what belongs to one place in the tree can be
drawn anew, or taken from another tree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from metamixer.language.spaces.path import ChoicePath, Place
from metamixer.search.samplers.core.features import Features

Derivation = Mapping[str, Any]
SUBTREE = 0.3  # share of mutations that redraw everything below a place, where names are paths
PRIOR, MUTATION, CROSSOVER = "prior", "mutation", "crossover"


class Choice(Protocol):
    """One choice of a space as it is reached, see `metamixer.language.spaces.choice.Choice`."""

    @property
    def domain(self) -> tuple[Any, ...]: ...
    @property
    def viable(self) -> Sequence[Any]: ...
    def draw(self, rng: random.Random) -> Any: ...
    def repair(self, value: Any) -> Any: ...


Choose = Callable[[str, Any], Any]  # answers a choice, given its name and the `Choice`


@dataclass(frozen=True)
class Candidate:
    """One architecture that could be evaluated, or was.

    Attributes:
        choices: its derivation.
        key: equal for equal architectures.
        known: objectives known exactly, by index, minimised.
        features: what the model sees.
        origin: how it was made: `prior`, `mutation` or `crossover`.
        parents: numbers of the trials that it was made of.
        number: of its trial, if it has one.
        sample: what the space itself keeps of it.
    """

    choices: Derivation
    key: Hashable
    known: Mapping[int, float]
    features: Features = field(repr=False)
    origin: str = PRIOR
    parents: tuple[int, ...] = ()
    number: int | None = None
    sample: Any = field(default=None, repr=False, compare=False)

    @property
    def lineage(self) -> tuple[int, ...]:
        """Trials that its children descend from: its own, or those that it was made of."""
        return self.parents if self.number is None else (self.number,)


class CandidateSpace(Protocol):
    """A space that candidates come from."""

    def derive(self, choose: Choose, origin: str = PRIOR, parents: tuple[int, ...] = ()) -> Candidate | None:
        """The candidate whose choices `choose` answers, in order; None if it is not legal."""


def sample(space: CandidateSpace, rng: random.Random) -> Candidate | None:
    """A draw from the prior."""
    return space.derive(lambda name, choice: choice.draw(rng), PRIOR)


def mutate(space: CandidateSpace, parent: Candidate, rng: random.Random) -> Candidate | None:
    """The parent with one choice (at times two) taken otherwise, or everything below one place drawn anew."""
    choices = parent.choices
    names = list(choices)
    if not names:
        return sample(space, rng)
    changed = [rng.choice(names) for _ in range(1 if rng.random() < 0.7 else 2)]
    redrawn: Place | None = None
    if rng.random() < SUBTREE:
        path = ChoicePath.find(changed[0])
        redrawn = path.place if path is not None and len(path.place) > 1 else None

    def choose(name: str, choice: Choice) -> Any:
        if name in changed:
            return another_value(choice, choices[name], rng)
        if name not in choices or (redrawn is not None and _stands_within(name, redrawn)):
            return choice.draw(rng)
        return choice.repair(choices[name])

    return space.derive(choose, MUTATION, parent.lineage)


def crossover(space: CandidateSpace, mother: Candidate, father: Candidate, rng: random.Random) -> Candidate | None:
    """The mother with one place's subtree from the father, at a place of the same rule; else each name from either."""
    taken, given = mother.choices, father.choices
    by_rule: dict[str, list[Place]] = {}
    for place in _places(given):
        by_rule.setdefault(place[-1].rule, []).append(place)
    exchanges = [(place, other) for place in _places(taken) for other in by_rule.get(place[-1].rule, ())]
    if exchanges:
        place, donor = rng.choice(exchanges)
        proposed = {name: value for name, value in taken.items() if not _stands_within(name, place)}
        proposed |= {
            str(ChoicePath.parse(name).rebased(donor, place)): value
            for name, value in given.items()
            if _stands_within(name, donor)
        }
    else:
        proposed = {**given, **taken}
        proposed |= {name: given[name] for name in taken if name in given and rng.random() < 0.5}

    def choose(name: str, choice: Choice) -> Any:
        return choice.repair(proposed[name]) if name in proposed else choice.draw(rng)

    parents = tuple(dict.fromkeys((*mother.lineage, *father.lineage)))
    return space.derive(choose, CROSSOVER, parents)


def another_value(choice: Choice, value: Any, rng: random.Random) -> Any:
    """Another viable value: for numbers half of the time a neighbour, else any; the same one if there is no other."""
    near = getattr(choice, "near", None)
    if near is not None:
        return near(value, rng)
    viable = [v for v in choice.viable if v != value]
    if not viable:
        return choice.viable[0]
    if all(isinstance(v, int) for v in (*viable, value)) and rng.random() < 0.5:
        distance = min(abs(v - value) for v in viable)
        viable = [v for v in viable if abs(v - value) == distance]
    return rng.choice(viable)


def _stands_within(name: str, place: Place) -> bool:
    path = ChoicePath.find(name)
    return path is not None and path.within(place)


def _places(derivation: Derivation) -> list[Place]:
    """Every place that some choice stands in, without the root; none where names are no paths."""
    paths = [path for path in map(ChoicePath.find, derivation) if path is not None]
    return list(dict.fromkeys(place for path in paths for place in path.places))
