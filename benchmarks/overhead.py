"""What the machinery of a search costs: dispatch through Ray Tune, idle workers, rows of a long record, proposals.

    python benchmarks/overhead.py [--check] [--trials 10000] [--ray 200] [--long 10] [--known 1000]

Bars: a trivial trial through Ray Tune takes at most 80 ms of wall-clock, its row in the record included; with trials of
5 seconds two workers are busy 95 % of the time; of 10,000 trials with 25 choices each, in this process, on SQLite, the
last 500 cost at most 1.2 times the first 500, and at most 1.1 times what plain Optuna takes for rows with the same
parameters and one attribute, in a record of the same length; a trial's document is written once as it is added and once
as it ends; with 1,000 trials behind it the known-cost sampler proposes within a second of processor time, inside
metamixer (space `digits`) and in plain Optuna (a conditional space of some 20 parameters a trial).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
WINDOW = 500
RAY_BAR, BUSY_BAR, GROWTH_BAR, OPTUNA_BAR, PROPOSAL_BAR = 80.0, 0.95, 1.2, 1.1, 1.0
ASKED = 7  # proposals whose median counts

# One choice for the patches and two in each of twelve blocks.
SPACE = """\
name = 'wide'
[rules]
network = 'patch(2,{8|16|24}) >> each(block, 12)'
block = '{lin|dw(3)|dw(5)} >> {relu|gelu|sig|tanh}'
"""

STUDY = """\
[study]
name = "overhead"
task = "digits"
space = "space.toml"
confirm = 1
keep = "none"
[training]
epochs = 1
[search]
evaluate = "overhead:instant"
references = ""
sampler = "random"
[baselines]
names = []
"""


def instant(job: dict[str, Any], report: Any) -> dict[str, Any]:
    """A trial that trains nothing."""
    return _result(0.5 + 0.4 * (hash(job["sentence"]) % 10**6) / 10**6, 1e-6)


def long(job: dict[str, Any], report: Any) -> dict[str, Any]:
    """A trial that takes five seconds of a worker, and leaves when."""
    start = time.time()
    time.sleep(5)
    Path(os.environ["OVERHEAD_FOLDER"], str(job["number"])).write_text(json.dumps([os.getpid(), start, time.time()]))
    return _result(0.5, 5.0)


def _result(accuracy: float, seconds: float) -> dict[str, Any]:
    row = {"epoch": 1, "validation_accuracy": accuracy, "validation_loss": 1.0, "seconds": seconds}
    return {"state": "finished", "accuracy": accuracy, "loss": 1.0, "curve": [row], "seconds": seconds}


@dataclass(frozen=True)
class Measured:
    """One line of the table: what was measured, and the bar it should not exceed (or stay above, for shares)."""

    what: str
    value: float
    unit: str
    bar: float | None = None
    at_least: bool = False

    @property
    def kept(self) -> bool:
        return self.bar is None or (self.value >= self.bar if self.at_least else self.value <= self.bar)


class Times:
    """A view that looks at a clock whenever a trial has ended; `spent` are the seconds of each."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.times = [clock()]

    @property
    def spent(self) -> list[float]:
        return [b - a for a, b in pairwise(self.times)]

    def __enter__(self) -> Times:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, line: str) -> None:
        print(line, file=sys.stderr)

    def show(self, progress: Any, ended: int) -> None:
        if ended >= len(self.times):
            self.times.append(self.clock())


def _study(folder: Path, *overrides: str) -> Any:
    from metamixer.search.study import Study

    folder.mkdir(parents=True)
    (folder / "space.toml").write_text(SPACE)
    (folder / "study.toml").write_text(STUDY)
    return Study(Study.load(folder / "study.toml", overrides).config, folder / "runs")


