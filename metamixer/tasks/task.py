"""What a task is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from metamixer.errors import TaskError

if TYPE_CHECKING:
    from metamixer.language import Sentence

# Inputs that are looked at at a time, so that checking a memory-mapped part does not read it whole into memory.
_CHECKED_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Part:
    """Inputs and classes of one part of a data set.

    `x`: float32, or uint8 for pixel values, (images, *grid, channels); an array or a read-only memory map.
    `y`: int64 class numbers, (images,).
    """

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, eq=False)
class Arrays:
    """What a search sees of a data set: its training and its validation part, as `Part` describes them.

    `groups`: int64, (training images,): rows with one number were made of one original, so cross-validation inside
    the training part must keep them together. None where every row is an original.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
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
        load: Makes the training and the validation part. Called at most once per process, through `data()`.
        load_test: Makes the test part, through `test()`; None where the task has none.
        description: One line for people.
        class_names: One name a class, in the order of their numbers; None where they have none.
        mean: Of each channel; what training subtracts of its inputs, on the device. uint8 inputs are divided by 255
            first, so that it is a number in 0..1 there. None: nothing is subtracted.
        std: Of each channel; what training then divides by. None: by nothing.
        memory_limit: Bytes of one part that training may hold in memory, of the machine or of the device; of a larger
            part it reads batches. None: as much as there is.
        stored: Where `metamixer.tasks.stored` finds the arrays; None for a task that is found by its name.

    A task of your own is an object of this class, made known either by an entry point of the group `metamixer.tasks`
    or by naming it as `package.module:OBJECT` wherever a task's name is asked for. Images in folders, Parquet files
    or arrays need no task of their own: the section `[data]` of a study names them.
    """

    name: str
    channels: int
    grid: tuple[int, ...]
    classes: int
    fingerprint: str
    load: Callable[[], Arrays] = field(repr=False)
    load_test: Callable[[], Part] | None = field(default=None, repr=False)
    description: str = ""
    class_names: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    memory_limit: int | None = None
    stored: str | None = None

    def __post_init__(self) -> None:
        place = f"task {self.name}"
        for name, value in (("mean", self.mean), ("std", self.std)):
            if value is not None and len(value) != self.channels:
                raise TaskError(f"{name} has {len(value)} numbers for {self.channels} channels", place)
        if self.std is not None and min(self.std) <= 0:
            raise TaskError("std must be above 0 in every channel", place, "take 1 for a channel that is constant")
        if self.class_names is not None and len(self.class_names) != self.classes:
            raise TaskError(f"{len(self.class_names)} class names for {self.classes} classes", place)

    def data(self) -> Arrays:
        """Training and validation part, read-only and the same object on every call in one process.

        Raises:
            TaskError: The arrays do not have the shapes, types or class numbers that the task declares.
        """
        if self not in _arrays:
            arrays = self.load()
            if not isinstance(arrays, Arrays):
                raise self._not_a(arrays, "load", "Arrays")
            self._check("train", arrays.x_train, arrays.y_train)
            self._check("validation", arrays.x_val, arrays.y_val)
            if arrays.groups is not None:
                arrays.groups.setflags(write=False)
            _arrays[self] = arrays
        return _arrays[self]

    def test(self) -> Part:
        """The test part, which a search never asks for: it is for the final networks, trained anew.

        Raises:
            TaskError: There is none, or it does not have the shapes, types or class numbers that the task declares.
        """
        if self.load_test is None:
            raise TaskError(f"task {self.name} has no test part", advice="give it one: `test` in [data], or load_test")
        part = self.load_test()
        if not isinstance(part, Part):
            raise self._not_a(part, "load_test", "Part")
        self._check("test", part.x, part.y)
        return part

    def receive(self, arrays: Arrays) -> None:
        """Take what `data()` gave another process, in place of loading it here; unless it was loaded already."""
        _arrays.setdefault(self, arrays)

    def document(self) -> dict[str, Any]:
        """What a job carries of the task, as JSON: `metamixer.tasks.of` gives the task again, on any machine."""
        if self.stored is None:
            return {"name": self.name}
        return {
            "name": self.name,
            "channels": self.channels,
            "grid": list(self.grid),
            "classes": self.classes,
            "fingerprint": self.fingerprint,
            "description": self.description,
            "class_names": None if self.class_names is None else list(self.class_names),
            "mean": None if self.mean is None else list(self.mean),
            "std": None if self.std is None else list(self.std),
            "memory_limit": self.memory_limit,
            "has_test": self.load_test is not None,
            "stored": self.stored,
        }

    def network(self, sentence: Sentence) -> Sentence:
        """The full network, which is what is costed, built and keyed: the sentence, then `mean >> lin(classes)`."""
        from metamixer.language.syntax.nodes import size, word

        return sentence.then(word("mean"), word("lin", size(self.classes)))

    def _not_a(self, value: object, function: str, kind: str) -> TaskError:
        return TaskError(
            f"{function} returned a {type(value).__name__}, not a metamixer.tasks.{kind}",
            place=f"task {self.name}",
            advice=f"return {kind}({', '.join(Arrays.__annotations__ if kind == 'Arrays' else Part.__annotations__)})",
        )

    def _check(self, part: str, x: np.ndarray, y: np.ndarray) -> None:
        place = f"task {self.name}, part {part}"
        for what, value in (("inputs", x), ("classes", y)):
            if not isinstance(value, np.ndarray):
                raise TaskError(f"{what} are a {type(value).__name__}, not a NumPy array", place=place)
        shape = (*self.grid, self.channels)
        if x.dtype not in (np.float32, np.uint8) or x.shape[1:] != shape:
            raise TaskError(
                f"inputs are {x.dtype} of shape {tuple(x.shape)}, not float32 or uint8 of shape"
                f" (images, {str(shape)[1:-1]})",
                place=place,
                advice="return channels-last float32 (or uint8) arrays of the task's grid and channels",
            )
        if y.dtype != np.int64 or y.shape != x.shape[:1]:
            raise TaskError(
                f"classes are {y.dtype} of shape {tuple(y.shape)}, not int64 of shape ({len(x)},)", place=place
            )
        if len(y) == 0 or y.min() < 0 or y.max() >= self.classes:
            raise TaskError(
                f"class numbers must lie in 0..{self.classes - 1}, and there must be some",
                place=place,
                advice="number the classes from 0, or declare more of them",
            )
        rows = range(0, len(x), _CHECKED_AT_ONCE)
        if x.dtype == np.float32 and not all(np.isfinite(x[row : row + _CHECKED_AT_ONCE]).all() for row in rows):
            raise TaskError("inputs hold NaN or infinite values", place=place, advice="clean the data first")
        for array in (x, y):
            array.setflags(write=False)  # shared by everything in the process


_arrays: dict[Task, Arrays] = {}
