from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import metamixer as mm
from metamixer.errors import TaskError
from metamixer.tasks import get
from metamixer.training.evaluate import evaluate, network
from metamixer.training.loop import Failed, Limits, train
from metamixer.training.recipe import Recipe
from metamixer.training.source import sources

CPU = torch.device("cpu")
NO_LIMIT = Limits(0.0)
SENTENCES = [
    "patch(2,24) >> (res(norm >> dw(3)) >> res(bn >> ffn(2)))^2 >> norm",
    "patch(2,32) >> res(norm >> att(lin,lin,lin)@h(4) >> lin) >> res(norm >> ffn(2))",
]
PICTURES = "patch(3,16) >> (res(norm >> dw(3)) >> res(norm >> ffn(2)))^2"


def trained(task, recipe: Recipe, sentence: str = PICTURES, seed: int = 3, **more):
    """Curve without times, and the network."""
    torch.manual_seed(seed)
    net = network(sentence, task) if isinstance(sentence, str) else sentence
    rows = []
    training = train(net, task, recipe, seed, CPU, NO_LIMIT, **more)
    rows = [{name: value for name, value in row.items() if name != "seconds"} for row in training]
    return rows, net


def plain_curve(sentence: str, epochs: int, seed: int) -> list[tuple[float, float, float, float]]:
    """The loop before there was any option: AdamW under one cycle, looking at every loss as it comes."""
    task = get("digits-hard")
    arrays = task.data()
    x, y, x_val, y_val = map(torch.tensor, (arrays.x_train, arrays.y_train, arrays.x_val, arrays.y_val))
    torch.manual_seed(seed)
    net = network(sentence, task)
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=6e-3, betas=(0.9, 0.99), fused=True)
    steps = len(x) // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=6e-3, total_steps=steps * epochs, pct_start=0.25, cycle_momentum=False
    )
    shuffle = torch.Generator().manual_seed(seed)
    curve = []
    for _ in range(epochs):
        net.train()
        losses = hits = 0.0
        order = torch.randperm(len(x), generator=shuffle)
        for step in range(steps):
            take = order[step * 64 : (step + 1) * 64]
            logits = net(x[take]).flatten(1)
            loss = F.cross_entropy(logits, y[take], label_smoothing=0.05)
            losses += loss.item()
            hits += (logits.argmax(1) == y[take]).sum().item()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        net.eval()
        val_loss, val_hits = 0.0, 0
        with torch.inference_mode():
            for some, classes in zip(x_val.split(500), y_val.split(500), strict=True):
                logits = net(some).flatten(1)
                val_loss += F.cross_entropy(logits, classes, reduction="sum").item()
                val_hits += int((logits.argmax(1) == classes).sum().item())
        curve.append((losses / steps, hits / (steps * 64), val_loss / len(y_val), val_hits / len(y_val)))
    return curve


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_default_recipe_gives_the_numbers_of_the_plain_loop_bit_for_bit(sentence):
    job = {"sentence": sentence, "task": {"name": "digits-hard"}, "training": {"epochs": 2}, "seed": 5}
    result = evaluate(job, lambda row: None)
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    assert [tuple(row[name] for name in names) for row in result["curve"]] == plain_curve(sentence, 2, 5)


EVERYTHING = {
    "epochs": 3,
    "batch_size": 16,
    "accumulation": 2,
    "crop": 2,
    "flip": "random",
    "cutout": 3,
    "erasing": 0.5,
    "randaugment": 2,
    "mixup": 0.4,
    "cutmix": 1.0,
    "drop_path": 0.2,
    "ema": 0.9,
    "schedule": "cosine",
}


def test_one_seed_gives_one_curve_with_everything_on(pictures):
    recipe = Recipe(**EVERYTHING)
    one, again, other = trained(pictures, recipe)[0], trained(pictures, recipe)[0], trained(pictures, recipe, seed=4)[0]
    assert one == again
    assert one != other


