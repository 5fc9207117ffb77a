from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metamixer.data.cache import Prepared, prepare
from metamixer.data.section import DataSection

CLASSES = ("daisy", "rose", "tulip")


def pixels(kind: int, number: int, size: tuple[int, int] = (12, 12)) -> np.ndarray:
    """Noise with one strong channel a class: every image is another one, and classes can be told apart."""
    noise = np.random.RandomState(1000 * kind + number).randint(0, 90, (*size, 3))
    noise[..., kind % 3] += 150
    return noise.astype(np.uint8)


def make_folder(root: Path, each: int = 10, classes: tuple[str, ...] = CLASSES, first: int = 0) -> Path:
    """`root/<class>/<number>.png`."""
    for kind, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + each):
            Image.fromarray(pixels(kind, number)).save(root / name / f"{number}.png")
    return root


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
