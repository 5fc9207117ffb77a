"""Reading the documents of the repository: headings, links, code, tables, examples."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = {".py", ".toml", ".lark", ".md", ".js", ".css", ".html", ".yml", ".yaml", ".cff", ".txt", ".svg", ""}
FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+|~~~+) *(?P<language>[\w-]*)[^\n]*$")


@cache
def tracked() -> tuple[str, ...]:
    """Every file of the repository that git knows, or would take, as a path from its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return tuple(sorted(path for path in set(listed.stdout.splitlines()) if (REPOSITORY / path).exists()))


@cache
def known_paths() -> frozenset[str]:
    """Files and folders of the repository."""
    folders = {str(parent) for path in tracked() for parent in Path(path).parents}
    return frozenset(tracked()) | folders


def documents() -> tuple[str, ...]:
    """Documents that people read."""
    return tuple(path for path in tracked() if path.endswith(".md"))


def sources() -> tuple[str, ...]:
    """Every file of text."""
    # metamixer/dashboards is a link to a folder, which git lists as a file.
    files = (path for path in tracked() if (REPOSITORY / path).is_file())
    return tuple(path for path in files if Path(path).suffix in TEXT and not path.startswith("tests/data/"))


@cache
def read(path: str) -> str:
    return (REPOSITORY / path).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        document: where it stands.
        line: number of its first line.
        language: what the fence says it is.
        text: the lines inside.
        given: what a comment directly above the fence says about it (`<!-- input: 3 32x32 -->`).
    """

    document: str
    line: int
    language: str
    text: str
    given: str = ""

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


@cache
def blocks(document: str) -> tuple[Block, ...]:
    """The fenced blocks of a document, in order."""
    found, inside, comment = [], None, ""
    for number, line in enumerate(read(document).splitlines(), start=1):
        fence = FENCE.match(line)
        if inside is None and fence:
            inside, lines = (fence["indent"], fence["ticks"], fence["language"], number + 1, comment), []
        elif inside is not None and line.strip() == inside[1]:
            indent, _, language, first, given = inside
            text = "\n".join(part.removeprefix(indent) for part in lines)
            found.append(Block(document, first, language, text, given))
            inside = None
        elif inside is not None:
            lines.append(line)
        if line.strip():
            said = re.fullmatch(r"<!-- *(.*?) *-->", line.strip())
            comment = said[1] if said else ""
    assert inside is None, f"{document}: a fence is not closed"
    return tuple(found)


@cache
def prose(document: str) -> str:
    """The document without its fenced blocks; lines keep their numbers."""
    kept, inside = [], ""
    for line in read(document).splitlines():
        fence = FENCE.match(line)
        if not inside and fence:
            inside = fence["ticks"]
            kept.append("")
        elif inside:
            inside = "" if line.strip() == inside else inside
            kept.append("")
        else:
            kept.append(line)
    return "\n".join(kept)


def slug(heading: str) -> str:
    """The anchor of a heading, where GitHub and MkDocs agree on it."""
    plain = re.sub(r"[`*]|\[([^]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


@cache
def anchors(document: str) -> frozenset[str]:
    return frozenset(slug(found[2]) for found in re.finditer(r"^(#+) +(.+?) *$", prose(document), re.M))


def code_spans(document: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each piece of inline code."""
    for number, line in enumerate(prose(document).splitlines(), start=1):
        for found in re.finditer(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", line):
            yield number, found[2].strip().replace(r"\|", "|") if line.lstrip().startswith("|") else found[2].strip()


def links(document: str) -> Iterator[tuple[int, str]]:
    """Line number and target of each link and picture."""
    for number, line in enumerate(prose(document).splitlines(), start=1):
        for found in re.finditer(r"\]\(<?([^)>\s]+)>?(?: +\"[^\"]*\")?\)", line):
            yield number, found[1]


Row = dict[str, str]


def tables(document: str) -> Iterator[tuple[int, list[Row]]]:
    """Line number and rows (column -> text) of each table."""
    lines = prose(document).splitlines()
    for number, line in enumerate(lines[:-1]):
        if not (line.startswith("|") and re.fullmatch(r"\|[ :|-]+\|", lines[number + 1])):
            continue
        names, rows = cells(line), []
        for row in lines[number + 2 :]:
            if not row.startswith("|"):
                break
            values = cells(row)
            assert len(values) == len(names), f"{document}:{number + 1}: {row}"
            rows.append(dict(zip(names, values, strict=True)))
        yield number + 1, rows


def cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def code(cell: str) -> str:
    """The one piece of code that a cell holds."""
    found = re.fullmatch(r"`+ ?(.+?) ?`+", cell)
    assert found, f"one piece of code is expected: {cell}"
    return found[1]


def given(text: str) -> tuple[int, tuple[int, ...]]:
    """Channels and grid of an input, written as `64 8x8`."""
    channels, grid = text.split()
    return int(channels), tuple(map(int, grid.split("x")))
