"""Decoding all images of the parts into arrays on disk, row by row: never more than a few batches in memory."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.lib import format as npy

from metamixer.data.decoding import Decoded, Item, Shape, Unreadable, decode
from metamixer.data.items import ItemsWriter
from metamixer.data.section import DataSection
from metamixer.data.sources import PartName, Source
from metamixer.errors import StudyError
from metamixer.tasks.stored import paths

# Images that one thread decodes at a time; large ones are some megabytes each.
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Selection:
    """Rows of a source that make a part, and what its class numbers are in the task.

    `origin`: the part that the source was named for; `train` is also where shares come from.
    """

    part: PartName
    origin: PartName
    source: Source
    rows: np.ndarray
    class_numbers: np.ndarray


@dataclass(frozen=True)
class Broken:
    """An image that cannot be read."""

    part: str
    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Written:
    """What lies on disk after `write`: shape and type of one input, digest of each part, statistics of train.

    `counts`: images of each class, by part. `mean` and `std`: of each channel, over all pixels of train in 0..1; None
    for inputs that are no pixels.
    """

    grid: tuple[int, ...]
    channels: int
    dtype: str
    digests: dict[str, str]
    counts: dict[str, list[int]]
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    broken: list[Broken]


class _Coloured(Exception):  # noqa: N818 - grey was assumed; begin again
    """An image has colour."""


class _PartFile:
    """One part's inputs, appended to a .npy file, with what is gathered on the way."""

    def __init__(self, folder: Path, part: str, classes: int) -> None:
        self.part = part
        self.labels: list[int] = []
        self.counts = [0] * classes
        self.digest = hashlib.sha256()
        self._paths = paths(folder, part)
        self._file: BinaryIO | None = None
        self._row: tuple[tuple[int, ...], np.dtype] | None = None
        self._sum: np.ndarray | None = None
        self._squares: np.ndarray | None = None
        self._pixels = 0

    def add(self, value: np.ndarray, label: int) -> str:
        """Append one input; the digest of its bytes."""
        if self._file is None:
            self._row = value.shape, value.dtype
            self._file = self._paths[0].open("wb")
            self._header()
        self._file.write(np.ascontiguousarray(value).data)
        name = hashlib.blake2b(np.ascontiguousarray(value).data, digest_size=16).hexdigest()
        self.digest.update(f"{label} {name}\n".encode())
        self.labels.append(label)
        self.counts[label] += 1
        if self.part == "train" and value.dtype == np.uint8:
            flat = value.reshape(-1, value.shape[-1]).astype(np.int64)
            self._pixels += len(flat)
            self._sum = flat.sum(0) + (0 if self._sum is None else self._sum)
            self._squares = np.einsum("pc,pc->c", flat, flat) + (0 if self._squares is None else self._squares)
        return name

    def close(self) -> None:
        if self._file is not None:
            self._file.seek(0)
            self._header()  # now with the number of rows
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        np.save(self._paths[1], np.asarray(self.labels, dtype=np.int64))

    def statistics(self) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
        if self._sum is None or self._squares is None:
            return None, None
        mean = self._sum / self._pixels / 255
        std = np.sqrt(np.maximum(self._squares / self._pixels / 255**2 - mean**2, 0))
        # Six digits: more would be noise. A channel that is constant stays as it is.
        return tuple(round(float(x), 6) for x in mean), tuple(round(float(x), 6) if x > 1e-6 else 1.0 for x in std)

    def _header(self) -> None:
        assert self._row is not None
        assert self._file is not None
        shape, dtype = self._row
        # NumPy leaves room for the first axis to grow, so both headers have one length.
        header = {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": (len(self.labels), *shape)}
        npy.write_array_header_1_0(self._file, header)


def write(
    selections: list[Selection],
    class_names: tuple[str, ...],
    section: DataSection,
    folder: Path,
    progress: Callable[[int], None] = lambda images: None,
) -> Written:
    """Decode every selected image and write the parts, their classes and the table of images to `folder`.

    Args:
        selections: The parts; their sources may be one.
        class_names: Of the task.
        section: Says size and channels.
        folder: Exists, and is empty.
        progress: Called with how many images were dealt with, again and again.

    Raises:
        StudyError: Images differ in size and no size is asked for; or nothing of a part can be read.
    """
    if any(selection.source.floats is not None for selection in selections):
        return _write(selections, class_names, None, folder, progress)
    channels = section.channels or 1
    try:
        return _write(selections, class_names, Shape(section.size, channels, section.resize), folder, progress, section)
    except _Coloured:
        return _write(selections, class_names, Shape(section.size, 3, section.resize), folder, progress, section)


def _write(
    selections: list[Selection],
    class_names: tuple[str, ...],
    shape: Shape | None,
    folder: Path,
    progress: Callable[[int], None],
    section: DataSection | None = None,
) -> Written:
    files = {selection.part: _PartFile(folder, selection.part, len(class_names)) for selection in selections}
    broken: list[Broken] = []
    first: tuple[tuple[int, ...], str] | None = None
    grey_assumed = section is not None and section.channels is None and shape is not None and shape.channels == 1
    dealt_with = 0
    try:
        with ItemsWriter(folder / "items.parquet") as items:
            for selection, row, found in _all(selections, shape):
                dealt_with += 1
                progress(dealt_with)
                name = selection.source.name(row)
                if isinstance(found, Unreadable):
                    broken.append(Broken(selection.part, name, str(found)))
                    continue
                if grey_assumed and found.coloured:
                    raise _Coloured
                value = found.pixels
                first = first or (value.shape, name)
                if value.shape != first[0]:
                    raise StudyError(*_differ(first, (value.shape, name), shape))
                label = int(selection.class_numbers[selection.source.labels[row]])
                file = files[selection.part]
                items.add(
                    part=selection.part,
                    row=len(file.labels),
                    origin=selection.origin,
                    origin_row=row,
                    name=name,
                    digest=file.add(value, label),
                    mode=found.mode,
                    height=found.original[0],
                    width=found.original[1],
                    **{"class": class_names[label]},
                )
    finally:
        for file in files.values():
            file.close()
    for selection in selections:
        if not files[selection.part].labels:
            told = next((f": {one.name}: {one.reason}" for one in broken if one.part == selection.part), "")
            raise StudyError(f"no image of {selection.part} can be read{told}", selection.source.address)
    assert first is not None
    mean, std = files["train"].statistics()
    return Written(
        grid=first[0][:-1],
        channels=first[0][-1],
        dtype="float32" if shape is None else "uint8",
        digests={part: file.digest.hexdigest() for part, file in files.items()},
        counts={part: file.counts for part, file in files.items()},
        mean=mean,
        std=std,
        broken=broken,
    )


def _all(selections: list[Selection], shape: Shape | None) -> Iterator[tuple[Selection, int, Decoded | Unreadable]]:
    """Every selected row, source by source and in the order of its rows, so that each is read once."""
    sources: dict[int, list[Selection]] = {}
    for selection in selections:
        sources.setdefault(id(selection.source), []).append(selection)
    for of_one in sources.values():
        source = of_one[0].source
        owner = np.full(len(source.labels), -1, dtype=np.int64)
        for number, selection in enumerate(of_one):
            owner[selection.rows] = number
        rows = np.flatnonzero(owner >= 0)
        found = _floats(source, rows) if shape is None else _decoded(source.read(rows.tolist()), shape)
        for row, one in zip(rows.tolist(), found, strict=True):
            yield of_one[owner[row]], row, one


def _floats(source: Source, rows: np.ndarray) -> Iterator[Decoded]:
    if source.floats is None:
        raise StudyError(
            "these are images, and other parts hold float32 inputs",
            source.address,
            "give all parts as one or the other",
        )
    for row in rows:
        value = source.floats[row]
        yield Decoded(value, (0, 0), "float32", coloured=False)


def _decoded(items: Iterator[Item], shape: Shape) -> Iterator[Decoded | Unreadable]:
    """Decoded by threads (Pillow works without Python's lock), in order, a bounded number at a time."""

    def several(batch: list[Item]) -> list[Decoded | Unreadable]:
        return [_one(item, shape) for item in batch]

    threads = min(os.cpu_count() or 1, 16)
    waiting: deque[Future[list[Decoded | Unreadable]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        while batch := list(islice(items, _BATCH)):
            waiting.append(pool.submit(several, batch))
            if len(waiting) > threads:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _one(item: Item, shape: Shape) -> Decoded | Unreadable:
    try:
        return decode(item, shape)
    except Unreadable as error:
        return error


def _differ(
    first: tuple[tuple[int, ...], str], other: tuple[tuple[int, ...], str], shape: Shape | None
) -> tuple[str, str, str]:
    texts = ["x".join(map(str, found[:-1])) for found, _ in (first, other)]
    if shape is None or texts[0] == texts[1]:
        return (
            "inputs differ in shape",
            f"{first[1]} has {first[0]}, {other[1]} has {other[0]}",
            "bring them to one shape",
        )
    return (
        "images differ in size",
        f"{first[1]} has {texts[0]}, {other[1]} has {texts[1]} pixels",
        "say to which size they are brought: size = 32 in [data]",
    )
