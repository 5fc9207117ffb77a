"""The drawing of an architecture as lines of text, for a terminal: the same parts, data flowing downwards."""

from __future__ import annotations

from collections.abc import Iterator

from metamixer.report.picture import shorten
from metamixer.report.sketch import Part

LABEL = 72  # characters of one word's label


def lines(part: Part, width: int = 100) -> list[str]:
    """The picture, one line a word, with the shape behind a word that changes it.

    A residual goes around what it adds to (``╮``, ``╯``); the operands of a sum, a product or a concatenation stand
    below one another behind ``├`` and meet at the sign; places, views and repetitions are brackets at the left.
    """
    rows = [("", part.before), *_rows(part, part.before)]
    room = min(max(len(text) for text, _ in rows) + 2, width - 16)
    return [f"{text:<{room}}{shape}".rstrip() for text, shape in rows]


def _rows(part: Part, before: str) -> Iterator[tuple[str, str]]:
    shape = part.shape if part.shape != before else ""
    match part.kind:
        case "input" | "name" | "bank":
            yield part.label or "x", shape
        case "chain" | "read":
            for i, inner in enumerate(part.parts):
                mark = "→ " if part.kind == "read" and i else ""
                yield from _marked(_rows(inner, before), mark, "  " if mark else "")
                before = inner.shape or before
        case "word" if part.parts:
            yield shorten(part.label, LABEL), shape
            for role, inner in zip(part.roles, part.parts, strict=True):
                if inner.kind != "input":
                    yield from _marked(_rows(inner, inner.shape), f"  {role or '·'}: ", "     ")
        case "word":
            yield shorten(part.label, LABEL), shape
        case "residual":
            yield "├─╮", ""
            for inner in part.parts:
                yield from _marked(_rows(inner, before), "│ ", "│ ")
            yield "+─╯", shape
        case "join" | "split":
            for role, inner in zip(part.roles, part.parts, strict=True):
                yield from _marked(_rows(inner, before), f"├─ {role + ' ' if role else ''}", "│  ")
            yield f"╰─ {part.label or '++'}", shape
        case "frame" | "repeat":
            yield f"┌ {part.label}", ""
            for inner in part.parts:
                yield from _marked(_rows(inner, inner.before), "│ ", "│ ")
            yield "└", shape
        case "let":
            for name, inner in zip(part.roles, part.parts[:-1], strict=True):
                yield from _marked(_rows(inner, before), f"{name} = ", " " * (len(name) + 3))
            yield from _rows(part.parts[-1], before)
        case _:
            raise AssertionError(f"a part of unknown kind {part.kind}")


def _marked(rows: Iterator[tuple[str, str]], first: str, other: str) -> Iterator[tuple[str, str]]:
    mark = first
    for text, shape in rows:
        yield mark + text, shape
        mark = other
