"""`folder:DIR`: one subfolder of images a class, at any depth (the layout of torchvision's ImageFolder)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from metamixer.data.sources.source import PartName, Source, listing
from metamixer.errors import ResourceError, StudyError

# Torchvision's, and what else Pillow reads and people keep images in.
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".pbm", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".avif", ".jp2")


def folder(rest: str, part: PartName) -> Source:
    """The images below a folder; classes are its subfolders in the order of their names.

    Hidden files and folders, and files with another ending than an image's, are passed over.

    Raises:
        ResourceError: There is no such folder.
        StudyError: It has no subfolders, no images, or a class without images.
    """
    root = Path(rest)
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "is not there"
        raise ResourceError(f"the folder of images {what}", str(root), "write folder:DIR, relative to the study's file")
    names = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        loose = sum(_is_image(path) for path in root.iterdir())
        told = f"{loose} images lie in it directly" if loose else "it has no subfolders"
        raise StudyError(
            f"the folder holds no classes: {told}", str(root), "give every class a subfolder: DIR/cat/1.jpg"
        )
    files: list[Path] = []
    labels: list[int] = []
    empty: list[str] = []
    for number, name in enumerate(names):
        images = _images(root / name)
        empty += [name] * (not images)
        files += images
        labels += [number] * len(images)
    if not files:
        raise StudyError(
            "the folder holds no images",
            f"{root}: {len(names)} subfolders, none with a file that ends in {', '.join(ENDINGS)}",
            "name the folder whose subfolders are the classes",
        )
    if empty and part == "train":
        raise StudyError(
            f"{'a class has' if len(empty) == 1 else 'classes have'} no images: {', '.join(empty[:5])}",
            str(root),
            "take the empty subfolder away, or put images into it",
        )

    def read(rows: Sequence[int]) -> Iterator[Path]:
        return (files[row] for row in rows)

    return Source(
        address=f"folder:{rest}",
        labels=np.asarray(labels, dtype=np.int64),
        class_names=tuple(names),
        read=read,
        name=lambda row: files[row].relative_to(root).as_posix(),
        listing=listing(files, root),
    )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()


def _images(root: Path) -> list[Path]:
    found = []
    for folder_, folders, files in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(folder_, name) for name in files]
    return sorted(path for path in found if _is_image(path))