def through_ray(folder: Path, trials: int) -> list[Measured]:
    """Wall-clock of a trivial trial, from row to row, after the workers have started."""
    from metamixer import record

    study = _study(folder, f"study.budget={trials}", "search.workers=2")
    study.run("ray")
    started = [row.started for row in record.read(study.path) if row.kind == "searched"]
    skipped = len(started) // 5
    each = 1000 * (started[-1] - started[skipped]) / (len(started) - 1 - skipped)
    return [Measured("a trivial trial through Ray Tune, 2 workers", each, "ms", RAY_BAR)]


def busy(folder: Path, trials: int) -> list[Measured]:
    """How much of the time both workers trained, between the first moment both did and the last."""
    os.environ["OVERHEAD_FOLDER"] = str(folder)
    study = _study(folder, f"study.budget={trials}", "search.workers=2", "search.evaluate=overhead:long")
    study.run("ray")
    spans: dict[int, list[tuple[float, float]]] = {}
    for file in folder.iterdir():
        if file.name.isdigit():
            worker, start, end = json.loads(file.read_text())
            spans.setdefault(worker, []).append((start, end))
    begin = max(min(start for start, _ in mine) for mine in spans.values())
    end = min(max(end for _, end in mine) for mine in spans.values())
    worked = [sum(max(0.0, min(b, end) - max(a, begin)) for a, b in mine) / (end - begin) for mine in spans.values()]
    return [
        Measured("the less busy of 2 workers, trials of 5 s", 100 * min(worked), "%", 100 * BUSY_BAR, at_least=True)
    ]


def inline(folder: Path, trials: int) -> list[Measured]:
    """Time of the first and last trials of a long search in this process, and of plain Optuna's at that length."""
    window = min(WINDOW, trials // 3)
    study = _study(folder, f"study.budget={trials}")
    writes = _count_writes()
    view = Times(time.perf_counter)
    study.run("inline", view=view)
    spent = [1000 * seconds for seconds in view.spent]
    # The first trial also pays for what is imported and compiled once.
    first, last = statistics.mean(spent[1 : window + 1]), statistics.mean(spent[-window:])
    counted = writes[0]
    plain = _plain(study.path / "study.db", window)
    return [
        Measured(f"the first {window} of {trials} inline trials", first, "ms"),
        Measured(f"the last {window}", last, "ms"),
        Measured("last / first", last / first, "x", GROWTH_BAR),
        Measured(f"plain Optuna, {window} more rows in the same record", plain, "ms"),
        Measured("last / plain Optuna", last / plain, "x", OPTUNA_BAR),
        Measured("writes of an attribute of a trial that stands in the record", counted / trials, "", 1.0),
    ]


def proposals(folder: Path, trials: int) -> list[Measured]:
    """Processor seconds of one proposal of the known-cost sampler after so many trials, ended and written at once.

    Medians; without the first proposal, which also works out what is kept for all later ones.
    """
    what = f"a proposal of known-cost after {trials} trials"
    return [
        Measured(f"{what}, in a study", _asked_inside(folder, trials), "s", PROPOSAL_BAR),
        Measured(f"{what}, in plain Optuna", _asked_plainly(trials), "s", PROPOSAL_BAR),
    ]


def _asked_inside(folder: Path, trials: int) -> float:
    there = ("study.space=digits", "study.task=digits-hard")
    earlier = _study(folder / "earlier", *there, f"study.budget={trials}")
    earlier.run("inline")
    view = Times(time.process_time)
    warm = (f"study.warm_start={earlier.path}", f"study.budget={ASKED + 1}", "search.sampler=known-cost")
    _study(folder / "known", *there, *warm).run("inline", view=view)
    return statistics.median(view.spent[1:])


def _asked_plainly(trials: int) -> float:
    import optuna

    from metamixer.search.samplers import KnownCostSampler

    def ask(trial: optuna.Trial) -> dict[str, Any]:
        found: dict[str, Any] = {"blocks": trial.suggest_int("blocks", 2, 8)}
        for i in range(found["blocks"]):
            found[f"width{i}"] = trial.suggest_int(f"width{i}", 8, 64, step=8)
            kind = found[f"kind{i}"] = trial.suggest_categorical(f"kind{i}", ["convolution", "attention", "lin"])
            if kind == "convolution":
                found[f"kernel{i}"] = trial.suggest_int(f"kernel{i}", 3, 9, step=2)
            if kind == "attention":
                found[f"heads{i}"] = trial.suggest_categorical(f"heads{i}", [1, 2, 4, 8])
        return found

    def macs(params: dict[str, Any]) -> float:
        widths = [params[f"width{i}"] * (params.get(f"kernel{i}", 1) + 2) for i in range(params["blocks"])]
        return float(sum(widths))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0))

    def one() -> None:
        trial = study.ask()
        params = ask(trial)
        study.tell(trial, [sum(params[f"width{i}"] ** 0.5 for i in range(params["blocks"])), macs(params)])

    for _ in range(trials):
        one()
    study.sampler = KnownCostSampler(known={1: macs}, seed=0)
    spent = []
    for _ in range(ASKED + 1):
        start = time.process_time()
        one()
        spent.append(time.process_time() - start)
    return statistics.median(spent[1:])


