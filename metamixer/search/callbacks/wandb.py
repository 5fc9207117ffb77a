"""Weights & Biases: one run for a study, one step for a trial; without a network with `WANDB_MODE=offline`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metamixer.record import Trial
from metamixer.search.callbacks import numbers


class WandB:
    """Logs accuracy, loss, MFLOPs, parameters, curve and sentence of every trial as it ends; `trial` is its number.

    The run's id is the study's name. Online the run is resumed, and its summary says which trials it has; offline it is
    written anew from the record.
    """

    def __init__(self) -> None:
        import wandb

        self._wandb = wandb

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        name = str(settings["study"]["name"])
        if os.environ.get("WANDB_MODE") == "offline":
            for old in (run / "wandb").glob(f"offline-run-*-{name}"):
                shutil.rmtree(old)
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "metamixer"),
            id=name,
            name=name,
            dir=str(run),
            config=dict(settings),
            resume="allow",
            settings=self._wandb.Settings(silent=True),
        )
        self._run.define_metric("*", step_metric="trial")
        self._there = set(self._run.summary.get("trials") or ())

    def ended(self, trial: Trial) -> None:
        if trial.kind == "rejected" or trial.number in self._there:
            return
        names = [name for name in (trial.curve[0] if trial.curve else ()) if name != "epoch"]
        curve = {f"curve/{name}": [epoch.get(name) for epoch in trial.curve] for name in names}
        about = {"trial": trial.number, "kind": trial.kind, "state": trial.state, "sentence": trial.sentence}
        self._run.log({**about, **numbers(trial), **curve})
        self._there.add(trial.number)
        self._run.summary["trials"] = sorted(self._there)

    def close(self) -> None:
        self._run.finish()
