from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamixer.data.splits import split
from metamixer.errors import StudyError

NAMES = tuple(f"class {number}" for number in range(30))


@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=30),
    shares=st.lists(st.floats(0.01, 0.3), max_size=2),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_row_is_in_one_part_and_every_class_in_every_part(counts, shares, seed):
    labels = np.random.RandomState(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    parts = split(labels, NAMES, shares, seed)
    assert len(parts) == 1 + len(shares)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))
    for part in parts:
        assert (np.diff(part) > 0).all()
        assert set(labels[part]) == set(range(len(counts)))
    for part, share in zip(parts[1:], shares, strict=True):
        for number, count in enumerate(counts):
            assert (labels[part] == number).sum() == max(round(share * count), 1)


@given(counts=st.lists(st.integers(4, 60), min_size=2, max_size=30), data=st.data(), seed=st.integers(0, 99))
def test_fewer_images_are_drawn_in_proportion(counts, data, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    images = data.draw(st.integers(len(counts), len(labels)))
    (part,) = split(labels, NAMES, (), seed, images)
    assert len(part) == images
    for number, count in enumerate(counts):
        exact = count * images / len(labels)
        assert 1 <= (labels[part] == number).sum() <= count
        if exact >= len(counts):  # otherwise what small classes need at least is taken from it
            assert abs((labels[part] == number).sum() - exact) <= len(counts)


def test_the_split_is_the_stored_one():
    # NumPy promises the stream of RandomState; a record depends on it.
    labels = np.arange(20) % 2
    train, validation, test = split(labels, NAMES, (0.2, 0.1), seed=3)
    assert validation.tolist() == [0, 6, 13, 15]
    assert test.tolist() == [11, 16]
    assert len(train) == 14


def test_another_seed_is_another_split():
    labels = np.arange(200) % 2
    assert split(labels, NAMES, (0.2,), 0)[1].tolist() != split(labels, NAMES, (0.2,), 1)[1].tolist()


def test_a_class_too_small_for_its_parts_is_named():
    labels = np.array([0, 0, 0, 1, 1])
    with pytest.raises(StudyError, match="class rose has 2 images, too few"):
        split(labels, ("daisy", "rose"), (0.1, 0.1), 0)


def test_fewer_images_than_classes_are_refused():
    with pytest.raises(StudyError, match="2 images are fewer than the 3 classes"):
        split(np.arange(9) % 3, NAMES, (), 0, images=2)