def _count_writes() -> list[int]:
    """Counts how often the database is told an attribute of a trial that stands there already."""
    from sqlalchemy import Engine, event

    counted = [0]

    def look(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        counted[0] += statement.startswith(("UPDATE trial_user_attributes", "UPDATE trial_system_attributes"))

    event.listen(Engine, "before_cursor_execute", look)
    return counted


def _plain(file: Path, trials: int) -> float:
    """Milliseconds that Optuna alone takes for a row: ask, suggest, one attribute, tell; same settings of SQLite."""
    import optuna
    from sqlalchemy import event

    copy = file.with_name("plain.db")
    shutil.copy(file, copy)
    storage = optuna.storages.RDBStorage(f"sqlite:///{copy}")
    storage.engine.dispose()
    event.listen(storage.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = NORMAL"))
    study = optuna.load_study(study_name=None, storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
    with closing(sqlite3.connect(copy)) as db:
        rows = db.execute(
            "SELECT a.trial_id, a.value_json FROM trial_user_attributes a ORDER BY a.trial_id DESC LIMIT ?", (trials,)
        ).fetchall()
    like = storage.get_trial(rows[0][0]).distributions
    start = time.perf_counter()
    for _, document in rows:
        trial = study.ask()
        for name, distribution in like.items():
            if isinstance(distribution, optuna.distributions.IntDistribution):
                trial.suggest_int(name, distribution.low, distribution.high, step=distribution.step)
            else:
                trial.suggest_categorical(name, distribution.choices)  # type: ignore[attr-defined]
        trial.set_user_attr("trial", json.loads(document))
        study.tell(trial, [0.5, 1.0])
    return 1000 * (time.perf_counter() - start) / len(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, help="inline trials; 0 for none")
    parser.add_argument("--ray", type=int, default=200, help="trivial trials through Ray; 0 for none")
    parser.add_argument("--long", type=int, default=10, help="trials of five seconds through Ray; 0 for none")
    parser.add_argument("--known", type=int, default=1000, help="trials before the timed proposals; 0 for none")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    arguments = parser.parse_args()
    sys.path.insert(0, str(HERE))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    found: list[Measured] = []
    with tempfile.TemporaryDirectory() as name:
        parts = (
            (inline, arguments.trials),
            (through_ray, arguments.ray),
            (busy, arguments.long),
            (proposals, arguments.known),
        )
        for measure, trials in parts:
            if trials:
                found += measure(Path(name, measure.__name__), trials)
    width = max(len(one.what) for one in found)
    for one in found:
        verdict = (
            ""
            if one.bar is None
            else f"  {'>=' if one.at_least else '<='} {one.bar:g}" + ("" if one.kept else "  MISSED")
        )
        print(f"{one.what:{width}}  {one.value:9.2f} {one.unit:2}{verdict}")
    return 0 if not arguments.check or all(one.kept for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
