"""Warm start: what an earlier study of the same task and recipe has trained is known to this one from its first trial.

Finished architectures, with their further seeds and the baselines both have, are copied into the record before the
search begins. They are trials of kind `imported` (`baseline`, `replicate`) that name their `source`; they do not count
against the budget, they are never trained again, and they may be on the front.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer import record, resources
from metamixer.errors import LanguageError, StudyError
from metamixer.record import Trial
from metamixer.search import configuration
from metamixer.search.configuration import StudyConfig
from metamixer.search.proposals.proposer import Costed, over, recipe_choices
from metamixer.search.samplers.optuna_samplers import distribution
from metamixer.search.storage.trial_store import Parameters, TrialStore

if TYPE_CHECKING:
    from metamixer.language import Space
    from metamixer.language.spaces.choice import Choice, Value
    from metamixer.tasks import Task

# What an accuracy depends on; spaces may differ.
GUARDS = {
    "format": "it was written by another version of metamixer",
    "task": "its task, or the data of it, is another one",
    "training": "its recipe is another one",
    "words": "its vocabulary is another one (another version of metamixer, or another plug-in)",
}


def find(
    config: StudyConfig,
    fingerprints: Mapping[str, str],
    baselines: Mapping[str, Costed],
    path: Path,
    recorded: Sequence[Trial],
) -> list[Trial]:
    """The trials to take over from `study.warm_start`, in order; none when this study's search has begun with them.

    Stopped trials come with what they have; failed ones do not come and may be tried again; what is over a limit of
    this study stays behind.

    Args:
        config: This study.
        fingerprints: Its fingerprints.
        baselines: Its baselines.
        path: Its run's folder; the earlier run is looked for beside it.
        recorded: The trials that its record has.

    Raises:
        ResourceError: There is no such run.
        RecordError: It cannot be read.
        StudyError: It is of another task, recipe or vocabulary, or has nothing finished; or this study's search has
            begun without it.
    """
    name = config.study.warm_start
    if name is None:
        return []
    if any(trial.source is None for trial in recorded):
        if any(trial.source for trial in recorded):
            return []
        raise StudyError(
            "this study's search has begun without what it should start from",
            f"study.warm_start = {name}",
            "give the study another name (--name), or leave the warm start out",
        )
    file = resources.record(name, path.parent)
    _guard(record.settings(file), config, fingerprints, name)
    found: dict[int, Trial] = {}
    for trial in record.read(file):
        if _wanted(trial, config, baselines, found):
            kind = "imported" if trial.searched else trial.kind
            found[trial.number] = replace(trial, kind=kind, source=f"{name}#{trial.number}", weights=None, clock=None)
    if not any(trial.kind == "imported" for trial in found.values()):
        raise StudyError(
            "the earlier study has no finished architecture",
            f"study.warm_start = {name}",
            "run it first, or leave the warm start out",
        )
    return list(found.values())


def take_over(
    store: TrialStore,
    trials: Sequence[Trial],
    space: Space,
    task: Task,
    searched: Mapping[str, Sequence[int | str]] | None = None,
) -> None:
    """Write what `find` found into a record whose search has not begun; what is there already stays as it is."""
    there = {trial.source: trial.number for trial in store.trials}
    places: dict[int, int] = {}
    for trial in trials:
        if trial.source not in there:
            imported = trial.kind == "imported"
            parameters = _parameters(space, task, trial, recipe_choices(searched or {})) if imported else None
            of = None if trial.replicate_of is None else places[trial.replicate_of]
            # Parents that failed there, or are over a limit here, did not come.
            parents = tuple(places[number] for number in trial.parents if number in places)
            there[trial.source] = store.add(replace(trial, replicate_of=of, parents=parents), parameters).number
        places[trial.number] = there[trial.source]


def _guard(settings: Mapping[str, Any], config: StudyConfig, fingerprints: Mapping[str, str], name: str) -> None:
    lines = [why for what, why in GUARDS.items() if settings["fingerprints"].get(what) != fingerprints[what]]
    if GUARDS["training"] in lines:
        lines += _recipe(settings["training"], configuration.to_json(config)["training"])
    trained_by = settings["search"]["evaluate"]
    if trained_by != config.search.evaluate:
        lines.append(f"it was trained by {trained_by}, not by {config.search.evaluate}")
    if lines:
        raise StudyError(
            "what the earlier study measured is not what this one measures",
            "\n".join([f"study.warm_start = {name}", *lines]),
            "start without it, or go back to its task, recipe and version",
        )


def _recipe(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Which keys of two recipes differ, one line each, with both values."""
    return [
        f"training.{key}: {there.get(key, 'not set')} there, {here.get(key, 'not set')} here"
        for key in {**there, **here}
        if there.get(key) != here.get(key)
    ]


def _wanted(trial: Trial, config: StudyConfig, baselines: Mapping[str, Costed], found: Mapping[int, Trial]) -> bool:
    if trial.kind == "replicate":
        return trial.state == "complete" and trial.replicate_of in found
    if trial.kind == "baseline":
        known = baselines.get(trial.name or "")
        return trial.state == "complete" and known is not None and known.key == trial.key
    finished = trial.searched and (trial.state == "complete" or trial.stopped)
    return finished and trial.cost is not None and over(trial.cost, config.limits) is None


def _parameters(space: Space, task: Task, trial: Trial, recipe: Mapping[str, Choice]) -> Parameters | None:
    """A derivation as this study's space would have it; None where the space does not derive the sentence so."""
    domains = {}

    def choose(name: str, choice: Choice) -> Value:
        if trial.choices.get(name) not in choice.viable:
            raise LookupError(name)
        domains[name] = distribution(choice)
        return trial.choices[name]

    try:
        drawn = space.draw(random.Random(0), channels=task.channels, grid=task.grid, choose=choose)
        choices = {**drawn.choices, **{name: choose(name, choice) for name, choice in recipe.items()}}
    except (LookupError, LanguageError):
        return None
    if str(drawn.sentence) != trial.sentence:
        return None
    return Parameters(choices, {name: domains[name] for name in choices})
