"""What users' functions return, checked before anything of it is stored: plain Python, the right keys, the right types.

Real numbers of any library are taken. Anything else is a `TypeError` or `ValueError` whose message names the function,
the key and what was found there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

STATES = ("finished", "stopped", "failed")
# One in an epoch's report is shown, and compared at rungs.
EPOCH = ("epoch", "validation_accuracy")


def name_of(function: Callable[..., Any]) -> str:
    """`package.module:function`, for messages."""
    module = getattr(function, "__module__", None) or type(function).__module__
    return f"{module}:{getattr(function, '__qualname__', None) or type(function).__qualname__}"


def result(function: str, value: Any) -> dict[str, Any]:
    """What an `evaluate` returned, in plain Python.

    Args:
        function: Its name.
        value: What it returned.

    Raises:
        TypeError: It is no dict, or a value has a type that a record does not hold there.
        ValueError: A key is missing, or a number is out of its range.
    """
    found = _mapping(value, f"{function} returned", "")
    place = f"{function} returned"
    if found.get("state") not in STATES:
        given = f"'state' {found['state']!r}" if "state" in found else "no 'state'"
        raise ValueError(f"{place} {given}; it is one of {', '.join(map(repr, STATES))}")
    if found["state"] == "finished":
        _share(found.get("accuracy"), f"{place} 'accuracy'")
    elif isinstance(found.get("accuracy"), str):
        _real(found["accuracy"], f"{place} 'accuracy'")
    for key in ("loss", "seconds", "cpu_seconds"):
        if found.get(key) is not None:
            _real(found[key], f"{place} {key!r}")
    for key in ("reason", "device", "traceback"):
        _typed(found.get(key), str, f"{place} {key!r}")
    _typed(found.get("versions"), dict, f"{place} 'versions'")
    _typed(found.get("curve"), list, f"{place} 'curve'")
    for row in found.get("curve") or ():
        _row(row, f"{place} 'curve'")
    return found


def epoch(function: str, value: Any) -> dict[str, Any]:
    """What an `evaluate` reported of an epoch, in plain Python.

    Raises:
        TypeError: As `result`.
        ValueError: As `result`.
    """
    place = f"{function} reported"
    found = _mapping(value, place, "")
    _row(found, place)
    return found


def accuracies(function: str, value: Any) -> dict[str, float]:
    """What a function of reference accuracies returned: classifier -> accuracy.

    Raises:
        TypeError: As `result`.
        ValueError: As `result`.
    """
    place = f"{function} returned"
    found = _mapping(value, place, "")
    for name, accuracy in found.items():
        _share(accuracy, f"{place} {name!r}")
        if not math.isfinite(accuracy):
            raise ValueError(f"{place} {name!r} as {accuracy}; it is an accuracy in 0..1")
    return {name: float(accuracy) for name, accuracy in found.items()}


def _row(row: Any, place: str) -> None:
    _typed(row, dict, place)
    for key in EPOCH:
        if key not in row:
            raise ValueError(f"{place} an epoch without {key!r}")
        _real(row[key], f"{place} {key!r}")
    if not math.isfinite(row["epoch"]):
        raise ValueError(f"{place} 'epoch' as {row['epoch']}")


def _share(value: Any, place: str) -> None:
    """An accuracy; NaN is one, and makes the trial fail as such."""
    _real(value, place)
    if math.isfinite(value) and not 0 <= value <= 1:
        raise ValueError(f"{place} as {value:g}; it is a share in 0..1, not per cent")


def _real(value: Any, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{place} as a {type(value).__name__}, not a number")


def _typed(value: Any, kind: type, place: str) -> None:
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{place} as a {type(value).__name__}, not a {kind.__name__}")


def _mapping(value: Any, place: str, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{place}{path} a {type(value).__name__}, not a dict")
    return {str(key): _plain(item, place, f"{path} {str(key)!r}") for key, item in value.items()}


def _plain(value: Any, place: str, path: str) -> Any:
    """What JSON can hold: Python's own numbers for those of NumPy, torch and others."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return _mapping(value, place, path)
    if isinstance(value, (list, tuple)):
        return [_plain(item, place, path) for item in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if hasattr(value, "item") and getattr(value, "shape", None) in ((), (1,)):  # an array or tensor of one number
        return _plain(value.item(), place, path)
    if hasattr(value, "as_tuple") and hasattr(value, "__float__"):  # decimal.Decimal is no numbers.Real
        return float(value)
    raise TypeError(f"{place}{path} as a {type(value).__name__}, which a record cannot hold")
