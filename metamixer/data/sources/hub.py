"""`hub:DIR`: a data set that the library `datasets` saved with `save_to_disk`; never downloaded here."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from metamixer.data.decoding import Item
from metamixer.data.sources.parquet import image_and_label
from metamixer.data.sources.source import PartName, Source, classes, listing
from metamixer.errors import ResourceError, StudyError

_SPLITS: dict[PartName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "valid", "val"),
    "test": ("test",),
}


def hub(rest: str, part: PartName, image_column: str | None, label_column: str | None) -> Source:
    """The rows of a saved data set; of one with splits, those of the part's name.

    Raises:
        ResourceError: The library is not installed, or the folder holds no saved data set.
        StudyError: It lacks the split, or a column.
    """
    try:
        import datasets
    except ImportError as error:
        raise ResourceError(
            f"the library datasets cannot be imported: {error}",
            f"hub:{rest}",
            "pip install 'metamixer[hub]', or name its Parquet files: parquet:DIR",
        ) from None
    place = f"hub:{rest}"
    try:
        table = datasets.load_from_disk(rest)
    except Exception as error:  # of the library, of Arrow, or of the file system
        raise ResourceError(
            f"no data set saved to disk: {error}", place, "write it with dataset.save_to_disk"
        ) from None
    if isinstance(table, datasets.DatasetDict):
        split = next((name for name in _SPLITS[part] if name in table), None)
        if split is None:
            raise StudyError(
                f"the data set has no split {part}", f"{place}: {', '.join(table)}", "name a share instead"
            )
        table, place = table[split], f"{place}, split {split}"
    image, label = image_and_label(_plain(table, datasets), image_column, label_column, place)
    for name in (image, label):
        if name not in table.column_names:
            raise StudyError(f"there is no column {name!r}", place, f"its columns: {', '.join(table.column_names)}")
    feature = table.features[label]
    known = feature.names if isinstance(feature, datasets.ClassLabel) else None
    labels, names, notes = classes(list(table[label]), known, f"{place}, column {label}")
    encoded = table.cast_column(image, datasets.Image(decode=False)).select_columns([image])

    def read(rows: Sequence[int]) -> Iterator[Item]:
        for row in rows:
            value: dict[str, Any] = encoded[int(row)][image]
            yield bytes(value["bytes"]) if value["bytes"] is not None else Path(value["path"] or "")

    files = sorted(Path(folder, name) for folder, _, some in os.walk(rest) for name in some)
    return Source(f"hub:{rest}", labels, names, read, lambda row: f"row {row}", listing(files), notes=tuple(notes))


def _plain(table: Any, datasets: Any) -> Any:
    """The Arrow schema, in which a column of images is a struct whatever decodes it."""
    return table.features.arrow_schema
