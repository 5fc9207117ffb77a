"""Showing a search in other programs: TensorBoard, MLflow, Weights & Biases, or a program of your own.

A study names what it wants, `[search] callbacks = ["tensorboard"]`. A callback is a class, named as
`package.module:Class`, or made known by an entry point of the group `metamixer.callbacks`. It is fed from the record:
every trial that has ended is handed over, those of earlier lives of the driver first, so what it shows is whole
whatever was killed, and what it has shown must not show twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any, Protocol

from metamixer.errors import StudyError, UserError
from metamixer.record import Trial
from metamixer.search.plugins import Plugins

_SHIPPED = {"tensorboard": "TensorBoard", "mlflow": "MLflow", "wandb": "WandB"}
PLUGINS = Plugins(
    "callback",
    "search.callbacks",
    "metamixer.callbacks",
    {name: f"metamixer.search.callbacks.{name}:{attribute}" for name, attribute in _SHIPPED.items()},
    frozenset(_SHIPPED),
)
_METHODS = {"start": 2, "ended": 1, "close": 0}  # arguments that each is called with
_WRITE = "write a class that is made without arguments and has start(run, settings), ended(trial) and close()"


class Callback(Protocol):
    """What a class of the group does; it is called without arguments, and only in the driver."""

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        """A driver begins. `run` is the run's folder, `settings` are those of `metamixer.record.reading.settings`."""

    def ended(self, trial: Trial) -> None:
        """A trial has ended: trained, failed, stopped early or refused; once in a driver's life, by rising number."""

    def close(self) -> None:
        """The driver ends."""


class Feed:
    """Hands the trials of a record to callbacks as they end. One that fails is left out from then on, and said so."""

    def __init__(self, callbacks: Mapping[str, Callback], say: Callable[[str], None]) -> None:
        self._callbacks = dict(callbacks)
        self._say = say
        self._seen = 0
        self._open: list[int] = []

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        """A driver begins."""
        self._each(methodcaller("start", run, settings))

    def show(self, trials: Sequence[Trial]) -> None:
        """Hand over what has ended since the last call."""
        waiting = [*self._open, *range(self._seen, len(trials))] if self._callbacks else []
        self._seen, self._open = len(trials), []
        for number in waiting:
            if trials[number].finished:
                self._each(methodcaller("ended", trials[number]))
            else:
                self._open.append(number)

    def close(self) -> None:
        """The driver ends."""
        self._each(methodcaller("close"))

    def _each(self, call: Callable[[Callback], None]) -> None:
        for name, callback in list(self._callbacks.items()):
            try:
                call(callback)
            except (Exception, SystemExit) as error:
                del self._callbacks[name]
                self._say(f"callback {name} failed and is left out: {type(error).__name__}: {error}")


def make(names: Sequence[str]) -> dict[str, Callback]:
    """The callbacks of these names.

    Raises:
        StudyError: There is none of a name, it cannot be imported, or it is no callback.
        ResourceError: What it shows its trials in is not installed.
    """
    return {name: _make(name) for name in names}


def _make(name: str) -> Callback:
    loaded = PLUGINS.load(name)
    if not callable(loaded):
        raise StudyError(f"the callback {name} is no class, but {loaded!r}", PLUGINS.key, _WRITE)
    try:
        callback: Callback = loaded()
    except ModuleNotFoundError as error:
        raise PLUGINS.missing(name, error) from None
    except UserError:
        raise
    except Exception as error:
        message = f"the callback {name} cannot be made: {type(error).__name__}: {error}"
        raise StudyError(message, PLUGINS.key, _WRITE) from error
    for method, arguments in _METHODS.items():
        found = getattr(callback, method, None)
        if not callable(found):
            raise StudyError(f"the callback {name} has no method {method}", PLUGINS.key, _WRITE)
        try:
            inspect.signature(found).bind(*range(arguments))
        except TypeError as error:
            raise StudyError(f"the callback {name}: {method} {error}", PLUGINS.key, _WRITE) from None
    return callback


def numbers(trial: Trial) -> dict[str, float]:
    """What a trial measured, by name."""
    found = {"accuracy": trial.accuracy, "loss": trial.loss, "seconds": trial.seconds, "epochs": trial.epochs}
    costs = {"mflops": trial.flops / 1e6, "params": trial.cost["params"]} if trial.cost else {}
    return {name: float(value) for name, value in {**found, **costs}.items() if value is not None}
