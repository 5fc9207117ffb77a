from __future__ import annotations

import numpy as np
import pytest
import torch

from metamixer.training import augmentation
from metamixer.training.augmentation import geometry, mixing
from metamixer.training.recipe import Recipe
from metamixer.training.source import sources


@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_each_image_is_shifted_and_mirrored_by_its_own_draw(batch, padding):
    random = np.random.default_rng(0)
    shifts, flip = random.integers(-4, 5, (40, 2)), random.random(40) < 0.5
    got = geometry.shifted(torch.from_numpy(batch), shifts, flip, padding).numpy()
    assert got.dtype == np.uint8
    for number, image in enumerate(batch):
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), "constant" if padding == "zero" else "reflect")
        top, left = 4 + shifts[number]
        expected = padded[top : top + 12, left : left + 10]
        np.testing.assert_array_equal(got[number], expected[:, ::-1] if flip[number] else expected)


@pytest.mark.parametrize("grid", [(9,), (4, 5, 6)])
def test_sequences_and_volumes_are_shifted_as_well(grid):
    random = np.random.default_rng(0)
    x = random.normal(size=(6, *grid, 2)).astype(np.float32)
    shifts = random.integers(-2, 3, (6, len(grid)))
    got = geometry.shifted(torch.from_numpy(x), shifts, None, "zero").numpy()
    for number, one in enumerate(x):
        padded = np.pad(one, [(2, 2)] * len(grid) + [(0, 0)])
        cut = tuple(slice(2 + s, 2 + s + size) for s, size in zip(shifts[number], grid, strict=True))
        np.testing.assert_array_equal(got[number], padded[cut])


def test_each_image_is_mirrored_by_its_own_draw(batch):
    flip = np.random.default_rng(0).random(40) < 0.5
    got = geometry.flipped(torch.from_numpy(batch), flip).numpy()
    for number, image in enumerate(batch):
        np.testing.assert_array_equal(got[number], image[:, ::-1] if flip[number] else image)


def test_boxes_are_cut_out_and_enlarged(batch, bilinear):
    random = np.random.default_rng(0)
    boxes, flip = geometry.draw_boxes(random, 40, (12, 10), 0.2), random.random(40) < 0.5
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= 12 + 1e-9).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 10 + 1e-9).all()
    x = batch.astype(np.float32)
    got = geometry.resized(torch.from_numpy(x), boxes, flip).numpy()
    for number, image in enumerate(x):
        top, left, high, wide = boxes[number]
        expected = np.empty_like(image)
        for r in range(12):
            for c in range(10):
                row, column = top + (r + 0.5) * high / 12 - 0.5, left + (c + 0.5) * wide / 10 - 0.5
                expected[r, c] = bilinear(image, row, column, "border")
        expected = expected[:, ::-1] if flip[number] else expected
        assert np.abs(got[number] - expected).max() <= 1e-5 * 255 * 10


def test_areas_of_boxes_are_spread_over_what_is_asked_for():
    boxes = geometry.draw_boxes(np.random.default_rng(0), 4000, (32, 32), 0.25)
    area = boxes[:, 2] * boxes[:, 3] / 32**2
    assert 0.2 < area.min() < 0.3
    assert 0.9 < area.max() <= 1
    assert area.mean() == pytest.approx(0.6, abs=0.04)


def test_each_image_loses_a_square_of_its_own(batch):
    x = batch.astype(np.float32) + 1
    centres = np.random.default_rng(0).integers(0, 10, (40, 2))
    for side in (4, 5):
        got = geometry.cut_out(torch.from_numpy(x), centres, side).numpy()
        for number, image in enumerate(x):
            expected = image.copy()
            row, column = centres[number] - side // 2
            expected[max(row, 0) : max(row + side, 0), max(column, 0) : max(column + side, 0)] = 0
            np.testing.assert_array_equal(got[number], expected)


