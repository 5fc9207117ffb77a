"""Trials one after another in this process: no Ray, the same record. For notebooks, debugging, tests and Windows."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

from metamixer.search.driver.jobs import Jobs, NoJob
from metamixer.search.execution.evaluator import resolve, run, versions
from metamixer.search.execution.interrupt import Interrupt


def dispatch(driver: Jobs, evaluate: str, interrupt: Interrupt, refresh: Callable[[], None]) -> None:
    """Run the driver's jobs until there are none.

    A trial's time limit is looked at by `evaluate` alone; a trial that hangs or kills its process takes the search with
    it (which can be continued).

    Args:
        driver: Says what to run.
        evaluate: `package.module:function`, see `metamixer.training.evaluate`.
        interrupt: Ctrl-C.
        refresh: Called whenever the progress has changed.

    Raises:
        Interrupted: Ctrl-C; the trial that was running stays in the record to be run again.
    """
    function = resolve(evaluate)
    worker, known = f"{platform.node()}/{os.getpid()}", versions()
    while True:
        interrupt.check()
        job = driver.next_job()
        if isinstance(job, NoJob):
            return
        number = int(job["number"])
        driver.started(number, worker, known)
        refresh()

        def report(epoch: dict[str, Any], number: int = number) -> bool:
            with interrupt.protected():
                continues = driver.epoch(number, epoch)
                refresh()
            interrupt.check()
            return continues

        with interrupt.anywhere():
            result = run(function, job, report)
        driver.finished(number, result)
        refresh()
