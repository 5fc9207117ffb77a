"""What every source of images gives: classes at once, images when they are asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from metamixer.data.decoding import Item
from metamixer.errors import StudyError

PartName = Literal["train", "validation", "test"]


@dataclass(frozen=True, eq=False)
class Source:
    """Labelled images that can be read by row.

    Attributes:
        address: As the study names it.
        labels: int64, (rows,): class numbers into `class_names`.
        class_names: In the order of their numbers.
        read: The images of some rows, in the order of the rows, which rise.
        name: Of one row, for people: a file, or a row of a table.
        listing: Hex that changes when the files behind it do, found without reading the images.
        floats: (rows, *grid, channels) float32 that are no pixels and are taken as they are; None for images.
        notes: What people should know, one line each.
    """

    address: str
    labels: np.ndarray
    class_names: tuple[str, ...]
    read: Callable[[Sequence[int]], Iterator[Item]]
    name: Callable[[int], str]
    listing: str
    floats: np.ndarray | None = None
    notes: tuple[str, ...] = ()


def listing(paths: Iterable[Path], root: Path | None = None) -> str:
    """Digest of names, sizes and times of change of files; names are relative to `root`, if one is given."""
    digest = hashlib.sha256()
    for path in paths:
        about = os.stat(path)
        name = path if root is None else path.relative_to(root)
        digest.update(f"{name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def classes(
    values: Sequence[Any], names: Sequence[str] | None, place: str
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    """Class numbers, class names and notes, from a column of labels.

    Args:
        values: Whole numbers or texts; what is neither is refused.
        names: Of whole numbers, if they are known. Texts are their own, sorted.
        place: For messages.

    Raises:
        StudyError: There are no labels, a label is missing, negative, beyond `names`, or neither number nor text.
    """
    if len(values) == 0:
        raise StudyError("there are no images", place, "name a source that has some")
    found = np.asarray(values)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]  # a column, as Keras and MedMNIST write them
    if found.dtype.kind in "US" or (found.dtype.kind == "O" and all(isinstance(value, str) for value in found.flat)):
        texts, numbers = np.unique(found.astype(str), return_inverse=True)
        return numbers.astype(np.int64), tuple(map(str, texts)), []
    if found.dtype.kind not in "iub" or found.ndim != 1:
        what = f"{found.dtype} of shape {found.shape}" if found.dtype.kind != "O" else "values of several types"
        raise StudyError(f"labels are {what}, not whole numbers or texts", place, "give one class to every image")
    if found.min() < 0:
        count = int((found < 0).sum())
        raise StudyError(f"{count} labels are below 0", place, "leave images without a class out")
    if names is not None and found.max() >= len(names):
        raise StudyError(f"a label is {found.max()}, and there are {len(names)} class names", place)
    # Numbers that no row has are no classes here: of a thousand declared classes a part may hold ten.
    used, numbers = np.unique(found, return_inverse=True)
    known = tuple(str(number) if names is None else str(names[number]) for number in used)
    notes = []
    if names is not None and len(used) < len(names):
        notes.append(f"{len(names) - len(used)} of {len(names)} declared classes have no images and are left out")
    return numbers.astype(np.int64), known, notes
