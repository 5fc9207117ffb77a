"""The cache of decoded images: made once, by one process, whole or not at all; read by every worker of a machine.

    .data/<key>/    train.npy, train-classes.npy, validation.npy, .., items.parquet, about.json

The key is a digest of what the images depend on: the `[data]` table, and names, sizes and times of the files behind it.
Files that were only touched make another cache with the same fingerprint; files with other content another fingerprint,
which a record refuses. An older cache stays where it is, since a search may be reading it; see `pruning`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from metamixer.data.progress import Bar
from metamixer.data.section import DataSection
from metamixer.data.sources import PartName, Source, open_source
from metamixer.data.splits import split
from metamixer.data.writing import Selection, Written, write
from metamixer.errors import ResourceError, StudyError
from metamixer.tasks import Task, stored
from metamixer.tasks.stored import ABOUT

FORMAT = 1
_MEGABYTE = 2**20


@dataclass(frozen=True)
class Prepared:
    """A data set in its cache.

    `about` is the content of `about.json`: counts by part and class, broken images, notes, seed and shares.
    """

    folder: Path
    task: Task
    about: dict[str, Any]


def prepare(
    section: DataSection,
    runs: str | Path = "runs",
    say: Callable[[str], None] = lambda line: None,
    shown: bool = False,
) -> Prepared:
    """The task of a `[data]` table; its images are decoded now if they were not before.

    Args:
        section: Paths are absolute.
        runs: The folder of runs, beside which the cache lies unless the section says where.
        say: Told what takes a while, or was made again.
        shown: Draw a progress bar on standard error.

    Raises:
        ResourceError: A source is not there, or the cache cannot be written.
        StudyError: A source is not what it should be, or the parts do not fit together.
    """
    sources = _sources(section)
    selections, class_names = _selections(section, sources)
    root = Path(section.cache) if section.cache is not None else Path(runs).absolute() / ".data"
    key = _key(section, sources)
    folder = root / key
    if not _whole(folder):
        try:
            root.mkdir(parents=True, exist_ok=True)
            _make_alone(root, key, section, selections, class_names, say, shown)
        except OSError as error:
            raise ResourceError(
                f"the cache of decoded images cannot be written: {error.strerror or error}",
                str(folder),
                "see that its folder can be written and its disk is not full, or name another: cache = .. in [data]",
            ) from error
    with suppress(OSError):  # when it was last asked for, for `pruning`
        os.utime(folder / ABOUT)
    return load(folder, section)


def load(folder: Path, section: DataSection) -> Prepared:
    """A cache that is there."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    limit = None if section.memory_limit is None else int(section.memory_limit * _MEGABYTE)
    document = {**about["task"], "name": section.title, "memory_limit": limit, "stored": str(folder)}
    return Prepared(folder, stored.task(document), about)


def refuse_broken(prepared: Prepared, section: DataSection) -> None:
    """A search does not silently go without images that cannot be read.

    Raises:
        StudyError: There are some, and the section does not say that they are to be skipped.
    """
    broken = prepared.about["broken"]
    if broken and section.broken == "refuse":
        lines = [f"{one['part']}, {one['name']}: {one['reason']}" for one in broken[:5]]
        raise StudyError(
            f"{len(broken)} images cannot be read",
            "\n".join([*lines, *([".."] if len(broken) > 5 else [])]),
            'mend or remove them, or go without: broken = "skip" in [data]',
        )


# -- what is in which part


def _sources(section: DataSection) -> dict[PartName, Source]:
    addresses: dict[PartName, str] = {"train": section.train}
    if isinstance(section.validation, str):
        addresses["validation"] = section.validation
    if isinstance(section.test, str):
        addresses["test"] = section.test
    return {part: open_source(address, part, section) for part, address in addresses.items()}


def _selections(section: DataSection, sources: dict[PartName, Source]) -> tuple[list[Selection], tuple[str, ...]]:
    """Which rows of which source make each part, and the names of the classes, which are those of train."""
    train = sources["train"]
    shares: dict[PartName, float] = {}
    if isinstance(section.validation, float):
        shares["validation"] = section.validation
    if isinstance(section.test, float) and section.test:
        shares["test"] = section.test
    names = train.class_names
    rest, *taken = split(train.labels, names, tuple(shares.values()), section.seed, section.images)
    same = np.arange(len(names))
    found = [Selection("train", "train", train, rest, same)]
    found += [Selection(part, "train", train, rows, same) for part, rows in zip(shares, taken, strict=True)]
    for part, source in sources.items():
        if part != "train":
            numbers = np.asarray([names.index(name) if name in names else -1 for name in source.class_names])
            _require_known(part, source, numbers, names)
            found.append(Selection(part, part, source, np.arange(len(source.labels)), numbers))
    if len(names) < 2:
        raise StudyError(f"there is one class: {names[0]}", train.address, "a classifier needs two or more")
    return found, names


