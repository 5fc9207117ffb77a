from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toys

from metamixer import record
from metamixer.errors import ResourceError
from metamixer.search import processes
from metamixer.search.execution import dispatcher
from metamixer.search.execution import limits as memory
from metamixer.search.execution.interrupt import Interrupted
from metamixer.search.execution.limits import MEGABYTE, limited
from metamixer.search.study import Study

Load = Callable[..., Study]
SHORT = ("study.confirm=2", "study.budget=6")
needs_ray = pytest.mark.skipif(dispatcher.unavailable() is not None, reason="no Ray here")


def room(megabytes: int) -> float:
    return processes.memory() / MEGABYTE + megabytes


@pytest.mark.parametrize(("retries", "batch"), [(0, None), (1, 32), (2, 16), (5, 16)])
def test_out_of_memory_may_be_tried_again_at_half_the_batch(load: Load, retries: int, batch: int | None) -> None:
    options = (*SHORT, "search.evaluate=toys:hungry", f"search.retry_out_of_memory={retries}", "training.batch_size=64")
    study = load(*options)
    outcome = study.run("inline")
    rows = [row for row in record.read(study.path) if row.kind == "searched"]
    assert outcome.trained == 6
    odd, even = ([row for row in rows if row.number % 2 == rest] for rest in (1, 0))
    assert odd
    assert {(row.state, row.batch) for row in even} == {("complete", None)}
    fits = batch == 16
    assert {(row.state, row.batch) for row in odd} == {("complete" if fits else "failed", batch)}
    assert {row.reason for row in odd} == {None if fits else "out of memory"}
    # Seeds of one architecture begin as it ended.
    every = record.read(study.path)
    smaller = [row for row in every if row.replicate_of is not None and every[row.replicate_of].batch is not None]
    assert all(row.batch == every[row.replicate_of or 0].batch for row in smaller)


def test_the_smaller_batch_survives_a_restart(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    batches: list[int] = []

    def evaluate(job: dict[str, Any], report: toys.Report) -> dict[str, Any]:
        if job["number"] == 1:
            batches.append(job["training"]["batch_size"])
            if len(batches) == 2:
                raise Interrupted
        return toys.hungry(job, report)

    monkeypatch.setattr(toys, "interrupted", evaluate, raising=False)
    options = ("study.confirm=1", "study.budget=3", "search.evaluate=toys:interrupted", "search.retry_out_of_memory=2")
    study = load(*options)
    assert study.run("inline").state == "interrupted"
    assert study.run("inline").trained == 3
    assert batches == [64, 32, 32, 16]


def test_a_trial_that_leaks_is_ended_and_says_so(load: Load) -> None:
    study = load(
        "study.confirm=1", "study.budget=4", "search.evaluate=toys:leaking", f"search.memory_limit={room(200)}"
    )
    outcome = study.run("inline")
    rows = [row for row in record.read(study.path) if row.kind == "searched"]
    assert (outcome.state, outcome.trained, outcome.failed) == ("finished", 4, 1)
    assert rows[1].reason is not None
    assert rows[1].reason.startswith("memory limit: the worker held ")
    assert rows[1].accuracy is None
    assert (rows[1].epochs, len(rows[1].curve)) == (2, 2)
    assert [row.state for row in rows] == ["complete", "failed", "complete", "complete"]


def test_a_limit_below_what_a_worker_holds_is_refused(load: Load) -> None:
    with pytest.raises(ResourceError, match=r"holds .* MB before its trial begins") as error:
        load("search.memory_limit=10").run("inline")
    assert "search.memory_limit = 10" in (error.value.place or "")


def test_a_trial_is_not_interrupted_while_it_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0.01)
    large = threading.Event()
    now = processes.memory()
    monkeypatch.setattr(processes, "memory", lambda: 2 * now if large.is_set() else now)
    done = []

    def report(epoch: dict[str, Any]) -> None:
        large.set()
        for _ in range(40):
            time.sleep(0.005)
        done.append(epoch)

    def evaluate(job: dict[str, Any], report: toys.Report) -> dict[str, Any]:
        report({"epoch": 1})
        for _ in range(2000):
            time.sleep(0.005)
        return {"state": "finished"}

    result = limited(evaluate, {"memory_limit": 1.5 * now / MEGABYTE}, report)
    assert done == [{"epoch": 1}]
    assert (result["state"], result["curve"]) == ("failed", [{"epoch": 1}])


TRACED = """
import sys, time
from metamixer.search.execution import limits

def trial(job, report):
    if job["number"]:
        held = [bytes(2**28)]
        end = time.monotonic() + 20
        while time.monotonic() < end:
            held.append(None)
    return {"state": "finished"}

for number in (0, 1, 0):
    room = limits.processes.memory() / limits.MEGABYTE + (1000 if not number else 100)
    result = limits.limited(trial, {"number": number, "memory_limit": room}, lambda epoch: None)
    assert result["state"] == ("failed" if number else "finished"), result
    limits.limited(trial, {"number": 0}, lambda epoch: None)
    sys.settrace(lambda *event: None)
    (lambda: None)()
    sys.settrace(None)
"""


def test_code_can_be_traced_after_trials_as_debuggers_and_coverage_do() -> None:
    subprocess.run([sys.executable, "-c", TRACED], check=True, timeout=60)


MAPPED = """
import sys
import numpy as np
from metamixer.search import processes

before = processes.memory()
images = np.load(sys.argv[1], mmap_mode="r")
assert images.sum() == images.size
mapped = processes.memory() - before
held = bytearray(b"x") * images.size
taken = processes.memory() - before - mapped
assert mapped < images.size / 4 < images.size * 0.9 < taken, (mapped, taken, images.size)
"""


def test_images_that_are_mapped_are_no_memory_of_a_worker(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.ones(64 * MEGABYTE, np.uint8))
    subprocess.run([sys.executable, "-c", MAPPED, str(tmp_path / "images.npy")], check=True, timeout=60)


def test_without_a_limit_nothing_looks() -> None:
    before = threading.active_count()
    result = limited(lambda job, report: {"threads": threading.active_count()}, {}, lambda epoch: None)
    assert result == {"threads": before}


@needs_ray
def test_a_ray_worker_that_leaked_is_replaced(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_KEEPS", "1")
    options = ("study.confirm=1", "study.budget=4", "search.evaluate=toys:leaking", "search.workers=1")
    study = load(*options, "search.memory_limit=900")
    outcome = study.run("ray")
    rows = [row for row in record.read(study.path) if row.kind == "searched"]
    assert (outcome.state, outcome.trained, outcome.failed) == ("finished", 4, 1)
    assert (rows[1].reason or "").startswith("memory limit: the worker held ")
    assert rows[0].worker == rows[1].worker
    assert rows[2].worker not in (None, rows[1].worker)
    assert {row.attempts for row in rows} == {1}
