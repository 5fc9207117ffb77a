"""`python:package.module:function`: images and classes that a function of the user's gives."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from metamixer.data.decoding import Item, Unreadable
from metamixer.data.sources.arrays import of_arrays
from metamixer.data.sources.source import PartName, Source, classes
from metamixer.errors import StudyError


def function(rest: str, part: PartName) -> Source:
    """What `function(part)` returns: `(images, classes)` or `(images, classes, class_names)`.

    Images are one array (see `of_arrays`), or a sequence of arrays, Pillow images, paths, or encoded bytes. The
    function is called at every start of a search, in one process, and all it returns is hashed: that is how a change
    is noticed.

    Args:
        rest: `package.module:function`; the module is looked for in the working directory, too.
        part: Which part is asked for: "train", "validation" or "test".

    Raises:
        StudyError: It cannot be imported, it raises, or what it returns is something else.
    """
    place = f"python:{rest}"
    returned = _call(rest, part, place)
    if not isinstance(returned, tuple) or len(returned) not in (2, 3):
        raise StudyError(
            f"the function returned {_what(returned)}",
            f"{place}({part!r})",
            "return (images, classes) or (images, classes, class_names)",
        )
    images, labels, names = (*returned, None)[:3]
    if isinstance(images, np.ndarray) and images.dtype != object:
        digest = hashlib.sha256(f"{images.dtype} {images.shape} {list(labels)} {names}".encode())
        digest.update(np.ascontiguousarray(images).data)
        return of_arrays(images, labels, names, place, digest.hexdigest())
    try:
        count = len(images)
    except TypeError:
        raise StudyError(f"images are {_what(images)}", place, "return an array, or a sequence of images") from None
    numbers, known, notes = classes(labels, names, f"{place}, labels")
    if count != len(numbers):
        raise StudyError(f"{count} images have {len(numbers)} labels", place, "give one class to every image")

    def read(rows: Sequence[int]) -> Iterator[Item]:
        for row in rows:
            try:
                image = images[int(row)]
            except Exception as error:  # the user's own code
                yield Unreadable(f"{type(error).__name__}: {error}")
            else:
                yield _item(image, f"{place}, image {row}")

    digest = hashlib.sha256(f"{numbers.tolist()} {known}".encode())
    for item in read(range(count)):
        digest.update(_bytes(item))
    return Source(place, numbers, known, read, lambda row: f"row {row}", digest.hexdigest(), notes=tuple(notes))


def _call(rest: str, part: PartName, place: str) -> Any:
    module, _, name = rest.partition(":")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.append(folder)  # as `python -m` does: a user's own module lies where the search was started
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise StudyError(
            f"the function cannot be imported: {error}", place, "write python:package.module:function"
        ) from None
    if not callable(found):
        raise StudyError(f"it leads to {_what(found)}, no function", place)
    try:
        return found(part)
    except Exception as error:
        raise StudyError(
            f"the function raised {type(error).__name__}: {error}", f"{place}({part!r})", "see that it runs on its own"
        ) from error


def _what(value: Any) -> str:
    shape = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    return f"a {type(value).__name__}{shape}"


def _item(value: Any, place: str) -> Item:
    from PIL import Image

    if isinstance(value, str):
        return Path(value)
    if isinstance(value, (bytes, Path, np.ndarray, Image.Image)):
        return value
    raise StudyError(
        f"it is {_what(value)}, no image", place, "give an array, a Pillow image, a path, or encoded bytes"
    )


def _bytes(item: Item) -> bytes:
    try:
        if isinstance(item, Path):
            return item.read_bytes()
        if isinstance(item, Unreadable):
            return str(item).encode()
        return item if isinstance(item, bytes) else np.ascontiguousarray(item).tobytes()
    except OSError as error:
        return str(error).encode()  # told of when it is decoded
