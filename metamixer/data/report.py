"""`metamixer data`: what is in the images of a study, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metamixer.data import sheet
from metamixer.data.cache import Prepared
from metamixer.data.items import duplicates, sizes

_LISTED = 10
_TABLE = 40
SHEET = "contact-sheet.png"


def document(prepared: Prepared) -> dict[str, Any]:
    """Everything the report says, as JSON.

    `duplicates` are images whose decoded pixels are the same, bit for bit: `across` lists groups that stand in more
    than one part, `within` counts the others. `conflicting` counts groups whose images have different classes.
    """
    task, about = prepared.task, prepared.about
    groups = duplicates(prepared.folder)
    across = [group for group in groups if group.across]
    return {
        "name": task.name,
        "fingerprint": task.fingerprint,
        "grid": list(task.grid),
        "channels": task.channels,
        "classes": list(task.class_names or ()),
        "parts": about["parts"],
        "mean": task.mean,
        "std": task.std,
        **{what: dict(counts.most_common()) for what, counts in sizes(prepared.folder).items()},
        "broken": about["broken"],
        "duplicates": {
            "across": [
                [{"part": part, "name": name, "class": kind} for part, name, kind in zip(*columns, strict=True)]
                for columns in ((group.parts, group.names, group.classes) for group in across)
            ],
            "within": len(groups) - len(across),
            "conflicting": sum(len(set(group.classes)) > 1 for group in groups),
        },
        "notes": about["notes"],
        "seed": about["data"]["seed"],
        "cache": str(prepared.folder),
        "bytes": sum(about["files"].values()),
        "seconds": about["seconds"],
    }


def show(prepared: Prepared, picture: Path | None, as_json: bool) -> int:
    """Print the report, and write the contact sheet.

    Args:
        prepared: The data set.
        picture: Where the contact sheet goes; beside the cached images if None.
        as_json: One JSON document.

    Returns:
        Exit code: 1 where images are broken or the same ones are in two parts, else 0.
    """
    found = document(prepared)
    path = None
    if prepared.task.mean is not None:  # inputs that are no pixels have none
        path = picture or prepared.folder / SHEET
        sheet.write(prepared.task, path)
    found["contact_sheet"] = None if path is None else str(path)
    if as_json:
        print(json.dumps(found))
    else:
        _print(found)
    return 1 if found["broken"] or found["duplicates"]["across"] else 0


def _print(found: Mapping[str, Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True)
    shape = "x".join(map(str, (*found["grid"], found["channels"])))
    console.print(f"[bold]{escape(found['name'])}[/bold]: inputs of {shape}, fingerprint {found['fingerprint']}")
    table = Table("class", *(f"{part}" for part in found["parts"]), box=box.SIMPLE_HEAD)
    for column in table.columns[1:]:
        column.justify = "right"
    for name in found["classes"][:_TABLE]:
        table.add_row(escape(name), *(f"{part['classes'][name]:,}" for part in found["parts"].values()))
    if len(found["classes"]) > _TABLE:
        table.add_row(f"{len(found['classes']) - _TABLE} more: --json has all")
    table.add_row("[bold]all[/bold]", *(f"{part['images']:,}" for part in found["parts"].values()))
    console.print(table)
    for line in _lines(found):
        console.print(escape(line))


def _lines(found: Mapping[str, Any]) -> list[str]:
    lines = [_balance(found)]
    if found["mean"]:
        lines.append(f"mean {_numbers(found['mean'])}, standard deviation {_numbers(found['std'])} of train, in 0..1")
        for what in ("sizes", "modes"):
            shown = [f"{name} ({count:,})" for name, count in list(found[what].items())[:_LISTED]]
            more = len(found[what]) - len(shown)
            lines.append(f"{what} of the files: {', '.join(shown)}" + (f", and {more} more" if more > 0 else ""))
    lines += [f"note: {note}" for note in found["notes"]]
    broken = found["broken"]
    lines.append(f"broken files: {len(broken):,}" if broken else "no broken files")
    lines += [f"  {one['part']}, {one['name']}: {one['reason']}" for one in broken[:_LISTED]]
    same = found["duplicates"]
    lines.append(
        f"duplicates, by all of the decoded pixels: {len(same['across']):,} across parts, {same['within']:,} within one"
        + (f"; {same['conflicting']:,} of them with different classes" if same["conflicting"] else "")
    )
    lines += ["  " + " = ".join(f"{one['part']} {one['name']}" for one in group) for group in same["across"][:_LISTED]]
    lines.append(f"split by class with seed {found['seed']}; the rows of each part: {found['cache']}/items.parquet")
    lines.append(f"cache: {found['bytes'] / 1e6:,.1f} MB, decoded in {found['seconds']:.1f} s")
    if found["contact_sheet"]:
        lines.append(f"contact sheet: {found['contact_sheet']}")
    return lines


def _balance(found: Mapping[str, Any]) -> str:
    counts = list(found["parts"]["train"]["classes"].values())
    ratio = max(counts) / min(counts)
    guess = max(counts) / sum(counts)
    what = "balanced" if ratio < 1.5 else f"unbalanced: the largest class is {ratio:.1f} times the smallest"
    lacking = [
        f"{part} lacks {name}"
        for part, one in found["parts"].items()
        for name, count in one["classes"].items()
        if part != "train" and not count
    ]
    text = f"classes are {what}; always saying the largest is right on {guess:.1%} of train"
    return "; ".join([text, *lacking[:_LISTED]])


def _numbers(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"
