"""A run as its report sees it: the record's trials, the points of its front, and what to say about them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from metamixer.record import front
from metamixer.record import reading as record
from metamixer.record.front import Point
from metamixer.record.trial import Trial


@dataclass(frozen=True)
class Run:
    """One run, read once.

    Attributes:
        path: the run's folder.
        settings: see ``metamixer.record.reading.settings``.
        trials: all trials of the record, by number.
        points: one for each architecture that finished training, see ``metamixer.record.front.summary``.
    """

    path: Path
    settings: dict[str, Any]
    trials: list[Trial]
    points: list[Point]

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def front(self) -> list[Point]:
        """The searched architectures that no other dominates, by rising FLOPs."""
        return sorted((p for p in self.points if p.on_front), key=lambda p: p.flops)

    @property
    def dominated(self) -> list[Point]:
        """The other searched architectures."""
        return [p for p in self.points if p.kind == "searched" and not p.on_front]

    @property
    def baselines(self) -> list[Point]:
        """Published designs under the same training, by rising FLOPs."""
        return sorted((p for p in self.points if p.kind == "baseline"), key=lambda p: p.flops)

    @property
    def failed(self) -> list[Trial]:
        """Trials whose training failed."""
        return [trial for trial in self.trials if trial.state == "failed"]

    @property
    def stopped(self) -> list[Trial]:
        """Trials whose training was stopped early: they have a curve, and no value of full fidelity."""
        return [trial for trial in self.trials if trial.stopped]

    @property
    def earlier(self) -> list[Trial]:
        """Trials taken over from an earlier run."""
        return [trial for trial in self.trials if trial.kind == "imported"]

    @property
    def reasons(self) -> list[tuple[str, str, int]]:
        """(failed, stopped or refused; reason; how many) of trials without a final value, the most frequent first."""
        lost = [trial for trial in self.trials if trial.state in ("failed", "pruned")]
        what = {"failed": "failed", "pruned": "refused"}
        counted = Counter(("stopped" if trial.stopped else what[trial.state], reason(trial)) for trial in lost)
        return [(state, why, n) for (state, why), n in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]

    @property
    def references(self) -> dict[str, float]:
        """Accuracy of reference classifiers on the same images, by name."""
        return dict(self.settings.get("references") or {})

    def seeds(self, number: int) -> list[Trial]:
        """The trial that trained an architecture first, then its finished replicates."""
        more = [
            trial
            for trial in self.trials
            if trial.kind == "replicate" and trial.replicate_of == number and trial.state == "complete"
        ]
        return [self.trials[number], *sorted(more, key=lambda trial: trial.seed_index)]

    def network(self, sentence: str) -> str:
        """The full network that was trained and counted: the sentence with the task's head."""
        # Parentheses end the body of a leading let, which would otherwise reach over the head.
        return f"({sentence}) >> mean >> lin({self.settings['task']['classes']})"

    @property
    def input(self) -> tuple[int, tuple[int, ...]]:
        """Channels and grid of one input."""
        task = self.settings["task"]
        return int(task["channels"]), tuple(task["grid"])


def reason(trial: Trial) -> str:
    """Why a trial failed or was refused, without what differs from trial to trial."""
    why = trial.reason or "no reason recorded"
    return "duplicate of a trained architecture" if trial.duplicate_of is not None else why.split("\n")[0]


def load(path: str | Path) -> Run:
    """Read a run.

    Args:
        path: the run's folder, or its ``study.db``.

    Raises:
        RecordError: there is no record, or it cannot be read.
    """
    path = Path(path)
    folder = path.parent if path.is_file() else path
    trials = record.read(path)
    return Run(folder.resolve(), record.settings(path), trials, front.summary(trials))
