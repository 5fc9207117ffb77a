"""Searches on a running Ray cluster: two nodes on this machine, which share nothing that a search writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metamixer import record
from metamixer.errors import ResourceError, StudyError
from metamixer.search.execution import dispatcher
from metamixer.search.execution.dispatcher import Placement
from metamixer.search.execution.ray_session import folder
from metamixer.search.study import Study
from metamixer.training import weights

pytestmark = pytest.mark.skipif(dispatcher.unavailable() is not None, reason="no Ray here")
Load = Callable[..., Study]


@pytest.fixture(scope="module")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("toys")


@pytest.fixture(scope="module")
def cluster(toy_folder: Path) -> Iterator[Any]:
    """A head without CPUs and two nodes, each of one CPU and what it calls a GPU."""
    from ray.cluster_utils import Cluster

    here = str(Path(__file__).parents[1])
    with pytest.MonkeyPatch.context() as patch:  # the nodes hand their environment to their workers
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("TOY_FOLDER", str(toy_folder))
        patch.setenv("TOY_LOSSES", str(toy_folder))
        started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(2):
            started.add_node(num_cpus=2, num_gpus=1, wait=False)
        started.wait_for_nodes()
        yield started
        started.shutdown()


def test_a_node_killed_in_a_search_costs_no_trial(load: Load, cluster: Any, toy_folder: Path) -> None:
    """One trial takes its node down with it; the search ends on the other with exactly its budget."""
    fatal = toy_folder / "5-node"
    fatal.touch()
    study = load(
        f'search.address="{cluster.address}"', "search.evaluate=toys:mortal", "search.workers=4", "study.budget=16"
    )
    outcome = study.run("ray")
    assert not fatal.exists()
    (dead,) = [node for node in cluster.worker_nodes if node.dead_processes()]
    cluster.worker_nodes.remove(dead)
    dead.kill_all_processes(check_alive=False, allow_graceful=False)
    cluster.add_node(num_cpus=2, num_gpus=1)

    assert (outcome.state, outcome.trained, outcome.failed) == ("finished", 16, 0)
    rows = record.read(study.path)
    assert [row.number for row in rows] == list(range(len(rows)))
    assert {row.state for row in rows if row.kind != "rejected"} == {"complete"}
    assert max(Counter((row.key, row.seed_index) for row in rows if row.kind != "rejected").values()) == 1
    # Weights are where the driver runs, though trials wrote them elsewhere.
    assert any(row.weights for row in rows)
    assert all((study.path / row.weights).read_bytes() == b"weights" for row in rows if row.weights)


def test_trials_share_gpus_by_fractions(load: Load, cluster: Any, toy_folder: Path) -> None:
    """What Ray counts as a GPU is a number on a node: two trials of a half share one, and no third comes."""
    address = f'search.address="{cluster.address}"'
    more = ("search.evaluate=toys:visible", "search.workers=4", "study.budget=10", "study.confirm=1")
    study = load(address, "search.gpus=0.5", *more, name="gpus")
    assert study.run("ray").trained == 10
    assert {row.device for row in record.read(study.path)} == {"GPU 0"}
    seen = [json.loads(file.read_text()) for file in toy_folder.glob("visible-*")]
    assert len(seen) == 10
    for node, start, _ in seen:
        assert sum(there == node and since <= start < until for there, since, until in seen) <= 2


@pytest.mark.parametrize(
    ("threads", "gpus", "fits"), [(1, 0.0, 6), (2, 0.0, 3), (1, 0.5, 6), (1, 0.6, 3), (3, 0.5, 0), (1, 2.0, 0)]
)
def test_room_is_counted_node_by_node(threads: int, gpus: float, fits: int) -> None:
    nodes = [{"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}} for _ in range(3)]
    nodes += [{"Alive": False, "Resources": {"CPU": 64.0}}, {"Alive": True, "Resources": {}}]
    lines: list[str] = []
    some = Placement("ray", None, threads, gpus, "host:1")
    if not fits:
        with pytest.raises(ResourceError, match=rf"no trial of {threads} CPUs and {gpus:g} GPUs fits .* now"):
            dispatcher.capacity(nodes, some, lines.append)
    else:
        assert dispatcher.capacity(nodes, some, lines.append) == fits
    # A cluster may grow.
    assert dispatcher.capacity(nodes, replace(some, workers=50), lines.append) == 50
    assert lines == [f"the cluster holds {fits} of 50 trials now; the others wait for nodes"]


def test_real_trainings_get_their_data_from_the_object_store(load: Load, cluster: Any) -> None:
    study = load(
        f'search.address="{cluster.address}"',
        "search.evaluate=toys:given",
        "study.budget=2",
        "study.confirm=1",
        'study.keep="all"',
        "training.epochs=1",
        name="given",
    )
    assert study.run("ray").failed == 0
    for row in record.read(study.path):
        assert row.accuracy is not None
        # What was written on a node is read here: the sentence's own weights, whole.
        assert weights.metadata_of(study.path / (row.weights or ""))["sentence"] == row.sentence


def test_what_cannot_be_joined_is_one_message(load: Load) -> None:
    with pytest.raises(StudyError, match="trials in this process need no cluster"):
        load('search.address="127.0.0.1:1"').run("inline")
    for address, said in (
        ("127.0.0.1:1", "the Ray cluster cannot be joined: .*refused"),
        ("ray://127.0.0.1:10001", "no address of a Ray cluster"),
        ("somewhere", "no address of a Ray cluster"),
        ("127.0.0.1:637900", "no address of a Ray cluster"),
    ):
        with pytest.raises(ResourceError, match=said):
            load(f'search.address="{address}"').run("ray")


def test_folders_of_killed_processes_are_deleted_by_the_next(tmp_path: Path) -> None:
    """Workers on a cluster have such folders as well as drivers."""
    code = f"""
import os, signal
from metamixer.search.execution import ray_session
with ray_session.folder({str(tmp_path)!r}) as folder:
    (folder / "weights").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    for name in ("metamixer-ray-own", "metamixer-raylet", f"metamixer-ray-{os.getpid()}-alive"):
        (tmp_path / name).mkdir()
    others = set(tmp_path.iterdir())
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    (left,) = set(tmp_path.iterdir()) - others
    assert (left / "weights").exists()
    with folder(str(tmp_path)) as own:
        assert set(tmp_path.iterdir()) == {*others, own}
    assert set(tmp_path.iterdir()) == others


def test_a_cluster_that_runs_is_not_joined_without_its_address(load: Load, cluster: Any, tmp_path: Path) -> None:
    """Ray itself would join it: it is named in the environment."""
    code = (
        "import json, sys, metamixer.search.execution.ray_session as d\n"
        "with d.joined(d.Local(1, 0), None, d.Interrupt()) as (ray, folder):\n"
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
            code.replace("d.Local(1, 0), None", f"None, {cluster.address!r}"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not ray.is_initialized()
    assert len(json.loads(there.stdout)) >= 3
    assert set(json.loads(done.stdout)).isdisjoint(json.loads(there.stdout))


def test_a_machine_that_lacks_a_module_is_named_before_the_first_trial(load: Load, cluster: Any) -> None:
    study = load(f'search.address="{cluster.address}"', "search.evaluate=no_such_module:evaluate")
    with pytest.raises(ResourceError, match="of the cluster lacks the Python module no_such_module"):
        study.run("ray")
    assert record.read(study.path) == []
