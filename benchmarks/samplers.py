"""Search efficiency of samplers on tables of trained networks: evaluations until a share of the true hypervolume.

    python benchmarks/samplers.py --table nas-bench-macro_cifar10.json      all samplers, 10 seeds
    python benchmarks/samplers.py --quick                                   ours and random, 3 seeds
    python benchmarks/samplers.py --ablation                                what each part of known-cost is worth
    python benchmarks/samplers.py --check                                   ours alone: exit 1 where the bar is missed

The table is NAS-Bench-Macro (Su et al., CVPR 2021; 1.2 MB, Apache-2.0, github.com/xiusu/NAS-Bench-Macro): given by
`--table`, by the environment variable METAMIXER_NAS_BENCH_MACRO, or found in ../shared/data/nas-bench-macro.

Protocol. Eight layers take identity or one of two blocks; the mean accuracy of three seeds is maximised, MACs are
minimised. Identities within a stage (2, 3, 3 layers, the first fixed) are moved to its end: codes that are one network
are one architecture, 3,969 in all. Error and MACs are normalised to the table's range, the reference point is (1, 1),
the hypervolume exact. An evaluation of an architecture seen before counts in `repeats` and costs nothing in the columns
of unique evaluations. Every sampler is told which objective values belong to a code, nothing else; ours and BoTorch's
get the exact MACs of any code as a function. BoTorch (extra `peers`) scores all neighbours of its front and 400 other
codes at every step; ours scores some 280.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import random
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import optuna

from metamixer.pareto import ACCURACY_FLOPS, hypervolume, non_dominated
from metamixer.search.samplers import EvolutionSampler, KnownCostSampler

BAR = 36  # median unique evaluations of known-cost to 99 % of the hypervolume
SHARES = (0.95, 0.98, 0.99)
STAGES = (2, 3, 3)
STARTS = 10  # random codes before BoTorch's model takes over

Params = dict[str, str]


def canonical(code: str) -> str:
    """The code of the same network with identities at the end of each stage."""
    found, at = "", 0
    for layers in STAGES:
        stage, at = code[at : at + layers], at + layers
        blocks = stage[1:].replace("0", "")
        found += stage[0] + blocks + "0" * (layers - 1 - len(blocks))
    return found


def code_of(params: Params) -> str:
    return "".join(params[f"layer{i}"] for i in range(sum(STAGES)))


def graph_of(params: Params) -> tuple[str, tuple[object, ...]]:
    """The network as a tree: stages of blocks in sequence; identities are not there."""
    code, stages, at = canonical(code_of(params)), [], 0
    for number, layers in enumerate(STAGES):
        stage, at = code[at : at + layers], at + layers
        first = (f"stage {number} down {stage[0]}", ())
        stages.append((f"stage {number}", (first, *((f"stage {number} {op}", ()) for op in stage[1:] if op != "0"))))
    return ("network", tuple(stages))


@dataclass(frozen=True)
class Table:
    """Accuracy in 0..1 and MACs of every canonical code; `share` is the part of the true hypervolume of some codes."""

    rows: dict[str, tuple[float, float]]
    low: tuple[float, float]
    high: tuple[float, float]

    @classmethod
    def read(cls, path: Path) -> Table:
        raw = json.loads(path.read_text(encoding="utf-8"))
        every = {code: (row["mean_acc"] / 100, float(row["flops"])) for code, row in raw.items()}
        rows = {code: value for code, value in every.items() if canonical(code) == code}
        low, high = (tuple(f(v[i] for v in every.values()) for i in range(2)) for f in (min, max))
        return cls(rows, low, high)

    def macs(self, params: Params) -> float:
        return self.rows[canonical(code_of(params))][1]

    def volume(self, codes: list[str]) -> float:
        points = [
            [
                (value - low) / (high - low)
                for value, low, high in zip(self.rows[code], self.low, self.high, strict=True)
            ]
            for code in codes
        ]
        return hypervolume(points, (0.0, 1.0), ACCURACY_FLOPS)


@dataclass(frozen=True)
class Run:
    """What one run evaluated: canonical codes in order, and CPU seconds of the sampler for each."""

    codes: list[str]
    seconds: float

    def unique(self) -> list[str]:
        return list(dict.fromkeys(self.codes))


def run_optuna(make: Callable[[int], optuna.samplers.BaseSampler], table: Table, seed: int, number: int) -> Run:
    """`number` evaluations by an Optuna sampler."""
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=make(seed))
    codes: list[str] = []
    spent = 0.0
    for _ in range(number):
        start = time.process_time()
        trial = study.ask()
        params = {f"layer{i}": trial.suggest_categorical(f"layer{i}", ("0", "1", "2")) for i in range(sum(STAGES))}
        spent += time.process_time() - start
        codes.append(canonical(code_of(params)))
        start = time.process_time()
        study.tell(trial, table.rows[codes[-1]])
        spent += time.process_time() - start
    return Run(codes, spent / number)


def run_botorch(table: Table, seed: int, number: int) -> Run:
    """BoTorch: GP on one-hot codes, the exact MACs as a deterministic model, qLogEHVI over all unseen codes."""
    import torch
    from botorch.acquisition.multi_objective.logei import qLogExpectedHypervolumeImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import GenericDeterministicModel, SingleTaskGP
    from botorch.models.model import ModelList
    from botorch.models.transforms import Standardize
    from botorch.sampling.get_sampler import get_sampler
    from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(seed)
    torch.set_default_dtype(torch.double)
    every = sorted(table.rows)
    hot = torch.tensor([[float(c == d) for c in code for d in "012"] for code in every])
    dearest = max(macs for _, macs in table.rows.values())
    negative = torch.tensor([-table.rows[code][1] / dearest for code in every])  # maximised, as BoTorch does
    cheapness = dict(zip(map(tuple, hot.tolist()), negative.tolist(), strict=True))

    def deterministic(x: torch.Tensor) -> torch.Tensor:
        flat = [cheapness[tuple(row)] for row in x.reshape(-1, x.shape[-1]).tolist()]
        return torch.tensor(flat).reshape(*x.shape[:-1], 1)

    rng = random.Random(seed)
    chosen = rng.sample(range(len(every)), STARTS)
    spent = 0.0
    while len(chosen) < number:
        start = time.process_time()
        y = torch.tensor([[table.rows[every[i]][0]] for i in chosen])
        model = SingleTaskGP(hot[chosen], y, outcome_transform=Standardize(m=1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        both = torch.cat([y, negative[chosen].unsqueeze(-1)], dim=-1)
        # The same rule as ours: the worst seen, a hundredth of the range behind it.
        reference = both.min(dim=0).values - 0.01 * (both.max(dim=0).values - both.min(dim=0).values)
        joint = ModelList(model, GenericDeterministicModel(deterministic))
        acquisition = qLogExpectedHypervolumeImprovement(
            model=joint,
            ref_point=reference.tolist(),
            partitioning=FastNondominatedPartitioning(reference, Y=both),
            sampler=get_sampler(joint.posterior(hot[:1]), torch.Size([128]), seed=seed),
        )
        left = _unseen(every, chosen, both.tolist(), rng)
        with torch.no_grad():
            gains = torch.cat([acquisition(part.unsqueeze(1)) for part in hot[left].split(1024)])
        chosen.append(left[int(gains.argmax())])
        spent += time.process_time() - start
    return Run([every[i] for i in chosen], spent / (number - STARTS))


def _unseen(every: list[str], chosen: list[int], values: list[list[float]], rng: random.Random) -> list[int]:
    """Codes that differ from one of the front in a letter, and 400 others; none that was evaluated."""
    number = {code: i for i, code in enumerate(every)}
    front = [chosen[i] for i in non_dominated([(accuracy, -negative) for accuracy, negative in values], ACCURACY_FLOPS)]
    near = {
        number[canonical(every[i][:at] + letter + every[i][at + 1 :])]
        for i in front
        for at in range(len(every[i]))
        for letter in "012"
    }
    left = [i for i in range(len(every)) if i not in set(chosen)]
    return sorted({*near, *rng.sample(left, 400)} - set(chosen))


@dataclass(frozen=True)
class Method:
    """A row of the table: `run(table, seed, evaluations)`, and how many evaluations it is given."""

    name: str
    run: Callable[[Table, int, int], Run]
    evaluations: int = 300


def _ours(table: Table, seed: int, number: int, cost: bool = True, **more: object) -> Run:
    known = {1: table.macs} if cost else None
    more = {"key": lambda params: canonical(code_of(params)), "tree": graph_of, **more}
    return run_optuna(lambda s: KnownCostSampler(known=known, seed=s, **more), table, seed, number)  # type: ignore[arg-type]


def _optuna(make: Callable[[int], optuna.samplers.BaseSampler], table: Table, seed: int, number: int) -> Run:
    return run_optuna(make, table, seed, number)


def _evolution(table: Table, seed: int, number: int) -> Run:
    key = lambda params: canonical(code_of(params))  # noqa: E731
    return run_optuna(lambda s: EvolutionSampler(seed=s, key=key), table, seed, number)


OURS = Method("known-cost", _ours, 60)
RANDOM = Method("random", partial(_optuna, lambda s: optuna.samplers.RandomSampler(seed=s)))
PEERS = (
    RANDOM,
    Method("nsga2", partial(_optuna, lambda s: optuna.samplers.NSGAIISampler(seed=s))),
    Method("tpe", partial(_optuna, lambda s: optuna.samplers.TPESampler(seed=s, multivariate=True, group=True))),
    Method("gp", partial(_optuna, lambda s: optuna.samplers.GPSampler(seed=s)), 100),
    Method("evolution", _evolution),
    Method("botorch qLogEHVI", run_botorch, 80),
)
ABLATION = (
    Method("  cost learned", partial(_ours, cost=False), 100),
    Method("  flat kernel", partial(_ours, families=("choices",)), 60),
    Method("  tree kernel alone", partial(_ours, families=("labels", "graph")), 60),
    Method("  codes, not networks", partial(_ours, key=None, tree=None), 60),
    Method("  repeats allowed", partial(_ours, unseen=False), 60),
    Method("  without log-cost feature", partial(_ours, families=("choices", "rules", "labels", "graph")), 60),
)


def first(table: Table, codes: list[str], goals: list[float]) -> list[float]:
    """How many of these codes it takes to reach each goal; infinite if it is not reached."""
    volumes = [table.volume(codes[: n + 1]) for n in range(len(codes))]
    return [next((n + 1 for n, volume in enumerate(volumes) if volume >= goal), math.inf) for goal in goals]


def measured(method: Method, table: Table, seeds: int) -> float:
    """Prints a row; the median unique evaluations to the last share."""
    truth = table.volume(sorted(table.rows))
    goals = [share * truth for share in SHARES]
    start = time.process_time()
    runs = [method.run(table, seed, method.evaluations) for seed in range(seeds)]
    reached = [first(table, run.unique(), goals) for run in runs]
    repeats = statistics.mean(1 - len(run.unique()) / len(run.codes) for run in runs)
    cells = []
    for column in zip(*reached, strict=True):
        median = statistics.median(column)
        text = f"{median:.0f}" if math.isfinite(median) else "-"
        cells.append(f"{text} ({sum(map(math.isfinite, column))})")
    at50 = statistics.median(table.volume(run.unique()[:50]) / truth for run in runs)
    last = sorted(column[-1] for column in reached)
    spread = f"{last[0]:.0f}..{last[-1]:.0f}"
    ms = 1e3 * statistics.mean(run.seconds for run in runs)
    print(
        f"{method.name:24}"
        + "".join(f"{cell:>10}" for cell in cells)
        + f"{spread:>11}{at50:>8.3f}{repeats:>9.2f}{ms:>9.1f}{time.process_time() - start:>9.1f}",
        flush=True,
    )
    return statistics.median(column[-1] for column in reached)


def find_table(given: str | None) -> Path | None:
    """The table's file: as given, by environment variable, or beside the repository."""
    beside = Path(__file__).resolve().parents[1].parent / "shared/data/nas-bench-macro/nas-bench-macro_cifar10.json"
    for name in (given, os.environ.get("METAMIXER_NAS_BENCH_MACRO"), str(beside)):
        if name:
            return Path(name) if Path(name).is_file() else None
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--table", metavar="FILE", help="NAS-Bench-Macro, see above")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--quick", action="store_true", help="known-cost and random, 3 seeds")
    parser.add_argument("--ablation", action="store_true", help="known-cost with parts taken away, not the peers")
    parser.add_argument("--only", metavar="NAME", action="append", help="these methods")
    parser.add_argument("--check", action="store_true", help=f"ours alone; exit 1 above a median of {BAR}")
    options = parser.parse_args()
    path = find_table(options.table)
    if path is None:
        print("nothing is measured without the table: give --table or METAMIXER_NAS_BENCH_MACRO", file=sys.stderr)
        return 0 if options.check else 2  # metamixer does not ship the table
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    table = Table.read(path)
    assert len(table.rows) == len({canonical("".join(code)) for code in product("012", repeat=8)}) == 3969
    others = ABLATION if options.ablation else (RANDOM,) if options.quick else () if options.check else PEERS
    methods = [OURS, *others]
    if options.only:
        methods = [method for method in (OURS, *PEERS, *ABLATION) if method.name.strip() in options.only]
    if importlib.util.find_spec("botorch") is None:
        print("without BoTorch: it is not installed (pip install metamixer[peers])", file=sys.stderr)
        methods = [method for method in methods if method.run is not run_botorch]
    seeds = min(3, options.seeds) if options.quick else options.seeds
    print(f"median unique evaluations to a share of the true hypervolume (runs of {seeds} that reached it)")
    heads = "".join(f"{f'{share:.0%}':>10}" for share in SHARES)
    print(f"{'':24}{heads}{'range 99%':>11}{'HV @50':>8}{'repeats':>9}{'ms/ask':>9}{'seconds':>9}")
    found = {method.name: measured(method, table, seeds) for method in methods}
    missed = options.check and found.get(OURS.name, math.inf) > BAR
    if options.check:
        print(f"bar: known-cost <= {BAR}: {'missed' if missed else 'met'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
