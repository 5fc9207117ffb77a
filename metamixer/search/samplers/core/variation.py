"""Candidates, and how new ones are made of old ones: fresh draws, mutations, crossovers of derivations.

A derivation is a mapping from names of choices to values. Names may be paths of references, as those of spaces are
(`network/block~2/mixer#1`); then what belongs to one place in the tree can be redrawn, or taken from another tree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from metamixer.search.samplers.core.features import Features
from metamixer.search.samplers.named import Choice

Derivation = Mapping[str, Any]
SUBTREE = 0.3  # share of mutations that redraw everything below a place, where names are paths


@dataclass(frozen=True)
class Candidate:
    """One architecture that could be evaluated.

    Attributes:
        choices: its derivation.
        key: equal for equal architectures.
        known: objectives known exactly, by index, minimised.
        features: what the model sees.
        source: how it was made, for the record.
    """

    choices: Derivation
    key: Hashable
    known: Mapping[int, float]
    features: Features = field(repr=False)
    source: str = "fresh"


class Draws(Protocol):
    """A space that candidates come from."""

    def derive(self, choose: Callable[[str, Choice], Any], source: str) -> Candidate | None:
        """The candidate whose choices `choose` answers, in order; None if it is not legal."""


def fresh(draws: Draws, rng: random.Random) -> Candidate | None:
    """A draw from the prior."""
    return draws.derive(lambda name, choice: choice.draw(rng), "fresh")


def replayed(draws: Draws, proposed: Derivation, rng: random.Random, source: str) -> Candidate | None:
    """A derivation with these values where they are reached and viable; what it leaves open is drawn."""

    def choose(name: str, choice: Choice) -> Any:
        return choice.repair(proposed[name]) if name in proposed else choice.draw(rng)

    return draws.derive(choose, source)


def mutated(draws: Draws, parent: Derivation, rng: random.Random) -> Candidate | None:
    """The parent with one choice (at times two) taken otherwise, or everything below one place drawn anew."""
    names = list(parent)
    if not names:
        return fresh(draws, rng)
    changed = [rng.choice(names) for _ in range(1 if rng.random() < 0.7 else 2)]
    place = None
    if rng.random() < SUBTREE:
        path = changed[0].rpartition("#")[0]
        place = path if path.count("/") else None

    def choose(name: str, choice: Choice) -> Any:
        if name in changed:
            return other(choice, parent[name], rng)
        if name not in parent or (place is not None and within(name, place)):
            return choice.draw(rng)
        return choice.repair(parent[name])

    return draws.derive(choose, "mutation")


def crossed(draws: Draws, mother: Derivation, father: Derivation, rng: random.Random) -> Candidate | None:
    """The mother with one place's subtree from the father, at a place of the same rule; else each name from either."""
    given: dict[str, list[str]] = {}
    for path in _places(father):
        given.setdefault(_rule(path), []).append(path)
    taken = [(path, other_path) for path in _places(mother) for other_path in given.get(_rule(path), ())]
    if taken:
        here, there = rng.choice(taken)
        proposed = {name: value for name, value in mother.items() if not within(name, here)}
        proposed |= {here + name[len(there) :]: value for name, value in father.items() if within(name, there)}
    else:
        proposed = {**father, **mother}
        proposed |= {name: father[name] for name in mother if name in father and rng.random() < 0.5}
    return replayed(draws, proposed, rng, "crossover")


def other(choice: Choice, value: Any, rng: random.Random) -> Any:
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


def within(name: str, place: str) -> bool:
    """Whether a choice belongs to a place in the tree or to what stands below it."""
    return name.startswith((f"{place}#", f"{place}/", f"{place}["))


def _places(derivation: Derivation) -> list[str]:
    """Every reference on the path of some choice, without the root; empty where names are no paths."""
    found: dict[str, None] = {}
    for name in derivation:
        path, _, _ = name.rpartition("#")
        parts = path.split("/")
        for depth in range(2, len(parts) + 1):
            found["/".join(parts[:depth]).partition("[")[0] if depth == 1 else "/".join(parts[:depth])] = None
    return list(found)


def _rule(path: str) -> str:
    return path.rpartition("/")[2].partition("~")[0].partition("[")[0]
