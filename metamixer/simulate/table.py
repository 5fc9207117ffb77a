"""Recorded tables: architectures that were all trained, several seeds each, with their curves and times.

A table is one file of JSON lines, compressed with xz. The first line says what was recorded: `name`, `format`, `task`
(name, channels, grid, classes), `training` (the recipe), `limits`, `space`, `reference_point`, `fingerprints`,
`versions`, and `domains`, all alternatives of every choice by name. Every other line is one architecture:

    key        its canonical key
    sentence   without the task's head
    choices    its derivation, in the order in which the choices are met
    cost       macs, params, elementwise, activations of one input, head included
    seeds      for each training its seed, and its curve: lists of train_loss, train_accuracy, validation_loss,
               validation_accuracy after each epoch, and seconds since its start (processor time where it is known)
"""

from __future__ import annotations

import json
import lzma
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from metamixer import files, record
from metamixer.errors import RecordError
from metamixer.record import Trial
from metamixer.record.trial import RECIPE
from metamixer.tasks import Task

FORMAT = 1
COLUMNS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds")
Value = int | str


@dataclass(frozen=True)
class Training:
    """One recorded training: its seed, and the columns of its curve by name, one value an epoch."""

    seed: int
    curve: dict[str, list[float]]

    @property
    def accuracy(self) -> float:
        """On validation, after the last epoch."""
        return self.curve["validation_accuracy"][-1]

    @property
    def seconds(self) -> float:
        return self.curve["seconds"][-1]

    def rows(self) -> list[dict[str, Any]]:
        """The curve as `metamixer.training.evaluate` reports it, one row an epoch."""
        columns = zip(*(self.curve[name] for name in COLUMNS), strict=True)
        return [{"epoch": i, **dict(zip(COLUMNS, row, strict=True))} for i, row in enumerate(columns, start=1)]


