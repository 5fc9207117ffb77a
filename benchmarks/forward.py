"""Time of compiled sentences against timm's hand-written modules: forward, and forward with backward.

    python benchmarks/forward.py            a table
    python benchmarks/forward.py --check    exit 1 if the median ratio over the networks is above 1.05 or one above 1.2

Networks of the catalogue at few blocks, on small images, on one thread of the CPU (or with ``--device cuda``). Both
run in one process, turn by turn; a ratio is the median over the turns of ours / timm's, so that other load on the
machine meets both alike. On the CPU the time is that of the process.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import metamixer as mm
from metamixer import catalog

MEDIAN, WORST = 1.05, 1.2


@dataclass(frozen=True)
class Case:
    """One comparison.

    Attributes:
        timm: timm's name.
        entry: ours.
        blocks: number of blocks of each stage.
        side: of the image.
        locked: whether timm's network is made for one size of image.
    """

    timm: str
    entry: str
    blocks: tuple[int, ...]
    side: int
    locked: bool = False


CASES = (
    Case("vit_small_patch16_224", "vit_s16", (4,), 112, locked=True),
    Case("mixer_s16_224", "mixer_s16", (4,), 112, locked=True),
    Case("resmlp_12_224", "resmlp_s12", (4,), 112, locked=True),
    Case("gmlp_ti16_224", "gmlp_ti16", (4,), 112, locked=True),
    Case("convnext_atto", "convnext_atto", (1, 1, 2, 1), 128),
    Case("poolformerv2_s12", "poolformerv2_s12", (1, 1, 2, 1), 96),
    Case("convformer_s18", "convformer_s18", (1, 1, 2, 1), 128),
    Case("caformer_s18", "caformer_s18", (1, 1, 2, 1), 96),
    Case("convmixer_768_32", "convmixer_768_32", (4,), 84),
)


def shortened(entry: str, blocks: tuple[int, ...]) -> mm.Sentence:
    """The network of an entry with other numbers of blocks."""
    counts = iter(blocks)
    text = re.sub(r"\^\d+", lambda _: f"^{next(counts)}", str(catalog.get(entry).network))
    assert next(counts, None) is None
    return mm.parse(text)


def pair(case: Case, device: str) -> tuple[nn.Module, nn.Module]:
    """The module of timm and ours. Ours reads channels last."""
    theirs = timm.create_model(case.timm, **({"img_size": case.side} if case.locked else {}))
    for stage, blocks in zip(getattr(theirs, "stages", [theirs]), case.blocks, strict=True):
        stage.blocks = stage.blocks[:blocks]
    ours = mm.build(shortened(case.entry, case.blocks), 3, (case.side, case.side))
    sizes = [sum(p.numel() for p in net.parameters()) for net in (theirs, ours)]
    assert sizes[0] == sizes[1], f"{case.timm} has {sizes[0]} parameters, {case.entry} {sizes[1]}"
    return theirs.to(device), ours.to(device)


def ratio(a: Callable[[], None], b: Callable[[], None], seconds: float, device: str) -> tuple[float, float]:
    """Median over the turns of time of b / time of a, and the median time of b in milliseconds."""
    # On one thread of the CPU the time of this process is what an idle machine would show.
    clock = time.process_time if device == "cpu" else time.perf_counter

    def timed(run: Callable[[], None]) -> float:
        start = clock()
        run()
        if device != "cpu":
            torch.cuda.synchronize()
        return clock() - start

    for run in (a, b, a, b):
        timed(run)
    ratios, times, end = [], [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(ratios) < 8:
        # a b b a: what drifts within a turn meets both
        first, second, third, fourth = timed(a), timed(b), timed(b), timed(a)
        ratios.append((second + third) / (first + fourth))
        times.append((second + third) / 2)
    return statistics.median(ratios), 1e3 * statistics.median(times)


def compared(case: Case, batch: int, seconds: float, device: str) -> tuple[float, float, float, float]:
    """(forward ratio, ms, forward and backward ratio, ms)."""
    theirs, ours = pair(case, device)
    images = torch.randn(batch, 3, case.side, case.side, device=device)

    def forward(net: nn.Module, convert: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        def run() -> None:
            with torch.no_grad():
                net(convert(images))

        return run

    def both(net: nn.Module, convert: Callable[[Tensor], Tensor]) -> Callable[[], None]:
        def run() -> None:
            net.zero_grad(set_to_none=True)
            net(convert(images)).square().mean().backward()

        return run

    def channels_last(x: Tensor) -> Tensor:
        return x.movedim(1, -1)

    theirs.eval(), ours.eval()
    inference = ratio(forward(theirs, lambda x: x), forward(ours, channels_last), seconds, device)
    theirs.train(), ours.train()
    training = ratio(both(theirs, lambda x: x), both(ours, channels_last), seconds, device)
    return *inference, *training


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 above the bars")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=4.0, help="time of one comparison")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'network':24} {'forward':>8} {'ms':>8} {'+ backward':>11} {'ms':>8}   (ratio ours / timm's, ours in ms)")
    ratios: tuple[list[float], list[float]] = ([], [])
    for case in CASES:
        if options.only in case.timm:
            inference, ms, training, training_ms = compared(case, options.batch, options.seconds, options.device)
            ratios[0].append(inference)
            ratios[1].append(training)
            print(f"{case.timm:24} {inference:8.3f} {ms:8.1f} {training:11.3f} {training_ms:8.1f}", flush=True)
    medians = [statistics.median(values) for values in ratios]
    print(f"{'median':24} {medians[0]:8.3f} {'':8} {medians[1]:11.3f}")
    print(f"{'worst':24} {max(ratios[0]):8.3f} {'':8} {max(ratios[1]):11.3f}   (bars: {MEDIAN}, {WORST})")
    held = max(medians) <= MEDIAN and max(ratios[0] + ratios[1]) <= WORST
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
    timm = _timm()
    sys.exit(main())
