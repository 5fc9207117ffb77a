"""Weights of a run: where they lie, and which are kept."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

from metamixer.record import Trial
from metamixer.search.configuration import Keep
from metamixer.search.driver.state import SearchState


class Weights:
    """The folder `weights` of a run.

    Args:
        folder: The run's.
        keep: `front` (and baselines), `all`, or `none`, as a study says it.
    """

    def __init__(self, folder: Path, keep: Keep) -> None:
        self.folder = folder / "weights"
        self.keep = keep

    def of(self, number: int) -> Path:
        """Where those of a trial lie."""
        return self.folder / f"{number}.safetensors"

    def tidy(self, trials: list[Trial], state: SearchState, unseeded: AbstractSet[int], final: bool) -> None:
        """Delete those of what is dominated whatever the seeds that are still to come will say.

        Args:
            trials: The record's.
            state: Their aggregates.
            unseeded: Architectures that are still to be trained with further seeds.
            final: Whether the study is complete: what a trial left unfinished goes too.
        """
        if self.keep == "all" or not self.folder.is_dir():
            return
        moving = {*unseeded, *(trial.replicate_of for trial in state.open.values() if trial.replicate_of is not None)}
        baselines = set(state.baselines.values())
        kept = {*state.front, *baselines}
        moving -= baselines
        if moving:
            kept |= {*moving, *state.front_without(moving)}
        for file in self.folder.iterdir():
            name = file.name.lstrip(".").partition(".")[0]
            unfinished = file.name.startswith(".")
            if not name.isdigit() or ".safetensors" not in file.name:
                continue
            number = int(name)
            trial = trials[number] if number < len(trials) else None
            wanted = number in state.open or (trial is not None and (number in kept or trial.replicate_of in kept))
            if not wanted or (final and unfinished):
                file.unlink(missing_ok=True)
