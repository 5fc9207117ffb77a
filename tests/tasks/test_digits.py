from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from metamixer import tasks
from metamixer.tasks import digits
from metamixer.tasks.digits import ORIGINALS, SPLIT, Warp, split, warped

PARTS = ("train", "val", "test")


def parts(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    task = tasks.get(name)
    arrays, test = task.data(), task.test()
    return [(arrays.x_train, arrays.y_train), (arrays.x_val, arrays.y_val), (test.x, test.y)]


STILL = Warp(copies=1, turn=0.0, zoom=(1.0, 1.0), shift=0.0, noise=0.0)


def test_split_is_the_stored_one():
    digests = [hashlib.sha256(part.astype("<i8").tobytes()).hexdigest()[:16] for part in split()]
    assert digests == ["75be945a96f2bbb1", "e4b90ffa149eb2cf", "30bfe6eab7ecacae"]


def test_parts_share_no_original():
    parts = split()
    assert tuple(map(len, parts)) == SPLIT == (1000, 500, 297)
    assert sorted(np.concatenate(parts)) == list(range(ORIGINALS))


@pytest.mark.parametrize(("name", "sizes"), [("digits-hard", (4000, 2000, 1188)), ("digits", (1000, 500, 297))])
def test_shapes(name, sizes):
    for (x, y), size in zip(parts(name), sizes, strict=True):
        assert x.shape == (size, 8, 8, 1)
        assert x.dtype == np.float32
        assert y.shape == (size,)
        assert set(y.tolist()) == set(range(10))


def test_arrays_are_made_once_and_cannot_be_written():
    arrays = tasks.get("digits-hard").data()
    assert tasks.get("digits-hard").data() is arrays
    with pytest.raises(ValueError, match="read-only"):
        arrays.x_train[0] = 0


def test_same_bits_every_time():
    for one, other in zip(digits._parts(Warp()), digits._parts(Warp()), strict=True):
        assert (one.x.tobytes(), one.y.tobytes()) == (other.x.tobytes(), other.y.tobytes())


def test_the_plain_digits_are_those_of_the_first_version():
    # Halves and eighths are exact on every machine; the warp's sines are not.
    digest = hashlib.sha256()
    for x, y in parts("digits"):
        digest.update(x.tobytes() + y.tobytes())
    assert digest.hexdigest()[:16] == "b0a617b6f9c038dd"


def test_copies_show_the_original_of_their_row():
    from sklearn.datasets import load_digits

    source = load_digits()
    still = digits._parts(replace(STILL, copies=4))
    for part, (_, classes), numbers in zip(still, parts("digits-hard"), split(), strict=True):
        numbers = np.repeat(numbers, 4)
        np.testing.assert_allclose(part.x[..., 0], source.images[numbers] / 8 - 1, atol=1e-6)
        assert (part.y == source.target[numbers]).all()
        assert (classes == source.target[numbers]).all()
    assert (tasks.get("digits-hard").data().groups == np.repeat(split()[0], 4)).all()


def test_no_image_is_in_two_parts():
    rows = [{row.tobytes() for row in x} for x, _ in parts("digits-hard")]
    assert [len(some) for some in rows] == [4000, 2000, 1188]
    assert not rows[0] & rows[1] | rows[0] & rows[2] | rows[1] & rows[2]


def test_a_warp_of_nothing_is_the_identity():
    images = np.random.RandomState(0).uniform(-1, 1, (5, 8, 8))
    np.testing.assert_allclose(warped(images, STILL)[:, 0], images, atol=1e-6)


def test_zoom_below_one_enlarges_about_the_middle():
    image = -np.ones((1, 8, 8))
    image[0, 3:5, 3:5] = 1.0
    enlarged = warped(image, replace(STILL, zoom=(0.5, 0.5)))[0, 0]
    assert (enlarged[3:5, 3:5] == 1).all()
    assert enlarged.sum() > image.sum() + 8
    np.testing.assert_allclose(enlarged, enlarged[::-1, ::-1], atol=1e-6)


def test_outside_is_paper():
    ink = np.ones((1, 8, 8))
    far = warped(ink, replace(STILL, zoom=(2.0, 2.0)))[0, 0]
    assert far[0, 0] == -1
    assert far[4, 4] == 1


def test_the_warp_stays_within_its_bounds():
    # A ramp along the columns shows where every pixel was taken from; the middle of the image never leaves it.
    ramp = np.broadcast_to((2 * np.arange(8) + 1) / 8 - 1, (400, 8, 8))
    middle = warped(ramp, replace(Warp(), noise=0.0))[:, :, 3:5, 3:5].mean((2, 3))
    assert np.abs(middle).max() <= 0.15 + 1e-6
    assert middle.max() > 0.14
    assert middle.min() < -0.14


def test_fingerprint_follows_every_constant():
    known = {digits._fingerprint(None), tasks.get("digits-hard").fingerprint}
    for change in ({"copies": 3}, {"turn": 0.2}, {"zoom": (1.0, 1.1)}, {"shift": 0.1}, {"noise": 0.2}, {"seed": 2}):
        known.add(digits._fingerprint(replace(Warp(), **change)))
    assert len(known) == 8


def test_other_digits_than_those_defined_are_refused(monkeypatch):
    monkeypatch.setattr(digits, "_SOURCE_SHA256", "0" * 64)
    with pytest.raises(tasks.task.TaskError, match="other digits"):
        digits._load(None)