@pytest.mark.parametrize("changes", [{}, EVERYTHING, {**EVERYTHING, "optimizer": "muon", "precision": "bfloat16"}])
def test_a_step_does_not_wait_for_the_device(pictures, changes):
    """More steps an epoch ask for no more values on the host."""

    class Waits(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = function.overloadpacket.__name__
            self.count += name in ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal")
            return function(*args, **(kwargs or {}))

    counts = []
    for batch_size in (48, 8):
        recipe = Recipe(**{**changes, "epochs": 1, "batch_size": batch_size})
        with Waits() as waits:
            trained(pictures, recipe)
        counts.append(waits.count)
    assert counts[0] == counts[1] > 0


def test_pieces_of_a_batch_train_as_the_whole_batch(pictures):
    whole, net = trained(pictures, Recipe(epochs=2, batch_size=30))
    pieces, other = trained(pictures, Recipe(epochs=2, batch_size=30, accumulation=4))
    for one, another in zip(whole, pieces, strict=True):
        assert one["train_loss"] == pytest.approx(another["train_loss"], rel=1e-5)
        assert one["train_accuracy"] == another["train_accuracy"]
    for a, b in zip(net.parameters(), other.parameters(), strict=True):
        assert (a - b).abs().max() <= 1e-3 * a.abs().max()


def test_pieces_of_a_mixed_batch_have_the_loss_of_the_whole(pictures):
    settings = {"epochs": 1, "batch_size": 96, "mixup": 1.0, "cutmix": 1.0, "label_smoothing": 0.1}
    whole, pieces = trained(pictures, Recipe(**settings))[0], trained(pictures, Recipe(**settings, accumulation=5))[0]
    assert whole[0]["train_loss"] == pytest.approx(pieces[0]["train_loss"], rel=1e-5)


def test_mixed_targets_have_the_loss_of_probabilities(pictures):
    from metamixer.training.augmentation.mixing import Targets
    from metamixer.training.loop import _loss

    logits = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    y, other, share = torch.tensor([0, 1, 2, 0, 1, 2, 0]), torch.tensor([1, 1, 0, 2, 2, 2, 0]), torch.rand(7)
    recipe = Recipe(label_smoothing=0.1)
    loss, hits = _loss(nn.Identity(), logits, Targets(y, other, share), pictures, recipe)
    soft = share[:, None] * F.one_hot(y, 3) + (1 - share[:, None]) * F.one_hot(other, 3)
    assert loss.item() == pytest.approx(F.cross_entropy(logits, soft, label_smoothing=0.1).item(), rel=1e-6)
    assert hits.item() == (logits.argmax(1) == torch.where(share >= 0.5, y, other)).sum().item()


def test_the_last_epoch_of_averaged_weights_is_what_the_network_keeps(pictures):
    rows, net = trained(pictures, Recipe(epochs=2, batch_size=16, ema=0.8))
    _, source = sources(pictures, "cpu")
    net.eval()
    x, y = source.batch(slice(None))
    with torch.inference_mode():
        hits = (net(source.normalized(x)).flatten(1).argmax(1) == y).float().mean().item()
    assert rows[-1]["validation_accuracy"] == pytest.approx(hits)
    assert rows != trained(pictures, Recipe(epochs=2, batch_size=16))[0]


def test_pictures_are_learned_from_bytes(pictures):
    rows, _ = trained(pictures, Recipe(epochs=8, batch_size=16, flip="none"))
    assert rows[-1]["validation_accuracy"] > 0.9


def test_bytes_train_as_the_numbers_they_stand_for(pictures, make_pictures):
    mean, std = pictures.mean, pictures.std
    numbers = make_pictures("float32", mean=mean, std=std)
    rows, others = trained(pictures, Recipe(epochs=1))[0], trained(numbers, Recipe(epochs=1))[0]
    assert rows[0]["train_loss"] == pytest.approx(others[0]["train_loss"], rel=1e-4)


def test_what_may_not_lie_in_memory_is_read_in_batches_with_the_same_numbers(tmp_path, make_pictures):
    whole = make_pictures("float32")
    arrays = whole.data()
    np.save(tmp_path / "x.npy", arrays.x_train)
    mapped = type(arrays)(np.load(tmp_path / "x.npy", mmap_mode="r"), arrays.y_train, arrays.x_val, arrays.y_val)
    bounded = make_pictures("float32", memory_limit=arrays.x_train.nbytes - 1)
    bounded.receive(mapped)
    source, _ = sources(bounded, "cpu")
    assert source.x.data_ptr() == mapped.x_train.__array_interface__["data"][0]  # no copy was made
    copied, _ = sources(whole, "cpu")
    assert copied.x.data_ptr() != arrays.x_train.__array_interface__["data"][0]
    recipe = Recipe(epochs=2, batch_size=16, crop=2, flip="random")
    assert trained(bounded, recipe)[0] == trained(whole, recipe)[0]


def test_bytes_are_used_where_they_lie(pictures):
    source, _ = sources(pictures, "cpu")
    assert source.x.data_ptr() == pictures.data().x_train.__array_interface__["data"][0]


def test_a_loss_that_is_no_number_ends_the_training_with_its_epoch(pictures):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(432, 3)
            self.calls = 0

        def forward(self, x):
            self.calls += self.training
            return self.head(x.flatten(1)) * (math.nan if self.calls == 8 else 1.0)

    training = train(Broken(), pictures, Recipe(epochs=3, batch_size=16, gradient_clip=0), 0, CPU, NO_LIMIT)
    assert next(training)["epoch"] == 1  # six steps; the eighth is of the second epoch
    with pytest.raises(Failed, match="nan"):
        next(training)


@pytest.mark.parametrize(
    ("changes", "dtype", "words"),
    [
        ({"randaugment": 2}, "float32", "randaugment is for pixel values"),
        ({"crop": 12}, "uint8", "crop = 12 is too much for inputs of 12x12"),
        ({"cutout": 40}, "uint8", "cutout = 40 is too much"),
    ],
)
def test_what_cannot_be_augmented_is_told(make_pictures, changes, dtype, words):
    task = make_pictures(dtype)
    with pytest.raises(TaskError, match=words):
        trained(task, Recipe(**changes))


def test_drop_path_reaches_the_branches_of_a_built_network(pictures):
    from metamixer.compile.modules import Part

    _, net = trained(pictures, Recipe(epochs=1, drop_path=0.3))
    rates = [rate for part in net.modules() if isinstance(part, Part) for rate in part.drop.values()]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("changes", [{"precision": "bfloat16"}, {"channels_last": True}])
def test_faster_number_formats_learn_the_same(pictures, changes):
    sentence = "fconv(3,16) >> bn >> gelu >> fconv(3,16,s=2) >> bn >> gelu"
    recipe = {"epochs": 6, "batch_size": 16}
    plain, other = (
        trained(pictures, Recipe(**recipe), sentence)[0],
        trained(pictures, Recipe(**recipe, **changes), sentence)[0],
    )
    assert other[-1]["validation_loss"] == pytest.approx(plain[-1]["validation_loss"], abs=0.1)
    if "channels_last" in changes:
        assert other[0]["train_loss"] == pytest.approx(plain[0]["train_loss"], rel=1e-4)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), optimizer=st.sampled_from(["adamw", "muon", "sgd"]), pieces=st.integers(1, 3))
def test_a_step_of_any_sentence_of_a_space(make_pictures, seed, optimizer, pieces):
    import random

    task = make_pictures(images=16)
    space = mm.Space(
        rules={
            "net": "{patch(2,{8|16}) | fconv(3,8,s=2) | patch(3,8)} >> each(block,{1..2}) >> {norm|bn}",
            "block": "res({norm|bn} >> mixer) >> res(norm >> ffn({1|2}))",
            "mixer": "{att(lin,lin,lin)@h({2|4}) >> lin | lin@T | dw({3|5}) | avg(3) - x"
            " | conv(lin,#3) -> gelu -> conv(#3)"
            " | lin * mixer | (dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(2) >> lin | dw(3) >> se(2) >> lin}",
        },
        start="net",
        max_depth=2,
    )
    drawn = space.draw(random.Random(seed), channels=3, grid=(12, 12))
    recipe = {**EVERYTHING, "epochs": 1, "optimizer": optimizer, "accumulation": pieces, "learning_rate": 1e-3}
    rows, net = trained(task, Recipe(**recipe), str(drawn.sentence), seed)
    assert math.isfinite(rows[0]["train_loss"])
    assert all(torch.isfinite(parameter).all() for parameter in net.parameters())
