"""What a study names, looked up and checked before anything runs: its space, its task, its baselines."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer import record
from metamixer.errors import LanguageError, StudyError
from metamixer.search import configuration
from metamixer.search.configuration import StudyConfig
from metamixer.search.driver.progress import Silent, View
from metamixer.search.storage import compatibility, provenance

if TYPE_CHECKING:
    from metamixer.language import Space
    from metamixer.search.proposals.proposer import Costed
    from metamixer.tasks import Task


@dataclass(frozen=True)
class Prepared:
    """A study with what it names.

    Attributes:
        config: With the baselines by name: those of the task, where the study names none.
        space: What is searched.
        task: What is learnt.
        baselines: Name and costed sentence of each.
        settings: What its record is started with, see `metamixer.record.reading.settings`.
        fingerprints: Of everything that a trial's numbers depend on.
    """

    config: StudyConfig
    space: Space
    task: Task
    baselines: Mapping[str, Costed]
    settings: dict[str, Any]
    fingerprints: dict[str, str]


def prepare(config: StudyConfig, runs: str | Path, view: View) -> Prepared:
    """Look up what a study names; images of `[data]` are decoded here, before any worker asks for them.

    Args:
        config: The study.
        runs: The folder that holds its run; decoded images lie beside it.
        view: Is told what takes a while.

    Raises:
        UserError: There is no such space, task, data or baseline, or one does not fit the other.
    """
    from metamixer import resources
    from metamixer.language import Space

    space = Space.load(resources.find("search_spaces", config.study.space))
    task = _task(config, runs, view)
    config = _with_baselines(config, task, view)
    baselines = _baselines(config, task)
    settings = _settings(config, space, task, baselines)
    return Prepared(config, space, task, baselines, settings, compatibility.fingerprints(config, space, task))


def _task(config: StudyConfig, runs: str | Path, view: View) -> Task:
    from metamixer import tasks
    from metamixer.data import cache

    if config.study.task is not None:
        return tasks.get(config.study.task)
    assert config.data is not None  # a study has either
    prepared = cache.prepare(config.data, runs, view.say, shown=not isinstance(view, Silent))
    cache.refuse_broken(prepared, config.data)
    return prepared.task


def _with_baselines(config: StudyConfig, task: Task, view: View) -> StudyConfig:
    from metamixer import catalog

    if config.baselines.names is not None:
        return config
    names = catalog.names(task.name)
    if task.stored is not None:
        names = [name for name in names or catalog.for_images(task.grid) if _fits(name, task)]
        if not names:
            view.say("no published designs of this size are in the catalogue: name some with [baselines] names")
    named = configuration.Baselines(names=tuple(names))
    return config.model_copy(update={"baselines": named})


def _fits(baseline: str, task: Task) -> bool:
    from metamixer import catalog
    from metamixer.search.proposals.proposer import costed

    try:
        costed(catalog.get(baseline).sentence, task)
    except LanguageError:
        return False
    return True


def _baselines(config: StudyConfig, task: Task) -> dict[str, Costed]:
    from metamixer import catalog
    from metamixer.search.proposals.proposer import costed

    baselines: dict[str, Costed] = {}
    for name in config.baselines.names or ():
        sentence = catalog.get(name).sentence
        try:
            baselines[name] = costed(sentence, task)
        except LanguageError as error:
            raise StudyError(
                f"baseline {name} does not fit the task {task.name}", place=str(error), advice="take it out"
            ) from None
    for key in {item.key for item in baselines.values()}:
        same = [name for name, item in baselines.items() if item.key == key]
        if len(same) > 1:
            raise StudyError(f"baselines {' and '.join(same)} are one architecture", "[baselines] names")
    return baselines


def _settings(config: StudyConfig, space: Space, task: Task, baselines: Mapping[str, Costed]) -> dict[str, Any]:
    document = configuration.to_json(config)
    del document["study"]["storage"]  # a record does not say where it lies, nor with which password
    return {
        **document,
        "task": {
            **task.document(),
            "channels": task.channels,
            "grid": list(task.grid),
            "classes": task.classes,
        },
        "space": {
            "name": space.name,
            "start": space.start,
            "max_depth": space.max_depth,
            "rules": dict(space.rules),
        },
        "reference_point": _reference_point(config, space, task, baselines),
        "versions": provenance.versions(),
        "packages": provenance.packages(),
        "git": provenance.git(),
        "format": record.FORMAT,
    }


def _reference_point(config: StudyConfig, space: Space, task: Task, baselines: Mapping[str, Costed]) -> list[float]:
    """Where the hypervolume starts: guessing, at the limit of MACs, or at twice the dearest of what is known."""
    from metamixer.search.proposals.proposer import costed

    macs = config.limits.macs
    if macs is None:
        rng = random.Random(config.study.seed)
        drawn = [space.draw(rng, channels=task.channels, grid=task.grid).sentence for _ in range(64)]
        macs = 2 * max(item.cost["macs"] for item in [*baselines.values(), *(costed(s, task) for s in drawn)])
    return [1 / task.classes, float(2 * macs)]
