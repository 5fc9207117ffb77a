"""Columns as JSON that a browser turns into typed arrays: base64 of the array's bytes, little-endian."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

TYPES = {"f4": "float32", "f8": "float64", "i4": "int32", "u1": "uint8"}


def column(values: NDArray[Any]) -> dict[str, str]:
    """One column: its type, as JavaScript names its arrays, and its bytes.

    Raises:
        ValueError: JavaScript has no array of this type.
    """
    code = values.dtype.str[1:]
    if code not in TYPES:
        raise ValueError(f"no typed array for {values.dtype}")
    data = np.ascontiguousarray(values, dtype=f"<{code}").tobytes()
    return {"type": TYPES[code], "data": base64.b64encode(data).decode("ascii")}


def decoded(encoded: dict[str, str]) -> NDArray[Any]:
    """What `column` was given."""
    return np.frombuffer(base64.b64decode(encoded["data"]), dtype=np.dtype(encoded["type"]).newbyteorder("<"))


def pooled(texts: Iterable[str | None]) -> dict[str, Any]:
    """Texts that repeat: each distinct one once, and a column of their places; -1 where there is none."""
    pool: dict[str, int] = {}
    places = [-1 if text is None else pool.setdefault(text, len(pool)) for text in texts]
    return {"texts": list(pool), "at": column(np.array(places, dtype=np.int32))}
