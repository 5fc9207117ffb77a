from __future__ import annotations

import importlib.util
import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler, RandomSampler
from optuna.trial import Trial, TrialState

from metamixer.pareto import ACCURACY_FLOPS, hypervolume
from metamixer.search.samplers import EvolutionSampler, KnownCostSampler
from metamixer.search.samplers.core.features import Distances, of_tree, suffixes
from metamixer.search.samplers.core.variation import Candidate, crossover, mutate
from metamixer.search.samplers.inferred_space import InferredSpace

optuna.logging.set_verbosity(optuna.logging.WARNING)
Params = dict[str, Any]


def ask(trial: Trial) -> Params:
    """Conditional: a kind with a size of its own, and a number of layers with a width each."""
    found: Params = {"kind": trial.suggest_categorical("kind", ["conv", "attention", None])}
    if found["kind"] == "conv":
        found["kernel"] = trial.suggest_int("kernel", 3, 9, step=2)
    if found["kind"] == "attention":
        found["heads"] = trial.suggest_categorical("heads", [1, 2, 4])
        found["scale"] = trial.suggest_float("scale", 0.01, 1.0, log=True)
    found["layers"] = trial.suggest_int("layers", 1, 4)
    for i in range(found["layers"]):
        found[f"width{i}"] = trial.suggest_int(f"width{i}", 8, 64, log=True)
    return found


def macs(params: Params) -> float:
    widths = [params[f"width{i}"] for i in range(params["layers"])]
    return float(sum(widths) * (params.get("kernel", 1) + 2 * params.get("heads", 0)))


def error(params: Params) -> float:
    widths = [params[f"width{i}"] for i in range(params["layers"])]
    kind = {"conv": 0.02 * abs(params.get("kernel", 0) - 5), "attention": 0.08 - 0.01 * params.get("heads", 0)}
    return (
        0.1
        + kind.get(params["kind"], 0.2)
        + 2.0 / sum(np.sqrt(widths))
        + 0.05 * abs(np.log10(params.get("scale", 0.1)) + 1)
    )


def study_of(sampler: BaseSampler, trials: int, noise: float = 0.0) -> optuna.Study:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for number in range(trials):
        trial = study.ask()
        params = ask(trial)
        spread = noise * random.Random(number).gauss(0, 1)
        study.tell(trial, [1 - error(params) + spread, macs(params)])
    return study


def volume(study: optuna.Study) -> float:
    return hypervolume([trial.values for trial in study.trials], (0.4, 1000.0), ACCURACY_FLOPS)


def test_it_beats_random_search_on_a_conditional_space() -> None:
    ours = [volume(study_of(KnownCostSampler({1: macs}, seed=seed), 40)) for seed in range(2)]
    theirs = [volume(study_of(RandomSampler(seed=seed), 120)) for seed in range(4)]
    assert min(ours) > np.mean(theirs)  # which had three times the trials


@pytest.mark.parametrize("make", [KnownCostSampler, EvolutionSampler])
def test_proposals_are_whole_distinct_and_a_function_of_the_trials(make: Callable[..., BaseSampler]) -> None:
    first, second = (study_of(make({1: macs}, seed=3, startup=6), 22) for _ in range(2))
    assert [t.params for t in first.trials] == [t.params for t in second.trials]
    assert len({tuple(sorted(t.params.items(), key=str)) for t in first.trials}) == 22
    # once the conditions were seen, what is proposed is what is asked for
    late = first.trials[14:]
    assert sum(t.system_attrs["derivation"]["proposed"] == t.params for t in late) >= 5
    # a sampler that starts on the record goes on as the one that was there
    continued = optuna.create_study(directions=["maximize", "minimize"], sampler=make({1: macs}, seed=3, startup=6))
    continued.add_trials(first.trials[:18])
    assert ask(continued.ask()) == first.trials[18].params


