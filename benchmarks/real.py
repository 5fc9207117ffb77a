"""Real training: how much sooner known-cost with early stopping has the front that tpe ends with.

    python benchmarks/real.py --runs runs/real [--ours 0.06h]   searches, retrains, prints; takes hours
    python benchmarks/real.py --runs runs/real --check          judges what lies there, trains nothing

Every pair is three searches of the study (`digits`) on this machine, one after the other, from the same starting points
(12 draws from the space, the first proposals of each): known-cost with early stopping, known-cost without, and tpe,
with the same duplicate filter, without. A killed benchmark goes on where it stopped, within a search too; a larger
`--budget` continues the searches, and what was trained anew for other searches is not trained anew again. Each is a
run below `--runs`, as any other: `metamixer report` draws it.

Fronts are scored by seeds that no search saw. After every training a search recommends what `metamixer search` would
train with further seeds, were this its end: the architectures that none dominates in what was observed, and with
known-cost also those that none dominates by its model. Whatever was recommended at any time by any of the three is then
trained anew, with 3 fresh seeds each and to the end; a recommendation is worth the hypervolume of the means of these.
A second table has all three by what was observed alone.
The target of a pair is what tpe's last recommendation is worth, and a search has reached it at the first training after
which its own is worth as much; `--ours` gives the two known-cost searches a smaller budget than tpe, which is fair to
tpe: what they have not reached by then counts as never reached. Counted in hours it also tells known-cost that seconds
are what counts, see docs/samplers.md. What it took until then is told as wall-clock (of the
drivers, in all their lives), as processor seconds of the trainings that had ended (of one that was stopped early: its
wall-clock by the share of a processor that the others had), and as epochs. Wall-clock means something on a machine that
does nothing else.

Bar: known-cost with early stopping has what tpe's search ends with in at most half the wall-clock of that search
(median of the pairs). The ratios of the table are to a harder mark: to the moment when tpe itself had it for the first
time, which is seen only afterwards.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer import record
from metamixer.pareto import ACCURACY_FLOPS, hypervolume
from metamixer.record import Trial, front

if TYPE_CHECKING:
    from metamixer.language import Space
    from metamixer.search.configuration import StudyConfig
    from metamixer.tasks import Task

BAR = 0.5
STARTS = 12
SEEDS = 3
FRESH = 1_000_000  # behind the seeds of the searches
ARMS = {
    "known-cost, stopping": ("search.sampler=known-cost", "pruning.rule=successive-halving"),
    "known-cost": ("search.sampler=known-cost", "pruning.rule=none"),
    "tpe": ("search.sampler=tpe", "pruning.rule=none"),
}
OURS, PLAIN, RIVAL = ARMS
WHOLE = f"all of {RIVAL}"
MEASURES = ("wall-clock", "processor", "epochs")


# -- what is run


def folder(pair: int, arm: str) -> str:
    """The run's name."""
    return f"pair{pair}-{arm.replace(', ', '-')}"


def loaded(study: str, overrides: Sequence[str]) -> tuple[StudyConfig, Space, Task]:
    """The study with what it names."""
    from metamixer.language import Space
    from metamixer.resources import find
    from metamixer.search.study import Study
    from metamixer.tasks import get

    config = Study.load(study, overrides).config
    return config, Space.load(find("search_spaces", config.study.space)), get(config.study.task)


def starts(study: str, overrides: Sequence[str], pair: int) -> list[str]:
    """The starting points of a pair: draws of the space within the limits."""
    from metamixer.search.proposals.proposer import costed, over

    config, space, task = loaded(study, overrides)
    rng = random.Random(f"real {pair}")
    found: dict[str, str] = {}
    while len(found) < STARTS:
        sentence = space.draw(rng, task.channels, task.grid).sentence
        item = costed(sentence, task)
        if over(item.cost, config.limits) is None:
            found.setdefault(item.key, item.sentence)
    return list(found.values())