def test_some_images_lose_a_rectangle_to_noise():
    x = np.full((3000, 16, 16, 3), 9.0, np.float32)
    got = geometry.erased(torch.from_numpy(x), np.random.default_rng(0), 0.4).numpy()
    changed = (got != 9).any(-1)
    hit = changed.any((1, 2))
    assert hit.mean() == pytest.approx(0.4, abs=0.03)
    for image in changed[hit][:200]:
        rows, columns = np.flatnonzero(image.any(1)), np.flatnonzero(image.any(0))
        assert image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # one rectangle
    assert 0.02 < changed[hit].mean() < 0.34
    noise = got[changed]
    assert noise.mean() == pytest.approx(0, abs=0.02)
    assert noise.std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_each_image_is_mixed_with_a_partner_of_its_own(batch, mixup, cutmix):
    x, y = batch.astype(np.float32), np.arange(40)
    mix = mixing.draw(np.random.default_rng(0), 40, (12, 10), mixup, cutmix, 0.8)
    got, targets = mixing.mixed(torch.from_numpy(x), torch.from_numpy(y), mix)
    assert sorted(mix.partner) == list(range(40))
    assert targets.other is not None
    assert targets.share is not None
    boxes = blends = untouched = 0
    for number, image in enumerate(x):
        partner, expected = x[mix.partner[number]], image.copy()
        (top, left), (bottom, right) = mix.low[number], mix.high[number]
        if bottom > top and right > left:
            expected[top:bottom, left:right] = partner[top:bottom, left:right]
            assert mix.share[number] == pytest.approx(1 - (bottom - top) * (right - left) / 120)
            boxes += 1
        else:
            expected = mix.share[number] * image + (1 - mix.share[number]) * partner
            blends += 0 < mix.share[number] < 1
            untouched += mix.share[number] == 1
        assert np.abs(got[number].numpy() - expected).max() <= 1e-5 * 255
        assert targets.y[number] == number
        assert targets.other[number] == mix.partner[number]
        assert targets.share[number].item() == pytest.approx(mix.share[number])
    assert untouched > 0
    assert (boxes > 0) == (cutmix > 0)
    assert (blends > 0) == (mixup > 0)


def test_shares_follow_the_beta_distribution():
    shares = mixing.draw(np.random.default_rng(0), 20_000, (32, 32), 0.4, 0.0, 1.0).share
    assert shares.mean() == pytest.approx(0.5, abs=0.01)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), abs=0.005)


def test_alternating_flips_show_each_image_from_both_sides_in_two_epochs():
    recipe = Recipe(flip="alternate")
    take = np.random.default_rng(0).permutation(1000)
    sides = [augmentation._flips(recipe, take, augmentation.Chance.of(5, epoch, 1000)) for epoch in (1, 2, 3)]
    assert (sides[0] ^ sides[1]).all()
    assert (sides[0] == sides[2]).all()
    assert sides[0].mean() == pytest.approx(0.5, abs=0.06)


def test_the_draws_of_an_epoch_depend_on_seed_and_epoch_alone(pictures):
    source, _ = sources(pictures, "cpu")
    recipe = Recipe(crop=2, flip="random", randaugment=1, mixup=0.5, cutmix=0.5, cutout=2, erasing=0.5)
    x, y = source.batch(torch.arange(32))

    def look(seed, epoch):
        torch.rand(3)  # torch's own chance plays no part
        chance = augmentation.Chance.of(seed, epoch, len(source))
        return augmentation.augmented(recipe, source, x, y, np.arange(32), chance)[0]

    assert torch.equal(look(1, 1), look(1, 1))
    assert not torch.equal(look(1, 1), look(1, 2))
    assert not torch.equal(look(1, 1), look(2, 1))


def test_without_augmentation_a_batch_is_only_normalized(pictures):
    source, _ = sources(pictures, "cpu")
    x, y = source.batch(torch.arange(8))
    got, targets = augmentation.augmented(Recipe(), source, x, y, np.arange(8), augmentation.Chance.of(0, 1, 96))
    expected = (x.double() / 255 - torch.tensor(pictures.mean)) / torch.tensor(pictures.std)
    assert (got - expected).abs().max() <= 1e-5
    assert targets.other is None
