"""mixup and CutMix of batches, each image with a share and a partner of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metamixer.training.augmentation.geometry import inside_boxes, on_device


@dataclass(frozen=True, eq=False)
class Targets:
    """What a network should answer.

    Args:
        y: (images,), classes.
        other: (images,), classes that were mixed in; None where nothing was.
        share: (images,), float32, probability of `y`; the rest is that of `other`.
    """

    y: Tensor
    other: Tensor | None = None
    share: Tensor | None = None

    @property
    def most_likely(self) -> Tensor:
        """(images,): the class of the larger share."""
        if self.other is None or self.share is None:
            return self.y
        return torch.where(self.share >= 0.5, self.y, self.other)

    def part(self, images: slice) -> Targets:
        """Those of some images."""
        if self.other is None or self.share is None:
            return Targets(self.y[images])
        return Targets(self.y[images], self.other[images], self.share[images])


@dataclass(frozen=True, eq=False)
class Mix:
    """What is mixed into each image of a batch.

    Args:
        partner: (images,): number, in the batch, of the image that is mixed in.
        share: (images,): of the image itself; for a box, of the area it keeps.
        low, high: (images, axes): the box, first and after the last pixel, that shows the partner; empty for mixup.
    """

    partner: np.ndarray
    share: np.ndarray
    low: np.ndarray
    high: np.ndarray


def draw(
    draws: np.random.Generator, images: int, grid: tuple[int, ...], mixup: float, cutmix: float, probability: float
) -> Mix:
    """What is mixed into each image: by mixup (Zhang et al. 2017, arXiv 1710.09412), CutMix (Yun et al. 2019,
    arXiv 1905.04899), or by one of the two with equal chance.

    Args:
        draws: What is drawn from.
        images: Of the batch.
        grid: Of an image.
        mixup: Alpha of the symmetric beta distribution of mixup's shares; 0 for none.
        cutmix: That of the areas that CutMix keeps, before a box is cut at the border; 0 for none.
        probability: That an image is mixed at all.
    """
    partner = draws.permutation(images)
    chosen = draws.random(images) < probability
    boxed = draws.random(images) < 0.5 if mixup and cutmix else np.full(images, bool(cutmix))
    blended = draws.beta(mixup, mixup, images) if mixup else np.ones(images)
    kept = draws.beta(cutmix, cutmix, images) if cutmix else np.ones(images)
    sizes = np.array(grid)
    # As in the paper, a box of the image's shape around a pixel, cut at the border; the share is what is left of it.
    half = np.floor(sizes * np.sqrt(1 - kept)[:, None]).astype(np.int64) // 2
    centre = draws.integers(0, sizes, (images, len(grid)))
    low, high = np.clip(centre - half, 0, sizes), np.clip(centre + half, 0, sizes)
    used = (chosen & boxed)[:, None]
    low, high = low * used, high * used
    area = np.prod(high - low, axis=1) / np.prod(sizes)
    return Mix(partner, np.where(chosen, np.where(boxed, 1 - area, blended), 1.0), low, high)


def mixed(x: Tensor, y: Tensor, mix: Mix) -> tuple[Tensor, Targets]:
    """A normalised batch (images, *grid, channels) and its classes with the partners mixed in."""
    partner, share = on_device(mix.partner, x), on_device(mix.share.astype(np.float32), x)
    boxed = on_device(np.all(mix.high > mix.low, axis=1), x)
    shape = (-1, *[1] * (x.ndim - 1))
    inside = inside_boxes(x, mix.low, mix.high).unsqueeze(-1)
    # Of an image with a box, all outside of it is its own and all inside its partner's.
    weight = torch.where(boxed.view(shape), (~inside).float(), share.view(shape))
    return torch.lerp(x[partner], x, weight), Targets(y, y[partner], share)