def search(options: argparse.Namespace, name: str, budget: int | str, settings: Sequence[str]) -> None:
    """Runs or continues a search until its budget is spent; nothing is done where that was before."""
    path = options.runs / name
    wanted = json.dumps([budget, *options.set, *settings])
    done = path / "done.json"
    if done.is_file() and done.read_text() == wanted:
        return
    common = ("study.confirm=1", "study.keep=none", "search.references=", "baselines.names=[]")
    command = [sys.executable, "-c", "from metamixer.cli import main; main()", "search", options.study]
    command += ["--name", name, "--runs", str(options.runs), "--budget", str(budget)]
    command += ["--dispatcher", options.dispatcher, "--workers", str(options.workers)]
    for item in (*options.set, *common, f"search.startup={STARTS}", *settings):
        command += ["--set", item]
    load = os.getloadavg()[0]
    print(f"{time.strftime('%H:%M:%S')} {name}: budget {budget} (load of this machine {load:.1f})", flush=True)
    path.mkdir(parents=True, exist_ok=True)
    with (path / "log.txt").open("ab") as log:
        ended = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)
    if ended.returncode:
        raise SystemExit(f"{name} ended with {ended.returncode}: see {path / 'log.txt'}; the same command continues")
    done.write_text(wanted)


def run_pair(options: argparse.Namespace, pair: int) -> None:
    """The three searches of a pair."""
    begin = f"search.initial_points={json.dumps(starts(options.study, options.set, pair))}"
    for arm, settings in ARMS.items():
        budget = options.budget if arm == RIVAL else options.ours or options.budget
        search(options, folder(pair, arm), budget, (f"study.seed={pair}", begin, *settings))


def run_fresh(options: argparse.Namespace, pair: int) -> None:
    """The training of what a pair's searches recommended, with seeds that they did not see; it is not timed."""
    sentences: dict[str, str] = {}
    for arm in ARMS:
        found, rows = followed(options, pair, arm)
        recommended = {key for step in found for key in step.recommended}
        sentences |= {row.key: row.sentence for row in rows if row.key in recommended and row.key not in sentences}
    name = folder(pair, "fresh")
    if (options.runs / name / "study.db").is_file():
        there = [row for row in record.read(options.runs / name) if row.kind == "searched"]
        sentences = {row.key or "": row.sentence for row in there} | sentences
    named = f"search.initial_points={json.dumps(list(sentences.values()))}"
    settings = ("search.sampler=random", "pruning.rule=none", f"study.seeds={SEEDS}", f"study.seed={FRESH + pair}")
    search(options, name, len(sentences), (*settings, named))


# -- what came of it


@dataclass(frozen=True)
class Step:
    """A search after one of its trainings.

    Attributes:
        taken: what it had taken, by measure.
        front: keys of those that none dominates in what was observed.
        recommended: these, and those that its model recommends besides.
    """

    taken: dict[str, float]
    front: tuple[str, ...]
    recommended: tuple[str, ...]


@dataclass(frozen=True)
class Reached:
    """A search, scored: what its last recommendation is worth, and what it took to the target and in all."""

    worth: float
    trained: int
    stopped: int
    to_target: dict[str, float]
    in_all: dict[str, float]


def nothing_more(row: Trial) -> Iterable[int]:
    """Of a search without a model."""
    return ()


def steps(rows: Sequence[Trial], more: Callable[[Trial], Iterable[int]] = nothing_more) -> list[Step]:
    """A search after each of its trainings, in the order in which they ended.

    Args:
        rows: its record.
        more: called with each that ended: numbers of the rows that the search's model recommends then.
    """
    keys = {row.number: row.key or "" for row in rows}
    ended = sorted((r for r in rows if r.kind == "searched" and r.finished), key=lambda r: (r.clock or 0.0, r.number))
    told = [row for row in ended if row.cpu_seconds is not None and row.seconds]
    share = sum(row.cpu_seconds or 0.0 for row in told) / (sum(row.seconds or 0.0 for row in told) or 1.0)
    processor = epochs = 0.0
    complete: list[Trial] = []
    found = []
    for row in ended:
        processor += (row.seconds or 0.0) * share if row.cpu_seconds is None else row.cpu_seconds
        epochs += row.epochs or 0
        if row.state == "complete":
            complete.append(row)
        values = [(one.accuracy or 0.0, one.flops) for one in complete]
        best = [complete[i].number for i in front.efficient(values)]
        both = dict.fromkeys([*best, *more(row)])
        taken = dict(zip(MEASURES, (row.clock or 0.0, processor, epochs), strict=True))
        found.append(Step(taken, tuple(keys[n] for n in best), tuple(keys[n] for n in both)))
    return found


