"""`metamixer simulate` and `metamixer table`."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metamixer import resources
from metamixer.search.progress import duration
from metamixer.simulate import table as tables
from metamixer.simulate.compare import Median, median
from metamixer.simulate.run import Simulated, beginning, run, study
from metamixer.simulate.score import Curve, Scale, by_model, ceiling, curve, everything, noise
from metamixer.simulate.table import Table

SHARES = (0.95, 0.98, 0.99)
SEEDS = 20  # of searches, over which what noise allows is a median


@dataclass(frozen=True)
class Runs:
    """Repeated searches with one sampler."""

    sampler: str
    searches: list[Simulated]
    curves: list[Curve]
    models: list[float | None]

    def median(self, values: list[float | int | None]) -> float | None:
        """The median run's value; None where the median run has none."""
        ordered = sorted(value if value is not None else float("inf") for value in values)
        middle = ordered[(len(ordered) - 1) // 2]
        return None if middle == float("inf") else middle

    @property
    def share(self) -> Median:
        """The hypervolume found by what was observed."""
        return median([c.share[-1] for c in self.curves])

    def document(self) -> dict[str, Any]:
        """Medians over the runs."""
        found: dict[str, Any] = {
            "sampler": self.sampler,
            "share": statistics.median(c.share[-1] for c in self.curves),
            "share interval": [self.share.low, self.share.high],
            "shares": [c.share[-1] for c in self.curves],
            "share by model": self.median(self.models),
            "trainings": statistics.median(c.trainings[-1] for c in self.curves),
            "stopped": statistics.median(sum(trial.stopped for trial in s.trials) for s in self.searches),
            "epochs": statistics.median(c.epochs[-1] for c in self.curves),
            "seconds": statistics.median(s.seconds for s in self.searches),
            "proposing": statistics.median(s.proposing for s in self.searches),
        }
        for share in SHARES:
            reached = [(c, c.reached(share)) for c in self.curves]
            found[f"trainings to {share:g}"] = self.median([None if i is None else c.trainings[i] for c, i in reached])
            found[f"seconds to {share:g}"] = self.median([None if i is None else c.seconds[i] for c, i in reached])
        return found


def simulate(
    table: str,
    samplers: list[str],
    budget: str | None,
    workers: int,
    repeats: int,
    seed: int,
    overrides: list[str],
    as_json: bool,
    paired: int = 0,
) -> int:
    """Search a table several times with each sampler and print what they found, and when.

    Args:
        table: One that ships, or a file.
        samplers: Their names; none for the study's own.
        budget: As `study.budget`.
        workers: Trials at a time.
        repeats: Searches with each sampler.
        seed: Of the first of them.
        overrides: Of the study, as `section.key=value`.
        as_json: Print a document.
        paired: Architectures that the searches of one seed all begin with; 0 to let each sampler choose its own.

    Returns:
        0.
    """
    recorded = tables.read(resources.find("tables", table))
    options = [*overrides, *([f"study.budget={json.dumps(budget)}"] if budget is not None else [])]
    named = samplers or [study(recorded, options).search.sampler]
    scale = Scale(recorded)
    runs = []
    for sampler in named:
        searches = [
            run(
                recorded,
                study(recorded, [*options, f"search.sampler={sampler}", f"study.seed={seed + i}"]),
                workers,
                beginning(recorded, paired, seed + i),
            )
            for i in range(repeats)
        ]
        curves = [curve(search, scale) for search in searches]
        runs.append(Runs(sampler, searches, curves, [by_model(search, scale) for search in searches]))
    best = statistics.median(ceiling(recorded, seed + i) for i in range(repeats))
    document = {
        "table": recorded.name,
        "architectures": len(recorded.entries),
        "seeds": recorded.seeds,
        "epochs": recorded.epochs,
        "about": about(recorded),
        "noise": dict(zip(("seeds", "architectures"), noise(recorded), strict=True)),
        "ceiling": best,
        "workers": workers,
        "repeats": repeats,
        "paired": paired,
        "samplers": [found.document() for found in runs],
    }
    if as_json:
        print(json.dumps(document))
    else:
        _print(document)
    return 0


def _print(document: dict[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    for line in document["about"]:
        console.print(line, soft_wrap=True)
    title = f"Medians of {document['repeats']} searches with {document['workers']} workers"
    if document["paired"]:
        title += f", all of one seed begin with the same {document['paired']} architectures"
    grid = Grid(title=title, box=box.SIMPLE_HEAD)
    grid.add_column("sampler")
    heads = ["hypervolume", "by model", "trainings", "stopped early", "epochs", "time", "proposing"]
    for head in [*heads, *(f"to {share:.0%}" for share in SHARES)]:
        grid.add_column(head, justify="right")
    for row in document["samplers"]:
        reached = [(row[f"trainings to {share:g}"], row[f"seconds to {share:g}"]) for share in SHARES]
        grid.add_row(
            row["sampler"],
            f"{row['share']:.4f} [{row['share interval'][0]:.4f}, {row['share interval'][1]:.4f}]",
            "-" if row["share by model"] is None else f"{row['share by model']:.4f}",
            f"{row['trainings']:.0f}",
            f"{row['stopped']:.0f}",
            f"{row['epochs']:.0f}",
            duration(row["seconds"]),
            duration(row["proposing"]),
            *("-" if n is None else f"{n:.0f} / {duration(s)}" for n, s in reached),
        )
    console.print(grid)
    console.print(
        "hypervolume: of the recommended front, by seeds the search did not see, as a share of the table's own;"
        f" perfect knowledge would have {document['ceiling']:.4f}; in brackets: 95 % of the medians of resampled ones"
    )
    console.print("to 95%: trainings and recorded time until that share; the median run's")


def table(record: Path, out: Path) -> int:
    """Write the table of a run and say what is in it.

    Returns:
        0.
    """
    found = tables.from_run(record)
    tables.write(found, out)
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB", *about(found), sep="\n")
    return 0


def about(table: Table) -> list[str]:
    """What is in a table, and how much of it is noise, in lines that its README repeats."""
    within, between = noise(table)
    ratio = f"{between / within:.1f} times as much" if within else "no noise"
    lines = [
        f"{table.name}: {len(table.entries):,} architectures of {table.seeds} seeds and {table.epochs} epochs",
        f"a seed deviates by {within:.4f}, architectures by {between:.4f} ({ratio})",
    ]
    if not Scale(table).whole:
        return [*lines, "no noise ceiling: the front of so few architectures spans no area, and cannot be scored"]
    best = statistics.median(ceiling(table, seed) for seed in range(SEEDS))
    seen = statistics.median(everything(table, seed) for seed in range(SEEDS))
    return [
        *lines,
        f"noise ceiling {best:.4f}: a front chosen by all seeds, scored by all but one; chosen by that one: {seen:.4f}",
    ]
