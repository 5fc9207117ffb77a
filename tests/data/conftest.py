from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for `pictures`

from pictures import make_folder

from metamixer.data.cache import Prepared, prepare
from metamixer.data.section import DataSection


@pytest.fixture
def flowers(tmp_path: Path) -> Path:
    """A folder of 30 images in three classes."""
    return make_folder(tmp_path / "flowers")


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Prepared]:
    """`prepared(train=.., ..)`: the data of a section, its cache below the test's own folder."""

    def make(**section: object) -> Prepared:
        return prepare(DataSection(**section), tmp_path / "runs")

    return make
