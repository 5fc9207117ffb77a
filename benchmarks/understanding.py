"""How often the dashboard's "what if this choice had been taken otherwise, at equal cost?" has the sign right.

    python benchmarks/understanding.py                         the table in docs/dashboard-understanding.md
    python benchmarks/understanding.py --trainings 300         a longer search
    python benchmarks/understanding.py --within .1             pairs of more nearly equal cost
    python benchmarks/understanding.py --check                 exit 1 where the claim is missed

Claim: of pairs whose difference the seeds decide, the page has the sign of more right than the raw difference of means,
and of those that it calls decided at least nine in ten.

Protocol. Pairs are recorded architectures of tables/digits-bench whose derivations differ in one choice and in what
hangs on it, that share at least a quarter of their choices, and whose MACs differ by less than a share (``--within``).
The truth is the difference of their means over three seeds; it is decided where it exceeds two standard errors of such
a difference, else the truth is "no effect". A model sees what a search would: a random subset of the table
(``--trainings``) with one recorded seed of each, the pair not among them; this is repeated (``--subsets``).
Answers:

page             the expected change at equal cost from the one to the other, as `front.why` computes it
page, drawn      the same where what hangs on the choice is drawn anew, not taken from the pair: what the page shows
raw difference   mean accuracy of the subset's architectures that took the one value under this rule, less that of those
                 that took the other; undecided within two standard errors (Welch)
no effect        always zero

Columns: `sign`, of decided pairs, where the answer's mean points the right way (zero and no answer are wrong); `right`,
of all pairs, where the answer (better, worse, undecided) is the truth; `decided`, how often the answer is not
undecided; `then right`, the share of these whose sign is that of the measured difference, whether or not that is
decided, and of those whose truth is decided; `error`, mean absolute error of the expected change. Intervals of 95 % are
from a bootstrap over architectures (a pair counts as often as both of its ends are drawn) and over subsets.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from metamixer import resources
from metamixer.dashboards.understanding.front import at_cost, changes, differ_in_one, features_of
from metamixer.dashboards.understanding.otherwise import changed, slot
from metamixer.dashboards.understanding.surrogate import fitted, interval, verdict
from metamixer.dashboards.understanding.trained import Architecture, Context, features
from metamixer.language import parse
from metamixer.simulate.table import Table, read

Floats = NDArray[np.float64]
ANSWERS = ("page", "page, drawn", "raw difference", "no effect")
BOOTSTRAP = 2000
AT_ONCE = 30  # pairs that the model is asked about together
SIGNS = {"better": 1, "worse": -1, "undecided": 0}


@dataclass(frozen=True)
class Pair:
    """Two architectures by index, the choice in which they differ, and the second's mean less the first's."""

    first: int
    second: int
    name: str
    change: float


@dataclass
class Bench:
    """The table's architectures and pairs."""

    table: Table
    within: float

    @cached_property
    def ones(self) -> list[Architecture]:
        return [
            Architecture(i, e.sentence, e.choices, e.cost, tuple(t.accuracy for t in e.trainings))
            for i, e in enumerate(self.table.entries)
        ]

    @cached_property
    def pairs(self) -> list[Pair]:
        found = []
        for a, b in itertools.combinations(self.ones, 2):
            if abs(math.log(a.cost["macs"] / b.cost["macs"])) < math.log1p(self.within):
                name = differ_in_one(a.choices, b.choices)
                if name is not None:
                    found.append(Pair(a.number, b.number, name, b.accuracy - a.accuracy))
        return found

    @cached_property
    def noise(self) -> float:
        """Standard error of the difference of two means over the table's seeds."""
        variances = [float(np.var(one.accuracies, ddof=1)) for one in self.ones]
        return math.sqrt(float(np.mean(variances)) * 2 / self.table.seeds)

    @cached_property
    def seen(self) -> list:
        """Features of every architecture."""
        return [features_of(one) for one in self.ones]

    @cached_property
    def as_first(self) -> list:
        """For each pair the second at the cost of the first."""
        return [
            [features(parse(b.sentence).node, b.choices, a.cost)]
            for a, b in ((self.ones[p.first], self.ones[p.second]) for p in self.pairs)
        ]

    @cached_property
    def drawn(self) -> list:
        """For each pair the first with one choice taken as in the second, the rest drawn, at the first's cost."""
        context = Context.of(self.table.header)
        found = []
        for pair in self.pairs:
            a, value = self.ones[pair.first], self.ones[pair.second].choices[pair.name]
            found.append([at_cost(d, a.cost) for d in changed(a.choices, pair.name, value, context)])
        return found


def answered(bench: Bench, trainings: int, seed: int) -> dict[str, Floats]:
    """For each answer (pairs, 2): expected change, and 1, -1 or 0 as decided; nan where the subset has the pair."""
    rng = random.Random(seed)
    chosen = rng.sample(range(len(bench.ones)), trainings)
    observed = {i: rng.choice(bench.ones[i].accuracies) for i in chosen}
    model = fitted([bench.seen[i] for i in chosen], [(observed[i],) for i in chosen])
    assert model is not None
    found = {answer: np.full((len(bench.pairs), 2), np.nan) for answer in ANSWERS}
    left = [row for row, pair in enumerate(bench.pairs) if pair.first not in observed and pair.second not in observed]
    for begin in range(0, len(left), AT_ONCE):
        rows = left[begin : begin + AT_ONCE]
        groups = [[[bench.seen[bench.pairs[row].first]], bench.as_first[row], bench.drawn[row]] for row in rows]
        mean, covariance, _ = model.joint([one for pair in groups for group in pair for one in group])
        at = 0
        for row, group in zip(rows, groups, strict=True):
            sizes = [len(part) for part in group]
            own = slice(at, at + sum(sizes))
            at += sum(sizes)
            samples = changes(model.samples(mean[own], covariance[own, own]), sizes[1:])
            for answer, sample in zip(ANSWERS[:2], samples.T, strict=True):
                change = interval(sample)
                found[answer][row] = change["mean"], SIGNS[verdict(change)]
            found["raw difference"][row] = raw(bench, bench.pairs[row], observed)
            found["no effect"][row] = 0.0, 0
    return found


