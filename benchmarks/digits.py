"""Fronts found on digits-bench, a recorded table of a recursive space, by every sampler from the same starting points.

    python benchmarks/digits.py                             all samplers but gp, 20 paired runs
    python benchmarks/digits.py --plot docs/regret.png      regret over trainings, with its spread, too (or .html)
    python benchmarks/digits.py --ablation                  what each part of known-cost is worth
    python benchmarks/digits.py --rungs                     what an epoch says of the end: where to stop early
    python benchmarks/digits.py --table mine.jsonl.xz       another table, see tables/README.md
    python benchmarks/digits.py --only known-cost --only gp --runs 3
    python benchmarks/digits.py --check                     exit 1 where the claim is missed

Claim: the front of known-cost after 100 trainings is no worse than that of Optuna's best sampler after 300.

Protocol. A search is held to the table's architectures, see `metamixer.simulate.space`. The runs of one seed begin with
the same 12 architectures, drawn from the prior, whatever the sampler; known-cost does not get to spread its own. A
training returns one recorded seed of three, drawn by the run's seed and the architecture's key. After n of them a
method recommends a front: known-cost by posterior mean, the others by what they observed. The front is scored by the
mean of the seeds that the search did not see, as a share of the hypervolume of the table's own front. Two more columns
score all methods by one rule: the front of what was observed, and the front that known-cost's model believes in when it
is shown the method's trainings. Medians over runs have bootstrap intervals of 95 %; differences are taken run by run.

`perfect knowledge` recommends the table's own front and is scored by two seeds of three: who is above it was lucky. A
target above it is undecidable. `all, observed` has trained everything once and recommends what it observed: who
recommends so does not get beyond it. Duplicates are refused for all and cost nothing but time to propose.

Optuna's gp models the parameters that all trials share, here two of the twenty that a sentence has, and takes a quarter
of a second for a proposal, of which most are duplicates: minutes a run, so only where `--only gp` asks for it.
A table lacks what none of its architectures is: mutations reach recorded architectures alone, and tpe and nsga2 are
given the nearest value that leads to one. Two derivations of one architecture are not in it, so `repeats allowed` shows
what refusing the same derivation is worth, not what the canonical form adds to that.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from metamixer import resources
from metamixer.cli.output.simulate import about
from metamixer.report import image
from metamixer.search.samplers import Parts
from metamixer.simulate import score
from metamixer.simulate.compare import Median, difference, median
from metamixer.simulate.run import beginning, run, study
from metamixer.simulate.table import Table, read

FEW, MANY = 100, 300  # trainings of known-cost, and of those that it is compared with
START = 12
LEVELS = (25, 50, 100, 200, 300)
COUNTS = (12, 16, 20, 25, 30, 35, 40, 50, 60, 70, 80, 90, 100, 125, 150, 175, 200, 225, 250, 275, 300)
WHOLE = Parts()
HALVING = ("pruning.rule=successive-halving",)
OURS, OPTUNA = "known-cost", ("random", "nsga2", "tpe", "gp")


@dataclass(frozen=True)
class Method:
    """A row of the table.

    Attributes:
        name: What it is called.
        sampler: Its sampler's name.
        budget: Trainings.
        parts: Of known-cost.
        repeats: Whether an architecture may be trained again.
        stopping: Settings with which trainings are stopped early; the budget is then what as many whole ones take.
    """

    name: str
    sampler: str
    budget: int = MANY
    parts: Parts = WHOLE
    repeats: bool = False
    stopping: tuple[str, ...] = ()


METHODS = (
    Method(OURS, OURS, FEW),
    Method("evolution", "evolution"),
    Method("tpe", "tpe"),
    Method("nsga2", "nsga2"),
    Method("random", "random"),
    Method("gp", "gp"),
)
ABLATION = (
    Method(OURS, OURS, FEW),
    Method("  cost learned", OURS, FEW, Parts(cost=False, families=("rules", "labels", "graph"))),
    Method("  flat kernel", OURS, FEW, Parts(families=("choices", "known"))),
    Method("  graph kernel alone", OURS, FEW, Parts(families=("labels", "graph", "known"))),
    Method("  rules kernel alone", OURS, FEW, Parts(families=("rules", "known"))),
    Method("  repeats allowed", OURS, FEW, repeats=True),
    Method("  with early stopping", OURS, FEW, stopping=HALVING),
    Method("  stopping without margin", OURS, FEW, stopping=(*HALVING, "pruning.margin=0")),
    Method("tpe", "tpe"),
    Method("  repeats allowed", "tpe", repeats=True),
)


@dataclass(frozen=True)
class Found:
    """One search, scored.

    Attributes:
        own: Its progress by its own rule, at some numbers of trainings.
        observed: By what was observed, after every training.
        believed: At the end, by what known-cost's model makes of it.
        proposing: Real seconds for each training.
        refused: Proposals that were known.
    """

    own: score.Curve
    observed: score.Curve
    believed: float
    proposing: float
    refused: int


@cache
def table_of(path: str) -> Table:
    return read(path)


def search(path: str, method: Method, seed: int) -> Found:
    """One run of a method; the same for the same arguments."""
    table = table_of(path)
    options = [f"search.sampler={method.sampler}", f"study.seed={seed}", "study.confirm=1", f"search.startup={START}"]
    budget = f'"{method.budget * table.epochs}epochs"' if method.stopping else str(method.budget)
    options += [f"study.budget={budget}", *method.stopping]
    first = beginning(table, START, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = run(table, study(table, options), 1, first, method.repeats, method.parts)
    scale, ended = score.Scale(table), len(found.ends)
    observed = score.curve(found, scale)
    own = observed
    if method.sampler == OURS:
        counts = range(START, ended + 10, 10) if method.stopping else COUNTS
        own = score.by_surrogate(found, scale, [*(n for n in counts if n < ended), ended], method.parts)
    believed = own if method.sampler == OURS else score.by_surrogate(found, scale)
    refused = sum(trial.kind == "rejected" for trial in found.trials)
    return Found(own, observed, believed.share[-1], found.proposing / ended, refused)


def searches(path: str, methods: Sequence[Method], runs: int, jobs: int) -> dict[Method, list[Found]]:
    """All methods on all seeds, some at a time, the longest first."""
    with ProcessPoolExecutor(jobs, initializer=threadpool_limits, initargs=(1,)) as pool:
        begun = {(m, seed): pool.submit(search, path, m, seed) for m, seed in product(methods, range(runs))}
        found: dict[Method, list[Found]] = {}
        for (method, _), future in begun.items():
            found.setdefault(method, []).append(future.result())
            if sys.stderr.isatty():
                print(f"\r{sum(map(len, found.values()))} of {len(begun)} searches", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return found


def text(found: Median, digits: int = 4, sign: str = "") -> str:
    return f"{found.value:{sign}.{digits}f} [{found.low:{sign}.{digits}f}, {found.high:{sign}.{digits}f}]"


def compare(found: dict[Method, list[Found]], perfect: list[float], observed: list[float]) -> int:
    """Prints the table of methods and the verdict. Returns 1 where the claim is missed."""
    ours = next((runs for method, runs in found.items() if method.name == OURS), None)
    print(f"{'':20}{'after':>6}  {'own rule':26}{'observed':26}{'believed':26}{'known-cost leads by':30}{'ms/ask':>7}")
    for method, runs in found.items():
        own = [run.own.share[-1] for run in runs]
        lead = "" if ours is None or runs is ours else text(difference([r.own.share[-1] for r in ours], own), 4, "+")
        rules = (own, [run.observed.share[-1] for run in runs], [run.believed for run in runs])
        cells = "".join(f"{text(median(values)):26}" for values in rules)
        milliseconds = 1e3 * statistics.median(run.proposing for run in runs)
        print(f"{method.name:20}{method.budget:>6}  {cells}{lead:30}{milliseconds:>7.0f}")
    print(f"{'all, observed':20}{'':>6}  {'':26}{text(median(observed)):26}")
    print(f"{'perfect knowledge':20}{'':>6}  {text(median(perfect)):26}")
    print(f"medians after {', '.join(map(str, LEVELS))} trainings, by each one's own rule:")
    for method, runs in found.items():
        levels = [statistics.median(run.own.at(n) for run in runs) for n in LEVELS if n <= method.budget]
        print(f"{method.name:20} {' '.join(f'{level:.4f}' for level in levels)}")
    return verdict(found, ours, perfect)


def verdict(found: dict[Method, list[Found]], ours: list[Found] | None, perfect: list[float]) -> int:
    """Prints whether the claim holds. Returns 1 where it is missed."""
    rivals = {m: [run.own.share[-1] for run in runs] for m, runs in found.items() if m.sampler in OPTUNA}
    if ours is None or not rivals:
        return 0
    best = max(rivals, key=lambda m: statistics.median(rivals[m]))
    target, reached = statistics.median(rivals[best]), statistics.median(run.own.share[-1] for run in ours)
    lead = difference([run.own.share[-1] for run in ours], rivals[best])
    claim = f"known-cost after {FEW} >= {best.name} after {best.budget}: {reached:.4f} against {target:.4f}"
    print(f"{claim}, run by run {text(lead, 4, '+')}")
    if target > statistics.median(perfect):
        print("undecidable: the target is above what perfect knowledge is worth, noise decides")
        return 0
    same = [next((n for n, share in steps(run.own) if share >= target), math.inf) for run in ours]
    print(f"known-cost reaches that target after {text(median(same), 0)} trainings")
    print("met" if reached >= target else "missed")
    return int(reached < target)


def steps(curve: score.Curve) -> list[tuple[int, float]]:
    return list(zip(curve.trainings, curve.share, strict=True))


def ablate(found: dict[Method, list[Found]]) -> None:
    """Prints what parts are worth: at equal trainings, and as trainings, epochs and seconds to one hypervolume."""
    print(
        f"{'':24}{'after':>6}  {'own rule':26}{'it loses, run by run':30}"
        f"{'to half-time level: epochs':>28}{'seconds':>9}{'saves':>7}"
    )
    whole: list[Found] = []
    goal = seconds = 0.0
    for method, runs in found.items():
        if not method.name.startswith(" "):
            whole = runs
            goal = statistics.median(run.own.at(method.budget // 2) for run in runs)
        own = [run.own.share[-1] for run in runs]
        loss = "" if runs is whole else text(difference([run.own.share[-1] for run in whole], own), 4, "+")
        epochs = median([reached(run.own, goal, run.own.epochs) for run in runs]).value
        took = median([reached(run.own, goal, run.own.seconds) for run in runs]).value
        seconds = took if runs is whole else seconds
        saves = "" if runs is whole or math.isinf(took) else f"{1 - took / seconds:.0%}"
        print(
            f"{method.name:24}{method.budget:>6}  {text(median(own)):26}{loss:30}"
            f"{text_or_dash(epochs):>28}{text_or_dash(took):>9}{saves:>7}"
        )


def text_or_dash(value: float) -> str:
    return f"{value:.0f}" if math.isfinite(value) else "-"


def reached(curve: score.Curve, share: float, column: Sequence[float]) -> float:
    """What a search had used when it first had a share; infinite if it never had."""
    at = curve.reached(share)
    return math.inf if at is None else column[at]


def foretell(table: Table) -> None:
    """Prints how well the ranking after each epoch of a training is that by the other seeds' ends."""
    print("rank correlation (Spearman) of the accuracy after an epoch with the mean of the other seeds at the end:")
    ranked = sorted(table.entries, key=lambda entry: -entry.accuracy)
    groups = {"all": ranked, **{f"best {share:.0%}": ranked[: int(share * len(ranked))] for share in (0.3, 0.1)}}
    print(f"{'epoch':>6}" + "".join(f"{name:>10}" for name in groups))
    for epoch in range(table.epochs):
        found = []
        for entries in groups.values():
            pairs = [
                (
                    one.curve["validation_accuracy"][epoch],
                    statistics.fmean(t.accuracy for t in entry.trainings if t != one),
                )
                for entry in entries
                for one in entry.trainings
            ]
            found.append(spearmanr(*zip(*pairs, strict=True)).statistic)
        print(f"{epoch + 1:>6}" + "".join(f"{value:>10.2f}" for value in found))


