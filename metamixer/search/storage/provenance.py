"""Where a study's numbers come from: versions of packages, those that add words, the state of the sources in git."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import metamixer

GIT_SECONDS = 10


def versions() -> dict[str, str]:
    """Python's version, and those of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in ("metamixer", "optuna", "ray", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def packages() -> dict[str, list[str]]:
    """Installed packages that add words to the language, each as `name version`, with its words."""
    from metamixer.language.checking.registry import packages

    found: dict[str, list[str]] = {}
    for word, package in sorted(packages().items()):
        found.setdefault(package, []).append(word)
    return found


def git(folder: str | Path | None = None) -> dict[str, Any]:
    """The state in git of the folder that a study is started in, and of metamixer's own sources.

    Args:
        folder: The folder; the working directory if not given.

    Returns:
        For `study` and `metamixer` a commit and whether tracked files differ from it (`dirty`), or None: no
        repository, an installed package, or no git on this machine.
    """
    package = Path(metamixer.__file__).parent
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None
    return {"study": _state(Path(folder or ".")), "metamixer": _state(package) if tracked else None}


def _state(folder: Path) -> dict[str, Any] | None:
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(changed)} if commit and changed is not None else None


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says about a folder; None where it fails, or is not there."""
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
