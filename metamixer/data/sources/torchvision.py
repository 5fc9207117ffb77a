"""`torchvision:NAME:DIR`: a data set of torchvision that lies on disk already; never downloaded here."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from metamixer.data.decoding import Item, Unreadable
from metamixer.data.sources.source import PartName, Source, classes, listing
from metamixer.errors import ResourceError, StudyError

_SPLITS: dict[PartName, tuple[str, ...]] = {"train": ("train",), "validation": ("val", "valid"), "test": ("test",)}


def torchvision(rest: str, part: PartName) -> Source:
    """The part of a data set: `train=True` for train, `train=False` for test, or the split of that name.

    Raises:
        ResourceError: torchvision cannot be imported, or the files are not there.
        StudyError: It has no data set of this name, or that one lacks the part or is not of images with one class.
    """
    name, _, folder = rest.partition(":")
    place = f"torchvision:{name}, {part}"
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        raise ResourceError(
            f"torchvision cannot be imported: {error}",
            place,
            "pip install 'metamixer[vision]' with a torch that fits it",
        ) from None
    made: Any = getattr(datasets, name, None)
    if not isinstance(made, type):
        known = [other for other in datasets.__all__ if inspect.isclass(getattr(datasets, other))]
        raise StudyError(f"torchvision has no data set {name}", place, f"it has: {', '.join(known)}")
    options = _options(made, part, place)
    try:
        found: Any = made(root=folder, **options)
    except Exception as error:  # every data set has checks of its own
        raise ResourceError(
            f"the data set cannot be opened: {error}", f"{place}, folder {folder}", "download it there first"
        ) from None
    labels: Any = next(
        (getattr(found, field) for field in ("targets", "labels", "_labels") if hasattr(found, field)), None
    )
    if labels is None:
        labels = [found[row][1] for row in range(len(found))]
    values = labels.tolist() if hasattr(labels, "tolist") else list(labels)
    known_names = getattr(found, "classes", None)
    numbers, names, notes = classes(values, known_names, f"{place}, labels")

    def read(rows: Sequence[int]) -> Iterator[Item]:
        for row in rows:
            try:
                yield found[int(row)][0]
            except Exception as error:  # a missing or broken file, in whatever way the data set says so
                yield Unreadable(str(error) or type(error).__name__)

    files = sorted(Path(above, file) for above, _, some in os.walk(folder) for file in some)
    return Source(
        address=f"torchvision:{rest}",
        labels=numbers,
        class_names=names,
        read=read,
        name=lambda row: f"row {row}",
        listing=listing(files),
        notes=tuple(notes),
    )


def _options(made: Any, part: PartName, place: str) -> dict[str, Any]:
    known = inspect.signature(made).parameters
    options: dict[str, Any] = {"download": False} if "download" in known else {}
    if "train" in known:
        if part == "validation":
            raise StudyError("the data set has no validation part", place, "take a share: validation = 0.1")
        return {**options, "train": part == "train"}
    if "split" in known:
        for split in _SPLITS[part]:
            try:
                inspect.signature(made).bind(root="", split=split)
                return {**options, "split": split}
            except TypeError:
                continue
    if part != "train":
        raise StudyError(f"the data set has no {part} part", place, f"take a share: {part} = 0.1")
    return options
