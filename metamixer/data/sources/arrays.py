"""`arrays:FILE.npz`, and what the other sources of arrays share: images and classes in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metamixer.data.sources.source import PartName, Source, classes, listing
from metamixer.errors import ResourceError, StudyError

_PARTS: dict[PartName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val", "valid"),
    "test": ("test",),
}


def arrays(rest: str, part: PartName) -> Source:
    """The arrays of a NumPy archive: `x` and `y` (or `images` and `labels`), or, before them, `x_train` and `y_train`.

    A source of validation or test looks for `x_validation` or `x_val`, and `x_test`. The whole archive is read into
    memory once, by the process that makes the cache.

    Raises:
        ResourceError: There is no such file, or it is no NumPy archive.
        StudyError: The arrays are missing, or are no images.
    """
    path = Path(rest)
    place = f"arrays:{rest}"
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("one array; images and classes are two, np.savez(FILE, x=.., y=..)")
            x_name, y_name = _names(archive.files, part, place)
            x, y = archive[x_name], archive[y_name]
            known = archive["class_names"].tolist() if "class_names" in archive.files else None
    except FileNotFoundError:
        raise ResourceError("the archive of arrays is not there", str(path), "write arrays:FILE.npz") from None
    except StudyError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each have errors of their own for what is cut off
        raise ResourceError(f"no archive of arrays: {error}", str(path), "write it with numpy.savez") from None
    return of_arrays(x, y, known, place, listing([path]))


def of_arrays(x: np.ndarray, y: Any, class_names: Sequence[str] | None, place: str, listed: str) -> Source:
    """A source of arrays.

    Args:
        x: Images: uint8 or uint16, (images, height, width[, channels]); or float32 or float64 of any grid, channels
            last, which are no pixels and stay as they are.
        y: One class an image: whole numbers or texts.
        class_names: Of whole numbers, if there are any.
        place: For messages.
        listed: The source's listing.

    Raises:
        StudyError: They are something else, or not of one length.
    """
    labels, names, notes = classes(y, class_names, f"{place}, labels")
    if len(x) != len(labels):
        raise StudyError(f"{len(x)} images have {len(labels)} labels", place, "give one class to every image")
    floats = None
    if x.dtype in (np.float32, np.float64):
        floats = x.astype(np.float32, copy=False)
        if x.ndim < 2:
            raise StudyError(f"inputs are of shape {x.shape}", place, "give (images, *grid, channels)")
    elif x.dtype not in (np.uint8, np.uint16, bool) or x.ndim not in (3, 4):
        raise StudyError(
            f"images are {x.dtype} of shape {x.shape}",
            place,
            "give uint8 pixels of shape (images, height, width, channels), or float32 inputs, channels last",
        )
    if x.ndim == 4 and x.dtype in (np.uint8, np.uint16) and x.shape[-1] > 4:
        first = " (channels stand first)" if x.shape[1] <= 4 else ""
        raise StudyError(f"images are of shape {x.shape}{first}", place, "channels come last: x.transpose(0, 2, 3, 1)")

    def read(rows: Sequence[int]) -> Iterator[np.ndarray]:
        return (x[row] for row in rows)

    return Source(place, labels, names, read, lambda row: f"row {row}", listed, floats, tuple(notes))


def _names(files: list[str], part: PartName, place: str) -> tuple[str, str]:
    pairs = [(f"x_{name}", f"y_{name}") for name in _PARTS[part]]
    pairs += [(f"{name}_images", f"{name}_labels") for name in _PARTS[part]]  # as MedMNIST names them
    pairs += [("x", "y"), ("images", "labels")]
    for pair in pairs:
        if set(pair) <= set(files):
            return pair
    raise StudyError(
        f"the archive has no arrays of {part}",
        f"{place}: {', '.join(files) or 'empty'}",
        f"call them {pairs[0][0]} and {pairs[0][1]}, or x and y",
    )
