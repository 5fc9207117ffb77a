"""Searches as processes of their own, which are killed, interrupted and started again."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from metamixer import record
from metamixer.errors import RecordError, StudyError
from metamixer.record import Trial, front
from metamixer.search.execution import dispatcher
from metamixer.search.storage.trial_store import TrialStore
from metamixer.search.study import Study

RUN = """
import sys
from metamixer.search.study import Study
outcome = Study(Study.load(sys.argv[1], sys.argv[4:]).config, sys.argv[2]).run(sys.argv[3])
print(outcome.state)
"""
COMMAND = "import sys; from metamixer.cli import main; sys.exit(main())"
BASELINES = 'baselines.names=["vit_digits", "ffnet_digits"]'

needs_ray = pytest.mark.skipif(dispatcher.unavailable() is not None, reason="no Ray here")
Load = Callable[..., Study]


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start Python code with arguments; epochs take `seconds`. What still runs at the end of the test is killed."""
    started = []

    def start(code: str, *arguments: object, seconds: float = 0.0, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "TOY_SECONDS": str(seconds), "TOY_FILE": str(arguments[0]), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def rows_of(folder: Path) -> list[Trial]:
    try:
        return record.read(folder)
    except RecordError:
        return []  # it is being created


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            pytest.fail(f"the search ended early: {process.communicate()[0]}")
        assert time.monotonic() < deadline, "the search took too long"
        time.sleep(0.02)


def ended(rows: list[Trial]) -> int:
    return sum(row.finished for row in rows if row.kind != "rejected")


def running(rows: list[Trial]) -> bool:
    return any(not row.finished for row in rows)


def assert_complete(rows: list[Trial], budget: int, baselines: int = 2, confirm: int = 3) -> None:
    """What must hold whatever happened on the way: exactly the budget, nothing lost, nothing twice."""
    assert [row.number for row in rows] == list(range(len(rows)))
    assert all(row.finished for row in rows)
    kinds = Counter(row.kind for row in rows)
    assert (kinds["searched"], kinds["baseline"]) == (budget, baselines)
    keys = Counter(row.key for row in rows if row.kind in ("searched", "baseline"))
    assert max(keys.values()) == 1
    replicates = Counter((row.replicate_of, row.seed_index) for row in rows if row.kind == "replicate")
    assert set(replicates.values()) <= {1}
    for point in front.summary(rows):
        if point.on_front or point.kind == "baseline":
            assert point.seeds == confirm


def settled(rows: list[Trial]) -> dict[int, tuple[object, ...]]:
    return {row.number: (row.key, row.accuracy, row.seed, row.started) for row in rows if row.finished}


def descendants() -> set[str]:
    """Names of Ray's processes whose files lie in folders of ours."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return {line for line in listed.splitlines() if "metamixer-ray-" in line and "ps -eo" not in line}


def listening(file: Path) -> set[str]:
    """Addresses on which processes listen that were started with this study file in their environment."""
    inodes = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"TOY_FILE={file}\0" in (process / "environ").read_text():
                inodes |= {os.readlink(link) for link in (process / "fd").iterdir()}
        except OSError:
            continue  # it has ended, or is not ours
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and f"socket:[{rest[5]}]" in inodes:
                # The last four bytes, lowest first, are the address, also of one mapped into IPv6.
                four = bytes.fromhex(local.partition(":")[0][-8:])
                addresses.add(".".join(str(byte) for byte in reversed(four)))
    return addresses


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "small"


def test_a_driver_killed_again_and_again_ends_with_exactly_its_budget(file: Path, folder: Path, start: Start) -> None:
    before: dict[int, tuple[object, ...]] = {}
    # In the baselines, while searching, while confirming.
    for kill_at in (1, 4, 9, 16):
        process = start(RUN, file, folder.parent, "inline", BASELINES, seconds=0.05)
        wait_for(lambda at=kill_at: ended(rows := rows_of(folder)) >= at and running(rows), process)  # type: ignore[misc]
        process.kill()
        process.communicate()
        rows = rows_of(folder)
        assert settled(rows).items() >= before.items()
        assert sum(not row.finished for row in rows) <= 1
        before = settled(rows)
    process = start(RUN, file, folder.parent, "inline", BASELINES)
    assert process.communicate(timeout=180)[0].strip() == "finished"
    rows = rows_of(folder)
    assert settled(rows).items() >= before.items()
    assert_complete(rows, budget=12)
    # One of the kills at least hit a trial, which was then run a second time.
    assert {row.attempts for row in rows} == {1, 2}


@pytest.mark.parametrize("sampler", ["known-cost", "evolution"])
def test_one_seed_is_one_search_in_every_process(file: Path, start: Start, sampler: str) -> None:
    # Python shuffles its sets and hashes anew in every process, unless it is told how.
    options = (f"search.sampler={sampler}", "study.budget=20", "study.confirm=1")
    found = []
    for salt in "12":
        runs = file.parent / salt
        process = start(RUN, file, runs, "inline", *options, PYTHONHASHSEED=salt)
        assert process.communicate(timeout=180)[0].strip() == "finished"
        found.append([(row.kind, row.sentence, row.accuracy) for row in rows_of(runs / "small")])
    assert found[0] == found[1]


def test_ctrl_c_stops_and_the_printed_command_continues(file: Path, folder: Path, start: Start) -> None:
    arguments = ("search", file, "--runs", folder.parent, "--dispatcher", "inline", "--set", "training.epochs=3")
    process = start(COMMAND, *arguments, seconds=0.2)
    wait_for(lambda: ended(rows_of(folder)) >= 2, process)
    process.send_signal(signal.SIGINT)
    printed = process.communicate(timeout=180)[0]
    assert process.returncode == 130
    assert "Traceback" not in printed
    command = printed.splitlines()[-1].removeprefix("continue with: ")
    assert command == " ".join(
        map(str, ("metamixer", "search", file, *arguments[2:4], *arguments[6:], *arguments[4:6]))
    )
    stopped = settled(rows_of(folder))
    assert sum(not row.finished for row in rows_of(folder)) <= 1
    again = start(RUN, file, folder.parent, "inline", "training.epochs=3")
    assert again.communicate(timeout=180)[0].strip() == "finished"
    assert settled(rows_of(folder)).items() >= stopped.items()
    assert_complete(rows_of(folder), budget=12, baselines=0)


def test_the_command_ends_with_the_front_and_a_report(file: Path, folder: Path, start: Start) -> None:
    arguments = ("search", file, "--runs", folder.parent, "--dispatcher", "inline", "--budget", 6, "--set", BASELINES)
    process = start(COMMAND, *arguments)
    printed = process.communicate(timeout=180)[0]
    assert process.returncode == 0, printed
    assert "6 architectures trained, 0 trials failed" in printed
    assert f"report: {(folder / 'report.html')}" in printed
    # All that the study was started with: with less, the record would be another study's.
    more = shlex.join(["metamixer", *map(str, arguments[:4]), "--set", BASELINES, "--budget", "12"])
    assert f"go on:  {more} --dispatcher inline\n" in printed
    assert (folder / "report.html").stat().st_size > 100_000

    process = start(COMMAND, *arguments, "--json")
    lines = process.communicate(timeout=180)[0].splitlines()
    found = json.loads(lines[-1])  # standard error stands before it
    points = {point.number: point for point in front.summary(rows_of(folder))}
    assert [row["number"] for row in found["front"]] == sorted(
        (n for n, p in points.items() if p.on_front), key=lambda n: points[n].flops
    )
    assert {row["name"]: row["verdict"] for row in found["baselines"]} == {
        p.name: p.verdict for p in points.values() if p.kind == "baseline"
    }
    assert (found["state"], found["trained"]) == ("finished", 6)


def test_a_search_without_one_success_exits_with_1(file: Path, folder: Path, start: Start) -> None:
    study = file.read_text().replace("toys:fast", "toys:broken").replace("budget = 12", "budget = 2")
    file.write_text(study)
    process = start(COMMAND, "search", file, "--runs", folder.parent, "--dispatcher", "inline")
    printed = process.communicate(timeout=180)[0]
    assert process.returncode == 1, printed
    assert "2 trials failed" in printed
    assert [row.reason for row in rows_of(folder)] == ["exception: ZeroDivisionError: by design"] * 2


def test_a_second_ctrl_c_ends_at_once(file: Path, folder: Path, start: Start) -> None:
    process = start(RUN, file, folder.parent, "inline", "search.evaluate=toys:deaf", TOY_FOLDER=str(file.parent))
    wait_for((file.parent / "deaf").exists, process)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    process.communicate()
    assert [row.state for row in rows_of(folder)] == ["running"]


def test_errors_are_one_message_and_exit_code_2(file: Path, folder: Path, start: Start) -> None:
    for arguments, message in (
        (["--set", "training.epoch=3"], "unknown key training.epoch"),
        (["--sampler", "nsga3"], "unknown sampler 'nsga3'"),
        (["--budget", "0"], "a search of 0 trials trains nothing"),
        (["--gpus", "64"], "GPUs are asked for"),
    ):
        process = start(COMMAND, "search", file, "--runs", folder.parent, "--dispatcher", "inline", *arguments)
        printed = process.communicate(timeout=180)[0]
        assert process.returncode == 2, printed
        assert message in printed
        assert "Traceback" not in printed
    folder.mkdir(parents=True)
    (folder / "study.db").write_bytes(b"not a database" * 100)
    process = start(COMMAND, "search", file, "--runs", folder.parent, "--dispatcher", "inline")
    printed = process.communicate(timeout=180)[0]
    assert process.returncode == 2
    assert "the record is not a readable SQLite file" in printed
    assert "Traceback" not in printed


@needs_ray
def test_ray_killed_then_terminated_then_finished(file: Path, folder: Path, start: Start) -> None:
    arguments = (file, folder.parent, "ray", BASELINES)
    process = start(RUN, *arguments, seconds=0.3)
    wait_for(lambda: ended(rows_of(folder)) >= 5, process)
    if Path("/proc/net/tcp").exists():
        assert listening(file) == {"127.0.0.1"}
    process.kill()
    process.communicate()
    first = rows_of(folder)
    assert sum(not row.finished for row in first) <= 2  # none, if the kill fell between two trials

    process = start(RUN, *arguments, seconds=0.3)
    wait_for(lambda: ended(rows_of(folder)) >= ended(first) + 3, process)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=180)[0].strip() == "interrupted"
    second = rows_of(folder)
    assert settled(second).items() >= settled(first).items()

    process = start(RUN, *arguments)
    assert process.communicate(timeout=180)[0].strip() == "finished"
    rows = rows_of(folder)
    assert settled(rows).items() >= settled(second).items()
    assert_complete(rows, budget=12)
    assert len({row.worker for row in rows if row.kind != "rejected"}) >= 3
    # Nothing is left behind: no process of Ray's, no folder.
    deadline = time.monotonic() + 60
    while descendants() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert descendants() == set()
    assert [path for path in Path("/tmp").glob("metamixer-ray-*") if f"-{process.pid}-" in path.name] == []


@needs_ray
def test_ray_workers_that_die_or_hang_do_not_stop_the_search(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_FOLDER", str(tmp_path))
    from metamixer.search.execution import ray_tune

    monkeypatch.setattr(ray_tune, "GRACE_SECONDS", 1.0)
    study = load("search.evaluate=toys:deadly", "search.time_limit=2", "study.budget=10", "study.confirm=1")
    outcome = study.run("ray")
    rows = record.read(study.path)
    assert (outcome.state, outcome.trained) == ("finished", 10)
    states = {row.number: (row.state, row.reason) for row in rows if row.kind == "searched"}
    assert states[2] == ("complete", None)
    assert states[4] == ("failed", "the worker process was killed")
    assert states[6] == ("failed", "time limit: the worker did not stop and was killed")
    assert {state for number, (state, _) in states.items() if number not in (4, 6)} == {"complete"}
    assert (rows[6].seconds or 0) < 60  # it would sleep for ever


@needs_ray
def test_what_stops_the_driver_stops_a_search_on_ray(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    # Tune takes exceptions of its callbacks for failures of a trial; these must come through.
    with pytest.raises(StudyError, match="cannot import toys:nothing"):
        load("search.evaluate=toys:nothing", name="unknown").run("ray")

    finish = TrialStore.finish

    def locked(self: TrialStore, row: Trial) -> None:
        if row.number == 2:
            raise RecordError("the record is locked by another program")
        finish(self, row)

    monkeypatch.setattr(TrialStore, "finish", locked)
    study = load("study.confirm=1")
    with pytest.raises(RecordError, match="locked by another program"):
        study.run("ray")
    assert record.read(study.path)[2].state == "running"
    monkeypatch.setattr(TrialStore, "finish", finish)
    assert study.run("inline").trained == 12
    assert_complete(record.read(study.path), budget=12, baselines=0, confirm=1)
