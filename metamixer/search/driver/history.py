"""The trials of a study: what is written to the store is counted, and shown to the proposer, at once."""

from __future__ import annotations

from typing import Any, Protocol

from metamixer.record import Trial
from metamixer.search.driver import results
from metamixer.search.driver.state import SearchState
from metamixer.search.proposals.proposer import Proposer
from metamixer.search.storage.trial_store import Parameters


class Store(Protocol):
    """Where trials are kept, see `metamixer.search.storage.trial_store.TrialStore`."""

    trials: list[Trial]
    settings: dict[str, Any]
    clean: bool

    def parameters(self, number: int) -> Parameters: ...
    def add(self, trial: Trial, parameters: Parameters | None = None) -> Trial: ...
    def finish(self, trial: Trial) -> None: ...
    def rewrite(self, trial: Trial) -> None: ...


class History:
    """The store, the aggregates and the proposer of one study, which always hold the same trials.

    Args:
        store: The record, open.
        proposer: Is shown every trial.

    Attributes:
        state: Aggregates of the trials.
        known: Numbers of the architectures that were trained or are being trained, by key, and by recipe where that is
            searched.
    """

    def __init__(self, store: Store, proposer: Proposer) -> None:
        self.state = SearchState()
        self.known: dict[str, int] = {}
        self._store = store
        self._proposer = proposer

    @property
    def trials(self) -> list[Trial]:
        """All trials, by number."""
        return self._store.trials

    @property
    def settings(self) -> dict[str, Any]:
        """What the record was started with."""
        return self._store.settings

    def adopt(self, number: int) -> Trial:
        """Take in a trial that the record had when the driver began.

        One that was running is ended in the record if it cannot be run again; else it is returned as it was.
        """
        trial = self._store.trials[number]
        if (trial.searched or trial.kind == "baseline") and trial.key:
            self.known[trial.identity or ""] = number
        if not trial.finished:
            trial = self._take_up(trial)
        self.state.put(trial)
        if trial.kind != "retrained":  # the test part is nothing that a search may learn from
            self._proposer.observe(trial, self._store.parameters(number))
        return trial

    def _take_up(self, trial: Trial) -> Trial:
        """What was running when the driver before ended, as it is from now on."""
        taken_up = results.found_running(trial, self._store.clean)
        if taken_up.finished:
            self._store.finish(taken_up)
        elif taken_up != trial:
            self._store.rewrite(taken_up)
        return taken_up

    def add(self, trial: Trial, parameters: Parameters | None = None) -> Trial:
        """Append a trial, with the parameters of a proposal; returns it with its number."""
        trial = self._store.add(trial, parameters)
        self.state.put(trial)
        if parameters is not None:
            self._proposer.observe(trial, parameters)
        if not trial.finished and trial.replicate_of is None:
            self.known[trial.identity or ""] = trial.number
        return trial

    def rewrite(self, trial: Trial) -> None:
        """Replace what is written of a trial that is still running."""
        self._store.rewrite(trial)

    def finish(self, trial: Trial) -> None:
        """Write how a running trial ended."""
        self._store.finish(trial)
        self.state.put(trial)
        self._proposer.observe(trial)
