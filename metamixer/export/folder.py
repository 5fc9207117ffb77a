"""The folder of an exported network: which files, what is checked, what is said where one cannot be written."""

from __future__ import annotations

import json
import shutil
import types
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from metamixer import files
from metamixer.compile.fuse import fuse
from metamixer.compile.modules import Network
from metamixer.cost import cost
from metamixer.errors import ResourceError, UserError
from metamixer.export.card import card
from metamixer.export.lowering import BATCHES, OnImages, Outcome, deviation, exported, images, write_onnx, write_pt2
from metamixer.export.source import Source, source
from metamixer.language import Sentence

SCHEME = 1  # of the names of the tensors in model.safetensors
WRITTEN = (
    "config.json",
    "model.safetensors",
    "model.py",
    "model.pt2",
    "model.onnx",
    "fused",
    "parity.json",
    "README.md",
)
OPSET = 20


@dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
        title: how it was named: a trial, an entry of the catalogue, a sentence.
        sentence: the whole network, with its head.
        trained: whether the network holds trained weights.
        origin: data, recipe, seed, accuracy, place on the front: whatever is known, for config.json and the card.
    """

    title: str
    sentence: Sentence
    trained: bool = False
    origin: Mapping[str, Any] = field(default_factory=dict)


def export(net: Network, subject: Subject, folder: Path, force: bool = False, opset: int = OPSET) -> list[Outcome]:
    """Write a network's folder.

    Args:
        net: Of `subject`'s sentence; it is put into evaluation mode.
        subject: See above.
        folder: Made if it is not there.
        force: Replace an earlier export in a folder that is not empty; files of other names are left alone.
        opset: The operator set of ONNX.

    Returns:
        One outcome a file, those that could not be written too.

    Raises:
        UserError: the folder is not empty, or the network takes further inputs.
    """
    if net.typed.further:
        raise UserError(
            "a network with further inputs cannot be exported", subject.title, "write a sentence without ctx"
        )
    _prepare(folder, force)
    net.eval()
    model = OnImages(net)
    outcomes = [Outcome("config.json")]
    written = _attempt("model.py", lambda: _source(net, folder, outcomes))
    if isinstance(written, Outcome):
        outcomes.append(written)
        _save(net.state_dict(), folder / "model.safetensors", outcomes)
    program = _attempt("model.pt2", lambda: exported(model))
    if isinstance(program, Outcome):
        outcomes += [program, Outcome("model.onnx", problem="torch.export refuses the network", advice=program.advice)]
    else:
        made, batch = program
        outcomes.append(_outcome("model.pt2", lambda: write_pt2(made, batch, model, folder / "model.pt2")))
        outcomes.append(_outcome("model.onnx", lambda: write_onnx(made, batch, model, folder / "model.onnx", opset)))
    outcomes.append(_outcome("fused/model.safetensors", lambda: _fused(net, model, folder / "fused")))
    config = _config(net, subject, None if isinstance(written, Outcome) else written)
    files.write(folder / "config.json", json.dumps(config, indent=1) + "\n")
    parity = {
        "measure": "max|y - reference| / max|reference|, the network in evaluation mode, float32",
        "torch": str(torch.__version__),
        "files": {outcome.file: {k: v for k, v in asdict(outcome).items() if k != "file" and v not in (None, "")}
                  for outcome in outcomes},
    }  # fmt: skip
    files.write(folder / "parity.json", json.dumps(parity, indent=1) + "\n")
    files.write(folder / "README.md", card(subject.title, config, outcomes))
    return [*outcomes, Outcome("parity.json"), Outcome("README.md")]


def _prepare(folder: Path, force: bool) -> None:
    if folder.exists() and not folder.is_dir():
        raise ResourceError(f"{folder} is a file", None, "name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        if not force:
            raise UserError(f"the folder {folder} is not empty", None, "name another, or give --force")
        for name in WRITTEN:  # what an earlier export left must not stand beside what this one cannot write
            path = folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"the folder cannot be made: {error}", str(folder), "name another") from error


def _attempt(file: str, make: Callable[[], Any]) -> Any:
    """What is made, or the outcome that says why it is not."""
    try:
        return make()
    except UserError as error:
        return Outcome(file, problem=" ".join(filter(None, (error.message, error.place))), advice=error.advice or "")
    except ImportError as error:
        return Outcome(file, problem=f"{error.name} is not installed", advice="pip install 'metamixer[export]'")
    except Exception as error:  # torch.export and the exporter of ONNX raise errors of all classes
        first = str(error).strip().split("\n")[0][:200]
        advice = "use one of the other files" if file != "model.onnx" else "use model.pt2, or another --opset"
        return Outcome(file, problem=f"{type(error).__name__}: {first}", advice=advice)


def _outcome(file: str, make: Callable[[], Outcome]) -> Outcome:
    made = _attempt(file, make)
    assert isinstance(made, Outcome)
    return made


def _source(net: Network, folder: Path, outcomes: list[Outcome]) -> Source:
    """model.py and the weights by its names, run and compared before they are written.

    Raises:
        UserError: there is no source, or it computes something else.
    """
    made = source(net)
    model, state = instance(made)
    with torch.no_grad():
        error = max(deviation(model(x), OnImages(net)(x)) for x in (images(net, n, n) for n in BATCHES))
    if not error < 1e-5:
        raise UserError(f"the source disagrees with the network by {error:.1e}", None, "this is a defect: report it")
    files.write(folder / "model.py", made.text)
    _save(state, folder / "model.safetensors", outcomes)
    outcomes.append(Outcome("model.py", error, batch="dynamic", compared="batch 1 and 7"))
    return made


def instance(made: Source) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """The module that source makes, in evaluation mode and with the network's numbers, and its state."""
    space = types.ModuleType("model")
    exec(compile(made.text, "model.py", "exec"), space.__dict__)  # our own text
    model: torch.nn.Module = space.Model()
    state = {name: held.value() for name, held in made.tensors.items()}
    counts = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict(state | counts, strict=True)
    return model.eval(), state | counts


