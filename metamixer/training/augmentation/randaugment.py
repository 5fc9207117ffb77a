"""RandAugment (Cubuk et al. 2019, arXiv 1909.13719) of batches of pixel values, each image by operations of its own.

The fourteen operations and their strengths are those of torchvision's `RandAugment` with 31 magnitudes, which are the
paper's; geometric ones sample bilinearly, what comes from outside is black. Intermediate results are whole grey levels,
rounded where Pillow cuts them off, so that a result may differ from Pillow's by one level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metamixer.training.augmentation.geometry import on_device, sampled

OPERATIONS = (
    "identity",
    "shear x",
    "shear y",
    "translate x",
    "translate y",
    "rotate",
    "brightness",
    "color",
    "contrast",
    "sharpness",
    "posterize",
    "solarize",
    "autocontrast",
    "equalize",
)
GEOMETRIC = OPERATIONS[1:6]
MAGNITUDES = 31
_GREY = (0.299, 0.587, 0.114)


def applied(x: Tensor, draws: np.random.Generator, number: int, magnitude: int, probability: float) -> Tensor:
    """Images after `number` random operations of a magnitude 0..30, each applied with a probability.

    Args:
        x: (images, height, width, channels), uint8, on any device.
        draws: What operations and signs are drawn from.
        number: Of operations an image.
        magnitude: Of all of them.
        probability: That a drawn operation is applied.

    Returns:
        (images, height, width, channels), uint8.
    """
    for _ in range(number):
        operations = draws.integers(0, len(OPERATIONS), len(x))
        operations[draws.random(len(x)) >= probability] = 0
        signs = draws.choice([-1.0, 1.0], len(x))
        x = operated(x, operations, signs, magnitude)
    return x


def operated(x: Tensor, operations: np.ndarray, signs: np.ndarray, magnitude: int) -> Tensor:
    """Images after one operation each, by its number in `OPERATIONS`; `signs` +1 or -1, used where there are two."""
    height, width = x.shape[1:3]
    out = x.clone()
    geometric = np.flatnonzero(np.isin(operations, [OPERATIONS.index(name) for name in GEOMETRIC]))
    if len(geometric):
        share = signs[geometric] * magnitude / (MAGNITUDES - 1)
        matrices = np.stack(
            [
                matrix(OPERATIONS[operation], signed, height, width)
                for operation, signed in zip(operations[geometric], share, strict=True)
            ]
        )
        some = on_device(geometric, x)
        out[some] = sampled(x[some], matrices, "zeros")
    for name, operation in COLOURS.items():
        numbers = np.flatnonzero(operations == OPERATIONS.index(name))
        if len(numbers):
            some = on_device(numbers, x)
            sign = on_device(signs[numbers].astype(np.float32), x).view(-1, 1, 1, 1)
            changed = operation(x[some].float(), sign, magnitude)
            out[some] = changed.round().clamp(0, 255).to(torch.uint8)
    return out


def matrix(name: str, share: float, height: int, width: int) -> np.ndarray:
    """(2, 3): position in the result -> position in the image, -1..1; `share` -1..1 of the largest strength."""
    a, b, c, d, e, f = 1.0, 0.0, 0.0, 0.0, 1.0, 0.0  # in pixels: x' = a x + b y + c, y' = d x + e y + f
    if name == "shear x":
        b = 0.3 * share
    elif name == "shear y":
        d = 0.3 * share
    elif name == "translate x":
        c = -150 / 331 * width * share
    elif name == "translate y":
        f = -150 / 331 * height * share
    else:
        angle = np.deg2rad(30.0 * share)
        a, b, d, e = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        c = width / 2 - a * width / 2 - b * height / 2
        f = height / 2 - d * width / 2 - e * height / 2
    # x = (u + 1) width / 2 and y = (v + 1) height / 2, from the left and upper border.
    across = [a, b * height / width, a + b * height / width + 2 * c / width - 1]
    down = [d * width / height, e, d * width / height + e + 2 * f / height - 1]
    return np.array([across, down])


def _factor(sign: Tensor, magnitude: int) -> Tensor:
    return 1 + sign * 0.9 * magnitude / (MAGNITUDES - 1)


def _blend(low: Tensor | float, x: Tensor, factor: Tensor) -> Tensor:
    return low + (x - low) * factor


def _grey(x: Tensor) -> Tensor:
    """(images, height, width, 1): luma of three channels, the mean of any other number."""
    if x.shape[-1] != 3:
        return x.mean(-1, keepdim=True)
    return (x @ torch.tensor(_GREY, device=x.device)).round().unsqueeze(-1)


def _brightness(x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    return _blend(0.0, x, _factor(sign, magnitude))


def _color(x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    return _blend(_grey(x), x, _factor(sign, magnitude))


def _contrast(x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    return _blend(_grey(x).mean((1, 2, 3), keepdim=True).round(), x, _factor(sign, magnitude))


def _sharpness(x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    channels = x.shape[-1]
    kernel = torch.ones(3, 3, device=x.device)
    kernel[1:2, 1:2] = 5.0
    smooth = x.clone()  # the border stays as it is
    inner = F.conv2d(x.movedim(-1, 1), (kernel / 13).expand(channels, 1, 3, 3), groups=channels)
    smooth[:, 1:-1, 1:-1] = inner.movedim(1, -1).round()
    return _blend(smooth, x, _factor(sign, magnitude))


def _posterize(x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    bits = 8 - round(magnitude / ((MAGNITUDES - 1) / 4))
    step = 2 ** (8 - bits)
    return (x / step).floor() * step


def _solarize(x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    threshold = 255.0 * (1 - magnitude / (MAGNITUDES - 1))
    return torch.where(x >= threshold, 255 - x, x)


def _autocontrast(x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    low, high = x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)
    stretched = ((x - low) * 255 / (high - low).clamp(min=1)).floor()
    return torch.where(high > low, stretched, x)


def _equalize(x: Tensor, sign: Tensor, magnitude: int) -> Tensor:
    images, height, width, channels = x.shape
    levels = x.permute(0, 3, 1, 2).reshape(images * channels, height * width).long()
    counts = torch.zeros(len(levels), 256, dtype=torch.long, device=x.device)
    counts.scatter_add_(1, levels, torch.ones_like(levels))
    last = counts.gather(1, levels.amax(1, keepdim=True))
    step = (height * width - last) // 255
    below = counts.cumsum(1) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(0, 255)
    equal = torch.where(step > 0, table.gather(1, levels), levels)
    return equal.view(images, channels, height, width).permute(0, 2, 3, 1).float()


COLOURS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
