"""Where a trial comes from: how it was made, and of which trials."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from metamixer import record
from metamixer.language import Space
from metamixer.record import Trial
from metamixer.search.samplers.registry import SHIPPED
from metamixer.search.study import Study

Load = Callable[..., Study]
MADE = {"prior", "mutation", "crossover"}
POINT = "patch(2,16) >> (res(norm >> dw(3)) >> res(norm >> ffn(2)))^2 >> norm"
SHORT = ('baselines.names=["vit_digits"]', "study.confirm=2", "search.startup=4", "study.budget=14")


def proposed(study: Study) -> list[Trial]:
    return [trial for trial in record.read(study.path) if trial.kind in ("searched", "rejected")]


@pytest.mark.parametrize("sampler", ["known-cost", "evolution"])
def test_parents_are_earlier_trials_that_a_child_is_made_of(load: Load, file: Path, sampler: str) -> None:
    study = load(*SHORT, f"search.sampler={sampler}", f"search.initial_points={[POINT]!r}")
    study.run("inline")
    trials = record.read(study.path)
    searched = [trial for trial in trials if trial.kind == "searched"]
    assert searched[0].origin == "initial point"
    assert {trial.origin for trial in searched[1:]} <= MADE
    children = [trial for trial in searched if trial.parents]
    assert len(children) >= 3
    space = Space.load(file.parent / "small.toml")
    shared, strangers = [], []
    for child in children:
        assert child.origin in ("mutation", "crossover")
        assert len(child.parents) <= (1 if child.origin == "mutation" else 2)
        assert all(number < child.number for number in child.parents)
        assert all(trials[number].kind in ("searched", "baseline") for number in child.parents)
        own = set(child.choices.items())
        shared += [len(own & set(trials[number].choices.items())) / len(own) for number in child.parents]
        drawn = space.draw(random.Random(child.number), 1, (8, 8)).choices
        strangers.append(len(own & set(drawn.items())) / len(own))
    # A child has more of its parents' choices than of a stranger's.
    assert sum(shared) / len(shared) > sum(strangers) / len(strangers) + 0.2
    assert all(not trial.parents for trial in trials if trial.origin in ("prior", "initial point", None))
    assert {trial.origin for trial in trials if trial.kind in ("baseline", "replicate")} == {None}


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_other_samplers_have_no_parents(load: Load, sampler: str) -> None:
    study = load(*SHORT, f"search.sampler={sampler}")
    study.run("inline")
    trials = proposed(study)
    assert all(trial.parents == () for trial in trials)
    origins = Counter(trial.origin for trial in trials)
    assert origins["prior"] >= 4
    if sampler == "random":
        assert set(origins) == {"prior"}
    else:
        assert set(origins) == {"prior", "model"}
    assert sampler in SHIPPED


def test_a_search_that_is_continued_has_the_lineage_of_one_that_was_not(load: Load) -> None:
    def lineage(study: Study) -> list[tuple[str, str | None, tuple[int, ...]]]:
        return [(trial.sentence, trial.origin, trial.parents) for trial in proposed(study)]

    options = ("study.confirm=1", "search.startup=3", "search.sampler=evolution")
    whole = load(*options, "study.budget=12", name="whole")
    whole.run("inline")
    for budget in (6, 12):
        parts = load(*options, f"study.budget={budget}", name="parts")
        parts.run("inline")
    assert lineage(parts) == lineage(whole)
    assert any(parents for _, _, parents in lineage(whole))


def test_a_warm_start_keeps_lineage_under_the_numbers_that_trials_have_here(load: Load) -> None:
    options = ('baselines.names=["vit_digits"]', "study.confirm=1", "search.startup=3", "search.sampler=evolution")
    earlier = load(*options, "study.budget=12", name="earlier")
    earlier.run("inline")
    there = record.read(earlier.path)
    later = load(*options, "study.budget=3", "study.warm_start=earlier", name="later")
    later.run("inline")
    here = record.read(later.path)
    imported = [trial for trial in here if trial.kind == "imported"]
    assert any(trial.parents for trial in imported)
    for trial in imported:
        source = there[int((trial.source or "").partition("#")[2])]
        assert trial.origin == source.origin
        assert [here[number].sentence for number in trial.parents] == [there[n].sentence for n in source.parents]
    children = [trial for trial in here if trial.kind == "searched" and trial.parents]
    assert any(here[number].kind == "imported" for child in children for number in child.parents)
