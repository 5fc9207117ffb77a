"""Accuracies of reference classifiers, computed beside the search in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from metamixer.search.configuration import SearchSection
from metamixer.search.execution import returned
from metamixer.search.execution.evaluator import resolve

if TYPE_CHECKING:
    from metamixer.search.storage.trial_store import TrialStore
    from metamixer.tasks import Task


TELL_SECONDS = 60.0  # between two lines on how long they take


class Computation:
    """A running `function(task name) -> {classifier: accuracy}`; it yields to the trials."""

    def __init__(self, function: str, task: str) -> None:
        self._function = function
        self._process = subprocess.Popen(
            [sys.executable, "-m", "metamixer.search.execution.references", function, task],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Two cores have trials on them already: spinning threads would take five times as long.
            env={**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")},
            start_new_session=True,  # Ctrl-C is the driver's to handle
        )
        # A pipe that nobody reads until the end may fill, and then the end never comes.
        reader = ThreadPoolExecutor(1, thread_name_prefix="references")
        self._printed = reader.submit(self._process.communicate)
        reader.shutdown(wait=False)

    @property
    def ended(self) -> bool:
        """Whether `result` returns at once."""
        return self._printed.done()

    def result(self) -> dict[str, float]:
        """Wait for the accuracies.

        Raises:
            RuntimeError: The function failed; the message is the end of what it printed.
        """
        out, errors = self._printed.result()
        if self._process.returncode:
            raise RuntimeError((errors.strip().splitlines() or ["no message"])[-1])
        try:
            return returned.accuracies(self._function, json.loads(out.splitlines()[-1]))
        except (IndexError, ValueError, TypeError) as error:  # it ended its process itself, or printed at its end
            raise RuntimeError(f"it returned no accuracies ({error})") from None

    def cancel(self) -> None:
        """Stop it if it still runs."""
        if not self.ended:
            self._process.kill()
        self._printed.result()


class References:
    """Reference accuracies that a record lacks, on their way into it.

    Args:
        function: `package.module:function`; empty for none.
        task: What is classified. Data of a `[data]` section are given to a function of the user's as `stored:FOLDER`,
            and not at all to the classifiers that ship, which take minutes on images.
        store: The record.
        say: Is told when they begin, every minute while they run, what they are, and when the function fails.
    """

    def __init__(self, function: str, task: Task, store: TrialStore, say: Callable[[str], None]) -> None:
        self._function, self._store, self._say = function, store, say
        self._first = ""  # is told with the first look, when the search has begun
        if task.stored is not None and function == SearchSection.model_fields["references"].default:
            self._first = "reference classifiers are not fitted to data of [data]: they would take minutes on images"
            function = ""
        name = task.name if task.stored is None else f"stored:{task.stored}"
        self._start = self._told = time.monotonic()
        self._computation = None
        if function and not store.references:
            self._first = "reference classifiers are fitted beside the search, in a process of their own"
            self._computation = Computation(function, name)

    def poll(self) -> bool:
        """Write them if they have come; returns whether nothing more is to come."""
        if self._first:
            self._say(self._first)
            self._first = ""
        if self._computation is not None and self._computation.ended:
            computation, self._computation = self._computation, None
            try:
                found = computation.result()
            except RuntimeError as error:
                self._say(f"no reference accuracies: {self._function} failed: {error}")
                return True
            self._store.set_references(found)
            accuracies = ", ".join(f"{name} {accuracy:.4f}" for name, accuracy in found.items()) or "none"
            self._say(f"reference classifiers after {time.monotonic() - self._start:.0f} s: {accuracies}")
        elif self._computation is not None and time.monotonic() - self._told >= TELL_SECONDS:
            self._told = time.monotonic()
            self._say(f"reference classifiers: {self._told - self._start:.0f} s so far")
        return self._computation is None

    def cancel(self) -> None:
        """Wait for them no more."""
        if self._computation is not None:
            self._computation.cancel()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    name, task_name = sys.argv[1:]
    print(json.dumps(returned.accuracies(name, resolve(name)(task_name))))
