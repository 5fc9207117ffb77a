"""The space behind an objective that is written as code, as far as the trials of a study show it.

Optuna sees names and domains of the parameters that a trial asked for, not what it would have asked for otherwise. Here
that is inferred: a name that all trials have is asked always; for another one, the latest name asked before it whose
value alone decides, in every trial seen, whether it is asked. Where no single name decides, the trial most like the
derivation does. A proposal that is wrong about this still ends well: Optuna asks for what is missing, ignores what is
not reached, and the trial teaches the right condition.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from metamixer.language.spaces.path import ChoicePath
from metamixer.search.samplers.core.features import Tree, of_choices, of_known, of_rules, of_tree
from metamixer.search.samplers.core.variation import PRIOR, Candidate

FEW = 12  # alternatives, of which each is tried once
STEPS = 1_000_000  # a float without a step is cut so fine


class Domain:
    """One parameter's distribution as a choice; see `metamixer.search.samplers.core.variation.Choice`."""

    def __init__(self, distribution: BaseDistribution) -> None:
        self.distribution = distribution
        if isinstance(distribution, CategoricalDistribution):
            self.values: tuple[Any, ...] = distribution.choices
            self.steps = len(self.values) - 1
            return
        if not isinstance(distribution, (IntDistribution, FloatDistribution)):
            raise ValueError(f"a distribution of an unknown kind: {distribution}")
        self.values = ()
        low, high, step = distribution.low, distribution.high, distribution.step
        self.steps = STEPS if step is None else round((high - low) / step)

    @property
    def numeric(self) -> bool:
        return not self.values

    @property
    def few(self) -> tuple[Any, ...]:
        """All values, where they are few."""
        if self.numeric:
            whole = isinstance(self.distribution, IntDistribution) and not self.distribution.log and self.steps < FEW
            return tuple(self.at(i / max(1, self.steps)) for i in range(self.steps + 1)) if whole else ()
        return self.values if len(self.values) <= FEW else ()

    @property
    def domain(self) -> tuple[Any, ...]:
        return self.values

    @property
    def viable(self) -> Sequence[Any]:
        return self.values

    def place(self, value: Any) -> float:
        """Where a number lies in its range, 0 to 1; by its logarithm where the distribution says so."""
        low, high = self.distribution.low, self.distribution.high  # type: ignore[attr-defined]
        if high == low:
            return 0.0
        if self.distribution.log:  # type: ignore[attr-defined]
            return math.log(value / low) / math.log(high / low)
        return float((value - low) / (high - low))

    def at(self, place: float) -> Any:
        """The number at a place of the range, rounded to its step."""
        d = self.distribution
        assert isinstance(d, (IntDistribution, FloatDistribution))
        raw = d.low * (d.high / d.low) ** place if d.log else d.low + place * (d.high - d.low)
        if d.step is not None:
            raw = d.low + round((raw - d.low) / d.step) * d.step
        raw = min(max(raw, d.low), d.high)
        return round(raw) if isinstance(d, IntDistribution) else float(raw)

    def draw(self, rng: random.Random) -> Any:
        return self.at(rng.random()) if self.numeric else rng.choice(self.values)

    def near(self, value: Any, rng: random.Random) -> Any:
        """Another value: of a number a near one, at times any."""
        if not self.numeric:
            others = [v for v in self.values if v != value]
            return rng.choice(others) if others else value
        if self.steps == 0:
            return value
        if rng.random() < 0.2:
            return self.draw(rng)
        moved = self.at(min(1.0, max(0.0, self.place(value) + rng.gauss(0, 0.15))))
        if moved == value and self.steps < STEPS:  # at least one step
            step = rng.choice([s for s in (-1, 1) if 0 <= round(self.place(value) * self.steps) + s <= self.steps])
            moved = self.at((round(self.place(value) * self.steps) + step) / self.steps)
        return moved

    def repair(self, value: Any) -> Any:
        if self.numeric:
            d = self.distribution
            return min(max(value, d.low), d.high)  # type: ignore[attr-defined]
        return value if value in self.values else self.values[0]


class Condition:
    """When a name is asked: by the value of one earlier name, or as in the most similar trial."""

    def __init__(self, name: str, before: Sequence[str], trials: Sequence[Mapping[str, Any]]) -> None:
        self.trials = trials
        self.name = name
        self.parent: str | None = None
        self.when: dict[Any, bool] = {}
        self.always = all(name in trial for trial in trials)
        if self.always:
            return
        for parent in reversed(before):
            seen: dict[Any, bool] = {}
            decides = True
            for trial in trials:
                asked = name in trial
                if parent not in trial:
                    decides = not asked
                else:
                    decides = seen.setdefault(trial[parent], asked) == asked
                if not decides:
                    break
            if decides:
                self.parent, self.when = parent, seen
                return

    def holds(self, derivation: Mapping[str, Any]) -> bool:
        if self.always:
            return True
        if self.parent is not None:
            if self.parent not in derivation:
                return False
            value = derivation[self.parent]
            if value in self.when:
                return self.when[value]
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return self.when[min(self.when, key=lambda seen: abs(seen - value))]
            return False
        alike = max(self.trials, key=lambda t: sum(n in t and t[n] == v for n, v in derivation.items()))
        return self.name in alike


