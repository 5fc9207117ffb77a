"""Searches on a running Ray cluster: two nodes on this machine, which share nothing that a search writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metamixer.errors import ResourceError, StudyError
from metamixer.search import dispatch_ray, record
from metamixer.search.study import Study
from metamixer.training import weights

pytestmark = pytest.mark.skipif(dispatch_ray.unavailable() is not None, reason="no Ray here")
Load = Callable[..., Study]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head without CPUs and two nodes, each of one CPU and what it calls a GPU."""
    from ray.cluster_utils import Cluster

    here = str(Path(__file__).parent)
    with pytest.MonkeyPatch.context() as patch:  # the nodes hand their environment to their workers
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("TOY_FOLDER", str(tmp_path_factory.mktemp("toys")))
        patch.setenv("TOY_SECONDS", "0.1")
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            started.add_node(num_cpus=2, num_gpus=1, wait=False)
        started.wait_for_nodes()
        yield started
        started.shutdown()


def test_a_node_killed_in_a_search_costs_no_trial(load: Load, cluster: Any) -> None:
    """Both nodes work; one is killed, and the search ends on the other with exactly its budget."""
    study = load(f'search.address="{cluster.address}"', "study.budget=24", "search.workers=4", "training.epochs=4")
    lost: list[Any] = []

    def kill_when_all_work() -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            time.sleep(0.05)
            if study.path.is_dir() and len(workers(study)) == 4:
                lost.append(cluster.worker_nodes.pop())
                lost[0].kill_all_processes(check_alive=False, allow_graceful=False)
                return

    thread = threading.Thread(target=kill_when_all_work)
    thread.start()
    outcome = study.run("ray")
    thread.join()
    cluster.add_node(num_cpus=2, num_gpus=1)
    assert lost
    assert (outcome.state, outcome.trained, outcome.failed) == ("finished", 24, 0)
    rows = record.read(study.path)
    assert [row.number for row in rows] == list(range(len(rows)))
    assert {row.state for row in rows if row.kind != "proposal"} == {"complete"}
    assert max(Counter((row.key, row.replicate) for row in rows if row.kind != "proposal").values()) == 1
    # Weights are where the driver runs, though trials wrote them elsewhere.
    assert all((study.path / row.weights).read_bytes() == b"weights" for row in rows if row.weights)
    assert any(row.weights for row in rows)
    assert not any("ray" in path.name for path in study.path.rglob("*"))


def workers(study: Study) -> set[str | None]:
    from metamixer.errors import RecordError

    try:
        return {row.worker for row in record.read(study.path) if row.state == "complete"}
    except RecordError:
        return set()


def test_trials_share_gpus_by_fractions(load: Load, cluster: Any) -> None:
    """What Ray counts as a GPU is a number on a node; two trials of a half share one, and no third comes."""
    study = load(
        f'search.address="{cluster.address}"',
        "search.evaluate=toys:visible",
        "search.gpus=0.5",
        "search.threads=1",
        "study.budget=10",
        "study.confirm=1",
        name="gpus",
    )
    study = Study(study.config.model_copy(update={"search": study.config.search.model_copy(update={"workers": None})}))
    study.path = load(name="gpus").path
    assert study.run("ray").trained == 10
    rows = record.read(study.path)
    assert {row.device for row in rows} == {"GPU 0"}
    # Both nodes have one GPU of the number 0, so up to four trials run at a time, each on two processes.
    assert 2 <= len({row.worker for row in rows}) <= 4


def test_a_trial_that_can_never_fit_is_refused_at_once(load: Load, cluster: Any) -> None:
    study = load(f'search.address="{cluster.address}"', "search.gpus=3", name="wide")
    config = study.config.model_copy(update={"search": study.config.search.model_copy(update={"workers": None})})
    study.config = config
    with pytest.raises(ResourceError, match="no trial of 1 CPUs and 3 GPUs fits on the cluster now"):
        study.run("ray")


def test_real_trainings_get_their_data_from_the_object_store(
    load: Load, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = load(
        f'search.address="{cluster.address}"',
        "search.evaluate=real:evaluate",
        "study.budget=2",
        "study.confirm=1",
        'study.keep="all"',
        "training.epochs=1",
        name="real",
    )
    assert study.run("ray").failed == 0
    rows = record.read(study.path)
    for row in rows:
        assert row.weights is not None
        # What was written on a node is read here: the sentence's own weights, whole.
        assert weights.metadata_of(study.path / row.weights)["sentence"] == row.sentence
    here = load("study.budget=2", "study.confirm=1", "training.epochs=1", "search.evaluate=real:evaluate", name="here")
    with pytest.raises(AssertionError, match="the data was loaded"):
        monkeypatch.setattr("metamixer.tasks.digits._load", None)
        import real

        real.evaluate({"task": {"name": "digits"}}, lambda epoch: None)
    assert here.run("inline").failed == 2


def test_what_cannot_be_joined_is_one_message(load: Load) -> None:
    with pytest.raises(StudyError, match="trials in this process need no cluster"):
        load('search.address="127.0.0.1:1"').run("inline")
    code = "import sys; from metamixer.cli import main; sys.exit(main())"
    study = load(name="nowhere")
    arguments = ["search", study.path.parents[1] / "study.toml", "--runs", study.path.parent, "--address", "127.0.0.1:1"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "RAY_gcs_rpc_server_reconnect_timeout_s": "1"},
    )
    assert done.returncode == 2, done.stderr
    assert "the Ray cluster cannot be joined" in done.stderr
    assert "ray start --head" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cluster_that_runs_is_not_joined_without_its_address(load: Load, cluster: Any, tmp_path: Path) -> None:
    """Ray itself would join it: it is named in the environment."""
    code = (
        "import json, sys, metamixer.search.dispatch_ray as d\n"
        "with d._ray(d._Local(1, 0), None) as (ray, folder):\n"
        "    print(json.dumps([n['NodeID'] for n in ray.nodes()]))\n"
    )
    import ray

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "RAY_ADDRESS": cluster.address},
    )
    there = subprocess.run(
        [
            sys.executable,
            "-c",
            code.replace("d._Local(1, 0), None", f"None, {cluster.address!r}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not ray.is_initialized()
    assert len(json.loads(there.stdout)) >= 3
    assert set(json.loads(done.stdout)).isdisjoint(json.loads(there.stdout))
