"""One image as it comes from a source -> uint8 pixels of one size, whatever its mode and its camera's turn."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# Modes without colour; a palette may be without, too.
_GREY = {"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"}
_DEEP = {"I", "I;16", "I;16L", "I;16B", "I;16N"}


class Unreadable(Exception):  # noqa: N818 - says why an image is left out; never leaves the room
    """An item is no image that can be decoded; the message says why."""


# An encoded image, a file, pixels; or why a source cannot give it.
Item = bytes | Path | np.ndarray | Image.Image | Unreadable


@dataclass(frozen=True)
class Shape:
    """What every image is brought to: height and width (None: as it is), channels 1 or 3, and how."""

    size: tuple[int, int] | None
    channels: int
    resize: Literal["crop", "pad", "stretch"] = "crop"


@dataclass(frozen=True)
class Decoded:
    """`pixels`: uint8, (height, width, channels). `original`, `mode`: (height, width) and Pillow's mode as it came."""

    pixels: np.ndarray
    original: tuple[int, int]
    mode: str
    coloured: bool


def decode(item: Item, shape: Shape) -> Decoded:
    """The pixels of one image.

    Transparent pixels show white; 16-bit grey is scaled from 0..65535; the first frame of an animation is taken;
    what EXIF says about the camera's turn is applied; where one channel is asked for, colour becomes grey by luma
    (ITU-R 601-2). Sizes are changed with a bicubic filter over the whole area that a pixel covers.

    Raises:
        Unreadable: It is none, it is cut off, or its values have no known range.
    """
    if isinstance(item, Unreadable):
        raise item
    image = _open(item)
    original, mode = (image.height, image.width), image.mode
    try:
        coloured = not _is_grey(image)
        flat = _flat(image, shape.channels)
        if shape.size is not None and flat.size != shape.size[::-1]:
            flat = _resized(flat, shape)
    except Exception as error:  # Pillow's plug-ins raise whatever their formats make them stumble over
        raise Unreadable(_reason(error)) from None
    pixels = np.asarray(flat, dtype=np.uint8)
    return Decoded(pixels.reshape(*pixels.shape[:2], shape.channels), original, mode, coloured)


def _open(item: bytes | Path | np.ndarray | Image.Image) -> Image.Image:
    try:
        if isinstance(item, np.ndarray):
            return Image.fromarray(eight_bits(item))
        if isinstance(item, Image.Image):
            return ImageOps.exif_transpose(item)
        with Image.open(io.BytesIO(item) if isinstance(item, bytes) else item) as image:
            image.load()
            return ImageOps.exif_transpose(image)
    except Unreadable:
        raise
    except Exception as error:
        raise Unreadable(_reason(error)) from None


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    return str(error) or type(error).__name__


def eight_bits(array: np.ndarray) -> np.ndarray:
    """uint8 (height, width[, 1, 2, 3 or 4]) of one image given as an array of integers."""
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        array = _scaled(array)
    if array.dtype != np.uint8 or array.ndim not in (2, 3):
        raise Unreadable(f"an array of {array.dtype} with {array.ndim} axes is no image")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim == 3 and array.shape[2] not in (2, 3, 4):
        raise Unreadable(f"an array of shape {array.shape} is no image: channels come last, and are 1 to 4")
    return np.ascontiguousarray(array)


def _scaled(deep: np.ndarray) -> np.ndarray:
    """0..65535 -> 0..255, rounded."""
    return ((deep.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _is_grey(image: Image.Image) -> bool:
    if image.mode in _GREY:
        return True
    if image.mode in ("P", "PA") and image.palette is not None:
        colours = np.asarray(image.convert("RGB"))
        return bool((colours == colours[..., :1]).all())
    return False


def _flat(image: Image.Image, channels: int) -> Image.Image:
    """Mode L or RGB, over white where it is transparent."""
    target = "L" if channels == 1 else "RGB"
    if image.mode in _DEEP:
        deep = np.asarray(image)
        if deep.min(initial=0) < 0 or deep.max(initial=0) > 65535:
            raise Unreadable(f"grey values {deep.min()}..{deep.max()} do not fit 16 bits")
        return Image.fromarray(_scaled(deep)).convert(target)
    if image.mode == "F":
        raise Unreadable("floating-point pixels have no known range; save it in 8 or 16 bits, or take a function")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert(target)
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image.convert(target)


def _resized(image: Image.Image, shape: Shape) -> Image.Image:
    assert shape.size is not None
    size = shape.size[::-1]  # Pillow says width first
    filter_ = Image.Resampling.BICUBIC
    if shape.resize == "crop":
        return ImageOps.fit(image, size, filter_)
    if shape.resize == "pad":
        return ImageOps.pad(image, size, filter_)
    return image.resize(size, filter_)
