"""Writing files whole or not at all: whatever is killed, what lies there is the old content or the new."""

from __future__ import annotations

import os
from pathlib import Path

from metamixer.errors import ResourceError


def write(path: str | Path, content: str | bytes, private: bool = False) -> None:
    """Write a file; folders on the way are made.

    Args:
        path: The file.
        content: Text is written as UTF-8.
        private: Nobody but its owner may read it.

    Raises:
        ResourceError: It cannot be written: no permission, no room, a folder.
    """
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    # Two processes may write at once: each has a file of its own until the rename.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)  # a pipe, a terminal: nothing to be replaced
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.touch(mode=0o600 if private else 0o666)
            unfinished.write_bytes(data)
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ResourceError(
            f"the file cannot be written: {error.strerror or error}",
            place=str(path),
            advice="see that its folder can be written and its disk is not full, or name another place",
        ) from error
