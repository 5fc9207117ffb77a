"""`parquet:FILE`: tables with a column of images and one of labels, in the convention of the Hugging Face Hub.

An image is a struct of `bytes` and `path`, or plain bytes. Class names come from the schema's metadata.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metamixer.data.decoding import Item
from metamixer.data.sources.source import PartName, Source, classes, listing
from metamixer.errors import ResourceError, StudyError

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS = ("image", "img", "images", "picture")
LABEL_COLUMNS = ("label", "labels", "class", "target", "fine_label", "category")


def parquet(rest: str, part: PartName, image_column: str | None, label_column: str | None) -> Source:
    """The rows of one Parquet file, of all below a folder, or of those that match a pattern, in the order of names.

    Raises:
        ResourceError: There is no such file, or it is no Parquet file.
        StudyError: A column is missing, or holds no images or no labels.
    """
    import pyarrow.parquet as pq

    files = _files(rest)
    tables = [_open(path) for path in files]
    schema = tables[0].schema_arrow
    place = f"parquet:{rest}"
    image = image_column or _image_column(schema, place)
    label = label_column or _label_column(schema, image, place)
    for path, table in zip(files, tables, strict=True):
        for name in (image, label):
            if name not in table.schema_arrow.names:
                raise StudyError(f"there is no column {name!r}", str(path), _columns(table.schema_arrow))
    _require_images(schema, image, place)
    column = [pq.read_table(path, columns=[label]).column(label) for path in files]
    labels, names, notes = _labels(column, schema, label, place)
    groups = [(number, group) for number, table in enumerate(tables) for group in range(table.num_row_groups)]
    sizes = [tables[number].metadata.row_group(group).num_rows for number, group in groups]
    ends = np.cumsum(sizes)

    def read(rows: Sequence[int]) -> Iterator[Item]:
        wanted = np.asarray(rows, dtype=np.int64)
        for index, (number, group) in enumerate(groups):
            begin, end = int(ends[index]) - sizes[index], int(ends[index])
            here = wanted[np.searchsorted(wanted, begin) : np.searchsorted(wanted, end)] - begin
            if len(here):
                values = _column_of(tables[number], group, image, files[number]).take(here)
                yield from (_item(value, files[number].parent) for value in values.to_pylist())

    begins = np.cumsum([0, *(len(some) for some in column)])

    def row_name(row: int) -> str:
        number = int(np.searchsorted(begins, row, side="right")) - 1
        first = int(begins[number])
        return f"{files[number].name}, row {row - first}"

    return Source(place, labels, names, read, row_name, listing(files), notes=tuple(notes))


def image_and_label(schema: pa.Schema, image: str | None, label: str | None, place: str) -> tuple[str, str]:
    """The columns of images and labels: those named, or those that the convention and their types tell.

    Raises:
        StudyError: They are not there, or cannot be told.
    """
    image = image or _image_column(schema, place)
    return image, label or _label_column(schema, image, place)


def _column_of(table: Any, group: int, column: str, path: Path) -> Any:
    import pyarrow as pa

    try:
        return table.read_row_group(group, columns=[column]).column(column)
    except (pa.ArrowException, OSError) as error:
        raise ResourceError(
            f"row group {group} cannot be read: {error}", str(path), "see that it was copied whole"
        ) from None


def _files(rest: str) -> list[Path]:
    path = Path(rest)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = sorted(path.rglob("*.parquet"))
        place = f"{path}: no file below it ends in .parquet"
    else:
        found = sorted(map(Path, glob.glob(rest, recursive=True)))
        place = str(path)
    if not found:
        raise ResourceError(
            "no Parquet file is there", place, "name a file, a folder of them, or a pattern: data/train-*"
        )
    return found


def _open(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise ResourceError(f"no Parquet file: {error}", str(path), "see that it was copied whole") from None


def _columns(schema: pa.Schema) -> str:
    return "its columns: " + ", ".join(f"{field.name} ({field.type})" for field in schema)


def _is_image(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):
        return "bytes" in {kind.field(i).name for i in range(kind.num_fields)}
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _is_label(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        types.is_integer(kind) or types.is_boolean(kind) or types.is_string(kind) or types.is_large_string(kind)
    )


def _image_column(schema: pa.Schema, place: str) -> str:
    return _column(schema, [field.name for field in schema if _is_image(field.type)], IMAGE_COLUMNS, "image", place)


def _label_column(schema: pa.Schema, image: str, place: str) -> str:
    fit = [field.name for field in schema if field.name != image and _is_label(field.type)]
    # A column that is called label and holds something else is told of by its type, not passed over.
    named = [name for name in LABEL_COLUMNS if name in schema.names and name != image]
    return _column(schema, fit, LABEL_COLUMNS, "label", place) if fit or not named else named[0]


def _column(schema: pa.Schema, fit: list[str], usual: tuple[str, ...], what: str, place: str) -> str:
    for name in usual:
        if name in fit:
            return name
    if len(fit) == 1:
        return fit[0]
    why = f"there is no column of {what}s" if not fit else f"several columns may be the {what}s: {', '.join(fit)}"
    raise StudyError(why, place, f"name it: {what}_column = ..; {_columns(schema)}")


def _require_images(schema: pa.Schema, image: str, place: str) -> None:
    if not _is_image(schema.field(image).type):
        raise StudyError(
            f"the column {image!r} holds {schema.field(image).type}, no images",
            place,
            "an image is bytes, or a struct of bytes and path",
        )


def _labels(
    column: list[pa.ChunkedArray], schema: pa.Schema, label: str, place: str
) -> tuple[np.ndarray, tuple[str, ...], list[str]]:
    kind = schema.field(label).type
    place = f"{place}, column {label}"
    if not _is_label(kind):
        raise StudyError(
            f"labels are {kind}, not whole numbers or texts",
            place,
            f"name another column: label_column = ..; {_columns(schema)}",
        )
    missing = sum(some.null_count for some in column)
    if missing:
        raise StudyError(f"{missing} rows have no label", place, "leave them out of the table")
    return classes([value for some in column for value in some.to_pylist()], _class_names(schema, label), place)


def _class_names(schema: pa.Schema, label: str) -> list[str] | None:
    metadata = schema.metadata or {}
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
        names = features.get(label, {}).get("names") or json.loads(metadata.get(b"class_names", b"null"))
    except (ValueError, AttributeError):
        return None  # written by something else; the numbers are names enough
    return [str(name) for name in names] if isinstance(names, list) else None


def _item(value: Any, folder: Path) -> Item:
    if isinstance(value, dict):
        if value.get("bytes") is not None:
            return bytes(value["bytes"])
        return folder / (value.get("path") or "")
    return b"" if value is None else bytes(value)
