"""How much of the catalogue and of the shipped spaces `model.py` covers, and how exactly it agrees.

    python benchmarks/export.py --check              every stage of the catalogue, 300 draws of each shipped space
    python benchmarks/export.py --check --draws 20

Each network is compared with its source in training and in evaluation: results, gradients of the input and of the
parameters, running statistics. Ends with 1 where a result differs by 1e-5 or more.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import nn

from metamixer import resources
from metamixer.catalog.entries import entries
from metamixer.compile import build
from metamixer.compile.modules import Network
from metamixer.errors import UserError
from metamixer.export.folder import instance
from metamixer.export.lowering import OnImages, deviation, images
from metamixer.export.source import source
from metamixer.export.writer import NoSourceError
from metamixer.language import parse
from metamixer.language.spaces.space import Space
from metamixer.testing.pieces import Piece, pieces

INPUTS = {"digits": (1, (8, 8)), "cifar": (3, (32, 32)), "vision": (3, (64, 64)), "atlas": (32, (8, 8))}


@dataclass
class Coverage:
    """What was compared: how many agree, the largest error, and what has no source, by word."""

    name: str
    agree: int = 0
    worst: float = 0.0
    missing: Counter[str] = field(default_factory=Counter)
    differ: list[str] = field(default_factory=list)


def roughened(net: Network) -> Network:
    """The network with no number left as it starts, so that a lost bias or statistic shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in (*net.parameters(), *net.buffers()):
            if value.is_floating_point():
                value += 0.1 * torch.rand(value.shape, generator=generator)
    return net


def disagreement(net: Network) -> float:
    """The largest relative error of the source against the network, of results, gradients and statistics.

    Raises:
        NoSourceError: there is no source.
    """
    made = source(net)
    model, _ = instance(made)
    reference, worst = OnImages(net), 0.0
    for training in (True, False):
        model.train(training)
        net.train(training)
        net.zero_grad()
        model.zero_grad()
        found = [_pass(module, images(net, 3, 5)) for module in (model, reference)]
        (y, of_x), (wanted, of_x_wanted) = found
        errors = [deviation(y, wanted), deviation(of_x, of_x_wanted)]
        largest = max((p.grad.abs().max().item() for p in net.parameters() if p.grad is not None), default=0.0)
        gradients = {p.data_ptr(): p.grad for p in net.parameters() if p.grad is not None}
        for name, parameter in model.named_parameters():
            held = made.tensors[name]
            wanted_gradient = gradients.get(held.tensor.data_ptr())
            if wanted_gradient is None or wanted_gradient.shape != held.tensor.shape:
                continue  # rows of a joint matrix: the result's own gradient shows them
            wanted_gradient = wanted_gradient.mT if held.transposed else wanted_gradient
            assert parameter.grad is not None
            errors.append(float((parameter.grad - wanted_gradient).abs().max()) / max(largest, 1e-30))
        worst = max(worst, *errors)
    for name, buffer in model.named_buffers():
        if name in made.tensors and buffer.is_floating_point():
            worst = max(worst, deviation(buffer, made.tensors[name].tensor))
    return worst


def _pass(module: nn.Module, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x.requires_grad_()
    y = module(x)
    (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
    assert x.grad is not None
    return y.detach(), x.grad


def catalogue() -> Iterator[Piece]:
    """Every stage of every network of the catalogue, made small, once."""
    seen = set()
    for entry in entries().values():
        for piece in pieces(entry.network, entry.channels, entry.grid):
            if str(piece) not in seen:
                seen.add(str(piece))
                yield piece


def drawn(name: str, draws: int) -> Iterator[Piece]:
    """Every stage of draws of a shipped space, made small, once."""
    channels, grid = INPUTS[name]
    space, rng, seen = Space.load(name), random.Random(0), set()
    for _ in range(draws):
        sentence = parse(str(space.draw(rng, channels, grid).sentence))
        for piece in pieces(sentence, channels, grid):
            if str(piece) not in seen:
                seen.add(str(piece))
                yield piece


def covered(name: str, found: Iterator[Piece]) -> Coverage:
    """Compares every piece with its source."""
    coverage = Coverage(name)
    for piece in found:
        if piece.context:
            coverage.missing["ctx"] += 1
            continue
        net = roughened(build(piece.sentence, channels=piece.channels, grid=piece.grid))
        try:
            error = disagreement(net)
        except NoSourceError as missing:
            coverage.missing[missing.message.removeprefix("the word ")] += 1
            continue
        coverage.worst = max(coverage.worst, error)
        if error < 1e-5:
            coverage.agree += 1
        else:
            coverage.differ.append(f"{piece}: {error:.1e}")
    return coverage


def main() -> int:
    """Prints the coverage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", required=True)
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--only", choices=["catalogue", *INPUTS])
    arguments = parser.parse_args()
    failed = False
    for name in ["catalogue", *resources.names("search_spaces")]:
        if arguments.only not in (None, name):
            continue
        try:
            coverage = covered(name, catalogue() if name == "catalogue" else drawn(name, arguments.draws))
        except UserError as error:
            print(f"{name}: {error}")
            failed = True
            continue
        total = coverage.agree + len(coverage.differ) + sum(coverage.missing.values())
        print(f"{name}: {coverage.agree} of {total} stages agree, largest relative error {coverage.worst:.1e}")
        for what, count in coverage.missing.most_common():
            print(f"  {count:4d}  {what}")
        for line in coverage.differ:
            print(f"  differs: {line}")
        failed = failed or bool(coverage.differ)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
