"""Optuna's samplers as samplers of a study, made to propose what a grammar can take.

They look at an in-memory Optuna study that holds the search's own proposals alone: baselines and replicates have no
parameters, and one such trial would leave Optuna's samplers without any parameter in common. They know domains of
single choices, not which alternatives are viable at a place: `RepairingSampler` stands between a sampler and Optuna, so
that whatever is proposed becomes the nearest viable value *before* Optuna stores it. The record holds what was used,
and the sampler learns from that.
"""

from __future__ import annotations

import inspect
import random
import warnings
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState, create_trial

from metamixer.record import Trial
from metamixer.search.samplers.core.variation import Choice
from metamixer.search.samplers.protocol import MODEL, PRIOR, Sample, SampleSpace, Setup, Suggestion
from metamixer.search.seeds import derived

if TYPE_CHECKING:
    from metamixer.language.spaces.choice import Value
    from metamixer.search.storage.trial_store import Parameters

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
Make = Callable[[int], BaseSampler]  # a sampler of Optuna, of a seed


class OptunaSampler:
    """A sampler of Optuna that proposes for a study.

    Args:
        setup: Of the study.
        make: The sampler of a seed. One that is made anew for every proposal makes that a function of the record; one
            that returns the same object each time may remember what it likes.
        shipped: It is one of Optuna's own: what it does not sample jointly is drawn from the space's prior, and of its
            notes only the generations of genetic algorithms are kept. Of others `sample_independent` is asked, and all
            notes are kept.

    Attributes:
        study: What the sampler sees: accuracy maximised, FLOPs minimised.
        last: The stand-in of the last proposal; `last.seen` are the parameters it sampled jointly.
    """

    def __init__(self, setup: Setup, make: Make, shipped: bool = False) -> None:
        self._setup, self._make, self._shipped = setup, make, shipped
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna marks some arguments as experimental
            self._first = make(setup.seed)  # says at once what is wrong with it
        self.study = optuna.create_study(directions=["maximize", "minimize"])
        self.last: RepairingSampler | None = None
        self._numbers: dict[int, int] = {}

    @classmethod
    def of_class(cls, kind: type[BaseSampler], setup: Setup) -> OptunaSampler:
        """A sampler of somebody's class: made for every proposal if it takes a seed, else once."""
        if "seed" in inspect.signature(kind).parameters:
            return cls(setup, lambda seed: kind(seed=seed))  # type: ignore[call-arg]
        only = kind()
        return cls(setup, lambda seed: only)

    def observe(self, trial: Trial, parameters: Parameters) -> None:
        if trial.number in self._numbers:
            self._tell(self._numbers[trial.number], trial)
            return
        # A trial of an earlier study may lie outside of this space, and then has no parameters.
        proposed = trial.kind == "searched" or (trial.kind == "imported" and bool(parameters.values))
        if proposed or (trial.kind == "rejected" and trial.state == "pruned"):
            self._numbers[trial.number] = len(self.study.get_trials(deepcopy=False))
            self.study.add_trial(
                create_trial(
                    state=STATES.get(trial.state, TrialState.RUNNING),
                    values=trial.values,
                    params=parameters.values,
                    distributions=parameters.distributions,
                    system_attrs=parameters.notes,
                )
            )

    def _tell(self, number: int, trial: Trial) -> None:
        """How a trial ended that was seen running."""
        if not trial.finished or self.study.get_trials(deepcopy=False)[number].state.is_finished():
            return
        if not self._shipped:
            self.study.sampler = self._first  # whose `after_trial` hears of it
        if trial.values is not None:
            self.study.tell(number, trial.values)
        else:
            # A trial that was stopped early has no value here: what it had at a rung is not what it had ended at.
            self.study.tell(number, state=TrialState.PRUNED if trial.stopped else TrialState.FAIL)

    def propose(
        self, number: int, space: SampleSpace, known: Mapping[str, int], rng: random.Random
    ) -> Suggestion | None:
        inner = self._inner(number)
        return None if inner is None else self._suggestion(RepairingSampler(inner, rng, self._shipped), space)

    def replay(
        self, number: int, space: SampleSpace, choices: Mapping[str, Value], rng: random.Random
    ) -> Suggestion | None:
        inner = self._inner(number)
        if inner is None:
            return None
        return self._suggestion(RepairingSampler(inner, rng, self._shipped, choices), space)

    def recommend(self, replicates: bool = True) -> list[int] | None:
        return None

    def _inner(self, number: int) -> BaseSampler | None:
        """What proposes the trial of this number; None while the prior does."""
        finished = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        # NSGA-II counts its first generation itself, and draws it from the prior as well.
        if len(finished) < self._setup.startup and not isinstance(self._first, NSGAIISampler):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._make(derived(self._setup.seed, "proposal", number))

    def _suggestion(self, repairing: RepairingSampler, space: SampleSpace) -> Suggestion:
        """What a trial of the in-memory study asks for; that trial is a way to run the sampler, and told as failed."""
        self.last = self.study.sampler = repairing
        trial = self.study.ask()

        def choose(name: str, choice: Choice) -> Value:
            repairing.choice = choice
            domain = distribution(choice)
            if isinstance(domain, IntDistribution):
                return trial.suggest_int(name, domain.low, domain.high, step=domain.step)
            return cast("Value", trial.suggest_categorical(name, choice.domain))

        sample: Sample = space.sample(choose)
        attributes = self.study.tell(trial, state=TrialState.FAIL).system_attrs
        notes = {key: value for key, value in attributes.items() if not self._shipped or key.endswith(":generation")}
        return Suggestion(sample, MODEL if repairing.used else PRIOR, notes=notes)


