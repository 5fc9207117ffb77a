"""The table of images beside a cache, `items.parquet`: what each row of each part is, and the digest of its pixels.

It says which images are the same, in one part or across two, and what has changed between two caches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

FILE = "items.parquet"
_AT_ONCE = 8192


class ItemsWriter:
    """Writes the table as images come, in pieces, so that it is never whole in memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        texts = [(name, pa.string()) for name in ("part", "origin", "name", "class", "digest", "mode")]
        numbers = [(name, pa.int64()) for name in ("row", "origin_row", "height", "width")]
        self._schema = pa.schema([*texts, *numbers])
        self._file = pq.ParquetWriter(path, self._schema)
        self._rows: list[dict[str, Any]] = []

    def __enter__(self) -> ItemsWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._file.close()

    def add(self, **row: Any) -> None:
        """One image: part and row there, origin and row there, name, class, digest, height, width, mode."""
        self._rows.append(row)
        if len(self._rows) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._rows:
            self._file.write_table(pa.Table.from_pylist(self._rows, self._schema))
            self._rows = []


@dataclass(frozen=True)
class Group:
    """Images whose decoded pixels are the same: their parts, names and classes, side by side."""

    parts: tuple[str, ...]
    names: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def across(self) -> bool:
        """Whether they are in more than one part."""
        return len(set(self.parts)) > 1


def duplicates(folder: Path) -> list[Group]:
    """Groups of images that are the same bit for bit after decoding, those across parts first.

    The same picture in another resolution, crop or compression is not found.
    """
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILE, columns=["part", "name", "class", "digest"])
    counts = table.group_by("digest").aggregate([("part", "count")])
    repeated = counts.filter(pc.greater(counts["part_count"], 1))["digest"]
    rows = table.filter(pc.is_in(table["digest"], repeated)).to_pylist()
    groups: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["digest"], []).append(row)
    found = [
        Group(*(tuple(row[column] for row in group) for column in ("part", "name", "class")))
        for group in groups.values()
    ]
    return sorted(found, key=lambda group: (not group.across, group.names))


def changes(before: Path, now: Path) -> list[str]:
    """What differs between the images of two caches that a search sees, one line a kind; none if one is not there."""
    import pyarrow.parquet as pq

    if not (before / FILE).is_file() or not (now / FILE).is_file():
        return []
    seen = []
    for folder in (before, now):
        rows = pq.read_table(folder / FILE, columns=["part", "origin", "name", "class", "digest"]).to_pylist()
        seen.append({(row["origin"], row["name"]): row for row in rows if row["part"] != "test"})
    old, new = seen
    both = old.keys() & new.keys()
    differ = {
        "images that are gone": [name for name in old if name not in new],
        "images that are new": [name for name in new if name not in old],
        "images that have other pixels": [name for name in both if old[name]["digest"] != new[name]["digest"]],
        "images that have another class": [name for name in both if old[name]["class"] != new[name]["class"]],
        "images that are in another part": [name for name in both if old[name]["part"] != new[name]["part"]],
    }
    lines = []
    for what, names in differ.items():
        if names:
            shown = ", ".join(name for _, name in sorted(names)[:3]) + (", .." if len(names) > 3 else "")
            lines.append(f"{what}: {len(names):,} ({shown})")
    return lines


def sizes(folder: Path) -> dict[str, Counter[str]]:
    """How often each size (height x width) and each mode of Pillow occurs in the files as they were."""
    import pyarrow.parquet as pq

    table = pq.read_table(folder / FILE, columns=["height", "width", "mode"]).to_pydict()
    return {
        "sizes": Counter(f"{height}x{width}" for height, width in zip(table["height"], table["width"], strict=True)),
        "modes": Counter(table["mode"]),
    }
