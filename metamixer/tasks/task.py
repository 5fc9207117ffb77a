"""What a task is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from metamixer.errors import TaskError

if TYPE_CHECKING:
    from metamixer.language import Sentence


@dataclass(frozen=True, eq=False)
class Arrays:
    """One data set in memory.

    `x_*`: float32, (images, *grid, channels). `y_*`: int64 class numbers, (images,). A search sees the training and the
    validation part; the test part is for the final, once retrained networks.

    `groups`: int64, (training images,): rows with one number were made of one original, so cross-validation inside
    the training part must keep them together. None where every row is an original.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    groups: np.ndarray | None = None


@dataclass(frozen=True)
class Task:
    """One classification problem.

    Args:
        name: How studies name it.
        channels: Width of one input position.
        grid: Positions of one input along each axis; () for no grid.
        classes: Number of classes.
        fingerprint: Changes whenever the arrays change; a record refuses to mix two of them.
        load: Makes the arrays. Called at most once per process, through `data()`.
        description: One line for people.

    A task of your own is an object of this class, made known either by an entry point of the group `metamixer.tasks`
    or by naming it as `package.module:OBJECT` wherever a task's name is asked for.
    """

    name: str
    channels: int
    grid: tuple[int, ...]
    classes: int
    fingerprint: str
    load: Callable[[], Arrays] = field(repr=False)
    description: str = ""

    def data(self) -> Arrays:
        """The arrays, read-only and the same object on every call in one process.

        Raises:
            TaskError: The arrays do not have the shapes, types or class numbers that the task declares.
        """
        if self not in _arrays:
            _arrays[self] = _load(self)
        return _arrays[self]

    def receive(self, arrays: Arrays) -> None:
        """Take what `data()` gave another process, in place of loading it here; unless it was loaded already."""
        _arrays.setdefault(self, arrays)

    def network(self, sentence: Sentence) -> Sentence:
        """The full network, which is what is costed, built and keyed: the sentence, then `mean >> lin(classes)`."""
        from metamixer.language.syntax.nodes import size, word

        return sentence.then(word("mean"), word("lin", size(self.classes)))


_arrays: dict[Task, Arrays] = {}


def _load(task: Task) -> Arrays:
    arrays = task.load()
    for part in ("train", "val", "test"):
        x, y = getattr(arrays, f"x_{part}"), getattr(arrays, f"y_{part}")
        place = f"task {task.name}, part {part}"
        shape = (*task.grid, task.channels)
        if x.dtype != np.float32 or x.shape[1:] != shape:
            raise TaskError(
                f"inputs are {x.dtype} of shape {tuple(x.shape)}, not float32 of shape (images, {str(shape)[1:-1]})",
                place=place,
                advice="return channels-last float32 arrays of the task's grid and channels",
            )
        if y.dtype != np.int64 or y.shape != x.shape[:1]:
            raise TaskError(
                f"classes are {y.dtype} of shape {tuple(y.shape)}, not int64 of shape ({len(x)},)", place=place
            )
        if len(y) == 0 or y.min() < 0 or y.max() >= task.classes:
            raise TaskError(
                f"class numbers must lie in 0..{task.classes - 1}, and there must be some",
                place=place,
                advice="number the classes from 0, or declare more of them",
            )
        if not np.isfinite(x).all():
            raise TaskError("inputs hold NaN or infinite values", place=place, advice="clean the data first")
    for array in (getattr(arrays, name) for name in arrays.__dataclass_fields__):
        if array is not None:
            array.setflags(write=False)  # shared by everything in the process
    return arrays
