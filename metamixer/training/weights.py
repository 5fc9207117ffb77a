"""Weights on disk: safetensors with what is needed to build the network again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from metamixer.errors import RecordError

if TYPE_CHECKING:
    from torch import nn

FORMAT = "1"


def save(net: nn.Module, path: str | Path, metadata: Mapping[str, str]) -> None:
    """Write `net`'s parameters and buffers to `path`, whole or not at all; shared weights are written once.

    Args:
        net: On any device.
        path: Folders on the way are made.
        metadata: Read back by `metadata_of`; `format` is added.
    """
    from safetensors.torch import save_model

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two attempts at one trial may write at once: each has a file of its own until the rename.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_model(net, str(unfinished), metadata={**metadata, "format": FORMAT})
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(net: nn.Module, path: str | Path) -> None:
    """Put the weights of `path` into `net`, which was built from the sentence named in the file's metadata.

    Raises:
        RecordError: No such file, not a safetensors file, or the weights of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    try:
        load_model(net, path, strict=True)
    except (OSError, SafetensorError) as error:
        raise RecordError(f"weights cannot be read: {error}", place=str(path)) from error
    except RuntimeError as error:
        raise RecordError(
            "these are weights of another network",
            place=f"{path}\n{error}",
            advice="build the network from the sentence in the file's metadata",
        ) from error


def metadata_of(path: str | Path) -> dict[str, str]:
    """What `evaluate` wrote beside the weights: sentence, task, fingerprint, seed, accuracy, format.

    Raises:
        RecordError: No such file, or not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise RecordError(f"weights cannot be read: {error}", place=str(path)) from error