@dataclass(frozen=True)
class Entry:
    """One architecture of a table."""

    key: str
    sentence: str
    choices: dict[str, Value]
    cost: dict[str, int]
    trainings: tuple[Training, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations for one input: 2 x multiply-accumulates."""
        return 2 * self.cost["macs"]

    @property
    def accuracy(self) -> float:
        """Mean over its seeds."""
        return statistics.fmean(training.accuracy for training in self.trainings)


@dataclass(frozen=True)
class Table:
    """Recorded architectures, and what was recorded of their study, see the module."""

    header: dict[str, Any]
    entries: tuple[Entry, ...] = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.header["name"])

    @property
    def epochs(self) -> int:
        """Epochs of a full training."""
        return len(self.entries[0].trainings[0].curve["seconds"])

    @property
    def seeds(self) -> int:
        """Trainings of every architecture, at least."""
        return min(len(entry.trainings) for entry in self.entries)

    @cached_property
    def task(self) -> Task:
        """The task that was recorded, without its data."""
        task = self.header["task"]
        return Task(task["name"], task["channels"], tuple(task["grid"]), task["classes"], "recorded", _no_data)

    @cached_property
    def by_key(self) -> dict[str, Entry]:
        return {entry.key: entry for entry in self.entries}

    @cached_property
    def by_sentence(self) -> dict[str, Entry]:
        return {entry.sentence: entry for entry in self.entries}


def _no_data() -> Any:
    raise NotImplementedError("a recorded task is not trained again")


def write(table: Table, path: str | Path) -> None:
    """Write a table.

    Raises:
        ResourceError: The file cannot be written.
    """
    lines = [{**table.header, "format": FORMAT}]
    for entry in table.entries:
        seeds = [{"seed": training.seed, **training.curve} for training in entry.trainings]
        lines.append(
            {
                "key": entry.key,
                "sentence": entry.sentence,
                "choices": entry.choices,
                "cost": entry.cost,
                "seeds": seeds,
            }
        )
    text = "".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines)
    files.write(path, lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))


def read(path: str | Path) -> Table:
    """Read a table, or the JSON file of NAS-Bench-Macro.

    Raises:
        RecordError: It is neither.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read the table: {error.strerror}", str(path)) from None
    try:
        if not content.startswith(b"\xfd7zXZ"):
            return nas_bench_macro(json.loads(content))
        lines = [json.loads(line) for line in lzma.decompress(content).splitlines()]
        if lines[0]["format"] != FORMAT:
            raise RecordError(f"the table has format {lines[0]['format']}, not {FORMAT}", str(path))
        return Table(lines[0], tuple(_entry(line) for line in lines[1:]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, lzma.LZMAError):
        raise RecordError(
            "this is no recorded table", str(path), "metamixer table RUN FILE writes one; NAS-Bench-Macro is its JSON"
        ) from None


def _entry(line: dict[str, Any]) -> Entry:
    trainings = tuple(Training(seed.pop("seed"), seed) for seed in line["seeds"])
    return Entry(line["key"], line["sentence"], line["choices"], line["cost"], trainings)


def from_run(path: str | Path) -> Table:
    """The table of a run whose searched architectures were trained on several seeds (`study.seeds`).

    Architectures whose seeds are not all there and complete are left out.

    Raises:
        RecordError: There is no record, or no such architecture in it.
    """
    settings = record.settings(path)
    trials = record.read(path)
    recipes = {name for trial in trials for name in trial.choices if name.startswith(RECIPE)}
    if recipes:
        raise RecordError(
            f"its recipe was searched ({', '.join(sorted(recipes))}), and a table has one recipe",
            str(path),
            "record a table from a study whose [training] has no alternatives",
        )
    seeds, epochs = settings["study"].get("seeds", 1), settings["training"]["epochs"]
    more: dict[int | None, list[Trial]] = {}
    for trial in trials:
        if trial.kind == "replicate" and trial.state == "complete":
            more.setdefault(trial.replicate_of, []).append(trial)
    entries = []
    for trial in trials:
        trained = [trial, *sorted(more.get(trial.number, []), key=lambda r: r.seed_index)][:seeds]
        whole = all(len(r.curve) == epochs for r in trained)
        if (
            trial.kind == "searched"
            and trial.state == "complete"
            and trial.key
            and trial.cost
            and len(trained) == seeds
            and whole
        ):
            entries.append(Entry(trial.key, trial.sentence, trial.choices, trial.cost, tuple(map(_training, trained))))
    if not entries:
        raise RecordError(
            f"no searched architecture has all of its {seeds} seeds",
            str(path),
            "search with study.seeds=3, which trains each of them so often",
        )
    kept = ("task", "training", "limits", "space", "reference_point", "fingerprints", "versions")
    header = {"name": settings["study"]["name"], **{key: settings[key] for key in kept}}
    return Table({**header, "domains": _domains(path, entries)}, tuple(entries))


def _training(trial: Trial) -> Training:
    # Walls fall with what else the machine does; processor time does not, and is what an idle one would take.
    share = trial.cpu_seconds / trial.seconds if trial.cpu_seconds and trial.seconds else 1.0
    digits = dict.fromkeys(COLUMNS, 4) | {"seconds": 2}
    curve = {
        name: [round(epoch[name] * (share if name == "seconds" else 1), digits[name]) for epoch in trial.curve]
        for name in COLUMNS
    }
    return Training(trial.seed or 0, curve)


def _domains(path: str | Path, entries: Iterable[Entry]) -> dict[str, list[Value]]:
    """All alternatives of the choices that these architectures met, as Optuna was told them."""
    import optuna
    from optuna.distributions import IntDistribution

    file = Path(path) / "study.db" if Path(path).is_dir() else Path(path)
    wanted = {name for entry in entries for name in entry.choices}
    domains: dict[str, list[Value]] = {}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for trial in optuna.load_study(study_name=None, storage=f"sqlite:///{file}").get_trials(deepcopy=False):
        for name, found in trial.distributions.items():
            if name in wanted and name not in domains:
                if isinstance(found, IntDistribution):
                    domains[name] = list(range(found.low, found.high + 1, found.step or 1))
                else:
                    domains[name] = list(found.choices)  # type: ignore[attr-defined]
    return domains


# NAS-Bench-Macro (Su et al., CVPR 2021): what each layer may be, told in this language for models that look at
# sentences (a MobileNetV2 block by its kernel and its expansion); costs and accuracies are the table's own.
BLOCKS = {"0": "x", "1": "dw(3) >> ffn(3)", "2": "dw(5) >> ffn(6)"}
STAGES = (2, 3, 3)


def nas_bench_macro(document: dict[str, Any]) -> Table:
    """The table in NAS-Bench-Macro's JSON: one entry for each distinct network, 3 seeds, one epoch, a second each.

    Codes that differ only in where the identities of a stage stand are one network (the first layer of a stage is
    fixed); its canonical code has them at the end, and is taken.
    """
    entries = []
    for code, row in sorted(document.items()):
        if code != canonical(code):
            continue
        curves = [{key: [0.0] for key in COLUMNS} for _ in row["test_acc"]]
        trainings = tuple(
            Training(i, {**curve, "validation_accuracy": [accuracy / 100], "seconds": [1.0]})
            for i, (curve, accuracy) in enumerate(zip(curves, row["test_acc"], strict=True))
        )
        cost = {"macs": int(row["flops"]), "params": int(row["params"]), "elementwise": 0, "activations": 0}
        choices: dict[str, Value] = {f"layer{i}": layer for i, layer in enumerate(code)}
        entries.append(Entry(code, _blocks(code), choices, cost, trainings))
    most = max(entry.flops for entry in entries)
    header = {
        "name": "nas-bench-macro",
        "task": {"name": "nas-bench-macro", "channels": 3, "grid": [32, 32], "classes": 10},
        "training": {"epochs": 1},
        "limits": {},
        "reference_point": [0.1, float(most)],
        "domains": {f"layer{i}": ["0", "1", "2"] for i in range(sum(STAGES))},
    }
    return Table(header, tuple(entries))


def _blocks(code: str) -> str:
    parts, start = [], 0
    for stage, length in enumerate(STAGES):
        layers = code[start : start + length]
        parts += [f"down(2,{32 << stage})", BLOCKS[layers[0]], *(BLOCKS[layer] for layer in layers[1:] if layer != "0")]
        start += length
    return " >> ".join(parts)


def canonical(code: str) -> str:
    """A code of NAS-Bench-Macro with the identities of each stage at its end."""
    found, start = "", 0
    for length in STAGES:
        first, rest = code[start], code[start + 1 : start + length]
        found += first + rest.replace("0", "") + "0" * rest.count("0")
        start += length
    return found
