from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metamixer.search.study import Study

HERE = str(Path(__file__).parent)
sys.path.insert(0, HERE)  # for `toys`

STUDY = """\
[study]
name = "small"
task = "digits-hard"
space = "small.toml"
budget = 12

[training]
epochs = 2

[search]
evaluate = "toys:fast"
references = ""
startup = 5
workers = 2
time_limit = 60

[baselines]
names = []
"""


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [HERE, os.environ.get("PYTHONPATH")])))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A study file with a small space beside it."""
    shutil.copy(Path(HERE, "small.toml"), tmp_path)
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def load(file: Path) -> Callable[..., Study]:
    """`load("study.budget=3", name="x")`: the small study, its runs below the test's own folder."""

    def load(*overrides: str, name: str | None = None) -> Study:
        return Study.load(file, overrides, file.parent / "runs", name)

    return load
