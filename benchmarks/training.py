"""One trial's training against plain PyTorch loops over timm's modules: images a second, accuracy, memory of workers.

    python benchmarks/training.py --data parquet:DIR/train.parquet    a table
    python benchmarks/training.py --check                             exit 1 below the bars

The networks are the small study's baselines that timm has blocks of. All loops have the same images, recipe, batches
and augmentation (shifts by up to four pixels after zero padding, and flips, each image its own), on one thread:

    metamixer   `metamixer.training.loop.train`, images as bytes in a memory map
    loader      a DataLoader over PNG files that lie in memory, each decoded and put through torchvision's transforms
    memory      normalised float tensors in memory, batches augmented together in a loop over shifts, as airbench does

They run in one process, one epoch after another in turn; a ratio is the median over the turns of processor time. The
accuracies are those after the last turn, of `--seeds` seeds. Memory is what two processes hold that map one set and
train on it, beyond what they hold when they train on a small one: proportional set size, which counts shared pages
once. Without `--data` the images are made up: ten classes of noisy gratings.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from metamixer import catalog
from metamixer.data import cache
from metamixer.data.section import DataSection
from metamixer.tasks import Task
from metamixer.training.evaluate import network
from metamixer.training.loop import Limits, train
from metamixer.training.recipe import Recipe

LOADER, MEMORY, SHARED = 1.5, 1.0, 1.3  # the bars: times as fast, times as fast, times the data
PAD = 4
CASES = ("convnext_images", "mixer_images", "poolformer_images", "resmlp_images")
RECIPE = {"batch_size": 64, "learning_rate": 3e-3, "crop": PAD, "flip": "random"}
Epochs = Iterator[float]  # validation accuracies


class Theirs(nn.Module):
    """timm's blocks between a patch embedding and a classifier of the mean token."""

    def __init__(self, embedding: nn.Module, blocks: list[nn.Module], norm: nn.Module, planes: bool) -> None:
        super().__init__()
        self.embedding, self.blocks, self.norm = embedding, nn.Sequential(*blocks), norm
        self.head = nn.Linear(64, 10)
        self.positions = (2, 3) if planes else (1,)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embedding(x))).mean(self.positions))


def theirs(name: str) -> nn.Module:
    """The network of a catalogue entry from timm's blocks, as timm initialises it."""
    timm = _timm()
    from timm.layers import GroupNorm1, LayerNorm2d, Mlp, PatchEmbed
    from timm.models.convnext import ConvNeXtBlock
    from timm.models.metaformer import MetaFormerBlock, Pooling
    from timm.models.mlp_mixer import Affine, MlpMixer, ResBlock

    del timm
    if name == "mixer_images":
        return MlpMixer(10, 32, patch_size=4, num_blocks=4, embed_dim=64, mlp_ratio=(1.0, 2.0))
    if name == "resmlp_images":

        def block(*args: Any, **kwargs: Any) -> nn.Module:
            return ResBlock(*args, **kwargs, init_values=0.1)

        return MlpMixer(
            10, 32, patch_size=4, num_blocks=4, embed_dim=64, mlp_ratio=2, block_layer=block, norm_layer=Affine
        )
    embedding = PatchEmbed(32, 4, 3, 64, flatten=False)
    if name == "convnext_images":
        blocks = [ConvNeXtBlock(64, kernel_size=5, mlp_ratio=2, ls_init_value=0.1) for _ in range(4)]
        return Theirs(embedding, blocks, LayerNorm2d(64), planes=True)
    blocks = [
        MetaFormerBlock(64, Pooling, norm_layer=GroupNorm1, layer_scale_init_value=None, res_scale_init_value=None)
        for _ in range(4)
    ]
    for metaformer in blocks:
        metaformer.mlp = Mlp(64, 128, use_conv=True)  # timm's has four times the width
    return Theirs(embedding, blocks, GroupNorm1(64), planes=True)


def initialized(net: nn.Module) -> None:
    """Weights drawn as ours are, so that the accuracies of one recipe can be compared."""
    for module in net.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            deviation = module.weight[0].numel() ** -0.5
            nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            nn.init.zeros_(module.bias)


# -- the loops


def ours(name: str, task: Task, epochs: int, seed: int) -> Epochs:
    recipe = Recipe(**RECIPE, epochs=epochs)
    net = network(str(catalog.get(name).sentence), task)
    rows = train(net, task, recipe, seed, torch.device("cpu"), Limits(0.0))
    return (row["validation_accuracy"] for row in rows)


class Pictures(Dataset[tuple[Tensor, int]]):
    """Encoded images one by one, through torchvision's transforms: what its data sets of folders do."""

    def __init__(self, x: np.ndarray, y: np.ndarray, mean: Any, std: Any) -> None:
        from PIL import Image
        from torchvision import transforms

        def encoded(image: np.ndarray) -> bytes:
            stream = io.BytesIO()
            Image.fromarray(image).save(stream, "png")
            return stream.getvalue()

        self.files, self.y, self.open = [encoded(image) for image in x], y.tolist(), Image.open
        crop, flip = transforms.RandomCrop(32, padding=PAD), transforms.RandomHorizontalFlip()
        self.look = transforms.Compose([crop, flip, transforms.ToTensor(), transforms.Normalize(mean, std)])

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, number: int) -> tuple[Tensor, int]:
        return self.look(self.open(io.BytesIO(self.files[number])).convert("RGB")), self.y[number]


