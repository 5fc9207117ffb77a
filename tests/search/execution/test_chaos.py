"""Ray's processes are killed one after another; the folders of searches that live stay."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from metamixer import record
from metamixer.search.execution import dispatcher

needs_ray = pytest.mark.skipif(dispatcher.unavailable() is not None, reason="no Ray here")
COMMAND = "import sys; from metamixer.cli import main; sys.exit(main())"
# Ray's own message about a lost GCS comes after 60 s; ours is to be there before, on a busy machine, too.
SECONDS = 50


@pytest.fixture
def slow(file: Path) -> Path:
    file.write_text(file.read_text().replace("budget = 12", "budget = 400\nconfirm = 1"))
    return file


def start(file: Path, dispatcher: str, *more: str) -> subprocess.Popen[str]:
    arguments = ["search", str(file), "--runs", str(file.parent / "runs"), "--dispatcher", dispatcher, *more]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "TOY_SECONDS": "0.5"},
    )


def descendant(process: subprocess.Popen[str], name: str) -> psutil.Process:
    """A process of Ray's that this search started, by what its command line holds."""
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if name in " ".join(child.cmdline()[:3]):
                return child
        except psutil.Error:
            continue
    raise AssertionError(f"no {name}")


def trained(file: Path) -> int:
    try:
        return sum(trial.state == "complete" for trial in record.read(file.parent / "runs" / "small"))
    except record.reading.RecordError:
        return 0


@needs_ray
@pytest.mark.parametrize("name", ["raylet/raylet", "gcs_server"])
def test_the_death_of_a_process_of_rays_ends_the_search_in_seconds_with_how_to_go_on(slow: Path, name: str) -> None:
    process = start(slow, "ray")
    try:
        deadline = time.monotonic() + 150
        while trained(slow) < 2:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        descendant(process, name).kill()
        printed = process.communicate(timeout=SECONDS)[0]
    finally:
        process.kill()
    assert process.returncode == 2, printed
    assert "Ray is gone" in printed
    assert "start the same command again" in printed
    assert "Traceback" not in printed
    before = trained(slow)
    again = start(slow, "inline", "--budget", str(before + 4))
    printed = again.communicate(timeout=120)[0]
    assert again.returncode == 0, printed
    assert trained(slow) >= before + 4


HOLD = """
import sys
from metamixer.search.execution import ray_session
with ray_session.folder(sys.argv[1]) as folder:
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process, Path(process.stdout.readline().strip())
    process.kill()
    process.communicate()


def test_only_folders_whose_process_is_proven_dead_are_deleted(
    tmp_path: Path, holder: tuple[subprocess.Popen[str], Path]
) -> None:
    from metamixer.search.execution import ray_session

    process, theirs = holder
    # Seen from a container, a living process has a number that nobody has here.
    unseen = theirs.rename(theirs.with_name("metamixer-ray-4194999-x"))
    foreign = tmp_path / "metamixer-ray-4194998-x"
    foreign.mkdir()
    with ray_session.folder(str(tmp_path)) as own:
        assert stat.S_IMODE(own.stat().st_mode) == 0o700
        assert unseen.is_dir()
        assert foreign.is_dir()
        process.kill()
        process.wait()
        with ray_session.folder(str(tmp_path)):
            assert own.is_dir()
            assert foreign.is_dir()
            assert not unseen.exists()
    assert not own.exists()


@pytest.mark.parametrize("there", [False, True])
def test_the_token_of_a_local_ray_is_read_by_its_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    from metamixer.search.execution import ray_session

    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    token = tmp_path / ".ray" / "auth_token"
    if there:
        token.parent.mkdir()
        token.write_text("0" * 64)
    ray_session._keep_token_private()
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
    assert len(token.read_text()) == 64
    if not there:
        assert stat.S_IMODE(token.parent.stat().st_mode) == 0o700
    before = token.read_text()
    ray_session._keep_token_private()
    assert token.read_text() == before


@needs_ray
def test_ray_asks_for_its_token() -> None:
    """What is kept private is what Ray looks for: where it moves, this says so."""
    setup = pytest.importorskip("ray._private.authentication.authentication_token_setup")
    assert setup._get_default_token_path() == Path.home() / ".ray" / "auth_token"


@needs_ray
def test_a_worker_without_a_module_is_told_by_its_name() -> None:
    from metamixer.search.execution.ray_tune import Trials

    lost = []

    class Driver:
        def lost(self, number: int, reason: str, again: bool = True, blamed: bool = True) -> None:
            lost.append((number, reason, again))

    trials = Trials(Driver(), "m:f", remote=False)  # type: ignore[arg-type]
    trials.numbers |= {"a": 1, "b": 2}
    trials.hear_error("a", RuntimeError("The actor died: ModuleNotFoundError: No module named 'metamixer'"))
    trials.hear_error("b", RuntimeError("The actor died unexpectedly"))
    trials.lose("a")
    trials.lose("b")
    assert lost == [
        (1, "the worker lacks the Python module metamixer", False),
        (2, "the worker process was killed", True),
    ]