class InferredSpace:
    """A space of candidates from the trials of a study; see `metamixer.search.samplers.core.variation.CandidateSpace`.

    Args:
        trials: trials of the study, of any state; what they asked for.
        known: objectives known exactly, by index, as functions of the parameters.
        signs: 1 for objectives minimised, -1 for those maximised.
        key: what is equal for equal architectures; the parameters if not given.
        tree: the nested (label, parts) that the parameters stand for, if there is one.
        legal: whether parameters may be proposed.
    """

    def __init__(
        self,
        trials: Sequence[FrozenTrial],
        known: Mapping[int, Callable[[dict[str, Any]], float]],
        signs: Sequence[int],
        key: Callable[[dict[str, Any]], Hashable] | None = None,
        tree: Callable[[dict[str, Any]], Tree] | None = None,
        legal: Callable[[dict[str, Any]], bool] | None = None,
    ) -> None:
        self.known, self.signs, self.key, self.tree, self.legal = known, signs, key, tree, legal
        self.distributions: dict[str, BaseDistribution] = {}
        names: list[str] = []
        for trial in trials:
            self.distributions.update(trial.distributions)
            names = _merged(names, list(trial.params))
        self.domains = {name: Domain(self.distributions[name]) for name in names}
        # One that runs, or failed while it was suggesting, may not have asked for all yet.
        self.params = [t.params for t in trials if t.params]
        whole = [t.params for t in trials if t.params and t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        whole = whole or self.params
        self.conditions = {name: Condition(name, names[:i], whole) for i, name in enumerate(names)}

    def derive(
        self, choose: Callable[[str, Domain], Any], origin: str = PRIOR, parents: tuple[int, ...] = ()
    ) -> Candidate | None:
        derivation: dict[str, Any] = {}
        for name, condition in self.conditions.items():
            if condition.holds(derivation):
                derivation[name] = choose(name, self.domains[name])
        try:
            if self.legal is not None and not self.legal(dict(derivation)):
                return None
            return replace(self.candidate(derivation), origin=origin, parents=parents)
        except KeyError:  # a function of the parameters asked for a name that was not believed to be asked
            return None

    def untried(self, rng: random.Random, often: float) -> dict[str, Any] | None:
        """A trial's parameters with one value that no trial had; None if there is none.

        What an alternative asks for is not known before it was taken once. Only parameters of a few values count, that
        this share of the trials asked for.
        """
        untried = []
        for name, domain in self.domains.items():
            having = [params for params in self.params if name in params]
            if len(having) >= often * len(self.params) and domain.few:
                tried = {params[name] for params in having}
                untried += [(name, value, having) for value in domain.few if value not in tried]
        if not untried:
            return None
        name, value, having = rng.choice(untried)
        params = {**rng.choice(having), name: value}
        try:
            return params if self.legal is None or self.legal(dict(params)) else None
        except KeyError:  # what it costs is not known either
            return params

    def candidate(self, derivation: Mapping[str, Any], number: int | None = None) -> Candidate:
        """A derivation, of a trial if it has a number, with its key, its exact objectives and its features."""
        params = dict(derivation)
        scaled = {
            name: self.domains[name].place(value)
            for name, value in params.items()
            if name in self.domains and self.domains[name].numeric
        }
        features: dict[str, Mapping[Any, float]] = {"choices": of_choices(params, scaled)}
        if any("/" in name or ChoicePath.find(name) is not None for name in params):
            features["rules"] = of_rules(params)
        if self.tree is not None:
            features |= of_tree(self.tree(dict(params)))
        exact = {i: float(function(dict(params))) for i, function in self.known.items()}
        features["known"] = of_known(exact)
        known = {i: self.signs[i] * value for i, value in exact.items()}
        key = self.key(dict(params)) if self.key is not None else tuple(sorted(params.items()))
        return Candidate(params, key, known, features, number=number)


def _merged(names: list[str], asked: list[str]) -> list[str]:
    """Names in an order that keeps both orders where they agree: a new name stands behind the one asked before it."""
    known = set(names)
    if known.issuperset(asked):
        return names
    merged = list(names)
    at = 0
    for name in asked:
        if name in known:
            at = merged.index(name) + 1
        else:
            merged.insert(at, name)
            known.add(name)
            at += 1
    return merged
