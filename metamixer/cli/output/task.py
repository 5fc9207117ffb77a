"""`metamixer task`: a task, what classical classifiers reach on it, and whether it tells architectures apart."""

from __future__ import annotations

import json
from statistics import fmean, stdev

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from metamixer import tasks
from metamixer.errors import TaskError
from metamixer.training.noise import LEAST_RATIO, Noise, measure
from metamixer.training.reference import reference_accuracies


def task(name: str, noise: bool, as_json: bool) -> int:
    """Print the task's sizes and reference accuracies, and with `noise` its spread-to-noise ratio.

    The ratio is measured on the catalogue's small baselines of this task, three seeds each, with the default recipe.

    Returns:
        Exit code: 1 where the ratio was asked for and is below 3, else 0.

    Raises:
        TaskError: Unknown task, or one without baselines in the catalogue when `noise` is asked for.
    """
    what = tasks.get(name)
    sentences = _baselines(name) if noise else {}
    progress = Console(stderr=True)
    with progress.status("fitting the reference classifiers"):
        arrays = what.data()
        references = reference_accuracies(name)
    measured = _measured(name, sentences, progress) if noise else None
    sizes = {"train": len(arrays.y_train), "validation": len(arrays.y_val)}
    if what.load_test is not None:
        sizes["test"] = len(what.test().y)
    if as_json:
        print(
            json.dumps(
                {
                    "task": what.name,
                    "description": what.description,
                    "fingerprint": what.fingerprint,
                    "grid": what.grid,
                    "channels": what.channels,
                    "classes": what.classes,
                    "sizes": sizes,
                    "reference": references,
                    "noise": None if measured is None else _document(measured),
                },
                indent=2,
            )
        )
    else:
        console = Console()
        console.print(f"[bold]{what.name}[/bold]: {what.description}" if what.description else what.name)
        shape = "x".join(map(str, (*what.grid, what.channels)))
        parts = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
        console.print(f"{parts} inputs of {shape} in {what.classes} classes; fingerprint {what.fingerprint}\n")
        table = Table("reference classifier", "validation accuracy", title="on the same arrays", title_justify="left")
        for classifier, accuracy in references.items():
            table.add_row(classifier, f"{accuracy:.4f}")
        console.print(table)
        if measured is not None:
            _print_noise(console, measured)
    return 1 if measured is not None and measured.ratio < LEAST_RATIO else 0


def _baselines(name: str) -> dict[str, str]:
    from metamixer import catalog

    sentences = {entry: str(catalog.get(entry).sentence) for entry in catalog.names(task=name)}
    if not sentences:
        raise TaskError(
            f"the catalogue has no small baselines for task {name!r}",
            advice="metamixer.training.noise.measure takes sentences of your own",
        )
    return sentences


def _measured(name: str, sentences: dict[str, str], console: Console) -> Noise:
    seeds = (0, 1, 2)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        what = f"training {len(sentences)} architectures x {len(seeds)} seeds"
        bar = progress.add_task(what, total=len(sentences) * len(seeds))
        return measure(name, sentences, seeds, done=lambda *_: progress.advance(bar))


def _document(noise: Noise) -> dict[str, object]:
    return {
        "accuracies": {name: list(some) for name, some in noise.accuracies.items()},
        "spread": noise.spread,
        "noise": noise.noise,
        "ratio": noise.ratio,
        "ratio_without_farthest": noise.without_farthest().ratio,
        "least_ratio": LEAST_RATIO,
    }


def _print_noise(console: Console, noise: Noise) -> None:
    table = Table("architecture", "mean accuracy", "sd over seeds", "seeds", title="\nbaselines", title_justify="left")
    for name, some in sorted(noise.accuracies.items(), key=lambda item: -fmean(item[1])):
        table.add_row(name, f"{fmean(some):.4f}", f"{stdev(some):.4f}", " ".join(f"{one:.4f}" for one in some))
    console.print(table)
    console.print(
        f"spread between architectures {noise.spread:.4f}, noise between seeds {noise.noise:.4f}: "
        f"[bold]ratio {noise.ratio:.1f}[/bold] ({noise.without_farthest().ratio:.1f} without the architecture "
        f"farthest from the rest); at least {LEAST_RATIO:g} is wanted"
    )
