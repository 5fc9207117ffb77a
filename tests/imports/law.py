"""The law of imports, read from law.toml; run as a program it prints its table into CONTRIBUTING.md."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "metamixer"
PAGE = REPOSITORY / "CONTRIBUTING.md"
BEGIN, END = "<!-- the law of imports: python tests/imports/law.py -->", "<!-- end of the law of imports -->"


@dataclass(frozen=True)
class Room:
    """One row of the law; names are below `metamixer.`."""

    name: str
    holds: str
    imports: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exemption:
    """An arrow that the rooms do not allow, or one of a circle that is meant."""

    source: str
    target: str
    reason: str


@dataclass(frozen=True)
class Arrow:
    """`source` imports `target`, modules of the package or packages outside of it; how and where."""

    source: str
    target: str
    line: int
    kind: str  # "top", "late" (inside a function), "types" (for type checkers), "name" (by a string)

    def __str__(self) -> str:
        return f"{self.source}, line {self.line}, imports {self.target} ({self.kind})"


class Law:
    """The law and the arrows it is about."""

    def __init__(self, document: dict, package: Path = PACKAGE) -> None:
        self.package = package
        self.rooms = {name: Room(name, **{k: v if isinstance(v, str) else tuple(v) for k, v in row.items()})
                      for name, row in document["room"].items()}  # fmt: skip
        self.exemptions = [Exemption(e["from"], e["to"], e["reason"]) for e in document.get("exception", ())]
        self.everywhere = tuple(document["everywhere"])
        self.guarded = tuple(document["guarded"])

    @cached_property
    def modules(self) -> dict[str, Path]:
        """Every module of the package by its name below `metamixer.`; the package itself is ``."""
        found = {}
        # In a checkout dashboards/ is a link, which rglob does not follow.
        folders = [Path(folder) for folder, _, _ in os.walk(self.package, followlinks=True)]
        for path in sorted(file for folder in folders for file in folder.glob("*.py")):
            parts = path.relative_to(self.package).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return found

    def room(self, module: str) -> Room | None:
        """The longest room that holds a module."""
        while module:
            if module in self.rooms:
                return self.rooms[module]
            module = module.rpartition(".")[0]
        return None

    @cached_property
    def arrows(self) -> list[Arrow]:
        """Every import of every file, late ones, those for types, and those by a string."""
        return [arrow for name, path in self.modules.items() for arrow in self._arrows(name, path)]

    def _arrows(self, source: str, path: Path) -> list[Arrow]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found: list[Arrow] = []

        def add(dotted: str, line: int, kind: str) -> None:
            top, _, below = dotted.partition(".")
            target = below if top == "metamixer" else top
            if top == "metamixer":
                while target and target not in self.modules:
                    target = target.rpartition(".")[0]
            if target != source and (top != "metamixer" or target):
                found.append(Arrow(source, f"metamixer.{target}" if top == "metamixer" else target, line, kind))

        def walk(node: ast.AST, kind: str) -> None:
            for child in ast.iter_child_nodes(node):
                inner = kind
                if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                    inner = "types"
                elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and kind == "top":
                    inner = "late"
                if isinstance(child, ast.Import):
                    for alias in child.names:
                        add(alias.name, child.lineno, kind)
                elif isinstance(child, ast.ImportFrom):
                    if child.level:
                        raise AssertionError(f"{path}, line {child.lineno}: a relative import; name it whole")
                    for alias in child.names:
                        add(f"{child.module}.{alias.name}", child.lineno, kind)
                elif isinstance(child, ast.Constant) and isinstance(child.value, str):
                    named = re.fullmatch(r"(metamixer(?:\.\w+)+)(:[\w.]+)?", child.value)
                    if named is not None:
                        add(named[1], child.lineno, "name")
                walk(child, inner)

        walk(tree, "top")
        return found

    def allowed(self, arrow: Arrow) -> bool:
        """Whether a room's row, or an exemption, allows an arrow to another module of the package."""
        room, target = self.room(arrow.source), arrow.target.removeprefix("metamixer.")
        if room is None or "*" in room.imports:
            return True
        goal = self.room(target)
        names = {target, *(() if goal is None else (goal.name,))}
        if goal is room or names & {*room.imports, *self.everywhere}:
            return True
        return any(arrow.source == e.source and target == e.target for e in self.exemptions)

    def table(self) -> str:
        """The law as CONTRIBUTING.md shows it."""
        lines = ["| folder | what it holds | may import | may use |", "|---|---|---|---|"]
        for room in self.rooms.values():
            path = room.name.replace(".", "/")
            place = f"{path}/" if (self.package / path).is_dir() else f"{path}.py"
            imports = "everything" if "*" in room.imports else ", ".join(room.imports) or "nothing"
            lines.append(f"| `{place}` | {room.holds} | {imports} | {', '.join(room.uses)} |")
        exemptions = "".join(f"\n- `{e.source}` to `{e.target}`: {e.reason}" for e in self.exemptions)
        everywhere = ", ".join(f"`{name}`" for name in self.everywhere)
        guarded = ", ".join(self.guarded)
        return (
            "\n".join(lines)
            + f"\n\nEvery room may import {everywhere}. Only the rooms that say so use any of: {guarded}."
            + f"\n\nMeant all the same:\n{exemptions}\n"
        )


def load() -> Law:
    """The law of this repository."""
    return Law(tomllib.loads(Path(__file__).with_name("law.toml").read_text(encoding="utf-8")))


def page(text: str, law: Law) -> str:
    """CONTRIBUTING.md with the table of today."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{law.table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), load()), encoding="utf-8")
