"""Whether a record belongs to a study: fingerprints of what its numbers depend on, and what differs."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer import record
from metamixer.data.items import changes
from metamixer.errors import StudyError
from metamixer.record import checked, reading
from metamixer.search import budget
from metamixer.search.configuration import StudyConfig
from metamixer.search.driver.state import SearchState

if TYPE_CHECKING:
    from metamixer.language import Space
    from metamixer.search.storage.trial_store import TrialStore
    from metamixer.tasks import Task

# What may be changed when a study is continued: how much is done and where, not what is measured. Spaces and tasks
# are known by their content.
CHANGEABLE = {
    "data": {"broken", "cache", "memory_limit", "name"},
    "study": {"name", "storage", "budget", "warm_start", "seeds", "confirm", "keep", "space"},
    "search": {
        "sampler",
        "startup",
        "initial_points",
        "workers",
        "threads",
        "gpus",
        "address",
        "callbacks",
        "time_limit",
        "memory_limit",
        "retry_out_of_memory",
        "references",
    },
}

_CHANGED = {
    "format": "format: the record was written by another version of metamixer",
    "task": "task: its data or split has changed",
    "space": "space: its rules have changed",
    "words": "words: the vocabulary has changed (another version of metamixer, or another plug-in)",
    "training": "training: the recipe has changed",
}


def fingerprints(config: StudyConfig, space: Space, task: Task) -> dict[str, str]:
    """Hex of everything that a trial's accuracy and cost depend on, by what it is of."""
    return {
        "format": str(record.FORMAT),
        "task": task.fingerprint,
        "space": space.fingerprint,
        "words": _words(),
        "training": _hex(_recipe(config)),
    }


def _recipe(config: StudyConfig) -> str:
    """The recipe as text; with the alternatives of what is searched, where something is."""
    text = config.training.model_dump_json()
    return text if not config.searched else text + json.dumps(dict(config.searched), sort_keys=True)


def compare(store: TrialStore, settings: dict[str, Any], found: dict[str, str]) -> None:
    """Let a record that is continued know what was changed. One without trials becomes this study's.

    Args:
        store: The open record.
        settings: What the study would be started with now, see `metamixer.record.reading.settings`.
        found: The fingerprints now.

    Raises:
        StudyError: The record is of another task, recipe, space, vocabulary or seed, or the budget is below what it
            has; the message says what differs.
    """
    if not store.resumed:
        return
    if not store.trials:
        store.restart(settings, found)
        return
    try:
        checked.settings(store.settings)
    except ValueError as error:
        raise reading.damaged(store.place, str(error)) from None
    lines = _differences(store.settings, settings)
    for name, value in found.items():
        explained = any(line.startswith((f"{name}.", f"study.{name}:")) for line in lines)
        if store.fingerprints.get(name) != value and not explained:
            told = {"words": _packages, "task": _data}.get(name)
            lines += (told(store.settings, settings) if told else []) or [_CHANGED[name]]
    if lines:
        raise StudyError(
            "the record there is of another study",
            place="\n".join([str(store.place), *lines]),
            advice="give this one a name of its own (--name), or go back to what the record was started with",
        )
    asked = budget.parse(settings["study"]["budget"])
    # Hours that are over are no mistake: a study that is done is started again, and has nothing to do.
    state = SearchState(store.trials)
    spent = asked.spent(state.kinds["searched"], state.spent_epochs(settings["training"]["epochs"]), hours=0.0)
    if spent > asked.amount:
        has = f"{spent:g} architectures" if asked.unit == "trainings" else f"spent {spent:g} {asked.unit}"
        limit = f"{asked.amount:g}" if asked.unit == "trainings" else str(asked)
        raise StudyError(
            f"the record has {has}, more than the budget of {limit}",
            place=str(store.place),
            advice=f"give a budget of {budget.Budget(spent, asked.unit).text} or more (--budget), or another --name",
        )
    # The reference point stays: hypervolumes of one record are comparable.
    settings = {**settings, "reference_point": store.settings["reference_point"]}
    if store.settings != settings:
        store.extend(settings)


def _packages(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why the vocabulary differs, one line for each package that adds words."""
    before, now = old.get("packages", {}), new["packages"]
    gone = [f"words: {name} ({', '.join(before[name])}) is not installed here" for name in before if name not in now]
    come = [f"words: {name} ({', '.join(now[name])}) was not installed then" for name in now if name not in before]
    lines = gone + come
    return lines


def _data(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Why images differ, one line a reason: keys of `[data]`, and the images themselves."""
    before, now = old.get("data"), new.get("data")
    if not before or not now:
        return []
    lines = [
        f"data.{key}: {before.get(key)} in the record, {now[key]} here"
        for key in now
        if key not in CHANGEABLE["data"] and before.get(key) != now[key]
    ]
    lines += [f"data: {line}" for line in changes(Path(old["task"]["stored"]), Path(new["task"]["stored"]))]
    if old["task"]["description"] != new["task"]["description"]:
        lines.append(f"data: {old['task']['description']} in the record, {new['task']['description']} here")
    return lines


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What guards the record and differs, one line each."""
    lines = []
    for section in ("study", "training", "limits", "search"):
        for key in {**old[section], **new[section]}:
            before, now = old[section].get(key), new[section].get(key)
            if before != now and key not in CHANGEABLE.get(section, ()):
                lines.append(f"{section}.{key}: {before} in the record, {now} here")
    before, now = old["space"]["rules"], new["space"]["rules"]
    changed = sorted(rule for rule in {**before, **now} if before.get(rule) != now.get(rule))
    if changed:
        lines.append(f"space.rules: {', '.join(changed)} changed")
    for key in ("start", "max_depth"):
        if old["space"][key] != new["space"][key]:
            lines.append(f"space.{key}: {old['space'][key]} in the record, {new['space'][key]} here")
    return lines


def _words() -> str:
    """The vocabulary: every word's class, and the code of their modules without comments and docstrings."""
    from metamixer.language.checking.vocabulary import words

    classes = {name: type(word) for name, word in words().items()}
    parts = [f"{name} {kind.__module__}.{kind.__qualname__}" for name, kind in sorted(classes.items())]
    parts += [_code(module) for module in sorted({kind.__module__ for kind in classes.values()})]
    return _hex("\n".join(parts))


@cache
def _code(module: str) -> str:
    """A module without comments and docstrings."""
    tree = ast.parse(_source(module))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return ast.unparse(tree)


def _source(module: str) -> str:
    try:
        return inspect.getsource(sys.modules[module])
    except OSError:
        return ""  # a plug-in that comes without source is known by its names alone


def _hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