def augmented(padded: Tensor) -> Tensor:
    """A padded batch (B, 3, 40, 40), shifted and flipped, each image by its own draw."""
    shifts = torch.randint(0, 2 * PAD + 1, (len(padded), 2))
    rows = torch.empty(len(padded), 3, 32, padded.shape[-1])
    out = torch.empty(len(padded), 3, 32, 32)
    for shift in range(2 * PAD + 1):
        some = shifts[:, 0] == shift
        rows[some] = padded[some, :, shift : shift + 32, :]
    for shift in range(2 * PAD + 1):
        some = shifts[:, 1] == shift
        out[some] = rows[some, :, :, shift : shift + 32]
    return torch.where((torch.rand(len(out)) < 0.5).view(-1, 1, 1, 1), out.flip(-1), out)


def plain(name: str, task: Task, epochs: int, seed: int, in_memory: bool) -> Epochs:
    torch.manual_seed(seed)
    recipe = Recipe(**RECIPE, epochs=epochs)
    net, arrays, size = theirs(name), task.data(), recipe.batch_size
    initialized(net)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (task.mean, task.std))

    def normalized(x: np.ndarray) -> Tensor:
        return (torch.tensor(x).permute(0, 3, 1, 2).float() / 255 - mean) / std

    x_val, y_val = normalized(arrays.x_val), torch.tensor(arrays.y_val)
    # Black, not the mean, is what lies outside of an image.
    black = (-mean / std).view(1, 3, 1, 1)
    padded = F.pad(normalized(arrays.x_train) - black, (PAD,) * 4) + black if in_memory else None
    y_train = torch.tensor(arrays.y_train)
    pictures = Pictures(arrays.x_train[: 0 if in_memory else None], arrays.y_train, task.mean, task.std)
    loader = DataLoader(pictures, size, shuffle=True, drop_last=True)
    groups = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(recipe.beta1, recipe.beta2))
    steps = len(y_train) // size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, steps * epochs, pct_start=recipe.warmup_share, cycle_momentum=False
    )

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        if padded is None:
            yield from loader
            return
        order = torch.randperm(len(y_train))
        for step in range(steps):
            some = order[step * size : (step + 1) * size]
            yield augmented(padded[some]), y_train[some]

    for _ in range(epochs):
        net.train()
        total = hits = 0.0
        for x, y in batches():
            logits = net(x)
            loss = F.cross_entropy(logits, y, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), recipe.gradient_clip)
            optimizer.step()
            schedule.step()
            total += loss.item()
            hits += (logits.argmax(1) == y).sum().item()
        net.eval()
        with torch.inference_mode():
            right = sum(
                int((net(some).argmax(1) == classes).sum())
                for some, classes in zip(x_val.split(500), y_val.split(500), strict=True)
            )
        yield right / len(y_val)


# -- measuring


def compared(name: str, task: Task, epochs: int, seeds: int) -> dict[str, Any]:
    """Ratios of speed to both loops, images a second, and final accuracies of each loop."""
    sizes = [sum(p.numel() for p in net.parameters()) for net in (theirs(name), network(_text(name), task))]
    assert sizes[0] == sizes[1], f"{name}: timm's has {sizes[0]} parameters, ours {sizes[1]}"
    loops: dict[str, Callable[[int], Epochs]] = {
        "metamixer": lambda seed: ours(name, task, epochs, seed),
        "loader": lambda seed: plain(name, task, epochs, seed, in_memory=False),
        "memory": lambda seed: plain(name, task, epochs, seed, in_memory=True),
    }
    seconds: dict[str, list[float]] = {loop: [] for loop in loops}
    accuracies: dict[str, list[float]] = {loop: [] for loop in loops}
    for seed in range(seeds):
        torch.manual_seed(seed)
        running = {loop: start(seed) for loop, start in loops.items()}
        for epoch in range(epochs):
            order = list(running) if epoch % 2 == 0 else list(running)[::-1]
            for loop in order:
                begun = time.process_time()
                accuracy = next(running[loop])
                if epoch:  # the first makes tensors and plans
                    seconds[loop].append(time.process_time() - begun)
                if epoch == epochs - 1:
                    accuracies[loop].append(accuracy)
    images = len(task.data().y_train)
    return {
        "images a second": images / statistics.median(seconds["metamixer"]),
        **{
            loop: statistics.median(b / a for a, b in zip(seconds["metamixer"], seconds[loop], strict=True))
            for loop in ("loader", "memory")
        },
        "accuracies": accuracies,
    }


def _text(name: str) -> str:
    return str(catalog.get(name).sentence)


