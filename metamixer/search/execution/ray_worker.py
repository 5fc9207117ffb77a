"""What runs in a worker on Ray: one trial, told of in messages."""

from __future__ import annotations

import os
import platform
from dataclasses import replace
from typing import Any

import numpy as np
from ray import get_runtime_context, tune

from metamixer import tasks
from metamixer.errors import ResourceError, StudyError
from metamixer.search.execution import ray_session
from metamixer.search.execution.evaluator import Evaluate, resolve, run, versions
from metamixer.search.execution.ray_messages import KEY, Began, Ended, Epoch, Message, Refused
from metamixer.tasks import Arrays


def in_memory(arrays: Arrays) -> Arrays:
    """The arrays as plain ones: Ray's object store takes no pages of a file."""
    return replace(arrays, x_train=np.asarray(arrays.x_train), x_val=np.asarray(arrays.x_val))


def trial(config: dict[str, Any], arrays: Arrays | None = None) -> None:
    """Run one job.

    Args:
        config: `evaluate` by its dotted name, and the `job`; its `weights` is a file of the driver's machine.
        arrays: The task's data, on a cluster: views of the node's object store.
    """
    try:
        evaluate = resolve(config["evaluate"])
    except StudyError as error:
        _say(Refused.of(error))
        return
    _say(Began(f"{platform.node()}/{os.getpid()}", get_runtime_context().get_node_id(), versions()))
    job = config["job"]
    try:
        ended = _run_here(evaluate, job) if arrays is None else _run_elsewhere(evaluate, job, arrays)
    except ResourceError as error:
        _say(Refused.of(error))
        return
    _say(ended)
    if (ended.result.get("reason") or "").startswith("memory limit"):
        os._exit(0)  # what leaked stays in this process: the next trial gets another


def _run_here(evaluate: Evaluate, job: dict[str, Any]) -> Ended:
    return Ended(run(evaluate, job, _report))


def _run_elsewhere(evaluate: Evaluate, job: dict[str, Any], arrays: Arrays) -> Ended:
    """On a machine that has neither the data nor the run's folder."""
    tasks.of(job["task"]).receive(arrays)
    with ray_session.folder() as folder:
        file = folder / "weights"
        result = run(evaluate, {**job, "weights": str(file) if job["weights"] else None}, _report)
        return Ended(result, file.read_bytes() if file.is_file() else None)


def _report(epoch: dict[str, Any]) -> None:
    _say(Epoch(epoch))


def _say(message: Message) -> None:
    tune.report({KEY: message})