def _save(state: Mapping[str, torch.Tensor], path: Path, outcomes: list[Outcome]) -> None:
    from safetensors.torch import save

    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in state.items()}
    files.write(path, save(tensors, metadata={"format": "pt", "scheme": str(SCHEME)}))
    outcomes.append(Outcome(path.name))


def _fused(net: Network, model: OnImages, folder: Path) -> Outcome:
    """The network after re-parameterisation, for inference: its sentence and weights."""
    fused = fuse(net)
    with torch.no_grad():
        error = max(deviation(OnImages(fused)(x), model(x)) for x in (images(net, n, n) for n in BATCHES))
    outcomes: list[Outcome] = []
    _save(fused.state_dict(), folder / "model.safetensors", outcomes)
    counted = cost(fused.typed.text, net.typed.x.channels, net.typed.x.grid)
    config = {"sentence": fused.typed.text, "cost": {"macs": counted.macs, "params": counted.params}}
    files.write(folder / "config.json", json.dumps(config, indent=1) + "\n")
    return Outcome("fused/model.safetensors", error, batch="dynamic", compared="batch 1 and 7")


def _config(net: Network, subject: Subject, made: Source | None) -> dict[str, Any]:
    from metamixer import __version__

    x, out = net.typed.x, net.typed.out
    counted = cost(subject.sentence, x.channels, x.grid)
    names = {tensor.data_ptr(): name for name, tensor in net.state_dict(keep_vars=True).items()}
    held = {} if made is None else made.tensors
    return {
        "metamixer": __version__,
        "scheme": SCHEME,
        "names": "model.py" if made is not None else "metamixer.build",
        "sentence": str(subject.sentence),
        "input": {"channels": x.channels, "grid": list(x.grid), "layout": "NCHW"},
        "output": {"channels": out.channels, "tokens": out.tokens},
        "trained": subject.trained,
        "cost": {"macs": counted.macs, "params": counted.params},
        "origin": dict(subject.origin),
        "tensors": {
            name: {"of": names.get(h.tensor.data_ptr(), ""), "transposed": h.transposed} for name, h in held.items()
        },
    }
