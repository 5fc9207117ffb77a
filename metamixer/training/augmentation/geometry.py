"""Shifts, flips, resized crops, cutout and random erasing of batches, by index arithmetic and `grid_sample`.

Every function takes a batch (images, *grid, channels) and one row of parameters an image, and returns a new batch.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Of timm's RandomErasing, after Zhong et al. 2017 (arXiv 1708.04896): shares of the area, and height over width.
ERASED_AREA = (0.02, 1 / 3)
ERASED_RATIO = (0.3, 1 / 0.3)
# Of torchvision's RandomResizedCrop, after Szegedy et al. 2014 (arXiv 1409.4842): width over height.
CROP_RATIO = (3 / 4, 4 / 3)


def on_device(values: np.ndarray, like: Tensor) -> Tensor:
    """Drawn numbers beside a batch; the device is not waited for."""
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device, non_blocking=True)


def flipped(x: Tensor, flip: np.ndarray) -> Tensor:
    """Images of which those marked in `flip`, (images,), are mirrored along the last axis of the grid."""
    mark = on_device(flip, x).view(-1, *[1] * (x.ndim - 1))
    return torch.where(mark, x.flip(-2), x)


def shifted(x: Tensor, shifts: np.ndarray, flip: np.ndarray | None, padding: str) -> Tensor:
    """Images that are padded at all sides and cut out again, and of which some are then mirrored.

    Args:
        x: The batch, of any dtype.
        shifts: (images, axes), integers: pixel p of the result is pixel p + shift of the image.
        flip: (images,), which results are mirrored along the last axis; None for none.
        padding: What lies outside of the image: "zero", or "reflect" (its mirror image without the border pixel).
    """
    grid = tuple(x.shape[1:-1])
    linear = torch.arange(len(x), device=x.device).view(-1, *[1] * len(grid))
    inside: Tensor | None = None
    offsets = on_device(shifts, x)
    for axis, size in enumerate(grid):
        place = torch.arange(size, device=x.device).expand(len(x), size)
        if flip is not None and axis == len(grid) - 1:
            place = torch.where(on_device(flip, x)[:, None], size - 1 - place, place)
        place = place + offsets[:, axis, None]
        shape = [len(x), *[1] * len(grid)]
        shape[axis + 1] = size
        if padding == "zero":
            valid = ((place >= 0) & (place < size)).view(shape)
            inside = valid if inside is None else inside & valid
            place = place.clamp(0, size - 1)
        else:
            place = place.abs()
            place = size - 1 - (size - 1 - place).abs()
        linear = linear * size + place.view(shape)
    out = x.flatten(0, -2).index_select(0, linear.flatten()).view(x.shape)
    return out if inside is None else out * inside.unsqueeze(-1)


def draw_boxes(draws: np.random.Generator, images: int, grid: tuple[int, ...], least: float) -> np.ndarray:
    """(images, 4): top, left, height, width in pixels of a share of `least` to all of the area; fractions of pixels."""
    height, width = grid
    area = draws.uniform(least, 1, images) * height * width
    ratio = np.exp(draws.uniform(math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1]), images))
    # What is wider or higher than the image is cut to it, where torchvision draws again.
    wide = np.minimum(np.sqrt(area * ratio), width)
    high = np.minimum(np.sqrt(area / ratio), height)
    top = draws.random(images) * (height - high)
    left = draws.random(images) * (width - wide)
    return np.stack([top, left, high, wide], 1)


def resized(x: Tensor, boxes: np.ndarray, flip: np.ndarray | None) -> Tensor:
    """Boxes of the images, enlarged to the size of an image (bilinear), some then mirrored; uint8 stays uint8.

    Args:
        x: (images, height, width, channels).
        boxes: (images, 4), see `draw_boxes`.
        flip: (images,), which results are mirrored; None for none.
    """
    height, width = x.shape[1:3]
    top, left, high, wide = boxes.T
    # Positions 0..1 over the result -> 0..1 over the image, mirrored by running from the box's other side.
    start = left if flip is None else np.where(flip, left + wide, left)
    step = wide if flip is None else np.where(flip, -wide, wide)
    zero = np.zeros(len(boxes))
    matrix = np.stack(
        [
            np.stack([step / width, zero, (2 * start + step) / width - 1], 1),
            np.stack([zero, high / height, (2 * top + high) / height - 1], 1),
        ],
        1,
    )
    return sampled(x, matrix, "border")


def sampled(x: Tensor, matrix: np.ndarray, outside: str) -> Tensor:
    """Images seen through an affine map (bilinear); uint8 stays uint8.

    Args:
        x: (images, height, width, channels).
        matrix: (images, 2, 3): (x, y, 1) in the result -> (x, y) in the image, -1..1 from border to border.
        outside: "zeros", or "border" for the nearest pixel.
    """
    theta = on_device(matrix.astype(np.float32), x)
    planes = x.movedim(-1, 1).float()
    grid = F.affine_grid(theta, list(planes.shape), align_corners=False)
    out = F.grid_sample(planes, grid, mode="bilinear", padding_mode=outside, align_corners=False).movedim(1, -1)
    return out.round().to(torch.uint8) if x.dtype == torch.uint8 else out


def cut_out(x: Tensor, centres: np.ndarray, side: int) -> Tensor:
    """Images with a square of zeros (DeVries and Taylor 2017, arXiv 1708.04552), which may reach over the border.

    Args:
        x: The batch, normalised, so that zero is the mean.
        centres: (images, axes): pixel that the square lies around; of an even side, the first after its middle.
        side: In pixels.
    """
    low = centres - side // 2
    return x.masked_fill(inside_boxes(x, low, low + side).unsqueeze(-1), 0.0)


def inside_boxes(x: Tensor, low: np.ndarray, high: np.ndarray) -> Tensor:
    """(images, *grid), bool: the pixels from `low` up to, without, `high`, both (images, axes)."""
    first, last = on_device(low, x), on_device(high, x)
    inside: Tensor | None = None
    for axis, size in enumerate(x.shape[1:-1]):
        place = torch.arange(size, device=x.device)
        shape = [len(x), *[1] * (x.ndim - 2)]
        shape[axis + 1] = size
        along = ((place >= first[:, axis, None]) & (place < last[:, axis, None])).view(shape)
        inside = along if inside is None else inside & along
    assert inside is not None
    return inside


def erased(x: Tensor, draws: np.random.Generator, probability: float) -> Tensor:
    """Images of which some have a rectangle of normal noise (Zhong et al. 2017, arXiv 1708.04896), normalised."""
    height, width = x.shape[1:3]
    images = len(x)
    chosen = draws.random(images) < probability
    area = draws.uniform(*ERASED_AREA, images) * height * width
    ratio = np.exp(draws.uniform(math.log(ERASED_RATIO[0]), math.log(ERASED_RATIO[1]), images))
    high = np.clip(np.round(np.sqrt(area * ratio)), 1, height - 1).astype(np.int64)
    wide = np.clip(np.round(np.sqrt(area / ratio)), 1, width - 1).astype(np.int64)
    low = np.stack([draws.integers(0, height - high + 1), draws.integers(0, width - wide + 1)], 1)
    box = inside_boxes(x, low, low + np.stack([high, wide], 1) * chosen[:, None])
    noise = torch.Generator(x.device).manual_seed(int(draws.integers(2**62)))
    return torch.where(box.unsqueeze(-1), torch.randn(x.shape, generator=noise, device=x.device), x)
