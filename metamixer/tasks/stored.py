"""Tasks whose arrays lie in a folder: `train.npy`, `train-classes.npy` and so on, memory-mapped.

A worker gets such a task as the JSON of its job. It opens the folder, so that all workers of a machine share the pages
of one copy; on a cluster, where there may be no such folder, it is handed the arrays instead (`Task.receive`).
"""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from metamixer.errors import TaskError
from metamixer.tasks.task import Arrays, Part, Task

ABOUT = "about.json"


def paths(folder: Path, part: str) -> tuple[Path, Path]:
    """The files of the inputs and of the classes of `train`, `validation` or `test`."""
    return folder / f"{part}.npy", folder / f"{part}-classes.npy"


def task(document: dict[str, Any]) -> Task:
    """The task of a document that `Task.document` made; one document is one object in a process."""
    return _task(json.dumps(document, sort_keys=True))


def find(folder: Path) -> Task:
    """The task of a folder, as its `about.json` describes it.

    Raises:
        TaskError: It holds none.
    """
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return task({**about["task"], "stored": str(folder.absolute())})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TaskError(f"no task is stored there: {error}", str(folder), "name a folder of decoded images") from None


@cache
def _task(text: str) -> Task:
    document = json.loads(text)
    has_test = document.pop("has_test")
    folder = Path(document["stored"])
    lists = {name: document[name] for name in ("grid", "class_names", "mean", "std")}
    return Task(
        **{**document, **{name: None if value is None else tuple(value) for name, value in lists.items()}},
        load=partial(_load, folder),
        load_test=partial(_part, folder, "test") if has_test else None,
    )


def _load(folder: Path) -> Arrays:
    train, validation = _part(folder, "train"), _part(folder, "validation")
    return Arrays(train.x, train.y, validation.x, validation.y)


def _part(folder: Path, part: str) -> Part:
    inputs, classes = paths(folder, part)
    try:
        return Part(np.load(inputs, mmap_mode="r"), np.load(classes))
    except (OSError, ValueError) as error:
        raise TaskError(
            f"the {part} part of the data cannot be read: {error}",
            place=str(folder),
            advice="start the search again: what is missing is made again",
        ) from None