class _Nsga2(NSGAIISampler):
    """NSGA-II (Deb et al. 2002) whose parents follow from the finished trials alone.

    Optuna remembers the parents chosen when a generation began; a search that is continued would choose among more
    trials. Choosing anew each time makes a proposal a function of the record.
    """

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        return [] if generation == 0 else self.select_parent(study, generation)


def tpe(setup: Setup) -> OptunaSampler:
    """Multivariate (Falkner et al. 2018), in groups; running trials count as bad ones (constant liar)."""

    def make(seed: int) -> BaseSampler:
        return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=setup.startup)

    return OptunaSampler(setup, make, shipped=True)


def nsga2(setup: Setup) -> OptunaSampler:
    """Generations of `startup` trials."""
    return OptunaSampler(setup, lambda seed: _Nsga2(seed=seed, population_size=max(2, setup.startup)), shipped=True)


def gp(setup: Setup) -> OptunaSampler:
    """A Gaussian process of the parameters that all trials share."""
    return OptunaSampler(setup, lambda seed: GPSampler(seed=seed, n_startup_trials=setup.startup), shipped=True)


class RepairingSampler(BaseSampler):
    """Proposes jointly what the inner sampler knows, leaves the rest to it or to the prior, and repairs both.

    `choice` must be set to the choice about to be suggested; Optuna passes only its name and domain.

    Args:
        inner: What proposes.
        rng: For the prior.
        shipped: What the inner sampler does not sample jointly comes from the prior; else it is asked for it.
        given: Values that are decided already; the inner sampler is asked all the same, for what it notes of every
            trial.

    Attributes:
        seen: The parameters that the inner sampler sampled jointly.
        used: Whether some value is the inner sampler's.
    """

    def __init__(
        self, inner: BaseSampler, rng: random.Random, shipped: bool = True, given: Mapping[str, Any] | None = None
    ) -> None:
        self.inner, self.rng, self.shipped = inner, rng, shipped
        self.given = dict(given or {})
        self.choice: Choice | None = None
        self.seen: dict[str, BaseDistribution] = {}
        self.used = False
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
        self._sample(study, trial, param_name)
        if param_name in self.given:
            return self.choice.repair(self.given[param_name])
        if param_name in self._joint:
            return self._repaired(param_name, self._joint[param_name])
        if self.shipped:
            return self.choice.draw(self.rng)
        return self._repaired(param_name, self.inner.sample_independent(study, trial, param_name, param_distribution))

    def _repaired(self, name: str, value: Any) -> Any:
        assert self.choice is not None
        if value not in self.choice.domain:
            allowed = ", ".join(map(repr, self.choice.domain))
            raise ValueError(f"it proposed {value!r} for the choice {name}, where it may be one of: {allowed}")
        self.used = True
        return self.choice.repair(value)

    def _sample(self, study: Study, trial: FrozenTrial, name: str) -> None:
        """Have the values of a name and of those that are sampled with it, unless they are there."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self._together is None:
                self.inner.before_trial(study, trial)
                self._together = {}
                if self.shipped and isinstance(self.inner, TPESampler):
                    self.seen, self._together = groups(study)
                else:
                    self.seen = self.inner.infer_relative_search_space(study, trial)
                    self._joint = dict(self.inner.sample_relative(study, trial, self.seen))
            if name in self._together and name not in self._joint:
                part = {other: self.seen[other] for other in self._together[name]}
                self._joint |= self.inner.sample_relative(study, trial, part)


def groups(study: Study) -> tuple[dict[str, BaseDistribution], dict[str, list[str]]]:
    """The parameters of all trials, and for each those that the same trials have.

    These groups are the ones of Optuna's `TPESampler(group=True)`, which cuts them anew and samples all of them for
    every trial. Groups do not depend on each other, and a draw of a recursive space reaches a tenth of them.
    """
    seen: dict[str, BaseDistribution] = {}
    having: dict[str, list[int]] = {}
    for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
        for name, domain in trial.distributions.items():
            seen[name] = domain
            having.setdefault(name, []).append(trial.number)
    together_of: dict[tuple[int, ...], list[str]] = {}
    for name in sorted(having):
        if not seen[name].single():
            together_of.setdefault(tuple(having[name]), []).append(name)
    together = {name: group for group in together_of.values() for name in group}
    return {name: seen[name] for name in together}, together


def distribution(choice: Choice) -> IntDistribution | CategoricalDistribution:
    """A choice's domain for Optuna, the same wherever the choice is reached.

    Evenly spaced integers are an integer range, so that samplers know their order; anything else is categorical.
    """
    return _distribution(choice.domain)


@lru_cache(maxsize=10_000)
def _distribution(values: tuple[Any, ...]) -> IntDistribution | CategoricalDistribution:
    if all(isinstance(value, int) for value in values):
        ordered = sorted(int(value) for value in values)
        steps = {b - a for a, b in pairwise(ordered)}
        if len(steps) <= 1:
            return IntDistribution(ordered[0], ordered[-1], step=steps.pop() if steps else 1)
    return CategoricalDistribution(values)
