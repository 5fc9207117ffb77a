"""Deleting caches of decoded images that nothing needs any more."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection
from pathlib import Path

from metamixer.errors import ResourceError
from metamixer.tasks.stored import ABOUT

UNUSED_SECONDS = 24 * 3600.0  # a search that was continued on files that were only touched is not named by its record


def prune(root: Path, needed: Collection[Path]) -> list[tuple[str, int]]:
    """Delete the caches below `root` but those needed, and those that a command has looked up within a day.

    What a killed process left of a cache goes, too, after a day.

    Args:
        root: The folder of caches, see `metamixer.data.cache`.
        needed: Folders of caches that stay.

    Returns:
        Names and bytes of what was deleted.

    Raises:
        ResourceError: One cannot be deleted.
    """
    stay = {folder.resolve() for folder in needed}
    deleted = []
    for folder in sorted(root.iterdir() if root.is_dir() else ()):
        unfinished = folder.name.endswith(".unfinished")
        # Nothing else is touched: `root` may be a folder of the user's.
        if not (unfinished or (folder / ABOUT).is_file()) or folder.is_symlink() or folder.resolve() in stay:
            continue
        files = [path for path in folder.rglob("*") if path.is_file()]
        last_use = max((path.stat().st_mtime for path in (folder, *files)), default=0.0)
        if time.time() - last_use < UNUSED_SECONDS:
            continue
        size = sum(path.stat().st_size for path in files)
        try:
            shutil.rmtree(folder)
        except OSError as error:
            reason = error.strerror or str(error)
            raise ResourceError(f"a cache cannot be deleted: {reason}", str(folder), "see who owns it") from error
        deleted.append((folder.name, size))
    return deleted
