from __future__ import annotations

import math

import numpy as np
import pytest

from metamixer.tasks import Arrays, Task


def pictures_task(dtype: str = "uint8", images: int = 96, **changes) -> Task:
    """Pictures of 12x12 in three classes that differ by which third of their columns is bright."""

    def load() -> Arrays:
        random = np.random.default_rng(0)
        parts = []
        for count in (images, 30):
            y = random.integers(0, 3, count)
            x = random.integers(0, 120, (count, 12, 12, 3)).astype(np.uint8)
            for number, label in enumerate(y):
                x[number, :, 4 * label : 4 * label + 4] += 100
            parts += [x if dtype == "uint8" else (x / 255).astype(np.float32), y.astype(np.int64)]
        return Arrays(*parts)

    about = {"mean": (0.3, 0.3, 0.3), "std": (0.2, 0.25, 0.2)} if dtype == "uint8" else {}
    return Task("pictures", 3, (12, 12), 3, "pictures", load, **{**about, **changes})


@pytest.fixture(scope="session")
def pictures() -> Task:
    return pictures_task()


@pytest.fixture(scope="session")
def make_pictures():
    return pictures_task


@pytest.fixture
def batch():
    """Bytes of (40, 12, 10, 3): smooth fields with noise, and one that is constant."""
    random = np.random.default_rng(1)
    rows, columns = np.meshgrid(np.linspace(0, 1, 12), np.linspace(0, 1, 10), indexing="ij")
    low, high = random.integers(0, 90, (40, 1, 1, 3)), random.integers(120, 255, (40, 1, 1, 3))
    x = low + (high - low) * (rows * columns)[None, :, :, None] + random.integers(-20, 20, (40, 12, 10, 3))
    x[3] = 77
    return np.clip(x, 0, 255).astype(np.uint8)


def interpolated(image: np.ndarray, row: float, column: float, outside: str) -> np.ndarray:
    """The value of one image, (h, w, c), at a place in pixels, where pixel (0, 0) has its middle at (0, 0)."""
    height, width = image.shape[:2]
    total = np.zeros(image.shape[2])
    if outside == "border":
        row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = math.floor(row), math.floor(column)
    for r in (top, top + 1):
        for c in (left, left + 1):
            if 0 <= r < height and 0 <= c < width:
                total += image[r, c] * (1 - abs(row - r)) * (1 - abs(column - c))
    return total


@pytest.fixture(scope="session")
def bilinear():
    return interpolated