def _require_known(part: str, source: Source, numbers: np.ndarray, names: tuple[str, ...]) -> None:
    used = set(np.unique(source.labels).tolist())
    unknown = [name for index, name in enumerate(source.class_names) if numbers[index] < 0 and index in used]
    if unknown:
        raise StudyError(
            f"{part} has {'a class' if len(unknown) == 1 else 'classes'} that train lacks: {', '.join(unknown[:5])}",
            f"{source.address}\ntrain has: {', '.join(names[:20])}{', ..' if len(names) > 20 else ''}",
            "name classes alike in both, or add images of them to train",
        )


# -- making it


def _key(section: DataSection, sources: dict[PartName, Source]) -> str:
    """Of all that the arrays depend on; sizes and times of change stand for the content of files."""
    import PIL

    what = section.model_dump(mode="json", exclude={"memory_limit", "name", "cache", "broken"})
    listings = {part: source.listing for part, source in sources.items()}
    text = json.dumps([FORMAT, PIL.__version__, what, listings], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _whole(folder: Path) -> bool:
    """Whether a cache is there and none of its files was cut off."""
    try:
        files = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["files"]
        return all((folder / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError):
        return False


def _make_alone(
    root: Path,
    key: str,
    section: DataSection,
    selections: list[Selection],
    class_names: tuple[str, ...],
    say: Callable[[str], None],
    shown: bool,
) -> None:
    """Under a lock that a killed process gives back; who waited finds the cache made."""
    from filelock import FileLock, Timeout

    lock = FileLock(root / f"{key}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another process is decoding these images; waiting for it")
        lock.acquire()
    try:
        folder = root / key
        if _whole(folder):
            return
        if folder.exists():
            say(f"the cache of decoded images is not whole and is made again: {folder}")
        unfinished = root / f".{key}.unfinished"
        for leftover in (unfinished, folder):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished.mkdir()
        try:
            _make(unfinished, section, selections, class_names, shown)
            os.replace(unfinished, folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    finally:
        lock.release()


def _make(
    folder: Path, section: DataSection, selections: list[Selection], class_names: tuple[str, ...], shown: bool
) -> None:
    start = time.monotonic()
    total = sum(len(selection.rows) for selection in selections)
    if section.size is not None and selections[0].source.floats is not None:
        raise StudyError("float32 inputs are no pixels and are not resized", "[data] size", "leave size out")
    with Bar("decoding images", total, shown) as bar:
        written = write(selections, class_names, section, folder, bar.show)
    notes = [note for source in {id(one.source): one.source for one in selections}.values() for note in source.notes]
    about = {
        "format": FORMAT,
        "task": _document(written, class_names, section),
        "data": section.model_dump(mode="json"),
        "parts": {
            part: {"images": sum(counts), "classes": dict(zip(class_names, counts, strict=True))}
            for part, counts in written.counts.items()
        },
        "broken": [asdict(one) for one in written.broken],
        "notes": notes,
        "seconds": round(time.monotonic() - start, 3),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }
    (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def _document(written: Written, class_names: tuple[str, ...], section: DataSection) -> dict[str, Any]:
    size = "x".join(map(str, (*written.grid, written.channels)))
    counts = " + ".join(f"{sum(counts):,} {part}" for part, counts in written.counts.items())
    return {
        "name": section.title,
        "channels": written.channels,
        "grid": list(written.grid),
        "classes": len(class_names),
        "fingerprint": _fingerprint(written, class_names),
        "description": f"{counts} inputs of {size} in {len(class_names)} classes",
        "class_names": list(class_names),
        "mean": written.mean,
        "std": written.std,
        "memory_limit": None,
        "has_test": "test" in written.counts,
    }


def _fingerprint(written: Written, class_names: tuple[str, ...]) -> str:
    """Of all that a search sees: pixels and classes of train and validation, in their order."""
    seen = {part: digest for part, digest in written.digests.items() if part != "test"}
    what = [FORMAT, seen, list(class_names), written.dtype, list(written.grid), written.channels]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