def raw(bench: Bench, pair: Pair, observed: dict[int, float]) -> tuple[float, int]:
    """Difference of the means of those that took either value under this rule, and whether two errors decide it."""
    where = slot(pair.name)
    groups = []
    for index in (pair.second, pair.first):
        wanted = bench.ones[index].choices[pair.name]
        took = [
            accuracy
            for i, accuracy in observed.items()
            if any(slot(name) == where and value == wanted for name, value in bench.ones[i].choices.items())
        ]
        groups.append(took)
    if min(map(len, groups)) < 2:
        return 0.0, 0
    change = float(np.mean(groups[0]) - np.mean(groups[1]))
    error = math.sqrt(sum(float(np.var(group, ddof=1)) / len(group) for group in groups))
    return change, int(np.sign(change)) if abs(change) > 2 * error else 0


def columns(truth: Floats, change: Floats, found: Floats) -> list[tuple[str, Floats, Floats]]:
    """(name, score, counts) of each column, each (subsets, pairs): what is averaged, and whether it counts."""
    there = ~np.isnan(found[..., 0])
    sign, decided = np.sign(found[..., 0]), found[..., 1]
    says = there & (decided != 0)
    known = np.broadcast_to(truth != 0, there.shape)
    return [
        ("sign", sign == truth, there & known),
        ("right", decided == truth, there),
        ("decided", decided != 0, there),
        ("then right", decided == np.sign(change), says),
        ("then right, truth decided", decided == truth, says & known),
        ("error", np.abs(found[..., 0] - change), there),
    ]


def average(score: Floats, counts: Floats, pairs: Sequence[Pair], architectures: int) -> tuple[float, float, float]:
    """Mean and its 95 % interval, see the module."""
    rng = np.random.default_rng(0)
    first, second = np.array([p.first for p in pairs]), np.array([p.second for p in pairs])
    score = np.where(counts, score, 0.0)

    def mean(weight: Floats, subsets: Floats) -> float:
        total = subsets @ counts.astype(float) @ weight
        return float(subsets @ score @ weight / total) if total else math.nan

    middle = mean(np.ones(len(pairs)), np.ones(len(counts)))
    means = []
    for _ in range(BOOTSTRAP):
        drawn = rng.multinomial(architectures, np.full(architectures, 1 / architectures))
        subsets = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts))).astype(float)
        means.append(mean((drawn[first] * drawn[second]).astype(float), subsets))
    low, high = np.nanpercentile(means, (2.5, 97.5)) if not np.isnan(means).all() else (math.nan, math.nan)
    return middle, float(low), float(high)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="digits-bench", help="a recorded table, by name or path")
    parser.add_argument("--trainings", type=int, default=100, help="architectures that the model sees")
    parser.add_argument("--subsets", type=int, default=20, help="how many subsets")
    parser.add_argument("--within", type=float, default=0.2, help="share by which the pair's MACs may differ")
    parser.add_argument("--check", action="store_true", help="exit 1 where the claim is missed")
    options = parser.parse_args()
    bench = Bench(read(resources.find("tables", options.table)), options.within)
    measured = np.array([pair.change for pair in bench.pairs])
    truth = np.where(np.abs(measured) > 2 * bench.noise, np.sign(measured), 0.0)
    ends = {i for pair in bench.pairs for i in (pair.first, pair.second)}
    print(
        f"{len(bench.pairs)} pairs of {len(ends)} architectures differ in one "
        f"choice, MACs within {options.within:.0%}; of {int((truth != 0).sum())} the seeds decide the sign\n"
        f"a model of {options.trainings} trainings, one seed each; {options.subsets} subsets that do not hold the pair"
    )
    with threadpool_limits(limits=1, user_api="blas"):
        runs = [answered(bench, options.trainings, seed) for seed in range(options.subsets)]
    shown: dict[str, dict[str, tuple[float, float, float]]] = {}
    for answer in ANSWERS:
        found = np.stack([run[answer] for run in runs])
        shown[answer] = {
            name: average(score, counts, bench.pairs, len(bench.ones))
            for name, score, counts in columns(truth, measured, found)
        }
    heads = list(shown[ANSWERS[0]])
    print("| answer | " + " | ".join(heads) + " |\n|" + "---|" * (len(heads) + 1))
    for answer, cells in shown.items():
        print(f"| {answer} | " + " | ".join(_cell(head, *cells[head]) for head in heads) + " |")
    page, plain = shown["page, drawn"], shown["raw difference"]
    kept = page["sign"][0] > plain["sign"][0] and page["then right, truth decided"][0] >= 0.9
    print(f"claim {'holds' if kept else 'is missed'}")
    return 1 if options.check and not kept else 0


def _cell(head: str, middle: float, low: float, high: float) -> str:
    if math.isnan(middle):
        return "-"
    if head == "error":
        return f"{middle:.4f} ({low:.4f}..{high:.4f})"
    return f"{middle:.0%} ({low:.0%}..{high:.0%})"


if __name__ == "__main__":
    sys.exit(main())
