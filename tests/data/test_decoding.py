from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from metamixer.data.decoding import Decoded, Shape, Unreadable, decode

COLOUR, GREY = Shape(None, 3), Shape(None, 1)
RGB = np.random.RandomState(0).randint(0, 256, (6, 8, 3)).astype(np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def decoded(image: Image.Image, shape: Shape = COLOUR, kind: str = "PNG", **options) -> Decoded:
    return decode(encoded(image, kind, **options), shape)


def test_colour_stays_as_it_is():
    found = decoded(Image.fromarray(RGB))
    assert (found.pixels == RGB).all()
    assert found.pixels.dtype == np.uint8
    assert (found.original, found.mode, found.coloured) == ((6, 8), "RGB", True)


def test_grey_gives_one_channel_or_three_alike():
    grey = Image.fromarray(RGB[..., 0])
    assert (decoded(grey, GREY).pixels == RGB[..., :1]).all()
    assert (decoded(grey).pixels == RGB[..., :1].repeat(3, 2)).all()
    assert not decoded(grey).coloured


def test_colour_becomes_grey_by_luma():
    luma = RGB @ np.array([299, 587, 114]) / 1000
    assert np.abs(decoded(Image.fromarray(RGB), GREY).pixels[..., 0] - luma).max() <= 1


def test_black_and_white_is_0_and_255():
    bits = RGB[..., 0] > 127
    assert (decoded(Image.fromarray(bits), GREY).pixels[..., 0] == bits * 255).all()
    assert not decoded(Image.fromarray(bits)).coloured


def test_a_palette_shows_its_colours():
    image = Image.fromarray(RGB).quantize(16)
    found = decoded(image)
    assert (found.pixels == np.asarray(image.convert("RGB"))).all()
    assert found.mode == "P"
    assert found.coloured


def test_a_palette_of_greys_is_grey():
    image = Image.fromarray(RGB[..., 0]).convert("P", palette=Image.Palette.ADAPTIVE)
    assert not decoded(image).coloured


def test_transparent_pixels_show_white_whatever_colour_lies_below():
    alpha = np.zeros((6, 8, 1), np.uint8)
    alpha[:, 4:] = 255
    found = decoded(Image.fromarray(np.concatenate([RGB, alpha], 2))).pixels
    assert (found[:, :4] == 255).all()
    assert (found[:, 4:] == RGB[:, 4:]).all()


def test_half_transparent_pixels_are_mixed_with_white():
    alpha = np.full((6, 8, 1), 128, np.uint8)
    found = decoded(Image.fromarray(np.concatenate([RGB, alpha], 2))).pixels.astype(int)
    assert np.abs(found - (RGB * (128 / 255) + 127)).max() <= 1.5


def test_grey_with_alpha_shows_white_and_is_grey():
    two = np.stack([RGB[..., 0], np.zeros((6, 8), np.uint8)], 2)
    found = decoded(Image.fromarray(two), GREY)
    assert (found.pixels == 255).all()
    assert found.mode == "LA"
    assert not found.coloured


def test_a_palette_with_a_transparent_entry_shows_white():
    image = Image.fromarray(RGB).quantize(4)
    found = decoded(image, transparency=0).pixels
    where = np.asarray(image) == 0
    assert where.any()
    assert (found[where] == 255).all()
    assert (found[~where] == np.asarray(image.convert("RGB"))[~where]).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_from_their_whole_range(kind):
    deep = np.array([[0, 128, 129, 257, 32768, 65535]], np.uint16)
    found = decoded(Image.fromarray(deep), GREY, kind)
    assert found.pixels.ravel().tolist() == [0, 0, 1, 1, 128, 255]
    assert (decoded(Image.fromarray(deep), COLOUR, kind).pixels == found.pixels.repeat(3, 2)).all()


def test_cmyk_comes_out_as_the_colours_it_was_made_of():
    flat = Image.new("RGB", (16, 16), (200, 60, 30))
    found = decoded(flat.convert("CMYK"), kind="JPEG", quality=100)
    assert found.mode == "CMYK"
    assert np.abs(found.pixels.astype(int) - (200, 60, 30)).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, RGB),
        (2, RGB[:, ::-1]),
        (3, RGB[::-1, ::-1]),
        (4, RGB[::-1]),
        (5, RGB.transpose(1, 0, 2)),
        (6, RGB[::-1].transpose(1, 0, 2)),
        (7, RGB[::-1, ::-1].transpose(1, 0, 2)),
        (8, RGB[:, ::-1].transpose(1, 0, 2)),
    ],
)
def test_the_cameras_turn_is_undone(orientation, turned):
    image = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert (decoded(image, exif=exif).pixels == turned).all()


def test_the_first_frame_of_an_animation_is_taken():
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    found = decoded(frames[0], kind="GIF", save_all=True, append_images=frames[1:])
    assert (found.pixels == (255, 0, 0)).all()


def test_cropping_takes_the_middle():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 255
    found = decoded(Image.fromarray(wide), Shape((10, 10), 3, "crop")).pixels
    assert (found == 255).all()


def test_padding_keeps_all_on_black():
    wide = np.full((10, 30, 3), 255, np.uint8)
    found = decoded(Image.fromarray(wide), Shape((30, 30), 3, "pad")).pixels
    assert (found[10:20] == 255).all()
    assert (found[:10] == 0).all()
    assert (found[20:] == 0).all()


def test_stretching_fills_the_size():
    wide = np.full((10, 30, 3), 255, np.uint8)
    assert (decoded(Image.fromarray(wide), Shape((8, 8), 3, "stretch")).pixels == 255).all()


def test_a_size_is_height_then_width():
    assert decoded(Image.fromarray(RGB), Shape((5, 9), 3)).pixels.shape == (5, 9, 3)


def test_shrinking_averages_over_all_that_a_pixel_covers():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    found = decoded(Image.fromarray(stripes), Shape((8, 8), 3)).pixels.astype(int)
    assert np.abs(found - 127.5).max() < 20  # without a filter: 0 or 255


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_are_images_too(channels):
    array = np.random.RandomState(1).randint(0, 256, (5, 5, channels)).astype(np.uint8)
    as_image = Image.fromarray(array[..., 0] if channels == 1 else array)
    assert (decode(array, COLOUR).pixels == decoded(as_image).pixels).all()


def test_deep_arrays_are_scaled():
    assert decode(np.array([[0, 65535]], np.uint16), GREY).pixels.ravel().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (b"", "not an image"),
        (b"GIF89a but no more", "."),
        (encoded(Image.fromarray(RGB.repeat(20, 0).repeat(20, 1)))[:300], "truncated"),
        (encoded(Image.fromarray(RGB.repeat(20, 0).repeat(20, 1)), "JPEG")[:800], "truncated"),
        (encoded(Image.fromarray(np.zeros((3, 3), np.float32)), "TIFF"), "floating-point pixels have no known range"),
        (np.zeros((3, 3), np.float32), "float32"),
        (np.zeros((3, 5, 5), np.uint8), "channels come last"),
        (np.zeros((3,), np.uint8), "1 axes"),
        (Unreadable("lost"), "lost"),
    ],
)
def test_what_is_no_image_says_why(item, reason):
    with pytest.raises(Unreadable, match=reason):
        decode(item, COLOUR)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(Unreadable, match="No such file"):
        decode(tmp_path / "gone.png", COLOUR)