def followed(options: argparse.Namespace, pair: int, arm: str) -> tuple[list[Step], list[Trial]]:
    """A search after each of its trainings, and its rows."""
    import optuna

    from metamixer.search.proposals.proposer import Proposer

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    path = options.runs / folder(pair, arm)
    rows = record.read(path)
    config, space, task = loaded(options.study, (*options.set, *ARMS[arm]))
    search, reference = config.search, tuple(record.settings(path)["reference_point"])
    proposer = Proposer(space, task, config.limits, search.sampler, STARTS, 0, reference=reference)

    def recommended(row: Trial) -> Iterable[int]:
        proposer.observe(row)
        return proposer.recommend() or ()

    return steps(rows, recommended), rows


def fresh(rows: Sequence[Trial], floor: float) -> dict[str, tuple[float, int]]:
    """Mean accuracy over the fresh seeds and FLOPs of each architecture; a training that failed is worth guessing."""
    accuracies: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        if row.kind in ("searched", "replicate"):
            number = row.number if row.replicate_of is None else row.replicate_of
            accuracies[number].append(row.accuracy if row.state == "complete" and row.accuracy is not None else floor)
    firsts = {row.number: row for row in rows if row.kind == "searched"}
    failed = [n for n, row in firsts.items() if row.state != "complete"]  # their further seeds were not tried
    short = [n for n, found in accuracies.items() if len(found) != SEEDS and n not in failed]
    if short:
        raise SystemExit(f"the trials {short} have not all of their {SEEDS} seeds yet")
    return {row.key or "": (statistics.fmean(accuracies[number]), row.flops) for number, row in firsts.items()}


def scored(
    searches: Mapping[str, Sequence[Step]],
    points: Mapping[str, tuple[float, int]],
    reference: Sequence[float],
    counts: Mapping[str, tuple[int, int]],
    observed: bool = False,
) -> dict[str, Reached]:
    """The searches of a pair against the last recommendation of the rival; by what was observed alone if so asked."""
    whole = (1 - reference[0]) * reference[1]

    def worth(step: Step) -> float:
        keys = step.front if observed else step.recommended
        return hypervolume([points[key] for key in keys], reference, ACCURACY_FLOPS) / whole

    volumes = {arm: [worth(step) for step in found] for arm, found in searches.items()}
    target = volumes[RIVAL][-1]
    never = dict.fromkeys(MEASURES, math.inf)
    return {
        arm: Reached(
            volumes[arm][-1],
            *counts[arm],
            next((step.taken for step, volume in zip(found, volumes[arm], strict=True) if volume >= target), never),
            found[-1].taken,
        )
        for arm, found in searches.items()
    }


def judged(options: argparse.Namespace, pair: int) -> tuple[dict[str, Reached], dict[str, Reached]] | None:
    """A pair whose runs are all there, by what was recommended and by what was observed alone; None otherwise."""
    names = {arm: options.runs / folder(pair, arm) for arm in (*ARMS, "fresh")}
    if not all((path / "done.json").is_file() for path in names.values()):
        return None
    found = {arm: followed(options, pair, arm) for arm in ARMS}
    anew = record.read(names["fresh"])
    seen = {row.seed for _, rows in found.values() for row in rows if row.seed is not None}
    if seen & {row.seed for row in anew if row.seed is not None}:
        raise SystemExit(f"pair {pair}: a fresh seed is one that a search saw")
    reference = record.settings(names[RIVAL])["reference_point"]
    counts = {
        arm: (sum(row.kind == "searched" for row in rows), sum(row.stopped for row in rows))
        for arm, (_, rows) in found.items()
    }
    searches = {arm: of_search for arm, (of_search, _) in found.items()}
    points = fresh(anew, reference[0])
    return scored(searches, points, reference, counts), scored(searches, points, reference, counts, observed=True)


