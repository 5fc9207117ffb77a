"""Accuracies of reference classifiers, computed beside the search in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from metamixer.search.execution.evaluator import resolve


class Computation:
    """A running `function(task name) -> {classifier: accuracy}`; it yields to the trials."""

    def __init__(self, function: str, task: str) -> None:
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
        return json.loads(out.splitlines()[-1])

    def cancel(self) -> None:
        """Stop it if it still runs."""
        if not self.ended:
            self._process.kill()
        self._printed.result()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)
    name, task_name = sys.argv[1:]
    print(json.dumps(resolve(name)(task_name)))
