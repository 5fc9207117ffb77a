"""Augmentation of whole batches on the device, each image by a draw of its own.

What is drawn comes from one NumPy generator on the host, a function of (seed, epoch): it is the same for every network
and on every device, and the device is never waited for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from metamixer.errors import TaskError
from metamixer.training.augmentation import geometry, mixing, randaugment
from metamixer.training.augmentation.mixing import Targets
from metamixer.training.recipe import Recipe
from metamixer.training.source import Source


@dataclass(frozen=True)
class Chance:
    """What the draws of one epoch come from.

    Args:
        seed: The training's.
        epoch: From 1.
        draws: Of this epoch, used up batch by batch.
        flipped: (images,): which images of the part are seen from the other side in the epochs 1, 3, ..
    """

    seed: int
    epoch: int
    draws: np.random.Generator
    flipped: np.ndarray

    @classmethod
    def of(cls, seed: int, epoch: int, images: int) -> Chance:
        """The chance of an epoch (from 1) of a training on so many images."""
        flipped = np.random.default_rng([seed, 0]).random(images) < 0.5
        return cls(seed, epoch, np.random.default_rng([seed, epoch]), flipped)


def check(recipe: Recipe, grid: tuple[int, ...], raw_bytes: bool, task: str) -> None:
    """Whether a task's inputs can be augmented as the recipe says.

    Raises:
        TaskError: There is no plane to turn or cut, a crop or cutout is as large as the image, or RandAugment is asked
            for and the inputs are not pixel values.
    """
    planar = {"resized_crop": recipe.resized_crop, "randaugment": recipe.randaugment, "erasing": recipe.erasing}
    some = [name for name, value in planar.items() if value]
    place = f"task {task}"
    if some and len(grid) != 2:
        raise TaskError(f"training.{some[0]} is for images, not for a grid of {len(grid)} axes", place, "leave it out")
    if recipe.randaugment and not raw_bytes:
        raise TaskError(
            "training.randaugment is for pixel values 0..255 (uint8), and this task has floating-point inputs",
            place,
            "leave it out, or give the task's arrays as uint8",
        )
    shifted = {"crop": recipe.crop, "cutout": recipe.cutout}
    for name, pixels in shifted.items():
        if pixels and (not grid or pixels >= min(grid)):
            shape = "x".join(map(str, grid)) or "no grid"
            raise TaskError(f"training.{name} = {pixels} is too much for inputs of {shape}", place, "take fewer pixels")
    if recipe.flip != "none" and not grid:
        raise TaskError("training.flip needs a grid, and these inputs have none", place, "leave it out")


def augmented(
    recipe: Recipe, source: Source, x: Tensor, y: Tensor, take: np.ndarray, chance: Chance
) -> tuple[Tensor, Targets]:
    """A batch as the network trains on it.

    Args:
        recipe: Says what is done, in this order: crops and flips, RandAugment, normalisation, erasing and cutout,
            mixup and CutMix.
        source: Where the batch is from.
        x: (images, *grid, channels), raw, on the device.
        y: (images,), classes.
        take: (images,), the images' numbers in the source.
        chance: Of this epoch.

    Returns:
        (images, *grid, channels), float32, normalised; and what the network should answer.
    """
    draws, grid = chance.draws, tuple(x.shape[1:-1])
    flip = _flips(recipe, take, chance)
    if recipe.resized_crop:
        boxes = geometry.draw_boxes(draws, len(x), grid, recipe.resized_crop)
        x = geometry.resized(x, boxes, flip)
    elif flip is not None and not recipe.crop:
        x = geometry.flipped(x, flip)
    if recipe.crop:
        shifts = draws.integers(-recipe.crop, recipe.crop + 1, (len(x), len(grid)))
        x = geometry.shifted(x, shifts, None if recipe.resized_crop else flip, recipe.crop_padding)
    if recipe.randaugment:
        x = randaugment.applied(
            x, draws, recipe.randaugment, recipe.randaugment_magnitude, recipe.randaugment_probability
        )
    x = source.normalized(x)
    if recipe.erasing:
        x = geometry.erased(x, draws, recipe.erasing)
    if recipe.cutout:
        centres = np.stack([draws.integers(0, size, len(x)) for size in grid], 1)
        x = geometry.cut_out(x, centres, recipe.cutout)
    if recipe.mixup or recipe.cutmix:
        return mixing.mixed(x, y, mixing.draw(draws, len(x), grid, recipe.mixup, recipe.cutmix, recipe.mix_probability))
    return x, Targets(y)


def _flips(recipe: Recipe, take: np.ndarray, chance: Chance) -> np.ndarray | None:
    """Which images of a batch are seen from the other side."""
    if recipe.flip == "none":
        return None
    if recipe.flip == "random":
        return chance.draws.random(len(take)) < 0.5
    # Jordan 2024 (arXiv 2404.00498): each image by turns, so that two epochs show it from both sides.
    return chance.flipped[take] ^ (chance.epoch % 2 == 0)