def draw(found: dict[Method, list[Found]], perfect: list[float], file: Path) -> None:
    """Regret over trainings: how far a run's front is below perfect knowledge, median and quartiles over runs."""
    import plotly.graph_objects as go

    figure = go.Figure()
    colours = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#000000", "#E69F00")  # Okabe and Ito 2008
    for (method, runs), colour in zip(found.items(), colours, strict=False):
        counts = [n for n in COUNTS if n <= method.budget]
        regret = np.array([[best - run.own.at(n) for n in counts] for run, best in zip(runs, perfect, strict=True)])
        low, middle, high = np.quantile(np.maximum(regret, 1e-4), (0.25, 0.5, 0.75), axis=0).tolist()
        band = "rgba({},{},{},0.15)".format(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))
        figure.add_scatter(
            x=[*counts, *counts[::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor=band,
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            legendgroup=method.name,
        )
        figure.add_scatter(
            x=counts, y=middle, mode="lines", name=method.name, legendgroup=method.name, line={"color": colour}
        )
    figure.update_layout(
        title=f"Hypervolume missing to perfect knowledge: median and quartiles of {len(perfect)} paired runs",
        xaxis_title="trainings",
        yaxis_title="share of the table's hypervolume",
        yaxis={"type": "log", "tickvals": [0.001, 0.002, 0.005, 0.01, 0.02, 0.05]},
        template="plotly_white",
    )
    if file.suffix == ".png":
        image.png(figure, file, height=500)
    else:
        figure.write_html(file, include_plotlyjs=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", metavar="NAME", default="digits-bench", help="a table that ships, or a file")
    parser.add_argument("--runs", type=int, default=20, help="paired runs of each method")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="searches at a time")
    parser.add_argument("--ablation", action="store_true", help="known-cost with parts taken away")
    parser.add_argument("--rungs", action="store_true", help="what an epoch says of the end; nothing is searched")
    parser.add_argument("--only", metavar="NAME", action="append", help="these methods")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the regret curves, as an HTML page or a PNG")
    parser.add_argument("--check", action="store_true", help="exit 1 where the claim is missed")
    options = parser.parse_args()
    if options.table == "digits-bench" and "digits-bench" not in resources.names("tables"):
        print("nothing is measured without the table digits-bench: give --table FILE", file=sys.stderr)
        return 0 if options.check else 2
    path = str(resources.find("tables", options.table))
    table = table_of(path)
    if options.rungs and table.seeds < 2:
        print(f"{table.name} has one seed of each architecture; --rungs takes two at least", file=sys.stderr)
        return 2
    if options.rungs:
        foretell(table)
        return 0
    methods = ABLATION if options.ablation else METHODS[:-1]
    if options.only:
        methods = tuple(m for m in (ABLATION if options.ablation else METHODS) if m.name.strip() in options.only)
    print(*about(table), f"{options.runs} paired runs that begin with the same {START}", "", sep="\n")
    found = searches(path, methods, options.runs, options.jobs)
    perfect = [score.ceiling(table, seed) for seed in range(options.runs)]
    if options.plot:
        draw(found, perfect, options.plot)
    if options.ablation:
        ablate(found)
        return 0
    missed = compare(found, perfect, [score.everything(table, seed) for seed in range(options.runs)])
    return missed if options.check else 0


if __name__ == "__main__":
    sys.exit(main())
