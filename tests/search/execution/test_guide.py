"""The commands of docs/cluster.md, run as they stand there, on a cluster of this one machine."""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from metamixer import record
from metamixer.search.execution import dispatcher

GUIDE = Path(__file__).parents[3] / "docs" / "cluster.md"
NODES = 2

pytestmark = pytest.mark.skipif(
    dispatcher.unavailable() is not None or shutil.which("bash") is None, reason="no Ray or no bash here"
)
needs_processes = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="what was started could not be found again"
)


def blocks(language: str) -> list[str]:
    """The code blocks of the guide in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def free_job() -> int:
    """The number of a job whose port, as the guide counts it, is free, and is not given to others by chance."""
    for number in random.sample(range(12_000), 12_000):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", 20_000 + number))
            return number
    raise AssertionError("every port is taken")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """What stands for the programs that the guide calls: Slurm's on this machine, ours and Ray's from here."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def program(name: str, text: str) -> None:
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)

    # A node's memory is small, and a test may say more of it; nothing else is changed.
    ray = f'exec "{sys.executable}" -c "from ray.scripts.scripts import main; main()"'
    small = 'if [ "$1" = start ]; then set -- "$@" --object-store-memory=100000000 $RAY_START; fi'
    program("ray", f'#!/bin/bash\n{small}\n{ray} "$@"\n')
    command = f'exec "{sys.executable}" -c "import sys; from metamixer.cli import main; sys.exit(main())"'
    program("metamixer", f'#!/bin/bash\n{command} "$@"\n')
    program("scontrol", '#!/bin/bash\n[ "$1 $2" = "show hostnames" ] && printf "127.0.0.1\\nother\\n"\n')
    # As many processes as there would be nodes, but one where one is asked for.
    program(
        "srun",
        f"#!/bin/bash\nn={NODES}\n"
        'while [[ "$1" == --* ]]; do [ "$1" = --ntasks=1 ] && n=1; shift; done\n'
        'for _ in $(seq "$n"); do "$@" & done\nwait\n',
    )
    return folder


@pytest.fixture
def environment(programs: Path, file: Path) -> Iterator[dict[str, str]]:
    """What the guide's commands see; whatever they started is killed afterwards, by what is in its environment."""
    yield {
        **os.environ,
        "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
        "RAY_USAGE_STATS_ENABLED": "0",
        "METAMIXER_GUIDE": str(file),
        "SLURM_JOB_ID": str(free_job()),
        "SLURM_JOB_NAME": "guide",
        "SLURM_JOB_NODELIST": "here[1-2]",
        "SLURM_NNODES": str(NODES),
        "SLURM_CPUS_PER_TASK": "1",
    }
    kill_all(file)


