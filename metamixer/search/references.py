"""Accuracies of reference classifiers, computed beside the search in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from metamixer.search.evaluator import resolve


class Computation:
    """A running `function(task name) -> {classifier: accuracy}`; it yields to the trials."""

    def __init__(self, function: str, task: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "metamixer.search.references", function, task],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Two cores have trials on them already: spinning threads would take five times as long.
            env={**os.environ, **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")},
            start_new_session=True,  # Ctrl-C is the driver's to handle
        )

    @property
    def ended(self) -> bool:
        """Whether `result` returns at once."""
        return self._process.poll() is not None

    def result(self) -> dict[str, float]:
        """Wait for the accuracies.

        Raises:
            RuntimeError: The function failed; the message is the end of what it printed.
        """
        out, errors = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError((errors.strip().splitlines() or ["no message"])[-1])
        return json.loads(out.splitlines()[-1])

    def cancel(self) -> None:
        """Stop it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    name, task_name = sys.argv[1:]
    print(json.dumps(resolve(name)(task_name)))  # type: ignore[call-arg,arg-type]
