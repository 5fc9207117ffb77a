"""TensorBoard: `tensorboard --logdir runs/NAME/tensorboard`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metamixer.record import Trial
from metamixer.search.callbacks import numbers


class TensorBoard:
    """A log for every trial, `trial_N`, with its learning curve by epoch and its sentence.

    The folder's own log has accuracy, MFLOPs and parameters by trial. It is written anew from the record whenever a
    driver starts, so a kill leaves nothing half or twice.
    """

    def __init__(self) -> None:
        from tensorboardX import SummaryWriter  # it imports torch where that is installed

        self._writer = SummaryWriter

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        self._folder = run / "tensorboard"
        shutil.rmtree(self._folder, ignore_errors=True)
        self._all = self._writer(str(self._folder))

    def ended(self, trial: Trial) -> None:
        if trial.kind == "rejected":
            return
        with self._writer(str(self._folder / f"trial_{trial.number}")) as log:
            for epoch in trial.curve:
                for name, value in epoch.items():
                    if name != "epoch":
                        log.add_scalar(name, value, int(epoch["epoch"]))
            log.add_text("sentence", f"    {trial.sentence}")
        for name, value in numbers(trial).items():
            self._all.add_scalar(f"trials/{name}", value, trial.number)
        self._all.flush()

    def close(self) -> None:
        self._all.close()
