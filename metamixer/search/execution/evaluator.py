"""Calling what trains, by its dotted name, where the trial runs."""

from __future__ import annotations

import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from metamixer.errors import ResourceError, StudyError
from metamixer.search.execution.limits import limited

Evaluate = Callable[[dict[str, Any], Callable[[dict[str, Any]], bool | None]], dict[str, Any]]


def resolve(name: str) -> Callable[..., Any]:
    """The function `package.module:function`: an `Evaluate`, or one of reference accuracies.

    Raises:
        StudyError: There is none.
    """
    module, _, attribute = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # as `python -m` does: a user's own module lies where the search was started
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise StudyError(
            f"cannot import {name}: {error}", place="search.evaluate", advice="write package.module:function"
        ) from error


@cache
def versions() -> dict[str, str]:
    """Versions where a trial is about to run: what is recorded of one that returns none itself."""
    found = {"python": platform.python_version()}
    for package in ("metamixer", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def run(evaluate: Evaluate, job: dict[str, Any], report: Callable[[dict[str, Any]], bool | None]) -> dict[str, Any]:
    """The result of one trial. `evaluate` returns failures as data; one that raises all the same has failed, too.

    Real numbers of any library are taken; a result, or a report of an epoch, that JSON cannot hold is a failure that
    says which value it is.

    Raises:
        ResourceError: This process holds more than `job["memory_limit"]` before the trial begins.
    """
    start = time.monotonic()
    try:
        result = limited(evaluate, job, lambda epoch: report(_mapping(epoch, "the report of an epoch")))
        return _mapping(result, "the result of evaluate")
    except ResourceError:
        raise  # not the trial's fault
    except Exception as error:
        return {
            "state": "failed",
            "reason": f"exception: {type(error).__name__}: {error}",
            "seconds": time.monotonic() - start,
            "device": job.get("device"),
            "versions": {"python": platform.python_version()},
            "traceback": traceback.format_exc(),
        }


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{place} is a {type(value).__name__}, not a dict")
    return {str(key): _plain(item, f"{place}[{key!r}]") for key, item in value.items()}


def _plain(value: Any, place: str) -> Any:
    """What JSON can hold: Python's own numbers for those of NumPy or torch."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Mapping):
        return _mapping(value, place)
    if isinstance(value, (list, tuple)):
        return [_plain(item, place) for item in value]
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # an array or tensor of one number
        return _plain(value.item(), place)
    raise TypeError(f"{place} is a {type(value).__name__}, which a record cannot hold")
