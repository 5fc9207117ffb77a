"""A file of weights as a classifier of images, by timm's conventions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer.errors import LanguageError, RecordError, UserError
from metamixer.language import parse
from metamixer.language.syntax.nodes import size, word
from metamixer.loading.address import is_address, weights_file

if TYPE_CHECKING:
    from metamixer.compile.features import Features
    from metamixer.compile.model import Model

__all__ = ["is_address", "load"]


def load(
    address: str | Path,
    num_classes: int | None = None,
    in_chans: int | None = None,
    drop_path_rate: float = 0.0,
    features_only: bool = False,
    out_indices: Sequence[int] | int | None = None,
    runs: str | Path = "runs",
) -> Model | Features:
    """The trained network at an address: images ``(B, in_chans, *grid)`` -> logits ``(B, num_classes)``, float32.

        net = metamixer.load("runs/digits#41")  # or #best, #knee, a folder with model.safetensors, the file
        net.pretrained_cfg["mean"], net.pretrained_cfg["label_names"]

    Images are normalised as ``pretrained_cfg`` says: ``(x - mean) / std``, with x in 0..1 where the task's images are
    bytes, and as the task has them elsewhere. The network is in evaluation mode. Nothing is unpickled: weights are
    numbers, and a sentence is data.

    Args:
        address: see ``metamixer.loading.address.weights_file``.
        num_classes: another number than that of the weights gives a fresh classifier; 0 for none.
        in_chans: only the number that the weights have is possible.
        drop_path_rate: stochastic depth while training.
        features_only: as ``metamixer.create_model`` has it.
        out_indices: of ``features_only``, likewise.
        runs: The folder that holds runs named without theirs.

    Raises:
        ResourceError: there is no such run or file.
        RecordError: the weights were not kept, cannot be read, are of another version, or do not fit their sentence.
        UserError: a number makes no sense.
    """
    from metamixer.compile.features import Features
    from metamixer.training import weights

    if out_indices is not None and not features_only:
        raise UserError("out_indices belongs to features_only", None, "write features_only=True too")
    file = weights_file(address, runs)
    metadata = weights.metadata_of(file)
    weights.check(metadata, file)
    model = _model(metadata, file, drop_path_rate)
    if in_chans is not None and in_chans != model.in_chans:
        raise UserError(
            f"in_chans={in_chans!r}: these weights are for {model.in_chans} channels", str(file), "leave it out"
        )
    if num_classes is not None and num_classes != model.num_classes:
        model.reset_classifier(num_classes)
        model.pretrained_cfg["num_classes"] = model.num_classes
        model.pretrained_cfg["label_names"] = None
    model.eval()
    return Features(model, out_indices).eval() if features_only else model


def _model(metadata: Mapping[str, str], file: Path, drop_path_rate: float) -> Model:
    """The network of a file's sentence, with its weights.

    It is read into the network with its head, as it was trained, and put from there into the classifier: its first
    stages are the same phrases, and its last linear layer is the classifier.
    """
    import torch

    from metamixer.compile.model import Model
    from metamixer.compile.modules import Network
    from metamixer.compile.names import load_tensors, named_tensors
    from metamixer.training import weights

    channels, grid, classes, cfg = _about(metadata, file)
    count = len(classes) if isinstance(classes, list) else classes
    try:
        sentence = parse(metadata["sentence"])
        headed = sentence.then(word("mean"), word("lin", size(count)))
        key = headed.key(channels, grid)
        trained = Network(headed.typed(channels, grid))
        model = Model(sentence, channels, grid, count, drop_path_rate, cfg)
    except LanguageError as error:
        raise RecordError(
            f"the sentence of these weights cannot be built here: {error.message}",
            f"{file}\n{metadata['sentence']}",
            "install the package that has its words, or use the version of metamixer that wrote it "
            f"({metadata.get('metamixer', 'unknown')})",
        ) from error
    if metadata.get("key") not in (None, key):
        raise RecordError(
            "the sentence of these weights is not the one that was trained: its key is another",
            f"{file}\n{metadata['sentence']}",
            "the metadata was changed, or words mean something else in this version of metamixer; "
            f"it was written by {metadata.get('metamixer', 'an unknown one')}",
        )
    load_tensors(trained, weights.tensors_of(file), str(file))
    values = named_tensors(trained)
    last = f"lin_{len(trained.typed.kids) - 1}"
    head = {name: values.pop(f"{last}.{name}") for name in ("weight", "bias")}
    load_tensors(model.network, values, str(file))
    with torch.no_grad():
        for name, value in head.items():
            model.classifier.get_parameter(name).copy_(value)
    return model


def _about(metadata: Mapping[str, str], file: Path) -> tuple[int, tuple[int, ...], int | list[str], dict[str, Any]]:
    """Channels, grid and classes of a file's network, and what timm keeps about it.

    Raises:
        RecordError: the metadata is not what metamixer writes.
    """
    try:
        given = json.loads(metadata["input"])
        channels, grid = int(given["channels"]), tuple(int(length) for length in given["grid"])
        classes = json.loads(metadata["classes"])
        mean, std = (json.loads(metadata.get(name, "null")) for name in ("mean", "std"))
        texts = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
        well_formed = texts or (isinstance(classes, int) and classes > 0)
        numbers = all(v is None or (isinstance(v, list) and len(v) == channels) for v in (mean, std))
        if not well_formed or not numbers:
            raise ValueError("classes, mean or std")
    except (KeyError, ValueError, TypeError) as error:
        raise RecordError(
            f"the metadata of these weights is not whole: {error}", str(file), "name a file that metamixer wrote"
        ) from None
    names = classes if isinstance(classes, list) else None
    cfg = {
        "architecture": metadata["sentence"],
        "url": "",
        "file": str(file),
        "num_classes": len(names) if names else classes,
        "input_size": (channels, *grid),
        "mean": tuple(mean or [0.0] * channels),
        "std": tuple(std or [1.0] * channels),
        "label_names": names,
        "classifier": "classifier",
        "pool_size": None,
        "interpolation": "bicubic",
    }
    return channels, grid, classes, cfg
