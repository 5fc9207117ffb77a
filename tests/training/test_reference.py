"""Reference classifiers see as many images as take seconds, and say of how many."""

from __future__ import annotations

import numpy as np

from metamixer.training.reference import _sample


def test_all_images_are_seen_where_there_are_few_and_else_every_class_has_its_share():
    classes = np.repeat(np.arange(4), [1000, 500, 250, 250])
    assert (_sample(classes, 2000) == np.arange(2000)).all()
    kept = _sample(classes, 200)
    assert len(set(kept.tolist())) == 200
    assert (np.diff(kept) > 0).all()
    assert abs(np.bincount(classes[kept]) - [100, 50, 25, 25]).max() <= 1
    assert (_sample(classes, 200) == kept).all()
