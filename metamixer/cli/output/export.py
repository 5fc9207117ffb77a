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
from metamixer.errors import RecordError, UserError
from metamixer.export import Subject
from metamixer.export import export as write
from metamixer.language import parse
from metamixer.record.run import Run, load
from metamixer.record.trial import Trial
from metamixer.training import weights


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
    named = re.fullmatch(r"([^#()<>]+)#(\d+)", text)
    if named is not None:
        return _trial(named[1], int(named[2]), runs)
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


def _trial(name: str, number: int, runs: Path) -> tuple[Subject, nn.Module]:
    record = resources.record(name, runs)
    read = load(record)
    trial = next((row for row in read.trials if row.number == number), None)
    if trial is None:
        have = f"it has trials 0 to {read.trials[-1].number}" if read.trials else "it has no trials yet"
        raise RecordError(f"the run has no trial {number}", str(record), have)
    if trial.weights is None:
        why = trial.reason or f"it is {trial.state}, and the run kept none for it"
        raise RecordError(
            f"trial {number} of {name} has no weights", why, "search with --set study.keep=all, under another --name"
        )
    channels, grid = read.input
    sentence = parse(read.network(trial.sentence))
    net = build(sentence, channels=channels, grid=grid)
    weights.load(net, (read.path / trial.weights))
    return Subject(f"{name}, trial {number}", sentence, True, _origin(read, trial)), net


def _origin(read: Run, trial: Trial) -> dict[str, Any]:
    """What the record says of a trial."""
    task: dict[str, Any] = read.settings["task"]
    front = [point.number for point in read.front]
    place = f"{front.index(trial.number) + 1} of {len(front)} by FLOPs" if trial.number in front else "not on the front"
    known = {
        "data": task.get("name"),
        "classes": task["classes"],
        "class_names": task.get("class_names"),
        "mean": task.get("mean"),
        "std": task.get("std"),
        "recipe": read.settings.get("training"),
        "seed": trial.seed,
        "epochs": trial.epochs or len(trial.curve) or None,
        "validation_accuracy": trial.accuracy,
        "front": place,
        "versions": trial.versions,
    }
    return {key: value for key, value in known.items() if value is not None}
