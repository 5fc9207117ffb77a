"""Handwritten digits: 1,797 images of 8x8 that come with scikit-learn, plain and warped.

Plain, they saturate: a logistic regression is right on 0.97 of the validation part, and what is left to tell
architectures apart is the noise of the seeds. `digits-hard` warps every image four times (turn, zoom, shift, noise),
after the originals were split, so that no original is seen in two parts.

Source of the images: Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI repository, 1998.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np

from metamixer.errors import TaskError
from metamixer.tasks.task import Arrays, Part, Task

ORIGINALS = 1797
SPLIT = (1000, 500, 297)
SPLIT_SEED = 0

# Of the grey levels (0..16) and labels as bytes, in scikit-learn's order.
_SOURCE_SHA256 = "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"
_FORMAT = 1


@dataclass(frozen=True)
class Warp:
    """A random look at an image: every copy of every original draws its own, uniformly within these bounds.

    Positions are measured in half widths of the image from its middle, grey levels from -1 (paper) to 1 (ink). The
    copy shows at position p what the original has at zoom * turn(p) + shift, so a zoom below 1 enlarges.
    """

    copies: int = 4
    turn: float = 0.3  # radians, both ways
    zoom: tuple[float, float] = (1.05 / 1.25, 1.4 / 1.25)
    shift: float = 0.15  # half widths, both ways, along each axis
    noise: float = 0.1  # standard deviation, normal
    seed: int = 1


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the originals in the training, validation and test part: 1,000, 500 and 297 of 1,797."""
    # RandomState, not Generator: only its stream is promised never to change (NumPy NEP 19).
    order = np.random.RandomState(SPLIT_SEED).permutation(ORIGINALS)
    train, val, test = np.split(order, np.cumsum(SPLIT)[:-1])
    return train, val, test


def warped(images: np.ndarray, warp: Warp) -> np.ndarray:
    """(n, h, w) grey levels on the -1..1 scale -> (n, copies, h, w), float32, bilinear, paper outside the image."""
    from scipy import ndimage

    n, h, w = images.shape
    random = np.random.RandomState(warp.seed)
    turn = random.uniform(-warp.turn, warp.turn, (n, warp.copies, 1, 1))
    zoom = random.uniform(*warp.zoom, (n, warp.copies, 1, 1))
    shift = random.uniform(-warp.shift, warp.shift, (2, n, warp.copies, 1, 1))
    noise = random.normal(0.0, warp.noise, (n, warp.copies, h, w))
    rows, columns = np.meshgrid((2 * np.arange(h) + 1) / h - 1, (2 * np.arange(w) + 1) / w - 1, indexing="ij")
    from_row = zoom * (np.cos(turn) * rows - np.sin(turn) * columns) + shift[0]
    from_column = zoom * (np.sin(turn) * rows + np.cos(turn) * columns) + shift[1]
    number = np.broadcast_to(np.arange(n, dtype=float)[:, None, None, None], from_row.shape)
    where = np.stack([number, ((from_row + 1) * h - 1) / 2, ((from_column + 1) * w - 1) / 2])
    # The first coordinate is a whole number, so linear interpolation never mixes two images.
    looks = ndimage.map_coordinates(images.astype(np.float64), where, order=1, mode="grid-constant", cval=-1.0)
    return (looks + noise).astype(np.float32)


def _parts(warp: Warp | None) -> list[Part]:
    """Training, validation and test part."""
    from sklearn.datasets import load_digits

    source = load_digits()
    digest = hashlib.sha256(source.images.astype(np.uint8).tobytes() + source.target.astype(np.uint8).tobytes())
    if digest.hexdigest() != _SOURCE_SHA256:
        raise TaskError(
            "the installed scikit-learn carries other digits than this task was defined on",
            advice="install scikit-learn as constraints.txt pins it",
        )
    images = source.images / 8.0 - 1.0
    looks = images[:, None].astype(np.float32) if warp is None else warped(images, warp)
    labels = source.target.astype(np.int64)
    # Copies of one original stand side by side.
    return [
        Part(looks[part].reshape(-1, *images.shape[1:], 1), np.repeat(labels[part], looks.shape[1])) for part in split()
    ]


def _load(warp: Warp | None) -> Arrays:
    train, val, _ = _parts(warp)
    groups = None if warp is None else np.repeat(split()[0].astype(np.int64), warp.copies)
    return Arrays(train.x, train.y, val.x, val.y, groups)


def _load_test(warp: Warp | None) -> Part:
    return _parts(warp)[2]


def _fingerprint(warp: Warp | None) -> str:
    constants = {
        "format": _FORMAT,
        "source": _SOURCE_SHA256,
        "split": [*SPLIT, SPLIT_SEED],
        "warp": None if warp is None else asdict(warp),
    }
    return hashlib.sha256(json.dumps(constants, sort_keys=True).encode()).hexdigest()[:16]


DIGITS_HARD = Task(
    "digits-hard",
    channels=1,
    grid=(8, 8),
    classes=10,
    fingerprint=_fingerprint(Warp()),
    load=partial(_load, Warp()),
    load_test=partial(_load_test, Warp()),
    description="scikit-learn's handwritten digits, each warped four times",
)

DIGITS = Task(
    "digits",
    channels=1,
    grid=(8, 8),
    classes=10,
    fingerprint=_fingerprint(None),
    load=partial(_load, None),
    load_test=partial(_load_test, None),
    description="scikit-learn's handwritten digits as they are; nearly saturated",
)