def test_running_trials_count_and_a_proposal_can_be_replayed() -> None:
    sampler = KnownCostSampler({1: macs}, seed=0, startup=4)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    open_trials: list[tuple[Trial, Params]] = []
    rng = random.Random(0)
    for _ in range(16):
        while len(open_trials) < 4:
            trial = study.ask()
            open_trials.append((trial, ask(trial)))
        trial, params = open_trials.pop(rng.randrange(4))
        study.tell(trial, [1 - error(params), macs(params)])
    assert len({tuple(sorted(t.params.items(), key=str)) for t in study.trials}) == len(study.trials)
    fresh = KnownCostSampler({1: macs}, seed=0, startup=4)
    noted = [trial for trial in study.trials[4:] if "derivation" in trial.system_attrs]
    assert len(noted) > 12
    for trial in noted:
        assert len(trial.system_attrs["derivation"]["running"]) == 3
        assert fresh.replay(study, trial.number) == trial.system_attrs["derivation"]["proposed"]
    # of three that have suggested one parameter each, all that was proposed is pending
    batch = [study.ask() for _ in range(3)]
    for trial in batch:
        trial.suggest_categorical("kind", ["conv", "attention", None])
    proposed = [study.trials[trial.number].system_attrs["derivation"]["proposed"] for trial in batch]
    assert proposed[0] != proposed[1] != proposed[2] != proposed[0]


def test_failed_and_pruned_trials_are_neither_learned_from_nor_repeated() -> None:
    sampler = KnownCostSampler({1: macs}, seed=0, startup=4)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    for number in range(14):
        trial = study.ask()
        params = ask(trial)
        if number % 3 == 1:
            study.tell(trial, state=TrialState.FAIL)
        elif number % 3 == 2:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            study.tell(trial, [1 - error(params), macs(params)])
    # one that failed does not teach what is asked for, so at most one is proposed under another guise
    assert len({tuple(sorted(t.params.items(), key=str)) for t in study.trials}) >= 13
    assert study.trials[-1].system_attrs["derivation"]["observed"] == 5


def test_limits_hold_for_what_is_proposed() -> None:
    sampler = KnownCostSampler({1: macs}, seed=1, legal=lambda params: macs(params) <= 300)
    study = study_of(sampler, 24)
    proposed = [t for t in study.trials[8:] if t.system_attrs["derivation"]["proposed"] == t.params]
    assert len(proposed) > 10
    assert all(t.values[1] <= 300 for t in proposed)


def test_three_objectives_and_none_known() -> None:
    def run(known: dict[int, Callable[[Params], float]]) -> float:
        sampler = KnownCostSampler(known, seed=0)
        study = optuna.create_study(directions=["maximize", "minimize", "minimize"], sampler=sampler)
        for _ in range(20):
            trial = study.ask()
            params = ask(trial)
            study.tell(trial, [1 - error(params), macs(params), float(params["layers"])])
        front = sampler.recommend(study)
        assert 1 < len(front) <= 20
        return len(front)

    assert run({1: macs, 2: lambda params: params["layers"]})
    assert run({})


def test_what_is_known_must_agree_with_what_is_told() -> None:
    sampler = KnownCostSampler({1: lambda params: 2 * macs(params)}, seed=0)
    with pytest.warns(UserWarning, match=r"objective 1 of trial 0 was told as .*, but known\[1\] says"):
        study_of(sampler, 2)
    with pytest.raises(ValueError, match=r"known names objectives \[2\], the study has 2"):
        study_of(KnownCostSampler({2: macs}), 1)
    with pytest.raises(ValueError, match="every objective is known"):
        study_of(KnownCostSampler({0: error, 1: macs}), 1)


def test_the_front_is_recommended_by_what_the_model_believes() -> None:
    # Forty-two trials, a third of them twice, with noise as large as what is searched for.
    sampler = KnownCostSampler({1: macs}, seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=RandomSampler(seed=0))
    noise = random.Random(0)
    for number in range(42):
        if number % 3 == 2:
            study.enqueue_trial(study.trials[-1].params)
        trial = study.ask()
        params = ask(trial)
        study.tell(trial, [1 - error(params) + noise.gauss(0, 0.05), macs(params)])

    def regret(trials: list[optuna.trial.FrozenTrial]) -> float:
        """How much better than they really are the members look."""
        return float(np.mean([t.values[0] - (1 - error(t.params)) for t in trials]))

    lucky, believed = study.best_trials, sampler.recommend(study)
    assert regret(believed) < 0.7 * regret(lucky)
    assert all(trial.state == TrialState.COMPLETE for trial in believed)


