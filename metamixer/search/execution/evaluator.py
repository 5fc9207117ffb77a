"""Calling what trains, by its dotted name, where the trial runs."""

from __future__ import annotations

import platform
import sys
import time
import traceback
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from metamixer.errors import ResourceError, StudyError
from metamixer.search.execution import returned
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

    Real numbers of any library are taken; anything else than `metamixer.search.execution.returned` takes, and a call of
    `sys.exit`, is a failure that says so.

    Raises:
        ResourceError: This process holds more than `job["memory_limit"]` before the trial begins.
        BaseException: Whatever `report` raises passes through.
    """
    start = time.monotonic()
    name = returned.name_of(evaluate)
    curve: list[dict[str, Any]] = []
    of_report: list[BaseException] = []

    def checked(epoch: dict[str, Any]) -> bool | None:
        curve.append(returned.epoch(name, epoch))
        try:
            return report(dict(curve[-1]))
        except BaseException as error:
            of_report.append(error)
            raise

    try:
        result = returned.result(name, limited(evaluate, job, checked))
    except ResourceError:
        raise  # not the trial's fault
    except (Exception, SystemExit) as error:
        if error in of_report:
            raise  # the caller's: Ray ends the function of a trial that it stops by SystemExit from a report
        called = f"{name} called sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error)
        reason = f"exception: {type(error).__name__}: {called}"
        trace = traceback.format_exc()
    else:
        return result if result.get("curve") is not None else {**result, "curve": curve}
    return {
        "state": "failed",
        "reason": reason,
        "curve": curve,
        "seconds": time.monotonic() - start,
        "device": job.get("device"),
        "versions": {"python": platform.python_version()},
        "traceback": trace,
    }
