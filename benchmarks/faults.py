"""Faults in chains: searches that are killed again and again, each restart the next round.

    python benchmarks/faults.py [--rounds 90] [--ray 10] [--seed 0] [--check]

Drivers are killed with SIGKILL at points of the program drawn from a seed: between asking and the first suggestion,
before and after each commit, between a row's document and its state, within a renewal of the lease, while a trial
trains. Through Ray, on a cluster of two nodes on this machine, each round also loses a worker or a node before it loses
its driver. Bar: whatever happened, the finished record holds exactly the budget, nothing running, nothing twice; with
one worker it holds what a search holds that nothing happened to.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TOYS = HERE.parent / "tests" / "search"

STUDY = """\
[study]
name = "faults"
task = "digits-hard"
space = "small.toml"

[training]
epochs = 2

[search]
evaluate = "toys:mortal"
references = ""
sampler = "tpe"
startup = 5

[limits]
macs = 60000

[baselines]
names = ["vit_digits", "ffnet_digits"]
"""

# Where a driver is killed, and how often at most it passes there before.
POINTS = {
    "created, without settings": 1,
    "lease read, not written": 4,
    "asked, nothing suggested": 4,
    "suggested a part": 25,
    "before a commit": 12,
    "after a commit": 12,
    "result written, state not": 4,
    "a row half written": 6,
    "told": 4,
    "an epoch": 8,
    "trained, not told": 4,
}


# -- in the process that is killed


def _tick(point: str, count: int) -> Callable[[str], None]:
    """Kills this process when `point` is passed the `count`-th time."""
    left = [count]
    lock = threading.Lock()

    def tick(passed: str) -> None:
        if passed != point:
            return
        with lock:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return tick


def _wrap(owner: Any, name: str, before: Callable[[], None] | None, after: Callable[[], None] | None) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before()
        result = function(*args, **kwargs)
        if after is not None:
            after()
        return result

    setattr(owner, name, wrapped)


def _set_points(point: str, count: int, inline: bool) -> None:
    """Put the point where the process is to be killed around the functions it lies in."""
    import optuna
    from optuna.storages import RDBStorage
    from sqlalchemy.engine.default import DefaultDialect

    from metamixer.search import driver, results
    from metamixer.search.samplers.optuna_samplers import RepairingSampler
    from metamixer.search.storage import lease, tables

    if inline:  # renewals end with commits, too; through Ray only those of rows are counted
        lease.RENEW_SECONDS = 0.02
    results.DRIVER_ATTEMPTS = 10**6  # what counts there as a trial's fault is these kills' fault
    tick = _tick(point, count)

    def at(name: str) -> Callable[[], None]:
        return lambda: tick(name)

    _wrap(RDBStorage, "set_study_user_attr", at("created, without settings"), None)
    _wrap(lease, "_now", None, at("lease read, not written"))
    _wrap(optuna.Study, "ask", None, at("asked, nothing suggested"))
    _wrap(RepairingSampler, "sample_independent", None, at("suggested a part"))
    _wrap(tables, "_insert_values", at("a row half written"), None)
    _wrap(DefaultDialect, "do_commit", at("before a commit"), at("after a commit"))
    _wrap(tables, "finish", at("result written, state not"), None)
    _wrap(driver.Driver, "_finish", at("trained, not told"), at("told"))
    _wrap(driver.Driver, "epoch", None, at("an epoch"))


def run(arguments: dict[str, Any]) -> None:
    """One driver's life."""
    from metamixer.search.study import Study

    if arguments["point"] is not None:
        _set_points(arguments["point"], arguments["count"], arguments["dispatcher"] == "inline")
    study = Study.load(arguments["file"], arguments["overrides"], arguments["runs"], arguments["name"])
    study.run(arguments["dispatcher"])


