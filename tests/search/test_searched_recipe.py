"""A searched recipe: keys of `[training]` are drawn, modelled and recorded with the architecture."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import toys

from metamixer import record
from metamixer.errors import RecordError, StudyError
from metamixer.search import configuration
from metamixer.search.study import Study
from metamixer.simulate import table

Load = Callable[..., Study]
RATE = 'training.learning_rate="{1e-3|3e-3|1e-2}"'
SMOOTHING = 'training.batch_size="{32|64}"'
SAMPLERS = ("known-cost", "evolution", "random", "tpe", "nsga2")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_searches_the_recipe_and_trials_are_trained_by_it(
    load: Load, monkeypatch: pytest.MonkeyPatch, sampler: str
) -> None:
    jobs: dict[int, dict[str, Any]] = {}

    def evaluate(job: toys.Job, report: toys.Report) -> dict[str, Any]:
        jobs[job["number"]] = job["training"]
        return toys.tuned(job, report)

    monkeypatch.setattr(toys, "watched", evaluate, raising=False)
    study = load(RATE, SMOOTHING, f"search.sampler={sampler}", "search.evaluate=toys:watched", "study.confirm=2")
    assert study.run("inline").state == "finished"
    trials = record.read(study.path)
    searched = [trial for trial in trials if trial.kind == "searched"]
    assert len(searched) == 12
    for trial in trials:
        first = trial if trial.replicate_of is None else trials[trial.replicate_of]
        if trial.number in jobs:
            chosen = first.choices["training.learning_rate"], first.choices["training.batch_size"]
            assert (jobs[trial.number]["learning_rate"], jobs[trial.number]["batch_size"]) == (
                float(chosen[0]),
                chosen[1],
            )
    assert any(trial.kind == "replicate" for trial in trials)
    assert len({trial.choices["training.learning_rate"] for trial in searched}) > 1
    assert all(trial.key and " " not in trial.key for trial in searched)


def test_a_good_recipe_is_learned(load: Load) -> None:
    study = load(RATE, "search.evaluate=toys:tuned", "study.budget=40", "study.confirm=1", "search.startup=8")
    study.run("inline")
    rates = Counter(t.choices["training.learning_rate"] for t in record.read(study.path)[20:] if t.kind == "searched")
    assert rates["3e-3"] > sum(rates.values()) / 2


def test_one_architecture_under_two_recipes_is_two_trials_of_one_key(load: Load, file: Any) -> None:
    space = file.parent / "small.toml"
    space.write_text("name = 'small'\n[rules]\nnetwork = 'patch(1,8) >> {norm|bn}'\n")
    study = load(RATE, "study.budget=20", "study.confirm=1")
    assert study.run("inline").state == "exhausted"
    searched = [trial for trial in record.read(study.path) if trial.kind == "searched"]
    assert Counter(Counter(trial.key for trial in searched).values()) == {3: 2}
    assert len({trial.identity for trial in searched}) == 6


def test_a_search_that_is_continued_is_the_one_that_was_not_interrupted(load: Load) -> None:
    options = (RATE, "study.confirm=1", "search.workers=1")
    whole = load(*options, name="whole")
    whole.run("inline")
    part = load(*options, "study.budget=7", name="part")
    part.run("inline")
    part = load(*options, name="part")
    part.run("inline")
    first, second = (
        [(t.sentence, t.choices) for t in record.read(study.path) if t.kind == "searched"] for study in (whole, part)
    )
    assert first == second


def test_baselines_and_initial_points_have_the_first_alternative(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def evaluate(job: toys.Job, report: toys.Report) -> dict[str, Any]:
        seen[job["number"]] = job["training"]["learning_rate"]
        return toys.fast(job, report)

    monkeypatch.setattr(toys, "watched", evaluate, raising=False)
    start = "patch(2,16) >> res(norm >> lin) >> res(norm >> ffn(2)) >> norm"
    study = load(
        RATE,
        "search.evaluate=toys:watched",
        "study.budget=3",
        "study.confirm=1",
        'baselines.names=["vit_digits"]',
        f'search.initial_points="{start}"',
    )
    study.run("inline")
    baseline, initial = record.read(study.path)[:2]
    assert (baseline.kind, seen[baseline.number]) == ("baseline", 1e-3)
    assert (initial.origin, seen[initial.number]) == ("initial point", 1e-3)
    assert initial.choices["training.learning_rate"] == "1e-3"


def test_a_warm_start_knows_recipes(load: Load) -> None:
    load(RATE, "study.confirm=1", name="before").run("inline")
    study = load(RATE, "study.confirm=1", "study.warm_start=before", "study.budget=4", name="after")
    study.run("inline")
    trials = record.read(study.path)
    imported = {trial.identity for trial in trials if trial.kind == "imported"}
    assert len(imported) == 12
    assert not imported & {trial.identity for trial in trials if trial.kind == "searched"}
    with pytest.raises(StudyError, match="not what this one measures"):
        load("study.warm_start=before", name="other").run("inline")


def test_the_resolved_study_starts_the_same_study(load: Load) -> None:
    study = load(RATE, "study.budget=2", "study.confirm=1")
    study.run("inline")
    text = (study.path / "resolved.toml").read_text()
    assert 'learning_rate = "{1e-3|3e-3|1e-2}"' in text
    assert Study(configuration.load(study.path / "resolved.toml"), study.runs).run("inline").trained == 2
    assert study.renamed("other").config.searched == study.config.searched


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('training.epochs="{1|2}"', "training.epochs cannot be searched"),
        ('training.preset="{ffnet|airbench}"', "training.preset cannot be searched"),
        ('training.learning_rate="{1e-3|}"', "training.learning_rate: an alternative is empty"),
        ('training.learning_rate="{}"', "training.learning_rate: an alternative is empty"),
        ('training.learning_rate="{1e-3}"', "training.learning_rate: a choice has 2 to 1000 alternatives"),
        ('training.learning_rate="{1e-3|1e-3}"', "training.learning_rate: an alternative stands twice"),
        ('training.learning_rate="{1e-3|fast}"', "training.learning_rate: fast is none"),
        ('training.learning_rate="{1e-3|-1}"', "training.learning_rate: -1 is none"),
        ('training.optimizer="{adamw|adam}"', "training.optimizer: adam is none"),
        ('training.batch_size="{1..100000}"', "the range 1..100000 is not of 2 to 1000 integers"),
        ('training.lerning_rate="{1|2}"', "unknown key training.lerning_rate"),
    ],
)
def test_a_choice_that_is_none_is_one_message(load: Load, override: str, message: str) -> None:
    with pytest.raises(StudyError, match=message):
        load(override)


def test_any_key_may_be_searched_texts_too(load: Load) -> None:
    study = load('training.optimizer="{adamw|muon}"', 'training.crop="{0..2}"', "study.budget=2", "study.confirm=1")
    assert study.config.searched == {"optimizer": ("adamw", "muon"), "crop": (0, 1, 2)}
    assert study.config.training.optimizer == "adamw"
    study.run("inline")
    assert {trial.choices["training.crop"] for trial in record.read(study.path)} <= {0, 1, 2}


def test_what_was_chosen_is_printed_beside_the_architecture(load: Load, metamixer: Any) -> None:
    study = load(RATE, "study.budget=3", "study.confirm=2")
    study.run("inline")
    trials = record.read(study.path)
    replicate = next(trial for trial in trials if trial.kind == "replicate")
    original = trials[replicate.replicate_of or 0]
    other = next(trial for trial in trials if trial.kind == "searched" and trial.number != original.number)
    rates = [trial.recipe["learning_rate"] for trial in (replicate, other)]
    assert replicate.recipe == original.recipe
    assert re.search(r"parameters +learning_rate +sentence", metamixer("show", study.path).stdout)
    printed = metamixer("show", study.path, replicate.number).stdout
    assert re.search(rf"learning_rate +{rates[0]}", printed), printed
    assert "training.learning_rate" not in printed
    names = [f"{study.path.name}#{trial.number}" for trial in (replicate, other)]
    printed = metamixer("diff", *names, "--runs", study.runs).stdout
    assert re.search(rf"learning_rate +{rates[0]} +{rates[1]}", printed), printed


def test_no_table_is_made_of_several_recipes(load: Load, tmp_path: Any) -> None:
    study = load(RATE, "study.budget=3", "study.confirm=1")
    study.run("inline")
    with pytest.raises(RecordError, match=r"its recipe was searched \(training\.learning_rate\)"):
        table.from_run(study.path)