def ratio(pair: Mapping[str, Reached], arm: str, to: str, measure: str) -> float:
    """How much of what one search took another took to the target; infinite if it never came there.

    Not a number where nothing was measured: trainings of other code than metamixer's may tell no processor time.
    """
    mine, other = pair[arm].to_target[measure], pair[to].to_target[measure]
    return math.inf if math.isinf(mine) else mine / other if other else math.nan


def show(pairs: Mapping[int, Mapping[str, Reached]]) -> dict[str, float]:
    """Prints the table; medians of the wall-clock ratios, also to the whole search of the rival."""
    head = f"{'pair':>4}  {'search':22}{'worth':>8}{'trained':>9}{'stopped':>9}{'minutes':>9}"
    print(head + "".join(f"{f'{name} to it':>18}{'ratio':>7}" for name in MEASURES))
    for number, pair in sorted(pairs.items()):
        for arm, reached in pair.items():
            line = f"{number:>4}  {arm:22}{reached.worth:>8.4f}{reached.trained:>9}{reached.stopped:>9}"
            line += f"{reached.in_all['wall-clock'] / 60:>9.1f}"
            for measure in MEASURES:
                took, share = reached.to_target[measure], ratio(pair, arm, RIVAL, measure)
                line += f"{f'{took:.0f}' if math.isfinite(took) else '-':>18}{share:>7.2f}"
            print(line)
    print("worth: hypervolume of the last recommendation by fresh seeds; to it: to tpe's; seconds, ratios to tpe's own")
    medians = {}
    for what, arm, to in (
        ("known-cost with early stopping to tpe", OURS, RIVAL),
        ("known-cost to tpe: what knowing the cost is worth", PLAIN, RIVAL),
        ("early stopping to none: what stopping is worth", OURS, PLAIN),
    ):
        found = {m: statistics.median(ratio(pair, arm, to, m) for pair in pairs.values()) for m in MEASURES}
        medians[f"{arm} / {to}"] = found["wall-clock"]
        print(f"median {what}: " + ", ".join(f"{value:.2f} of the {name}" for name, value in found.items()))
    for arm in (OURS, PLAIN):
        shares = [pair[arm].to_target["wall-clock"] / pair[RIVAL].in_all["wall-clock"] for pair in pairs.values()]
        medians[f"{arm} / {WHOLE}"] = statistics.median(shares)
        print(f"median {arm} to the whole search with tpe: {statistics.median(shares):.2f} of the wall-clock")
    return medians


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--runs", type=Path, metavar="DIR", default=Path("runs/real"))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--budget", type=int, default=100, help="architectures of each search")
    parser.add_argument("--ours", metavar="BUDGET", help="of the two known-cost searches: 60, 540epochs; as --budget")
    parser.add_argument("--study", default="digits")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of the study, for trials")
    parser.add_argument("--dispatcher", choices=["ray", "inline"], default="ray")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--check", action="store_true", help=f"train nothing; exit 1 above a median ratio of {BAR}")
    options = parser.parse_args()
    if not options.check:
        try:
            for step in (run_pair, run_fresh):
                for pair in range(options.pairs):
                    step(options, pair)
        except KeyboardInterrupt:
            print("stopped; the same command continues", file=sys.stderr)
            return 130
    found = {pair: judged(options, pair) for pair in range(options.pairs)}
    pairs = {pair: result[0] for pair, result in found.items() if result is not None}
    alone = {pair: result[1] for pair, result in found.items() if result is not None}
    if not pairs:
        print(f"nothing is measured: no whole pair below {options.runs}; start it without --check", file=sys.stderr)
        return 0
    print("by what was observed alone")
    by_observed = show(alone)
    print("\nby what is recommended")
    medians = show(pairs)
    listed: dict[int, Any] = {n: {arm: asdict(reached) for arm, reached in pair.items()} for n, pair in pairs.items()}
    document = {"medians": medians, "medians by what was observed": by_observed, "pairs": listed}
    (options.runs / "result.json").write_text(json.dumps(document, indent=1))
    took = medians[f"{OURS} / {WHOLE}"]
    verdict = "missed" if took > BAR else "met"
    print(f"bar: {OURS}, in <= {BAR} of the wall-clock of the search with tpe: {took:.2f}, {verdict}")
    return 1 if options.check and took > BAR else 0


if __name__ == "__main__":
    sys.exit(main())
