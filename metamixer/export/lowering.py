"""torch.export and ONNX of a network, each checked against the network on batches of 1 and 7."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from metamixer.compile.modules import Network

BATCHES = (1, 7)


class OnImages(nn.Module):
    """A network for images (B, C, *grid); one token comes out as (B, C'), a grid as (B, C', *grid')."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x.movedim(1, -1))
        out = self.net.typed.out
        return y.flatten(1) if out.tokens == 1 else y if out.extra else y.movedim(-1, 1)


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        file: its name.
        error: max|y - ref| / max|ref| against the network in evaluation mode; None where nothing is computed.
        problem: why it was not written; empty if it was.
        advice: what to do instead.
        batch: ``dynamic``, or the one batch size that it takes.
        compared: what the error was taken over.
    """

    file: str
    error: float | None = None
    problem: str = ""
    advice: str = ""
    batch: str = ""
    compared: str = ""


def deviation(y: Tensor, reference: Tensor) -> float:
    """max|y - ref| / max|ref|."""
    return float(
        (y.detach() - reference.detach()).abs().max()
        / reference.detach().abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    )


def images(net: Network, batch: int, seed: int = 0) -> Tensor:
    """Standard normal images for a network."""
    t = net.typed.x
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, t.channels, *t.grid, generator=generator)


def exported(model: OnImages) -> tuple[torch.export.ExportedProgram, str]:
    """The program of a network in evaluation mode, with a batch of any size where that is possible.

    Raises:
        Exception: torch.export refuses the network; its errors have no class in common.
    """
    x = images(model.net, 2)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dynamic = ({0: torch.export.Dim("batch", min=1)},)
            return torch.export.export(model, (x,), dynamic_shapes=dynamic), "dynamic"
        except Exception:  # a batch baked in is better than no program
            return torch.export.export(model, (x[:1],)), "1"


def write_pt2(program: torch.export.ExportedProgram, batch: str, model: OnImages, path: Path) -> Outcome:
    """Write the program, read it again and compare."""
    torch.export.save(program, path)
    again = torch.export.load(path).module()
    sizes = BATCHES if batch == "dynamic" else (1,)
    with torch.no_grad():
        errors = [deviation(again(x), model(x)) for x in (images(model.net, n, n) for n in sizes)]
    return Outcome(path.name, max(errors), batch=batch, compared=_batches(sizes))


def write_onnx(program: torch.export.ExportedProgram, batch: str, model: OnImages, path: Path, opset: int) -> Outcome:
    """Write the program as ONNX, run it with onnxruntime and compare.

    Raises:
        ImportError: the extra ``export`` is not installed.
        Exception: an operator has no ONNX form; errors of the exporter have no class in common.
    """
    import onnxruntime
    import onnxscript  # noqa: F401  # what torch.onnx needs, asked for before it says so at length

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(program, (), opset_version=opset, verbose=False, dynamo=True, external_data=False)
    assert made is not None
    made.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    sizes = BATCHES if batch == "dynamic" else (1,)
    errors = []
    for n in sizes:
        x = images(model.net, n, n)
        with torch.no_grad():
            errors.append(deviation(torch.from_numpy(session.run(None, {name: x.numpy()})[0]), model(x)))
    return Outcome(path.name, max(errors), batch=batch, compared=_batches(sizes))


def _batches(sizes: tuple[int, ...]) -> str:
    return f"batch {' and '.join(map(str, sizes))}"
