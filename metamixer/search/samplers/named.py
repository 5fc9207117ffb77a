"""Optuna's samplers by name, made to propose what a grammar can take.

Samplers know domains of single choices, not which alternatives are viable at a place. `Repairing` stands between a
sampler and Optuna: whatever is proposed becomes the nearest viable value *before* Optuna stores it, so the record
holds what was used and the sampler learns from that.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from metamixer.search.configuration import SAMPLERS


class Choice(Protocol):
    """One choice of a space as it is reached, see `metamixer.language`."""

    @property
    def domain(self) -> tuple[int | str, ...]: ...
    @property
    def viable(self) -> Sequence[int | str]: ...
    def draw(self, rng: random.Random) -> int | str: ...
    def repair(self, value: int | str) -> int | str: ...


class _Nsga2(NSGAIISampler):
    """NSGA-II (Deb et al. 2002) whose parents follow from the finished trials alone.

    Optuna remembers the parents chosen when a generation began; a search that is continued would choose among more
    trials. Choosing anew each time makes a proposal a function of the record.
    """

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return [] if generation == 0 else self.select_parent(study, generation)


def make(name: str, seed: int, startup: int) -> BaseSampler | None:
    """Optuna's sampler of a name; None for `random` (every choice from the space's prior) and for our own.

    `tpe` is multivariate (Falkner et al. 2018), in groups that `Repairing` hands it, and counts running trials as bad
    (constant liar); `gp` models the parameters that all trials share; `nsga2` has generations of `startup` trials.
    """
    if name not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {name!r}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna marks some arguments as experimental
        if name == "tpe":
            return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=startup)
        if name == "nsga2":
            return _Nsga2(seed=seed, population_size=max(2, startup))
        if name == "gp":
            return GPSampler(seed=seed, n_startup_trials=startup)
    return None


class Repairing(BaseSampler):
    """Proposes jointly what the inner sampler knows, draws the rest from the prior, and repairs both.

    `choice` must be set to the choice about to be suggested; Optuna passes only its name and domain. Names in `joint`
    have their values given; the inner sampler is asked all the same, for what it notes of every trial.
    """

    def __init__(self, inner: BaseSampler | None, rng: random.Random, joint: Mapping[str, Any] | None = None) -> None:
        self.inner = inner
        self.rng = rng
        self.choice: Choice | None = None
        self.seen: dict[str, BaseDistribution] = {}
        self._given = dict(joint or {})
        self._joint: dict[str, Any] = {}
        self._together: dict[str, list[str]] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        # Optuna would store joint values unrepaired, so it is told of none; `sample_independent` hands them out.
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if self.choice is None:
            raise RuntimeError(f"no choice was announced for {param_name}")
        if self.inner is not None:
            self._sample(self.inner, study, trial, param_name)
        if param_name in self._given:
            return self.choice.repair(self._given[param_name])
        if param_name in self._joint:
            return self.choice.repair(self._joint[param_name])
        return self.choice.draw(self.rng)

    def _sample(self, inner: BaseSampler, study: Study, trial: FrozenTrial, name: str) -> None:
        """Have the values of a name and of those that are sampled with it, unless they are there."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._together is None:
                inner.before_trial(study, trial)
                self._together = {}
                if isinstance(inner, TPESampler):
                    self.seen, self._together = _groups(study)
                else:
                    self.seen = inner.infer_relative_search_space(study, trial)
                    self._joint = dict(inner.sample_relative(study, trial, self.seen))
            if name in self._together and name not in self._joint:
                part = {other: self.seen[other] for other in self._together[name]}
                self._joint |= inner.sample_relative(study, trial, part)


def _groups(study: Study) -> tuple[dict[str, BaseDistribution], dict[str, list[str]]]:
    """The parameters of all trials, and for each those that the same trials have.

    These groups are the ones of Optuna's `TPESampler(group=True)`, which cuts them anew and samples all of them for
    every trial. Groups do not depend on each other, and a draw of a recursive space reaches a tenth of them.
    """
    seen: dict[str, BaseDistribution] = {}
    having: dict[str, list[int]] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        for name, distribution in trial.distributions.items():
            seen[name] = distribution
            having.setdefault(name, []).append(trial.number)
    groups: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(having):
        if not seen[name].single():
            groups.setdefault(tuple(having[name]), []).append(name)
    together = {name: group for group in groups.values() for name in group}
    return {name: seen[name] for name in together}, together


def distribution(choice: Choice) -> IntDistribution | CategoricalDistribution:
    """A choice's domain for Optuna, the same wherever the choice is reached.

    Evenly spaced integers are an integer range, so that samplers know their order; anything else is categorical.
    """
    values = choice.domain
    if all(isinstance(value, int) for value in values):
        ordered = sorted(int(value) for value in values)
        steps = {b - a for a, b in pairwise(ordered)}
        if len(steps) <= 1:
            return IntDistribution(ordered[0], ordered[-1], step=steps.pop() if steps else 1)
    return CategoricalDistribution(values)
