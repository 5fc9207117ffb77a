"""A contact sheet: some images of every class of the training part, as training gets them, on one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metamixer.errors import StudyError
from metamixer.tasks import Task

CLASSES = 40
EACH = 10
_LEAST_PIXELS = 48
_MOST_PIXELS = 128
_GAP = 4
_NAME_WIDTH = 140


def contact_sheet(task: Task) -> Image.Image:
    """One row a class (the first 40), ten images each, evenly taken from the training part; small ones enlarged.

    Raises:
        StudyError: The inputs are no images.
    """
    arrays = task.data()
    if arrays.x_train.dtype != np.uint8:
        raise StudyError("float32 inputs are no pixels: there is no contact sheet of them")
    height, width = task.grid
    factor = max(_LEAST_PIXELS / max(height, width), min(_MOST_PIXELS / max(height, width), 1))
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    shown = min(task.classes, CLASSES)
    sheet = Image.new("RGB", (_NAME_WIDTH + EACH * (size[0] + _GAP) + _GAP, shown * (size[1] + _GAP) + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    names = task.class_names or tuple(map(str, range(task.classes)))
    for number in range(shown):
        top = _GAP + number * (size[1] + _GAP)
        rows = np.flatnonzero(arrays.y_train == number)
        draw.text((_GAP, top + size[1] // 2), _fitting(names[number], draw, font), "black", font, anchor="lm")
        for column, place in enumerate(np.linspace(0, len(rows) - 1, min(EACH, len(rows))).astype(int)):
            image = _image(np.asarray(arrays.x_train[rows[place]])).resize(size, Image.Resampling.NEAREST)
            sheet.paste(image, (_NAME_WIDTH + column * (size[0] + _GAP), top))
    return sheet


def write(task: Task, path: Path) -> None:
    """Write the contact sheet as a PNG file.

    Raises:
        ResourceError: It cannot be written.
        StudyError: The inputs are no images.
    """
    import io

    from metamixer import files

    content = io.BytesIO()
    contact_sheet(task).save(content, "PNG")
    files.write(path, content.getvalue())


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).convert("RGB")


def _fitting(name: str, draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The name, cut where it would reach into the images."""
    text = name
    while text and draw.textlength(text, font) > _NAME_WIDTH - 2 * _GAP:
        text = text[:-1]
    return text if text == name else text[:-1] + "…"
