"""Finding tasks by name."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from pathlib import Path
from typing import Any

from metamixer.errors import TaskError, listed
from metamixer.tasks import stored
from metamixer.tasks.digits import DIGITS, DIGITS_HARD
from metamixer.tasks.task import Task

GROUP = "metamixer.tasks"

_SHIPPED = {task.name: task for task in (DIGITS_HARD, DIGITS)}


def names() -> list[str]:
    """The names of the shipped tasks and of those that installed packages offer, sorted."""
    return sorted({*_SHIPPED, *_offered()})


@cache
def get(name: str) -> Task:
    """The task of this name: a shipped one, one of the entry-point group `metamixer.tasks`, or `package.module:OBJECT`.

    `stored:FOLDER` is the task of a folder that `[data]` of a study was decoded to.

    Raises:
        TaskError: There is none, or what the name leads to cannot be imported or is no `Task`.
    """
    if name in _SHIPPED:
        return _SHIPPED[name]
    offered = _offered()
    if name in offered:
        return _checked(name, offered[name].load, f"entry point {offered[name].value}")
    if name.startswith("stored:"):
        return stored.find(Path(name.removeprefix("stored:")))
    if ":" in name:
        return _checked(name, lambda: _dotted(name), f"{name} as package.module:OBJECT")
    known = names()
    near = difflib.get_close_matches(name, known, n=1)
    raise TaskError(
        f"unknown task {name!r}",
        place=f"known tasks: {listed(name, known)}",
        advice=f"did you mean {near[0]!r}?" if near else "a task of your own is named as package.module:OBJECT",
    )


def of(document: dict[str, Any]) -> Task:
    """The task of a job, `job["task"]`, as `Task.document` wrote it: by its name, or with the folder of its arrays.

    Raises:
        TaskError: There is none of this name.
    """
    return stored.task(document) if document.get("stored") else get(document["name"])


def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _dotted(name: str) -> object:
    module, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        # As `python -m` does: a console script has its own folder on the path, not the user's.
        sys.path.append(here)
    return attrgetter(attribute)(import_module(module))


def _checked(name: str, load: Callable[[], object], place: str) -> Task:
    try:
        task = load()
    except (ImportError, AttributeError, ValueError) as error:
        raise TaskError(
            f"task {name!r} cannot be imported: {error}", place=place, advice="name an importable module's Task object"
        ) from error
    if not isinstance(task, Task):
        raise TaskError(
            f"task {name!r} leads to a {type(task).__name__}", place=place, advice="name a metamixer.tasks.Task object"
        )
    return task