def same(accuracies: dict[str, list[float]], images: int) -> bool:
    """Whether our mean accuracy is that of the plain loops, within two standard errors of the difference.

    The error of a mean is that of the seeds, and at least that of counting hits on so many images.
    """

    def variance(some: list[float]) -> float:
        mean = statistics.fmean(some)
        counting = mean * (1 - mean) / images
        seeds = statistics.variance(some) if len(some) > 1 else 0.0
        return max(seeds, counting) / len(some)

    mine = accuracies["metamixer"]
    others = accuracies["loader"] + accuracies["memory"]
    difference = statistics.fmean(mine) - statistics.fmean(others)
    return abs(difference) <= 2 * (variance(mine) + variance(others)) ** 0.5


def _worker(small: dict[str, Any], large: dict[str, Any], pipe: Any, both: Any) -> None:
    import psutil

    from metamixer.tasks import of

    torch.set_num_threads(1)
    for document in (small, large):
        task = of(document)
        for _ in train(
            network("patch(8,8)", task), task, Recipe(epochs=1, batch_size=64), 0, torch.device("cpu"), Limits(0.0)
        ):
            pass
        both.wait()  # both have read all of it
        pipe.send(psutil.Process().memory_full_info().pss)
        both.wait()


def shared(small: Task, large: Task) -> float:
    """What two workers hold of a set beyond what they hold of a small one, in sizes of the set."""
    context = multiprocessing.get_context("spawn")
    both, workers = context.Barrier(2), []
    for _ in range(2):
        mine, other = context.Pipe()
        process = context.Process(target=_worker, args=(small.document(), large.document(), other, both))
        process.start()
        workers.append((process, mine))
    held = [[pipe.recv() for _ in range(2)] for _, pipe in workers]
    for process, _ in workers:
        process.join()

    def bytes_of(task: Task) -> int:
        return task.data().x_train.nbytes + task.data().x_val.nbytes

    grown = sum(after - before for before, after in held)
    return grown / (bytes_of(large) - bytes_of(small))


def made_up(images: int, seed: int, folder: Path) -> str:
    """The address of images of ten classes: gratings of one direction each, of any phase and colour, in noise."""
    random = np.random.default_rng(seed)
    y = random.integers(0, 10, images)
    rows, columns = np.meshgrid(np.arange(32), np.arange(32), indexing="ij")
    angle = (np.pi * y / 10)[:, None, None]
    phase = random.uniform(0, 2 * np.pi, (images, 1, 1))
    waves = np.sin((np.cos(angle) * rows + np.sin(angle) * columns) * 0.7 + phase)[..., None]
    x = 128 + 40 * waves * random.uniform(0.2, 1, (images, 1, 1, 3)) + random.normal(0, 40, (images, 32, 32, 3))
    np.savez(folder / f"made-{images}.npz", x=np.clip(x, 0, 255).astype(np.uint8), y=y)
    return f"arrays:{folder / f'made-{images}.npz'}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 below the bars")
    parser.add_argument("--data", help="images of 32x32 in ten classes, as [data] train names them; default: made up")
    parser.add_argument("--images", type=int, default=2500, help="how many of them")
    parser.add_argument("--epochs", type=int, default=6, help="turns")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="", help="networks whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    held = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)

        def prepared(address: str, images: int) -> Task:
            section = DataSection(train=address, images=images, validation=0.2, test=0.0, cache=str(folder / "cache"))
            return cache.prepare(section).task

        task = prepared(options.data or made_up(options.images, 0, folder), options.images)
        print(f"{len(task.data().y_train):,} images of {options.data or 'made-up gratings'}, {options.epochs} epochs")
        print(f"{'network':18} {'images/s':>8} {'/ loader':>9} {'/ memory':>9}   accuracy: metamixer, loader, memory")
        for name in CASES:
            if options.only not in name:
                continue
            found = compared(name, task, options.epochs, options.seeds)
            equal = same(found["accuracies"], len(task.data().y_val))
            means = ", ".join(f"{statistics.fmean(some):.3f}" for some in found["accuracies"].values())
            print(
                f"{name:18} {found['images a second']:8.0f} {found['loader']:9.2f} {found['memory']:9.2f}   {means}"
                + ("" if equal else "   not the same"),
                flush=True,
            )
            held &= found["loader"] >= LOADER and found["memory"] >= MEMORY and equal
        large, small = prepared(made_up(20_000, 1, folder), 20_000), prepared(made_up(200, 2, folder), 200)
        times = shared(small, large)
        print(f"two workers hold {times:.2f} times the data")
        held &= times < SHARED
    bars = f"{LOADER} x loader, {MEMORY} x memory, the same accuracy, {SHARED} x the data"
    print(f"bars: {bars}: {'held' if held else 'MISSED'}")
    return 0 if held or not options.check else 1


def _timm() -> Any:
    """timm, which asks torchvision for no more than the names of two operators."""
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # its compiled operators belong to another torch; the names are enough to import it
        _timm.library = torch.library.Library("torchvision", "DEF")  # type: ignore[attr-defined]
        for name in ("nms", "qnms"):
            _timm.library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[attr-defined]
    except ImportError:
        pass
    import timm

    return timm


if __name__ == "__main__":
    sys.exit(main())
