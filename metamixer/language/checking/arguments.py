"""Resolved settings of a word: as phrases, as numbers, spread over axes, and what is wrong with them."""

from __future__ import annotations

from typing import Any

from metamixer.language.checking.types import Field, Mismatch
from metamixer.language.syntax.nodes import Node, Number, Size, name_of, number, size, word


def literal(node: Node) -> Any:
    """The value of a phrase that is a number, or a name; None where it follows from the input."""
    match node:
        case Size(text) if all(part.isdigit() for part in text.split("x")):
            return tuple(int(part) for part in text.split("x"))
        case Number(text):
            return float(text)
    return name_of(node)


def argument(value: Any) -> Node:
    """A resolved setting as a phrase."""
    if isinstance(value, str):
        return word(value)
    return number(value) if isinstance(value, float) else size(value)


def spelled(value: Any) -> str:
    """A setting as it is written; .. where it follows from the input."""
    if isinstance(value, tuple):
        return f"/{value[1]}" if value[0] == "/" else "x".join(map(str, value))
    return ".." if value is None else str(value)


def one(value: Any, what: str) -> int:
    """A size with a single number."""
    if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], int):
        return value[0]
    if isinstance(value, int):
        return value
    raise Mismatch(f"{what} is one number, not {spelled(value)}")


def per_axis(value: tuple[int, ...], grid: tuple[int, ...], what: str) -> tuple[int, ...]:
    """A size spread over the axes: one number serves all of them."""
    if len(value) == 1:
        return value * len(grid)
    if len(value) != len(grid):
        raise Mismatch(f"{what} has {len(value)} numbers, the grid has {len(grid)} axes")
    return value


def on_grid(field: Field, what: str) -> Field:
    """The field, refused if tokens stand outside the grid, or are none."""
    if field.spectral:
        raise Mismatch(f"{what} stands inside @fft, on a spectrum", "write it outside: (..)@fft@win(7)")
    if field.extra:
        raise Mismatch(
            f"{what} needs tokens on a grid; {field.extra} extra token(s) stand in front",
            "wrap it: map(..), or put it before cls",
        )
    return field


def count(n: int, noun: str) -> str:
    """``no size``, ``1 size``, ``2 sizes``."""
    return f"no {noun}" if n == 0 else f"{n} {noun}{'s' if n > 1 else ''}"
