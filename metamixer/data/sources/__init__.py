"""Where images come from, one file a kind of source."""

from __future__ import annotations

from metamixer.data.section import DataSection
from metamixer.data.sources.source import PartName, Source

__all__ = ["PartName", "Source", "open_source"]


def open_source(address: str, part: PartName, section: DataSection) -> Source:
    """The source of an address, opened for a part: its classes are read, its images are not.

    Args:
        address: Its paths are absolute.
        part: What it is asked for; archives and saved data sets may hold all three.
        section: Names columns.

    Raises:
        ResourceError: What it names is not there, or an optional library is not installed.
        StudyError: It does not hold what a source has to.
    """
    kind, _, rest = address.partition(":")
    if kind == "folder":
        from metamixer.data.sources.folder import folder as from_folder

        return from_folder(rest, part)
    if kind == "parquet":
        from metamixer.data.sources.parquet import parquet

        return parquet(rest, part, section.image_column, section.label_column)
    if kind == "arrays":
        from metamixer.data.sources.arrays import arrays

        return arrays(rest, part)
    if kind == "hub":
        from metamixer.data.sources.hub import hub

        return hub(rest, part, section.image_column, section.label_column)
    if kind == "torchvision":
        from metamixer.data.sources.torchvision import torchvision

        return torchvision(rest, part)
    from metamixer.data.sources.function import function

    return function(rest, part)
