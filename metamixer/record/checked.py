"""What a record holds, checked before it is trusted: it may be damaged, or somebody else's.

Every function raises `ValueError` with one line that says what is wrong; who knows the place makes a `RecordError` of
it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

KINDS = ("searched", "rejected", "baseline", "replicate", "imported", "retrained")


def parsed(text: str | None, what: str) -> Any:
    """JSON as a record holds it."""
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{what} is no JSON: {error}") from None


def trial(number: int, document: Any) -> dict[str, Any]:
    """A trial's document."""
    if not isinstance(document, dict):
        raise ValueError(f"trial {number} is a {type(document).__name__}, not a dict")
    if "kind" not in document:
        raise ValueError(f"trial {number} has no kind")
    for key, (sort, allowed) in _FIELDS.items():
        if key in document and not allowed(document[key]):
            raise ValueError(f"{key} of trial {number} is {_short(document[key])}, not {sort}")
    first = document.get("replicate_of")
    if first is not None and not 0 <= first < number:
        raise ValueError(f"trial {number} repeats trial {first}, which is not before it")
    again = document.get("retrains")
    if again is not None and not 0 <= again < number:
        raise ValueError(f"trial {number} retrains trial {again}, which is not before it")
    if document["kind"] == "retrained" and again is None:
        raise ValueError(f"trial {number} is retrained, and does not say of which trial")
    return document


def settings(document: Any) -> dict[str, Any]:
    """The settings of a study, as far as readers of the record use them."""
    if not isinstance(document, dict):
        raise ValueError(f"its settings are a {type(document).__name__}, not a dict")
    for section in ("study", "training", "limits", "search", "task", "space"):
        if not isinstance(document.get(section), dict):
            raise ValueError(f"its settings have no {section}")
    task, space = document["task"], document["space"]
    for key, (sort, allowed) in _TASK.items():
        if not allowed(task.get(key)):
            raise ValueError(f"task.{key} of its settings is {_short(task.get(key))}, not {sort}")
    rules = space.get("rules")
    if not isinstance(rules, dict) or not all(map(_text, rules.values())):
        raise ValueError("space.rules of its settings are no rules")
    point = document.get("reference_point")
    if not isinstance(point, list) or len(point) != 2 or not all(map(_number, point)):
        raise ValueError(f"reference_point of its settings is {_short(point)}, not two numbers")
    return document


def accuracies(document: Any) -> dict[str, float]:
    """Accuracies of reference classifiers; none where what is there cannot be some: they are computed anew."""
    good = isinstance(document, dict) and all(_number(value) and 0 <= value <= 1 for value in document.values())
    return document if good else {}


def texts(document: Any) -> dict[str, str]:
    """A dict of text, as fingerprints are; none where it is something else, so that nothing agrees with it."""
    return document if isinstance(document, dict) and all(map(_text, document.values())) else {}


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _dict_of(allowed: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Mapping) and all(map(allowed, value.values()))


def _optional(allowed: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or allowed(value)


def _curve(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) and all(map(_scalar, row.values())) for row in value)


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, (int, float, str, list, dict))


def _cost(value: Any) -> bool:
    return value is None or (_dict_of(_integer)(value) and {"macs", "params"} <= value.keys())


def _test(value: Any) -> bool:
    return value is None or (_dict_of(_number)(value) and {"accuracy", "loss", "images"} <= value.keys())


def _inside(value: Any) -> bool:
    """A path that cannot lead out of the record's folder, on any system."""
    return value is None or (
        isinstance(value, str)
        and all(
            not path.is_absolute() and ".." not in path.parts for path in (PurePosixPath(value), PureWindowsPath(value))
        )
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "kind": (f"one of {', '.join(KINDS)}", lambda value: value in KINDS),
    "sentence": ("text", _text),
    "choices": ("a dict of numbers and text", _dict_of(lambda value: _integer(value) or _text(value))),
    "cost": ("a dict of integers with macs and params", _cost),
    "curve": ("a list of epochs", _curve),
    "test": ("a dict of numbers with accuracy, loss and images", _test),
    "training": ("a dict", _optional(lambda value: isinstance(value, dict))),
    "seed_index": ("an integer", _integer),
    "parents": ("a list of integers", lambda value: isinstance(value, (list, tuple)) and all(map(_integer, value))),
    "attempts": ("an integer", _integer),
    "versions": ("a dict of text", _dict_of(_text)),
    "weights": ("a path within the run's folder", _inside),
    **dict.fromkeys(
        ("reason", "key", "name", "source", "origin", "worker", "device", "traceback"), ("text", _optional(_text))
    ),
    **dict.fromkeys(
        ("seed", "replicate_of", "retrains", "batch", "duplicate_of", "epochs"), ("an integer", _optional(_integer))
    ),
    **dict.fromkeys(
        ("accuracy", "loss", "seconds", "cpu_seconds", "started", "clock"), ("a number", _optional(_number))
    ),
}
_TASK: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "name": ("text", _text),
    "channels": ("an integer", _integer),
    "classes": ("an integer", _integer),
    "grid": ("a list of integers", lambda value: isinstance(value, list) and all(map(_integer, value))),
}
