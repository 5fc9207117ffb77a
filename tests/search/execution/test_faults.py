"""Searches that are killed again and again, and disks that are full; see benchmarks/faults.py for the longer chain."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toys

from metamixer import record
from metamixer.errors import ResourceError
from metamixer.search.execution import dispatcher
from metamixer.search.study import Study

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "faults.py"
COMMAND = "import sys; from metamixer.cli import main; sys.exit(main())"
LIMITED = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**17, 2**17)); {COMMAND}"

Load = Callable[..., Study]


def chain(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--json", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    (found,) = json.loads(done.stdout)
    return found


def test_twenty_drivers_killed_in_a_chain_change_nothing() -> None:
    found = chain("--rounds", "20", "--ray", "0", "--seed", "4")
    assert found["wrong"] == []
    killed = [one for one in found["rounds"] if one["killed"]]
    assert len(killed) == len(found["rounds"]) == 20
    # The moments that are hardest to get right were among them.
    assert {one["point"] for one in killed} >= {
        "lease read, not written",
        "asked, nothing suggested",
        "before a commit",
        "after a commit",
        "result written, state not",
        "trained, not told",
    }


@pytest.mark.skipif(dispatcher.unavailable() is not None, reason="no Ray here")
def test_two_drivers_killed_on_ray_after_a_worker_and_after_a_node() -> None:
    found = chain("--rounds", "0", "--ray", "2")
    assert found["wrong"] == []
    assert [one["killed"] for one in found["rounds"]] == [True] * 2
    assert {loss for one in found["rounds"] for loss in one["losses"]} == {"worker", "node"}


def test_a_full_disk_is_one_message_and_the_search_goes_on_when_there_is_room(file: Path) -> None:
    runs = file.parent / "runs"

    def search(code: str, budget: int) -> subprocess.CompletedProcess[str]:
        arguments = ["search", file, "--runs", runs, "--dispatcher", "inline", "--budget", budget]
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
        )

    assert search(COMMAND, 2).returncode == 0
    # No file may grow beyond 128 KiB: SQLite's log is full after some rows.
    full = search(LIMITED, 40)
    assert full.returncode == 2, full.stderr
    assert "the record cannot be used" in full.stderr
    assert "its disk is not full" in full.stderr
    assert "Traceback" not in full.stderr
    before = {row.number: row for row in record.read(runs / "small") if row.finished}
    assert 2 < len(before) < 40
    assert search(COMMAND, 40).returncode == 0
    after = record.read(runs / "small")
    assert {number: after[number] for number in before if before[number].weights is None}.items() <= before.items()
    assert sum(row.kind == "searched" for row in after) == 40
    assert all(row.finished for row in after)
    assert [row.number for row in after] == list(range(len(after)))


def test_weights_that_find_no_room_end_the_search_not_the_trial(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(job: toys.Job, report: toys.Report) -> dict[str, Any]:
        if job["number"] == 3:
            raise OSError(28, os.strerror(28), job["weights"])
        return toys.fast(job, report)

    monkeypatch.setattr(toys, "full", full, raising=False)
    study = load("search.evaluate=toys:full")
    with pytest.raises(ResourceError, match="trial 3 found no room on its disk"):
        study.run("inline")
    assert [row.state for row in record.read(study.path)] == ["complete"] * 3 + ["running"]
    monkeypatch.setattr(toys, "full", toys.fast)
    assert study.run("inline").failed == 0
    assert record.read(study.path)[3].state == "complete"
