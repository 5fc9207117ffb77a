"""The front of a run and its baselines as tables: `metamixer search` at its end, `metamixer show RUN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from metamixer.cli.output.figures import Figure, print_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from metamixer.record.front import Point

SENTENCE = 20  # columns that a sentence has at least


def print_front(console: Console, title: str, members: Sequence[Point]) -> None:
    """Prints members of a front, one row each."""
    from rich.markup import escape

    def table(figure: Figure) -> Table:
        made = _table(f"{escape(title)}: validation accuracy against FLOPs (2 x MACs) of one input")
        made.add_column("sentence", overflow="fold", min_width=SENTENCE)
        for point in members:
            made.add_row(*_cells(point, figure), escape(point.sentence))
        return made

    print_table(console, table)


def print_baselines(console: Console, baselines: Sequence[Point]) -> None:
    """Prints published designs that were trained alike, one row each, with what the front makes of them."""
    from rich.markup import escape

    def table(figure: Figure) -> Table:
        made = _table("Published designs, same training; dominated: by the front, beyond one standard error")
        made.add_column("name", overflow="fold")
        made.add_column("verdict")
        for point in baselines:
            made.add_row(*_cells(point, figure), escape(point.name or ""), point.verdict or "")
        return made

    print_table(console, table)


def accuracy(point: Point) -> str:
    """The mean over seeds, with its standard error where there are several."""
    return f"{point.accuracy:.4f}" + (f" ± {point.error:.4f}" if point.error is not None else "")


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD)
    for column in ("trial", "accuracy", "seeds", "MFLOPs", "parameters"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cells(point: Point, figure: Figure) -> tuple[str, str, str, str, str]:
    return (
        str(point.number),
        accuracy(point),
        str(point.seeds),
        f"{point.flops / 1e6:,.3f}",
        figure(point.cost["params"]),
    )
