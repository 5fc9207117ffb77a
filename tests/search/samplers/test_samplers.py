from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import intersection_search_space

from metamixer import record, tasks
from metamixer.language import Space
from metamixer.record import Trial
from metamixer.search.configuration import Limits
from metamixer.search.proposals.proposer import Proposer
from metamixer.search.samplers.optuna_samplers import OptunaSampler, distribution, groups, tpe
from metamixer.search.samplers.protocol import Setup
from metamixer.search.samplers.registry import SHIPPED
from metamixer.search.seeds import derived
from metamixer.search.storage.trial_store import TrialStore
from metamixer.search.study import Study

Load = Callable[..., Study]
TASK = tasks.get("digits-hard")
SHORT = ('baselines.names=["vit_digits"]', "study.budget=14", "study.confirm=2")


class Stubborn(BaseSampler):
    """Proposes the same values for every trial, viable or not."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
        return dict.fromkeys(self.values)

    def sample_relative(self, study: Any, trial: Any, search_space: Any) -> dict[str, Any]:
        return self.values

    def sample_independent(self, *args: Any) -> Any:
        raise AssertionError("what is not sampled jointly comes from the prior")


def proposer(file: Path, sampler: str = "random", startup: int = 1) -> Proposer:
    return Proposer(Space.load(file.parent / "small.toml"), TASK, Limits(), sampler, startup, seed=0)


def see_one(found: Proposer) -> None:
    row = Trial(0, "complete", "searched", accuracy=0.5, cost={"macs": 1})
    found.observe(row, found.propose(0, {}, prior=True).parameters)


def shown(study: Study, sampler: str) -> Proposer:
    """A proposer that was shown a record."""
    found = Proposer(
        Space.load(study.config.study.space), TASK, study.config.limits, sampler, study.config.search.startup, 0
    )
    store = TrialStore(study.path / "study.db", {}, {})
    for row in store.trials:
        if row.kind in ("searched", "rejected"):
            found.observe(row, store.parameters(row.number))
    store.close()
    return found


def test_an_impossible_value_is_repaired_before_it_is_recorded(file: Path) -> None:
    # Three heads do not divide 16 channels, and 5 is no width of this space.
    heads = "att(lin,lin,lin)@h({1 | 2 | 3}) >> lin"
    wanted = {"network#2": 16, "network#3": 1, "network[1]/block/mixer#1": heads, "network[1]/block/mixer#3": 3}
    found = proposer(file)
    found.sampler = OptunaSampler(Setup(startup=1), lambda seed: Stubborn(wanted), shipped=True)
    see_one(found)
    proposal = found.propose(1, {})
    assert proposal.reason is None
    name = next(name for name in proposal.choices if name.endswith("mixer#3"))
    assert proposal.choices["network#2"] == 16
    assert proposal.choices[name] == 2
    assert "@h(2)" in proposal.sentence
    assert proposal.parameters.values == proposal.choices
    assert proposal.parameters.distributions[name] == IntDistribution(1, 3)
    # The optuna trial behind the proposal holds the repaired value, too: it is what the sampler's wrapper returned.
    assert found.sampler.study.get_trials()[-1].params == proposal.choices


def test_names_that_were_not_proposed_come_from_the_prior(file: Path) -> None:
    found = proposer(file)
    found.sampler = OptunaSampler(Setup(startup=1), lambda seed: Stubborn({"network#2": 24}), shipped=True)
    see_one(found)
    drawn = [found.propose(number, {}).choices for number in range(1, 40)]
    assert {choices["network#2"] for choices in drawn} == {24}
    assert {choices["network#1"] for choices in drawn} == {1, 2}
    assert {choices["network#3"] for choices in drawn} == {1, 2, 3}


def test_a_domain_is_the_same_wherever_the_choice_is_reached(file: Path) -> None:
    found = proposer(file)
    domains: dict[str, set[object]] = {}
    for number in range(60):
        for name, domain in found.propose(number, {}).parameters.distributions.items():
            domains.setdefault(name, set()).add(domain)
    assert len(domains) > 10
    assert all(len(found) == 1 for found in domains.values())
    assert domains["network#2"] == {IntDistribution(8, 24, step=8)}
    assert all(isinstance(d, CategoricalDistribution) for n, ds in domains.items() if n.endswith("mixer#1") for d in ds)


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ((16, 32, 64), CategoricalDistribution((16, 32, 64))),
        ((7, 3, 5), IntDistribution(3, 7, step=2)),
        ((4,), IntDistribution(4, 4)),
        (("lin", "x"), CategoricalDistribution(("lin", "x"))),
    ],
)
def test_evenly_spaced_integers_are_ranges(domain: tuple[int | str, ...], expected: object) -> None:
    assert distribution(SimpleNamespace(domain=domain)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", SHIPPED)
def test_every_sampler_searches(load: Load, sampler: str) -> None:
    study = load(f"search.sampler={sampler}", *SHORT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert study.run("inline").trained == 14
    rows = record.read(study.path)
    assert {row.state for row in rows if row.kind == "searched"} == {"complete"}
    space = Space.load(study.config.study.space)
    for row in rows:
        if row.kind == "searched":
            assert str(space.replay(row.choices, 1, (8, 8)).sentence) == row.sentence


@pytest.mark.parametrize("sampler", ["nsga2", "gp", "tpe"])
def test_joint_sampling_sees_all_common_parameters_after_baselines_and_replicates(load: Load, sampler: str) -> None:
    study = load("search.sampler=random", *SHORT)
    study.run("inline")
    rows = record.read(study.path)
    assert {row.kind for row in rows} >= {"searched", "baseline", "replicate"}
    trained = [set(row.choices) for row in rows if row.kind == "searched"]
    common = reduce(set.__and__, trained)
    assert common >= {"network#1", "network#2", "network#3", "network[1]/block#1"}

    found = shown(study, sampler)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found.propose(len(rows), {})
    assert isinstance(found.sampler, OptunaSampler)
    assert found.sampler.last is not None
    seen = set(found.sampler.last.seen)
    assert seen == (common if sampler != "tpe" else reduce(set.__or__, trained))

    # Not so on the record itself, where baselines and replicates have no parameters.
    there = optuna.load_study(study_name=None, storage=f"sqlite:///{study.path}/study.db").get_trials()
    assert intersection_search_space(there) == {}


@pytest.mark.parametrize("sampler", SHIPPED)
def test_a_proposal_is_a_function_of_seed_number_and_record(load: Load, sampler: str) -> None:
    study = load("search.sampler=random", *SHORT)
    study.run("inline")
    random.seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = [shown(study, sampler).propose(99, {}).choices for _ in range(2)]
        other = shown(study, sampler).propose(100, {}).choices
    assert first[0] == first[1]
    assert other != first[0]


@pytest.mark.parametrize("sampler", SHIPPED)
def test_samplers_learn_and_the_prior_does_not(sampler: str) -> None:
    # Six free choices of one cost; the accuracy is the share of gelu, a third in the prior.
    space = Space({"network": "lin(8) >> each({gelu|relu|silu}, 6)"}, start="network")
    found = Proposer(space, TASK, Limits(), sampler, startup=12, seed=0)
    shares = []
    trials = 36 if sampler == "gp" else 60
    for number in range(trials):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            proposal = found.propose(number, {})
        shares.append(sum(value == "gelu" for value in proposal.choices.values()) / 6)
        assert proposal.costed is not None
        row = Trial(
            number,
            "complete",
            "searched",
            sentence=proposal.sentence,
            key=proposal.costed.key,
            choices=proposal.choices,
            accuracy=shares[-1],
            cost=proposal.costed.cost,
        )
        found.observe(row, proposal.parameters)
    late = sum(shares[-12:]) / 12
    if SHIPPED[sampler].supports.no_repeats:  # they never repeat the best one: one of 729
        assert max(shares) == 1
        assert late > 0.5
    else:
        assert late < 0.5 if sampler == "random" else late > 0.6


def test_seeds_depend_on_all_their_parts() -> None:
    seeds = {derived(*parts) for parts in ((0, "a", 1), (0, "a", 2), (1, "a", 1), (0, "b", 1), (0, "a", 1, 0))}
    assert len(seeds) == 5
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derived(3, "proposal", 4) == derived(3, "proposal", 4) == 2**31 - 1 & derived(3, "proposal", 4)


def test_groups_are_those_that_optuna_samples_jointly() -> None:
    """A draw is asked for the groups it reaches alone; they must be the ones of Optuna's own decomposition."""
    rng = random.Random(0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(30):
        trial = study.ask()
        kind = trial.suggest_categorical("kind", ("a", "b", "c"))
        for i in range(trial.suggest_int("depth", 1, 3)):
            if trial.suggest_categorical(f"{kind}{i}", ("x", "y")) == "x":
                trial.suggest_int(f"{kind}{i} width", 1, 8)
        study.tell(trial, (rng.random(), rng.random()))
    tried = study.ask()
    names, found = groups(study)
    assert set(found) == set(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grouped = optuna.samplers.TPESampler(
            seed=0, multivariate=True, group=True, constant_liar=True, n_startup_trials=5
        )
        assert grouped.infer_relative_search_space(study, tried) == names
        theirs = {frozenset(group) for group in grouped._search_space_group.search_spaces}
        assert {frozenset(group) for group in found.values()} == theirs
        assert len(theirs) > 5
        # One group is sampled as by Optuna's own grouped sampler that is told to sample no other.
        for group in theirs:
            part = {name: names[name] for name in sorted(group)}
            ours = tpe(Setup(startup=5))._make(7)
            grouped._rng.rng.seed(7)
            assert ours.sample_relative(study, tried, part) == grouped.sample_relative(study, tried, part)
