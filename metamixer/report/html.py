"""Small pieces of HTML. All text that comes from a record is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, NamedTuple

import plotly.graph_objects as go

LESS = "\\u003c"  # inside a script element only "<" can end it or open a comment


class Cell(NamedTuple):
    """A table cell: what is shown (HTML), what it sorts by, and its CSS classes."""

    html: str
    value: str | float | None = None
    css: str = ""


def text(value: object, css: str = "text") -> Cell:
    """A cell of text, set to the left."""
    return Cell(escape("" if value is None else str(value)), None, css)


def number(value: float | None, form: str = ",") -> Cell:
    """A cell with a number; an empty one for None."""
    return Cell("", "") if value is None else Cell(format(value, form), value)


def code(value: str) -> Cell:
    """A cell with a sentence."""
    return Cell(f'<span class="sentence">{escape(value)}</span>', None, "wide")


def bar(share: float) -> Cell:
    """A bar for a share of 0..1, with the percentage as text."""
    return Cell(f'<span class="bar" style="width:{100 * share:.1f}px"></span> {share:.1%}', share, "bars")


def table(
    heads: Sequence[tuple[str, str]],
    rows: Iterable[Sequence[Cell]],
    attributes: Iterable[str] = (),
    caption: str = "",
    sortable: bool = False,
) -> str:
    """A table.

    Args:
        heads: (title, CSS class) of each column.
        rows: cells, one for each column.
        attributes: attributes of each row's ``<tr>``, as HTML; none where it ends early.
        caption: HTML above the table.
        sortable: whether the titles are buttons that sort.
    """
    given = iter(attributes)
    lines = [f"<table{' class=sortable' if sortable else ''}>"]
    if caption:
        lines.append(f"<caption>{caption}</caption>")
    titles = [f'<button type="button">{escape(title)}</button>' if sortable else escape(title) for title, _ in heads]
    cells = [f'<th scope="col"{_css(css)}>{title}</th>' for title, (_, css) in zip(titles, heads, strict=True)]
    lines.append(f"<thead><tr>{''.join(cells)}</tr></thead><tbody>")
    for row in rows:
        lines.append(f"<tr {next(given, '')}>{''.join(_cell(cell) for cell in row)}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _cell(cell: Cell) -> str:
    value = "" if cell.value is None else f' data-value="{escape(str(cell.value))}"'
    return f"<td{_css(cell.css)}{value}>{cell.html}</td>"


def _css(css: str) -> str:
    return f' class="{css}"' if css else ""


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """A row of facts: names above values."""
    items = [f"<div><dt>{escape(name)}</dt><dd>{escape(str(value))}</dd></div>" for name, value in pairs]
    return f'<dl class="facts">{"".join(items)}</dl>'


def plot(picture: go.Figure, name: str, label: str) -> str:
    """A place where a figure is drawn, with its data; ``label`` says what is seen to those who cannot see it."""
    height = picture.layout.height
    data = picture.to_json().replace("<", LESS)
    return (
        f'<div class="plot" id="{name}" role="group" aria-label="{escape(label)}" style="min-height:{height}px">'
        f'<script type="application/json">{data}</script></div>'
    )


def embedded(value: Any) -> str:
    """JSON that can stand in a script element."""
    return json.dumps(value, separators=(",", ":")).replace("<", LESS)
