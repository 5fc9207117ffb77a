"""Numbers in tables: whole where the console has room for them, in three figures with a unit where it has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Figure = Callable[[int], str]

UNITS = ("", " K", " M", " G", " T", " P", " E")


def whole(number: int) -> str:
    """All digits: `352,518,144`."""
    return f"{number:,}"


def short(number: int) -> str:
    """Three significant figures with a unit: `353 M`; below 1,000 the number itself."""
    if abs(number) < 1000:
        return str(number)
    value, unit = float(number), 0
    # 999.5 would be written as 1000.
    while abs(value) >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f}{UNITS[unit]}"


def print_table(console: Console, build: Callable[[Figure], Table]) -> None:
    """Print a table with whole numbers if every one stands whole in it at the console's width, else with short ones.

    Args:
        console: Where to.
        build: Makes the table with a function that writes its numbers.
    """
    numbers: list[str] = []

    def noted(number: int) -> str:
        numbers.append(whole(number))
        return numbers[-1]

    table = build(noted)
    text = "".join(segment.text for segment in console.render(table))
    fits = all(number in text for number in numbers) and max(map(len, text.split("\n"))) <= console.width
    console.print(table if fits else build(short))