def test_conditions_are_learned_from_trials() -> None:
    study = study_of(RandomSampler(seed=0), 40)
    space = InferredSpace(study.trials, {1: macs}, (-1, 1))
    assert space.conditions["kind"].always
    assert space.conditions["kernel"].parent == "kind"
    assert space.conditions["scale"].parent in ("kind", "heads")
    assert space.conditions["width3"].parent in ("layers", "width2")
    assert space.distributions["heads"].choices == (1, 2, 4)
    rng = random.Random(0)
    drawn = [space.derive(lambda name, domain: domain.draw(rng)) for _ in range(60)]
    for candidate in drawn:
        assert candidate is not None
        replay = optuna.trial.FixedTrial(dict(candidate.choices))
        assert ask(replay) == candidate.choices  # type: ignore[arg-type]
        assert candidate.known == {1: macs(dict(candidate.choices))}
    for _ in range(60):
        child = mutate(space, drawn[0], rng)  # type: ignore[arg-type]
        other = crossover(space, drawn[0], drawn[1], rng)  # type: ignore[arg-type]
        for candidate in (child, other):
            assert candidate is not None
            assert ask(optuna.trial.FixedTrial(dict(candidate.choices))) == candidate.choices  # type: ignore[arg-type]


def test_names_that_are_paths_tell_the_rules_of_a_choice() -> None:
    assert suffixes("network[2]/block~2/mixer#1") == ("mixer#1", "block/mixer#1", "network/block/mixer#1")
    assert suffixes("layer1/width") == ("width", "layer1/width")


def test_graph_features_see_order_and_place_not_only_words() -> None:
    def tree(*words: str) -> Any:
        return ("seq", tuple((word, ()) for word in words))

    ab, ba = of_tree(tree("a", "b", "c")), of_tree(tree("b", "a", "c"))
    assert ab["labels"] == ba["labels"]
    assert ab["graph"] != ba["graph"]
    one, other = of_tree(("gate", (tree("a", "b"), ("c", ())))), of_tree(("gate", (tree("a"), tree("b", "c"))))
    assert one["graph"] != other["graph"]


def test_remembered_distances_are_those_worked_out_at_once() -> None:
    items = [Candidate({}, n, {}, {"f": {i: float(i % (n + 2)) for i in range(5)}}) for n in range(7)]
    at_once, step_by_step = Distances(["f"]), Distances(["f"])
    for count in range(2, 8):
        step_by_step.among(items[:count])
    expected = [[sum((a.features["f"][i] - b.features["f"][i]) ** 2 for i in range(5)) for b in items] for a in items]
    assert np.allclose(at_once.among(items)[0], expected)
    assert (step_by_step.among(items)[0] == at_once.among(items)[0]).all()
    assert np.allclose(at_once.to(items[:2], items[3:])[0], np.array(expected)[:2, 3:])


def test_nas_bench_macro_is_searched_in_a_fraction_of_the_evaluations(repository: Path) -> None:
    spec = importlib.util.spec_from_file_location("benchmark_samplers", repository / "benchmarks" / "samplers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    path = module.find_table(os.environ.get("METAMIXER_NAS_BENCH_MACRO"))
    if path is None:
        pytest.skip("no NAS-Bench-Macro beside the repository, nor in METAMIXER_NAS_BENCH_MACRO")
    table = module.Table.read(path)
    assert len(table.rows) == 3969
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        codes = module.OURS.run(table, 0, module.BAR).unique()
    assert table.volume(codes) >= 0.99 * table.volume(sorted(table.rows))
