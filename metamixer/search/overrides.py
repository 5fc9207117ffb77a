"""Overrides of a study's keys, `section.key=value`, as `--set` and `Study.load` take them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

import tomli_w

from metamixer.errors import StudyError

Path = tuple[str, ...]


def write(key: str, value: str | int | float) -> str:
    """An override that is read back to this value, whatever characters it has."""
    return f"{key}={tomli_w.dumps({'value': value}).partition('=')[2].strip()}"


def apply(document: dict[str, Any], overrides: Sequence[str]) -> dict[Path, str]:
    """Put overrides into the document of a study; returns which of them gave each key.

    A value is one of TOML, or else a text as it stands.

    Raises:
        StudyError: One cannot be read, or takes a key for a section.
    """
    given = {}
    for override in overrides:
        path, value = _read(override)
        table = document
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise StudyError(f"{part} is not a section", place=f"--set {override}")
        table[path[-1]] = value
        given[path] = override
    return given


def _read(override: str) -> tuple[Path, Any]:
    name, equals, value = override.partition("=")
    path = tuple(part.strip() for part in name.split("."))
    if not equals or len(path) < 2 or not all(path):
        raise StudyError(
            f"cannot read the override {override!r}", place="--set", advice="write section.key=value: training.epochs=3"
        )
    if any("\ud800" <= letter <= "\udfff" for letter in override):
        raise StudyError(f"the override {override!r} is not a text in UTF-8", place="--set")
    if "\n" in value.strip():
        return path, value.strip()  # more than one line could say more than one key
    try:
        return path, tomllib.loads(f"v = {value}")["v"]
    except (ValueError, RecursionError):
        return path, value.strip()
