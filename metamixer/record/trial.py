"""One trial of a record: what is stored of it, whatever the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metamixer.record import checked

RECIPE = "training."  # how names of choices begin that are of the recipe, not of the architecture
FORMAT = 2  # the names of the fields of a trial, and of the kinds
STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "running"}


@dataclass(frozen=True)
class Trial:
    """One trial of the record.

    `kind` is `searched` (counts against the budget), `rejected` (a proposal refused before training), `baseline`,
    `replicate`, `retrained`, or `imported` (trained by the study this one started from; `source` says its run and
    number there).
    A trial that is `retrained` trained the trial `retrains` again, on training and validation part together and by
    `training` (with what the search chose for the recipe of `retrains`); it has no `accuracy`, but `test`: `accuracy`,
    `loss` and `images` of the test part.
    `state` is `complete`, `pruned`, `failed` or `running`. A `searched` trial that is `pruned` was stopped early: its
    fidelity is `epochs`, what it had reached is in its `curve`, and its `accuracy` is None. `cost` holds macs, params,
    elementwise, activations for one input. `replicate_of` is the number of the trial that a replicate repeats with
    another seed, `seed_index` its place among the seeds of that architecture, from 0. `name` is a baseline's in the
    catalogue, or an initial point's as the study names it. `accuracy` is validation accuracy in 0..1, `loss` validation
    loss, `seconds` the trial's wall time, `cpu_seconds` its processor time, `started` seconds since 1970 (UTC), `clock`
    the seconds that drivers had run, in all their lives, when the trial was written last. `batch` is the batch size it
    was trained with where that is not the recipe's, for lack of memory. `origin` says how what was proposed was made:
    `prior` (drawn), `model` (by a sampler's model of all trials), `mutation`, `crossover`, `initial point` (named by
    the study), or a word of a sampler's own; `parents` are the numbers of the trials that it was made of. `weights` is
    a path relative to the record's folder, None when it was not kept.
    """

    number: int
    state: str
    kind: str
    reason: str | None = None
    sentence: str = ""
    key: str | None = None
    choices: dict[str, int | str] = field(default_factory=dict)
    cost: dict[str, int] | None = None
    accuracy: float | None = None
    loss: float | None = None
    curve: list[dict[str, Any]] = field(default_factory=list)
    seed: int | None = None
    seed_index: int = 0
    replicate_of: int | None = None
    name: str | None = None
    source: str | None = None
    batch: int | None = None
    duplicate_of: int | None = None
    attempts: int = 1
    seconds: float | None = None
    cpu_seconds: float | None = None
    started: float | None = None
    clock: float | None = None
    worker: str | None = None
    device: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    traceback: str | None = None
    weights: str | None = None
    epochs: int | None = None
    origin: str | None = None
    parents: tuple[int, ...] = ()
    retrains: int | None = None
    test: dict[str, float] | None = None
    training: dict[str, Any] | None = None

    @property
    def identity(self) -> str | None:
        """Equal for equal architectures under equal recipes; the key alone where no recipe was chosen."""
        return identity(self.key, self.choices)

    @property
    def recipe(self) -> dict[str, int | str]:
        """What was chosen for the recipe, by key of `[training]`; empty where none is searched."""
        return {name.removeprefix(RECIPE): value for name, value in self.choices.items() if name.startswith(RECIPE)}

    @property
    def flops(self) -> int:
        """Floating-point operations for one input: 2 x multiply-accumulates."""
        return 2 * self.cost["macs"] if self.cost else 0

    @property
    def values(self) -> list[float] | None:
        """What Optuna is told: accuracy (of one that is retrained, on the test part) and FLOPs, if complete."""
        accuracy = self.test["accuracy"] if self.test is not None else self.accuracy
        return [accuracy, float(self.flops)] if self.state == "complete" and accuracy is not None else None

    @property
    def finished(self) -> bool:
        return self.state != "running"

    @property
    def stopped(self) -> bool:
        """Whether its training was ended early, so that it has no value of full fidelity."""
        return self.searched and self.state == "pruned"

    @property
    def searched(self) -> bool:
        """Whether it is the first training of an architecture of the search, here or in an earlier study."""
        return self.kind in ("searched", "imported")


def identity(key: str | None, choices: Mapping[str, int | str]) -> str | None:
    """A key, and what was chosen for the recipe."""
    recipe = {name: value for name, value in choices.items() if name.startswith(RECIPE)}
    return key if key is None or not recipe else f"{key} {json.dumps(recipe, sort_keys=True)}"


FIELDS = tuple(name for name in Trial.__dataclass_fields__ if name not in ("number", "state"))


def to_trial(number: int, state: str, document: dict[str, Any] | None) -> Trial:
    """A trial from its JSON document; a trial without one was cut off while it was written, or is somebody else's.

    Raises:
        ValueError: The document is none of a trial.
    """
    if document is None:
        return Trial(number, state, "rejected", reason="the trial was not written completely")
    checked.trial(number, document)
    fields = {name: document[name] for name in FIELDS if name in document}
    return Trial(number, state, **{**fields, "parents": tuple(fields.get("parents", ()))})