def nursery() -> None:
    """Runs drivers one after another: the first here, the others in children that find everything imported."""
    run(json.loads(sys.stdin.readline()))
    print(0, flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                run(json.loads(line))
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


# -- in the process that looks on


@dataclass(frozen=True)
class Round:
    """One driver's life: where it was killed, what its workers lost before, and how many rows were finished then."""

    dispatcher: str
    point: str
    count: int
    losses: tuple[str, ...]
    finished: int
    killed: bool


class Chain:
    """One study, and what is done to it."""

    def __init__(self, folder: Path, name: str, budget: int, workers: int, dispatcher: str) -> None:
        self.folder, self.name, self.budget, self.dispatcher = folder, name, budget, dispatcher
        shutil.copy(TOYS / "small.toml", folder)
        self.file = folder / "study.toml"
        self.file.write_text(STUDY)
        self.overrides = [f"study.budget={budget}", f"search.workers={workers}"]
        self.rounds: list[Round] = []

    @property
    def path(self) -> Path:
        return self.folder / "runs" / self.name

    def rows(self) -> list[Any]:
        from metamixer import record
        from metamixer.errors import RecordError

        try:
            return record.read(self.path)
        except RecordError:
            return []

    def arguments(self, point: str | None, count: int) -> dict[str, Any]:
        return {
            "file": str(self.file),
            "runs": str(self.path.parent),
            "name": self.name,
            "dispatcher": self.dispatcher,
            "overrides": self.overrides,
            "point": point,
            "count": count,
        }

    def live(
        self, drive: Callable[[dict[str, Any]], int], point: str | None, count: int = 0, loss: Path | None = None
    ) -> bool:
        """One driver's life; whether it was killed. A trial that dies of `loss` deletes that file."""
        code = drive(self.arguments(point, count))
        if code not in (0, -signal.SIGKILL):
            raise RuntimeError(f"a driver ended with exit code {code} ({point}, {count})")
        if point is not None:
            done = sum(row.finished for row in self.rows())
            lost = (loss.name.partition("-")[2],) if loss is not None and not loss.exists() else ()
            self.rounds.append(Round(self.dispatcher, point, count, lost, done, code != 0))
        return code != 0


def draw(rng: random.Random, fresh: bool) -> tuple[str, int]:
    """A point and how often it is passed; some points are only passed by a study that is new."""
    points = [point for point in POINTS if fresh or point != "created, without settings"]
    point = rng.choice(points)
    return point, rng.randint(1, POINTS[point])


def faults(rows: list[Any], budget: int) -> list[str]:
    """What is wrong with a finished record."""
    from metamixer.record import front

    wrong = []
    kinds = Counter(row.kind for row in rows)
    if kinds["searched"] != budget:
        wrong.append(f"{kinds['searched']} rows are trained, the budget is {budget}")
    if [row.number for row in rows] != list(range(len(rows))):
        wrong.append("the numbers are not contiguous")
    wrong += [f"row {row.number} is running" for row in rows if not row.finished]
    wrong += [f"row {r.number} is {r.kind} and {r.state}" for r in rows if r.kind == "rejected" and r.state != "pruned"]
    wrong += [f"row {r.number} was refused for no reason" for r in rows if r.kind == "rejected" and not r.reason]
    wrong += [f"row {r.number} failed: {r.reason}" for r in rows if r.kind != "rejected" and r.state != "complete"]
    for what, count in Counter((r.key, r.epochs, r.seed_index) for r in rows if r.kind != "rejected").items():
        if count > 1:
            wrong.append(f"{count} trainings of {what}")
    for point in front.summary(rows):
        if (point.on_front or point.kind == "baseline") and point.seeds != 3:
            wrong.append(f"architecture {point.number} has {point.seeds} seeds")
    return wrong


def told(rows: list[Any]) -> list[tuple[Any, ...]]:
    """What must not depend on when drivers died."""
    fields = (
        "number",
        "kind",
        "state",
        "reason",
        "sentence",
        "choices",
        "accuracy",
        "seed",
        "replicate_of",
        "seed_index",
    )
    return [tuple(getattr(row, field) for field in fields) for row in rows]


def inline(folder: Path, rounds: int, seed: int) -> tuple[Chain, list[str]]:
    """A chain of drivers with one worker, and what is wrong with its record."""
    rng = random.Random(seed)
    budget = 2 * rounds + 15  # more than so many lives train
    chain = Chain(folder, "inline", budget, workers=1, dispatcher="inline")
    untouched = Chain(folder, "untouched", budget, workers=1, dispatcher="inline")
    with subprocess.Popen(
        [sys.executable, __file__, "--nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def drive(arguments: dict[str, Any]) -> int:
            process.stdin.write(json.dumps(arguments) + "\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return int(process.stdout.readline())  # type: ignore[union-attr]

        untouched.live(drive, None)
        while len(chain.rounds) < rounds and (not chain.rounds or chain.rounds[-1].killed):
            chain.live(drive, *draw(rng, fresh=not chain.rounds))
        chain.live(drive, None)
        process.stdin.close()
    wrong = faults(untouched.rows(), budget) + faults(chain.rows(), budget)
    differ = [a for a, b in zip(told(chain.rows()), told(untouched.rows()), strict=False) if a != b]
    if differ or len(chain.rows()) != len(untouched.rows()):
        wrong.append(f"{len(differ)} rows are not those of the untouched search, the first {differ[:1]}")
    return chain, wrong


def through_ray(folder: Path, rounds: int, seed: int) -> tuple[Chain, list[str]]:
    """A chain of drivers on a cluster of two nodes, and what is wrong with its record."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    rng = random.Random(seed + 1)
    losses = folder / "losses"
    losses.mkdir()
    # The nodes hand these to their workers. Trials take a while, so that a loss is noticed before the driver is killed.
    os.environ |= {"TOY_LOSSES": str(losses), "TOY_SECONDS": "0.2"}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    chain = Chain(folder, "ray", 6 * rounds, workers=2, dispatcher="ray")
    chain.overrides.append(f'search.address="{cluster.address}"')

    def drive(arguments: dict[str, Any]) -> int:
        _fill(cluster)
        with open(folder / "ray.log", "a") as log:
            return subprocess.run(
                [sys.executable, __file__, "--run", json.dumps(arguments)], stdout=log, stderr=log, check=False
            ).returncode

    # Ray's workers train: only what passes in the driver can be its end.
    ends = ["before a commit", "after a commit", "result written, state not", "trained, not told", "an epoch"]
    try:
        while len(chain.rounds) < rounds and (not chain.rounds or chain.rounds[-1].killed):
            # The third trial from now loses its worker or its whole node, in every round one of the two.
            for old in losses.iterdir():
                old.unlink()
            loss = losses / f"{len(chain.rows()) + 2}-{('worker', 'node')[len(chain.rounds) % 2]}"
            loss.touch()
            point = rng.choice(ends)
            count = rng.randint(4, 6) * (5 if "commit" in point else 2 if point == "an epoch" else 1)
            chain.live(drive, point, count, loss)
        for old in losses.iterdir():
            old.unlink()
        chain.live(drive, None)
    finally:
        cluster.shutdown()
    return chain, faults(chain.rows(), chain.budget)


def _fill(cluster: Any) -> None:
    """Two nodes that live, with a CPU each."""
    for node in list(cluster.worker_nodes):
        if node.dead_processes():
            cluster.worker_nodes.remove(node)
            node.kill_all_processes(check_alive=False, allow_graceful=False)
    while len(cluster.worker_nodes) < 2:
        cluster.add_node(num_cpus=1, wait=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=90, help="drivers killed with the trials in their own process")
    parser.add_argument("--ray", type=int, default=10, help="drivers killed with the trials on two nodes of Ray")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="exit with 1 when a record is not what it should be")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nursery", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sys.path.insert(0, str(TOYS))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))
    if arguments.nursery:
        nursery()
        return 0
    if arguments.run:
        run(json.loads(arguments.run))
        return 0
    with tempfile.TemporaryDirectory() as name:
        chains = []
        for start, rounds in ((inline, arguments.rounds), (through_ray, arguments.ray)):
            if rounds:
                began = time.monotonic()
                folder = Path(name, start.__name__)
                folder.mkdir()
                chains.append((*start(folder, rounds, arguments.seed), time.monotonic() - began))
    document = [
        {"rounds": [asdict(r) for r in chain.rounds], "wrong": wrong, "seconds": seconds}
        for chain, wrong, seconds in chains
    ]
    if arguments.json:
        print(json.dumps(document))
    else:
        _print(chains)
    kept = all(not wrong for _, wrong, _ in chains)
    kept = kept and sum(r.killed for chain, _, _ in chains for r in chain.rounds) == arguments.rounds + arguments.ray
    return 0 if kept or not arguments.check else 1


def _print(chains: list[tuple[Chain, list[str], float]]) -> None:
    print(f"{'killed':30} {'inline':>7} {'ray':>7}")
    for point in POINTS:
        counts = [
            sum(r.killed for chain, _, _ in chains for r in chain.rounds if (r.dispatcher, r.point) == (kind, point))
            for kind in ("inline", "ray")
        ]
        print(f"{point:30} {counts[0]:7} {counts[1]:7}")
    for chain, wrong, seconds in chains:
        lost = Counter(loss for r in chain.rounds for loss in r.losses)
        more = "".join(f", {count} {name}s" for name, count in sorted(lost.items()))
        print(f"{chain.name}: {sum(r.killed for r in chain.rounds)} drivers{more} killed in {seconds:.0f} s;", end=" ")
        print("; ".join(wrong) or f"exactly {chain.budget} architectures trained, nothing running, nothing twice")


if __name__ == "__main__":
    sys.exit(main())
