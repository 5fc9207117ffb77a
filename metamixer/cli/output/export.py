"""What `metamixer export` reads and prints."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metamixer import resources
from metamixer.catalog.entries import entries
from metamixer.compile import build
from metamixer.compile.modules import Network
from metamixer.errors import UserError
from metamixer.export import Subject
from metamixer.export import export as write
from metamixer.language import parse
from metamixer.loading import address
from metamixer.record.retrained import tested
from metamixer.record.run import Run, load
from metamixer.record.trial import Trial
from metamixer.training import weights
from metamixer.training.searched import chosen


def run(
    text: str, folder: Path, channels: int | None, grid: tuple[int, ...] | None, opset: int, seed: int, force: bool,
    runs: Path, as_json: bool,
) -> int:  # fmt: skip
    """Export what ``text`` names.

    Returns:
        0; 1 when a file could not be written.
    """
    subject, net = found(text, channels, grid, seed, runs)
    assert isinstance(net, Network)  # as build makes it
    outcomes = write(net, subject, folder, force, opset)
    problems = [outcome for outcome in outcomes if outcome.problem]
    if as_json:
        print(json.dumps({"folder": str(folder), "files": [asdict(outcome) for outcome in outcomes]}, indent=1))
        return int(bool(problems))
    for outcome in outcomes:
        if outcome.problem:
            continue
        said = "" if outcome.error is None else f"relative error {outcome.error:.1e} ({outcome.compared})"
        batch = f"; batch {outcome.batch}" if outcome.batch else ""
        print(f"{outcome.file:<24} {said}{batch}".rstrip())
    for outcome in problems:
        print(f"{outcome.file:<24} not written: {outcome.problem}")
        if outcome.advice:
            print(f"{'':<24} {outcome.advice}")
    print(f"folder: {folder}")
    return int(bool(problems))


def found(
    text: str, channels: int | None, grid: tuple[int, ...] | None, seed: int, runs: Path
) -> tuple[Subject, nn.Module]:
    """What is named, and its network: a trial with its kept weights; an entry or a sentence with random ones.

    Raises:
        RecordError, ResourceError: no such run or trial, or it kept no weights.
        UserError: a sentence without its input.
    """
    named = re.fullmatch(r"([^#()<>]+)#(\d+|best|knee)", text)
    if named is not None:
        return _trial(named[1], named[2], runs)
    torch.manual_seed(seed)
    if text in entries():
        entry = entries()[text]
        size = grid or entry.grid
        net = build(entry.network, channels=channels or entry.channels, grid=size)
        origin = {"catalogue": entry.name, "source": entry.source, "seed": seed}
        return Subject(entry.name, entry.network, False, origin), net
    if channels is None or grid is None:
        if re.fullmatch(r"\w+", text):
            raise UserError(
                f"{text} is no entry of the catalogue", None, "metamixer catalog lists them; RUN#N is a trial"
            )
        raise UserError("nothing says what the sentence's input is", None, "give --channels 3 --grid 32x32")
    sentence = parse(text)
    return Subject("A metamixer network", sentence, False, {"seed": seed}), build(
        sentence, channels=channels, grid=grid
    )


def _trial(name: str, which: str, runs: Path) -> tuple[Subject, nn.Module]:
    """A trial, by number or as the best or the knee of the front, with its weights; retrained ones where there are."""
    read = load(resources.record(name, runs))
    trial = address.chosen(read.trials, which, name)
    holder = address.holder(read.trials, trial, name)
    channels, grid = read.input
    sentence = parse(read.network(trial.sentence))
    net = build(sentence, channels=channels, grid=grid)
    weights.load(net, read.path / str(holder.weights))
    return Subject(f"{name}, trial {trial.number}", sentence, True, _origin(read, trial, holder)), net


def _origin(read: Run, trial: Trial, holder: Trial) -> dict[str, Any]:
    """What the record says of a trial, and of the training whose weights are exported."""
    task: dict[str, Any] = read.settings["task"]
    front = [point.number for point in read.front]
    place = f"{front.index(trial.number) + 1} of {len(front)} by FLOPs" if trial.number in front else "not on the front"
    known = {
        "data": task.get("name"),
        "classes": task["classes"],
        "class_names": task.get("class_names"),
        "mean": task.get("mean"),
        "std": task.get("std"),
        "recipe": holder.training or {**read.settings.get("training", {}), **chosen(trial.choices)},
        "seed": holder.seed,
        "epochs": holder.epochs or len(holder.curve) or None,
        "validation_accuracy": trial.accuracy,
        "front": place,
        "versions": holder.versions,
    }
    test = tested(read.trials).get(trial.number)
    if test is not None:
        known["test_accuracy"] = test.accuracy
        known["test"] = {
            "images": test.images,
            "interval": f"{test.interval[0]:.4f} to {test.interval[1]:.4f} (95 %, Wilson)",
            "seeds": len(test.accuracies),
            "deviation": "none" if test.deviation is None else f"{test.deviation:.4f}",
        }
    return {key: value for key, value in known.items() if value is not None}
