"""Weights on disk: safetensors with what is needed to build the network again. Nothing is unpickled.

Tensors of a metamixer network have the names that its sentence gives them (`metamixer.compile.names`), those of any
other module the names that torch gives. The metadata, all text:

    format, names     versions of this file and of the scheme of names ("module": torch's)
    sentence, key     without the task's head; of the whole network
    task, fingerprint, seed, accuracy
    input             {"channels", "grid"}, JSON
    classes           names of the classes, or their number, JSON
    mean, std         that inputs in 0..1 (or as the task has them) are normalised by, JSON lists or null
    raw               "bytes" where the task's inputs are 0..255, "numbers" where they are what the network takes
    metamixer         version that wrote it
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer.errors import RecordError

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = "2"
_MODULE = "module"


def save(net: nn.Module, path: str | Path, metadata: Mapping[str, str]) -> None:
    """Write `net`'s parameters and buffers to `path`, whole or not at all; shared weights are written once.

    Args:
        net: On any device.
        path: Folders on the way are made.
        metadata: Read back by `metadata_of`; `format` and `names` are added.
    """
    from safetensors.torch import save_file, save_model

    from metamixer.compile.modules import Network
    from metamixer.compile.names import SCHEME, named_tensors

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two attempts at one trial may write at once: each has a file of its own until the rename.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    about = {**metadata, "format": FORMAT, "names": SCHEME if isinstance(net, Network) else _MODULE}
    try:
        if isinstance(net, Network):
            # Each a copy of its own: projections that run as one matrix share its memory.
            tensors = {name: value.cpu().contiguous().clone() for name, value in named_tensors(net).items()}
            save_file(tensors, str(unfinished), metadata=about)
        else:
            save_model(net, str(unfinished), metadata=about)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(net: nn.Module, path: str | Path) -> None:
    """Put the weights of `path` into `net`, which was built from the sentence named in the file's metadata.

    Raises:
        RecordError: No such file, not a safetensors file, of another version, or the weights of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    from metamixer.compile.modules import Network
    from metamixer.compile.names import load_tensors

    check(metadata_of(path), path)
    if isinstance(net, Network):
        load_tensors(net, tensors_of(path), str(path))
        return
    try:
        load_model(net, path, strict=True)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    except RuntimeError as error:
        raise RecordError(
            "these are weights of another network",
            place=f"{path}\n{error}",
            advice="build the network from the sentence in the file's metadata",
        ) from error


def check(metadata: Mapping[str, str], path: str | Path) -> None:
    """See that a file of weights was written as it is read.

    Raises:
        RecordError: Another version of metamixer wrote it, or another program.
    """
    from metamixer.compile.names import SCHEME

    if "format" not in metadata or "sentence" not in metadata:
        raise RecordError(
            "this file of weights was not written by metamixer: its metadata names no sentence",
            str(path),
            "name the weights of a run: RUN#41, or a file below its folder weights/",
        )
    if metadata["format"] != FORMAT or metadata.get("names") not in (SCHEME, _MODULE):
        found = f"format {metadata['format']}, names {metadata.get('names', 'of modules')}"
        raise RecordError(
            f"these weights were kept by another version of metamixer ({found}; this one has {FORMAT} and {SCHEME})",
            str(path),
            "load them with the version that wrote them, or train the sentence in their metadata again",
        )


def metadata_of(path: str | Path) -> dict[str, str]:
    """What stands beside the weights, see above.

    Raises:
        RecordError: No such file, or not a safetensors file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def tensors_of(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU.

    Raises:
        RecordError: No such file, or not a safetensors file, or one that was cut off.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: str | Path, error: Any) -> RecordError:
    return RecordError(f"weights cannot be read: {error}", place=str(path))