def kill_all(file: Path) -> None:
    """Kill what was started in the environment of a study's file."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            variables = (process / "environ").read_text(errors="replace").split("\0")
            if f"METAMIXER_GUIDE={file}" in variables and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)


@needs_processes
def test_the_slurm_job_runs_a_search_on_its_nodes(file: Path, environment: dict[str, str]) -> None:
    (job,) = [block for block in blocks("bash") if "#SBATCH" in block]
    assert "metamixer search digits --name" in job
    script = file.parent / "job.sh"
    script.write_text(job.replace("search digits", f"search {file} --runs {file.parent / 'runs'}"))
    said = ""
    for _ in range(3):  # Ray gives a node 30 seconds to start, which may be short where others compute
        with (file.parent / "job.log").open("w") as log, suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                ["bash", str(script)],
                env=environment,
                stdout=log,
                stderr=log,
                timeout=200,
                cwd=file.parent,
                check=False,
            )
            if done.returncode == 0:
                break
        said += (file.parent / "job.log").read_text()[-3000:]
        kill_all(file)
        environment["SLURM_JOB_ID"] = str(free_job())
    else:
        pytest.fail(said)
    rows = record.read(file.parent / "runs" / "guide")
    assert sum(row.kind == "searched" for row in rows) == 12
    assert {row.state for row in rows if row.kind != "rejected"} == {"complete"}


def lines_of_shell() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines()]


@needs_processes
def test_a_job_that_is_submitted_runs_a_search_on_another_node(file: Path, environment: dict[str, str]) -> None:
    """Head, node and job as in the guide, of its tunnel the near end; trials find no CPU on the head."""
    from ray._private.utils import get_dashboard_dependency_error

    if get_dashboard_dependency_error() is not None:
        pytest.skip("no job server of Ray's here: pip install 'metamixer[jobs]'")
    (head,), (node,), (submit,) = (
        [line for line in lines_of_shell() if line.startswith(start)]
        for start in ("ray start --head", "ray start --address", "ray job submit")
    )
    port, server = free_port(), free_port()
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

    def on_this_machine(command: str) -> str:
        command = command.replace("HEAD:", "127.0.0.1:").replace("6379", str(port)).replace("8265", str(server))
        return command.replace("search digits --runs /data/runs", f"search {file} --runs {file.parent / 'runs'}")

    log = file.parent / "job.log"
    with ExitStack() as stack:
        output = stack.enter_context(log.open("w"))

        def start(command: str, more: str) -> subprocess.Popen[bytes]:
            words, variables = on_this_machine(command).split(), {**environment, "RAY_START": more}
            process = stack.enter_context(subprocess.Popen(words, env=variables, stdout=output, stderr=output))
            stack.callback(process.kill)
            return process

        def begin(command: str, more: str, nodes: int) -> None:
            """Ray gives a node 30 seconds to start, which may be short where others compute: three times."""
            for _ in range(3):
                started = start(command, more)
                while started.poll() is None and log.read_text().count("Ray runtime started") < nodes:
                    time.sleep(0.2)
                if started.poll() is None:
                    return
            pytest.fail(log.read_text()[-3000:])

        begin(head, f"--num-cpus=0 --dashboard-port={server}", 1)
        begin(node, "--num-cpus=1", 2)
        more = ["--workers", "1", "--budget", "2", "--set", "study.confirm=1"]
        for attempt in range(10):  # "No available agent to submit job, please try again later.", says a young head
            done = subprocess.run(
                [*on_this_machine(submit).split(), *more],
                env=environment,
                stdout=output,
                stderr=output,
                check=False,
                timeout=300,
            )
            if done.returncode == 0 or log.read_text().count("No available agent") <= attempt:
                break
            time.sleep(2)
    said = log.read_text()
    assert done.returncode == 0, said[-3000:]
    assert "2 architectures trained, 0 trials failed" in said
    assert [row.state for row in record.read(file.parent / "runs" / "small")] == ["complete"] * 2


def test_commands_by_hand_are_those_of_the_job() -> None:
    """What is started by hand is what the job starts, but for sizes and addresses; every option is there."""
    lines = lines_of_shell()
    starts = [line for line in lines if line.startswith("ray start")]
    assert starts == ["ray start --head --port=6379 --block", "ray start --address=HEAD:6379 --block"]
    (job,) = blocks("bash")
    for start in starts:
        for option in re.findall(r"--[a-z-]+", start):
            assert option in job
    from typer.main import get_command

    from metamixer.cli import app

    known = {name for option in get_command(app).commands["search"].params for name in option.opts}  # type: ignore[attr-defined]
    searches = [line for line in lines if "metamixer search" in line]
    assert len(searches) == 3
    for line in searches:
        assert set(re.findall(r"--[a-z-]+", line.partition("metamixer search")[2])) <= known


def test_the_autoscalers_file_is_one() -> None:
    import yaml
    from ray.autoscaler._private.util import prepare_config, validate_config

    (text,) = blocks("yaml")
    config = yaml.safe_load(text)
    validate_config(prepare_config(config))
    commands = [line for key in config if key.endswith("_commands") for line in config[key]]
    assert len(commands) == 5
    assert all(line.startswith(("ray ", "pip ")) for line in commands)
