"""`metamixer diff`, and the table of attributes that `metamixer show` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import groupby
from typing import Any

from metamixer import catalog
from metamixer.cli.output.figures import Figure, print_table
from metamixer.explore.attributes import Attributes
from metamixer.explore.diff import Difference, Pair, Stage
from metamixer.explore.diff import diff as compare
from metamixer.language import Sentence, parse

Recipe = Mapping[str, int | str]
SIGNS = {"same": "=", "changed": "~", "only in A": "<", "only in B": ">"}
WIDTH = 56  # characters of a stage that are printed
TEXT = 14  # and the columns that it has at least


def diff(
    a: str,
    b: str,
    channels: int | None,
    grid: tuple[int, ...] | None,
    as_json: bool,
    titles: tuple[str, str] | None = None,
    recipes: tuple[Recipe, Recipe] = ({}, {}),
) -> int:
    """Prints two architectures, each a sentence or a name of the catalogue, side by side.

    Without an input that of the first catalogue name is taken, else 64 channels on 8x8. Two names are compared with
    their heads, as their published numbers count them; beside a sentence a name stands for what precedes its head.
    ``titles`` are printed for the two, if not they themselves; ``recipes`` are what was chosen for keys of [training].

    Raises:
        LanguageError: one of them is no sentence, or does not fit the input.
    """
    known = catalog.names()
    named = [catalog.get(text) for text in (a, b) if text in known]
    channels = channels or (named[0].channels if named else 64)
    grid = grid or (named[0].grid if named else (8, 8))
    first, second = (_sentence(text, len(named) == 2) for text in (a, b))
    found = compare(first, second, channels, grid)
    a, b = titles or (a, b)
    if as_json:
        print(
            json.dumps(
                {
                    "a": a,
                    "b": b,
                    "input": {"channels": channels, "grid": list(grid)},
                    **described(found),
                    "recipes": recipes,
                }
            )
        )
    else:
        _print(a, b, f"{'x'.join(map(str, grid))} tokens x {channels}", found, recipes)
    return 0


def _sentence(text: str, head: bool) -> Sentence:
    entry = catalog.find(text)
    if entry is None:
        return parse(text)
    return entry.network if head else entry.sentence


def verdict(pair: Pair) -> str:
    """How the sides of a row relate."""
    if pair.a is None or pair.b is None:
        return "only in B" if pair.a is None else "only in A"
    return "same" if pair.same else "changed"


def described(found: Difference) -> dict[str, Any]:
    """A comparison as plain values."""
    return {
        "same": found.same,
        "keys": list(found.keys),
        "stages": [
            {"verdict": verdict(pair), "a": pair.a and pair.a._asdict(), "b": pair.b and pair.b._asdict()}
            for pair in found.pairs
        ],
        "costs": [
            {"macs": cost.macs, "params": cost.params, "elementwise": cost.elementwise, "activations": cost.activations}
            for cost in found.costs
        ],
        "attributes": [one.described() for one in found.attributes],
    }


def attribute_table(*columns: tuple[str, Attributes]) -> Any:
    """A table of the attributes of one architecture, or of several side by side."""
    from rich import box
    from rich.table import Table

    table = Table("attribute", *(head for head, _ in columns), box=box.SIMPLE_HEAD, title="attributes")
    table.title_justify = "left"
    for rows in zip(*(attributes.rows() for _, attributes in columns), strict=True):
        values = [value for _, value in rows]
        table.add_row(rows[0][0], *values, style="bold" if len(set(values)) > 1 else None)
    return table


def _print(a: str, b: str, where: str, found: Difference, recipes: tuple[Recipe, Recipe]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:  # a file or a pipe has no width of its own
        console = Console(highlight=False, width=160)
    console.print(f"A  {a}\nB  {b}\ninput {where}", markup=False, soft_wrap=True)

    def by_stage(figure: Figure) -> Table:
        table = Table(
            box=box.SIMPLE_HEAD, title="stages; = same, ~ changed, < only in A, > only in B", title_justify="left"
        )
        table.add_column("", no_wrap=True)
        for side in "AB":
            table.add_column(side, overflow="fold", min_width=TEXT, max_width=WIDTH)
            table.add_column("MACs", justify="right", no_wrap=True)
            table.add_column("parameters", justify="right", no_wrap=True)
        for pair, group in groupby(found.pairs):
            times = len(list(group))
            sides = [cell for side in pair for cell in _cells(side, times, figure)]
            table.add_row(SIGNS[verdict(pair)], *map(escape, sides), style=None if pair.same else "bold")
        return table

    def totals(figure: Figure) -> Table:
        table = Table(box=box.SIMPLE_HEAD, title="totals", title_justify="left")
        for head in ("", "A", "B", "B / A"):
            table.add_column(head, justify="right" if head else "left", no_wrap=True)
        for name in ("macs", "params", "elementwise", "activations"):
            first, second = (getattr(cost, name) for cost in found.costs)
            table.add_row(name, figure(first), figure(second), f"{second / first:.3f}" if first else "-")
        return table

    print_table(console, by_stage)
    print_table(console, totals)
    console.print(attribute_table(*zip("AB", found.attributes, strict=True)))
    if keys := tuple(dict.fromkeys([*recipes[0], *recipes[1]])):
        table = Table("key of [training]", "A", "B", box=box.SIMPLE_HEAD, title="recipe", title_justify="left")
        for key in keys:
            values = [str(recipe.get(key, "")) for recipe in recipes]
            table.add_row(key, *map(escape, values), style="bold" if values[0] != values[1] else None)
        console.print(table)
    if found.same:
        console.print(f"one architecture: both have the key {found.keys[0]}")


def _cells(stage: Stage | None, times: int, figure: Figure) -> tuple[str, str, str]:
    if stage is None:
        return "", "", ""
    short = stage.text if len(stage.text) <= 2 * WIDTH else f"{stage.text[: 2 * WIDTH - 2]}.."
    return short + (f"  × {times}" if times > 1 else ""), figure(stage.macs), figure(stage.params)
