"""Small images that the tests of this room share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

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
