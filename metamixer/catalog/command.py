"""What ``metamixer catalog`` prints."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from metamixer.catalog.entries import Entry, entries, get


def catalog(name: str | None, as_json: bool) -> int:
    """Lists the catalogue, or shows one entry."""
    from rich.console import Console
    from rich.table import Table

    chosen = [get(name)] if name else list(entries().values())
    if as_json:
        print(json.dumps([described(entry) for entry in chosen], indent=1))
        return 0
    console = Console()
    if name:
        for key, value in described(chosen[0]).items():
            console.print(f"[bold]{key}[/]: {value}", highlight=False)
        return 0
    table = Table(
        "name",
        "family",
        "input",
        "params",
        "MACs",
        "published (params, MACs, top-1)",
        title="Catalogue; MACs of one input, head included",
    )
    for entry in chosen:
        cost = entry.cost
        shape = f"{'x'.join(map(str, entry.grid))}x{entry.channels}"
        published = ", ".join(entry.published.get(key, "-") for key in ("params", "macs", "top1"))
        table.add_row(entry.name, entry.family, shape, f"{cost.params:,}", f"{cost.macs:,}", published)
    console.print(table)
    return 0


def described(entry: Entry) -> dict[str, Any]:
    """The entry with its exact counts, as plain values."""
    cost = entry.cost
    facts = asdict(entry)
    facts["sentence"] = facts.pop("text")
    return facts | {
        "params": cost.params,
        "macs": cost.macs,
        "flops": cost.flops,
        "key": entry.network.key(entry.channels, entry.grid),
    }
