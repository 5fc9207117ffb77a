"""Where the files lie that metamixer ships: search spaces, studies, recorded tables.

In a source checkout they are top-level folders of the repository; a wheel carries them inside the package, below
`metamixer/_shipped/`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from metamixer.errors import ResourceError, listed

Kind = Literal["search_spaces", "studies", "tables"]

_PACKAGE = Path(__file__).resolve().parent
_SINGULAR = {"search_spaces": "search space", "studies": "study", "tables": "table"}
_ENDINGS = {"tables": ".jsonl.xz"}  # all others end in .toml


def folder(kind: Kind) -> Path:
    """The folder with the shipped files of one kind.

    Raises:
        ResourceError: The installation lacks it.
    """
    if kind not in _SINGULAR:
        raise ValueError(f"kind must be one of {', '.join(_SINGULAR)}, not {kind!r}")
    for parent in (_PACKAGE / "_shipped", _PACKAGE.parent):
        if (parent / kind).is_dir():
            return parent / kind
    raise ResourceError(
        f"this installation of metamixer has no folder {kind}",
        place=str(_PACKAGE),
        advice="install it again: pip install --force-reinstall metamixer",
    )


def names(kind: Kind) -> list[str]:
    """The names of the shipped files of one kind, sorted, without their ending (`.toml`; tables: `.jsonl.xz`)."""
    ending = _ENDINGS.get(kind, ".toml")
    return sorted(path.name.removesuffix(ending) for path in folder(kind).glob(f"*{ending}"))


def find(kind: Kind, name_or_path: str | Path) -> Path:
    """The file that a name or a path means: a file that exists wins, else the shipped file of that name.

    Raises:
        ResourceError: Neither is there; the message lists what is shipped and suggests the nearest name.
    """
    path = Path(name_or_path).expanduser()
    if path.is_file():
        return path
    name = str(name_or_path)
    known = names(kind)
    ending = _ENDINGS.get(kind, ".toml")
    if name in known:
        return folder(kind) / f"{name}{ending}"
    what = _SINGULAR[kind]
    if path.is_dir():
        raise ResourceError(f"{name} is a folder, not a {what}", advice=f"name the {what}'s {ending} file")
    if path.suffix or len(path.parts) > 1:
        raise ResourceError(
            f"no such file: {name}", place=f"looked in {Path.cwd()}", advice=_shipped(what, known, ending)
        )
    raise ResourceError(f"unknown {what} {name!r}", advice=_suggest(name, known) + _shipped(what, known, ending))


def _suggest(name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}? " if near else ""


def _shipped(what: str, known: list[str], ending: str) -> str:
    return f"give a path to a {ending} file, or the name of a shipped {what}: {', '.join(known) or '(none)'}"


def record(run: str | Path, runs: str | Path = "runs") -> Path:
    """The record that is meant by a run: its own path, the path of its folder, or its name below `runs`.

    It is the file `study.db`, or the folder of a run whose record lies in a database.

    Raises:
        ResourceError: No record is there; the message lists the runs there are.
    """
    for path in (Path(run).expanduser(), Path(runs).expanduser() / run):
        if path.is_file():
            return path
        if (path / "study.db").is_file():
            return path / "study.db"
        if (path / "resolved.toml").is_file():
            return path
    below = Path(runs).expanduser()
    known = sorted({path.parent.name for name in ("study.db", "resolved.toml") for path in below.glob(f"*/{name}")})
    there = listed(str(run), known, f"in {runs}")
    raise ResourceError(
        f"no run {str(run)!r}: neither a record nor a folder with a study.db",
        place=f"looked in {Path.cwd()} and in {Path(runs)}",
        advice=f"{_suggest(str(run), known)}runs there: {there or '(none; metamixer search starts one)'}",
    )
