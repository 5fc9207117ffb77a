"""Test figures of a run that was retrained, as a table or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from metamixer.record import reading, retrained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from metamixer.record import Trial
    from metamixer.record.retrained import Retrained


def show(record: Path, as_json: bool) -> int:
    """Prints what retraining said; 1 where a training failed, or there is none."""
    from rich.console import Console

    trials = reading.read(record)
    found = retrained.summary(trials)
    if as_json:
        print(json.dumps(document(found)))
    else:
        console = Console(highlight=False, emoji=False)
        if not console.is_terminal:
            console.width = 160
        print_retrained(console, trials)
    failed = {(t.retrains, t.seed_index) for t in trials if t.kind == "retrained" and t.state == "failed"}
    done = {(t.retrains, t.seed_index) for t in trials if t.kind == "retrained" and t.state == "complete"}
    return 0 if found and not failed - done else 1


def document(found: Sequence[Retrained]) -> dict[str, object]:
    """What retraining said, as JSON."""
    held = retrained.agreement(found)
    return {"retrained": [asdict(one) for one in found], "kendall_tau": None if held is None else asdict(held)}


def print_retrained(console: Console, trials: Sequence[Trial]) -> None:
    """Prints test figures beside those of the search, and how far its ranking held; nothing where there are none."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    found = retrained.summary(trials)
    if not found:
        return
    one = found[0]
    table = Table(
        title=f"Test accuracy on {one.images} images, after {one.epochs} epochs on training and validation part;"
        " interval: Wilson, 95 %, of the mean",
        box=box.SIMPLE_HEAD,
    )
    for column in ("trial", "validation", "test", "over seeds", "interval", "seeds", "MFLOPs"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("name or sentence", overflow="fold", min_width=20)
    for one in found:
        table.add_row(
            str(one.number),
            "" if one.validation is None else f"{one.validation:.4f}",
            f"{one.accuracy:.4f}",
            "" if one.deviation is None else f"± {one.deviation:.4f}",
            f"{one.interval[0]:.4f} to {one.interval[1]:.4f}",
            str(len(one.accuracies)),
            f"{2 * one.cost.get('macs', 0) / 1e6:,.3f}",
            escape(one.name or one.sentence),
        )
    console.print(table)
    held = retrained.agreement(found)
    if held is not None:
        console.print(
            f"order of validation and test accuracy, {held.count} architectures of the search: Kendall's tau"
            f" {held.tau:.2f} (95 % bootstrap {held.interval[0]:.2f} to {held.interval[1]:.2f})",
            markup=False,
            soft_wrap=True,
        )
