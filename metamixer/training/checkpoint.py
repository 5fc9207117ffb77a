"""A training that was killed continues after its last whole epoch, with the numbers it would have had."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

FORMAT = 1


def save(path: str | Path, of: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: Folders on the way are made.
        of: JSON-able: what it is a checkpoint of; `load` wants the same.
        state: Tensors, numbers, strings, and dicts and lists of these. The global generators' states are added.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        torch.save({"format": FORMAT, "of": _text(of), "chance": _chance(), **state}, unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load(path: str | Path, of: Mapping[str, Any], device: torch.device) -> dict[str, Any] | None:
    """The state that was saved; None if there is none, it cannot be read, or it is of another training.

    What cannot be read is no failure: the training then begins anew, which costs time but no number.
    """
    try:
        document = torch.load(path, map_location=device, weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError):
        return None
    if not isinstance(document, dict) or document.get("format") != FORMAT or document.get("of") != _text(of):
        return None
    return document


def remove(path: str | Path) -> None:
    """Delete a checkpoint that is needed no longer, if there is one; one that cannot be deleted does no harm."""
    with suppress(OSError):
        Path(path).unlink(missing_ok=True)


def restore_chance(document: Mapping[str, Any]) -> None:
    """Give the global generators of Python, NumPy and torch the states that they had when the checkpoint was saved."""
    chance = document["chance"]
    version, words, gauss = chance["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, *rest = chance["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(chance["torch"].cpu())
    for number, state in enumerate(chance["cuda"]):
        torch.cuda.set_rng_state(state.cpu(), number)


def _text(of: Mapping[str, Any]) -> str:
    return json.dumps(of, sort_keys=True)


def _chance() -> dict[str, Any]:
    version, words, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), *rest],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }
