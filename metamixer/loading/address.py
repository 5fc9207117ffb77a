"""Which file of weights is meant: by a trial of a run, the best or the knee of its front, a folder, or the file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from metamixer import resources
from metamixer.errors import RecordError, ResourceError
from metamixer.record import front
from metamixer.record import reading as record
from metamixer.record.front import Point
from metamixer.record.trial import Trial

FILE = "model.safetensors"


def is_address(name: str) -> bool:
    """Whether a text means weights, and no entry of the catalogue."""
    return "#" in name or name.endswith(".safetensors") or "/" in name


def weights_file(address: str | Path, runs: str | Path = "runs") -> Path:
    """The file of weights that an address means.

    Args:
        address: `RUN#41`, `RUN#best` (the most accurate of the front), `RUN#knee` (the one farthest above the straight
            line between the ends of the front, accuracy over the logarithm of FLOPs), a folder with
            `model.safetensors`, or a file. A trial that was retrained means its retrained weights.
        runs: The folder that holds runs named without theirs.

    Raises:
        ResourceError: There is no such run, folder or file.
        RecordError: The run has no such trial, or its weights were not kept.
    """
    text = str(address)
    run, mark, which = text.rpartition("#")
    if mark and not Path(text).exists():
        place = resources.record(run, runs)
        trials = record.read(place)
        trial = chosen(trials, which, run)
        folder = place.parent if place.is_file() else place
        return folder / str(holder(trials, trial, run).weights)
    path = Path(text).expanduser()
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise ResourceError(
            f"no weights at {text}",
            str(file),
            f"name a trial of a run (RUN#41, RUN#best, RUN#knee), a folder with {FILE}, or such a file",
        )
    return file


def knee(points: Sequence[Point]) -> Point:
    """The point farthest above the line between the ends of a front, accuracy over the logarithm of FLOPs.

    Args:
        points: The front, by rising FLOPs; not empty.
    """
    first, last = points[0], points[-1]
    width = math.log(max(last.flops, 1)) - math.log(max(first.flops, 1))

    def above(point: Point) -> float:
        share = (math.log(max(point.flops, 1)) - math.log(max(first.flops, 1))) / width if width else 0.0
        return point.accuracy - (first.accuracy + share * (last.accuracy - first.accuracy))

    return max(points, key=above)


def chosen(trials: Sequence[Trial], which: str, run: str) -> Trial:
    """The trial that a number, `best` or `knee` means.

    Raises:
        RecordError: There is none.
    """
    if which in ("best", "knee"):
        points = sorted((p for p in front.summary(trials) if p.on_front), key=lambda p: p.flops)
        if not points:
            raise RecordError("the run has no front yet: no trial is complete", run, "let it search first")
        point = knee(points) if which == "knee" else max(points, key=lambda p: p.accuracy)
        return trials[point.number]
    if not (which.isascii() and which.isdigit() and int(which) < len(trials)):
        there = f"it has trials 0 to {len(trials) - 1}" if trials else "it has no trials yet"
        raise RecordError(f"the run has no trial {which!r}: {there}", run, "name its number, best, or knee")
    return trials[int(which)]


def holder(trials: Sequence[Trial], trial: Trial, run: str) -> Trial:
    """Whose weights stand for a trial: those of it retrained; else its own; else those of another seed of it.

    Raises:
        RecordError: None were kept.
    """
    others = [other for other in trials if other.replicate_of == trial.number]
    retrained = [other for other in trials if other.retrains == trial.number and other.state == "complete"]
    # Of the recipe used last the first seed: the best on the test part would be chosen by the test part.
    retrained = sorted(
        (one for one in retrained if one.training == retrained[-1].training), key=lambda one: one.seed_index
    )
    for one in (*retrained, trial, *others):
        if one.weights is not None:
            return one
    raise RecordError(
        f"the weights of trial {trial.number} were not kept",
        run,
        "weights are kept of the front and of baselines, or as study.keep says (none, front, all); "
        f"metamixer retrain '{run}#{trial.number}' trains it and keeps them",
    )
