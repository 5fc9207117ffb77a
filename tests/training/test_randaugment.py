"""Against Pillow, image by image, as torchvision's RandAugment calls it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from metamixer.training.augmentation import randaugment
from metamixer.training.augmentation.randaugment import GEOMETRIC, OPERATIONS, operated

pytest.importorskip("PIL", reason="Pillow is not installed")
from PIL import Image, ImageEnhance, ImageOps

MAGNITUDES = (0, 4, 9, 17, 30)


def of_pillow(image: np.ndarray, name: str, sign: float, magnitude: int) -> np.ndarray:
    share = magnitude / 30
    picture = Image.fromarray(image)
    factor = 1 + sign * 0.9 * share
    made = {
        "identity": lambda: picture,
        "brightness": lambda: ImageEnhance.Brightness(picture).enhance(factor),
        "color": lambda: ImageEnhance.Color(picture).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(picture).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(picture).enhance(factor),
        "posterize": lambda: ImageOps.posterize(picture, 8 - round(magnitude / 7.5)),
        "solarize": lambda: ImageOps.solarize(picture, 255 * (1 - share)),
        "autocontrast": lambda: ImageOps.autocontrast(picture),
        "equalize": lambda: ImageOps.equalize(picture),
    }
    return np.asarray(made[name]())


@pytest.mark.parametrize("magnitude", MAGNITUDES)
@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in GEOMETRIC])
def test_a_colour_operation_is_pillows(batch, name, magnitude):
    signs = np.random.default_rng(0).choice([-1.0, 1.0], 40)
    operations = np.full(40, OPERATIONS.index(name))
    got = operated(torch.from_numpy(batch), operations, signs, magnitude).numpy()
    expected = np.stack([of_pillow(one, name, sign, magnitude) for one, sign in zip(batch, signs, strict=True)])
    # One grey level: Pillow cuts fractions off where this rounds. A blend of two rounded values can be off by two.
    assert np.abs(got.astype(int) - expected).max() <= (2 if name in ("color", "sharpness", "contrast") else 1)
    if name in ("identity", "posterize", "solarize", "equalize"):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("name", GEOMETRIC)
def test_a_geometric_operation_looks_where_the_paper_does(batch, name, bilinear):
    """Every pixel by hand: where Pillow's affine map looks, interpolated, black outside."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], 40)
    got = operated(torch.from_numpy(batch), np.full(40, OPERATIONS.index(name)), signs, 18).numpy()
    for number in range(0, 40, 5):
        share = signs[number] * 18 / 30
        angle = math.radians(30 * share)
        expected = np.empty((12, 10, 3))
        for r in range(12):
            for c in range(10):
                x, y = c + 0.5, r + 0.5
                if name == "rotate":
                    dx, dy = x - 5, y - 6
                    x, y = (
                        5 + math.cos(angle) * dx - math.sin(angle) * dy,
                        6 + math.sin(angle) * dx + math.cos(angle) * dy,
                    )
                else:
                    shift = {"x": 150 / 331 * 10 * share, "y": 150 / 331 * 12 * share}
                    x, y = {
                        "shear x": (x + 0.3 * share * y, y),
                        "shear y": (x, y + 0.3 * share * x),
                        "translate x": (x - shift["x"], y),
                        "translate y": (x, y - shift["y"]),
                    }[name]
                expected[r, c] = bilinear(batch[number], y - 0.5, x - 0.5, "zeros")
        assert np.abs(got[number] - expected).max() <= 0.51


def test_each_image_has_operations_of_its_own(batch):
    x = torch.from_numpy(batch)
    operations = np.arange(40) % len(OPERATIONS)
    signs = np.ones(40)
    together = operated(x, operations, signs, 12)
    for number in range(40):
        alone = operated(x[number : number + 1], operations[number : number + 1], signs[:1], 12)
        assert (together[number].int() - alone[0].int()).abs().max() <= 1


def test_operations_are_applied_as_often_as_asked(batch):
    x = torch.from_numpy(np.tile(batch[:1], (2000, 1, 1, 1)))

    def changed(probability):
        out = randaugment.applied(x, np.random.default_rng(0), 1, 15, probability)
        return (out != x).flatten(1).any(1).float().mean().item()

    assert changed(0.0) == 0
    assert changed(0.5) == pytest.approx(changed(1.0) / 2, abs=0.04)


def test_grey_images_go_through(batch):
    x = torch.from_numpy(batch[..., :1].copy())
    out = randaugment.applied(x, np.random.default_rng(0), 3, 12, 1.0)
    assert out.shape == x.shape
    assert out.dtype == torch.uint8
