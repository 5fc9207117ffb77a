"""Which trial of a study runs next: baselines, seeds of what was searched, the search, replicates of the front.

Everything that this depends on is in the record, so a driver that starts again goes on where the one before was.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from typing import Any

from metamixer.record import Trial, front
from metamixer.record.trial import RECIPE, identity
from metamixer.search.configuration import StudyConfig
from metamixer.search.driver.history import History
from metamixer.search.driver.timing import Timing
from metamixer.search.proposals.initial_points import InitialPoint, proposed
from metamixer.search.proposals.proposer import PRIOR_REFUSALS, SAMPLER_REFUSALS, Costed, Proposal, Proposer
from metamixer.search.seeds import derived
from metamixer.search.storage.trial_store import Parameters, running


class Schedule:
    """The phases of one study.

    Args:
        config: The study.
        history: Its trials; those to be run are added to it here.
        proposer: Draws what to train.
        timing: How long the study has run.
        baselines: Name and costed sentence of each baseline.
        starts: What is proposed before the proposer is asked, as far as the record has it not.
        say: Called with a line about what happened, for people.

    Attributes:
        baselines: Those that are trained: not the ones that are initial points, or were found by the search before.
        exhausted: The space has no more architectures to offer than were trained.
    """

    def __init__(
        self,
        config: StudyConfig,
        history: History,
        proposer: Proposer,
        timing: Timing,
        baselines: Mapping[str, Costed],
        starts: Sequence[InitialPoint],
        say: Callable[[str], None],
    ) -> None:
        self.exhausted = False
        self._config = config
        self._history = history
        self._proposer = proposer
        self._timing = timing
        self._say = say
        self._first_recipe = {RECIPE + key: values[0] for key, values in config.searched.items()}
        self._retries: deque[int] = deque()
        self._missing_seeds: list[tuple[int, int]] = []
        self._recommended: list[int] | None = None
        there = proposed(history.trials)
        self._starts = deque(start for start in starts if start.name not in there)
        for number in range(len(history.trials)):
            trial = history.adopt(number)
            timing.add(trial)
            self.ended(trial)
            if not trial.finished:
                self.retry(number)
        self.baselines = self._without_searched(baselines)

    def _without_searched(self, baselines: Mapping[str, Costed]) -> dict[str, Costed]:
        kept = {}
        initial = {identity(start.costed.key, start.choices): start.name for start in self._starts}
        for name, costed in baselines.items():
            same = identity(costed.key, self._first_recipe)
            number = self._history.known.get(same or "")
            if number is None and same in initial:
                self._say(f"baseline {name} is the initial point {initial[same]}; it is trained once, as that")
            elif number is not None and self._history.trials[number].searched:
                self._say(f"baseline {name} is the searched architecture {number}; it is not trained again")
            else:
                kept[name] = costed
        return kept

    # -- what is asked

    def next_trial(self) -> Trial | None:
        """The trial to run now; None where results are awaited on which it depends, and at the end of the study."""
        if self._retries:
            return self._history.trials[self._retries.popleft()]
        return self._next_baseline() or self._next_seed() or self._next_proposal() or self._next_replicate()

    @property
    def spent(self) -> float:
        """How much of the budget is gone, in its unit."""
        state = self._history.state
        epochs = state.spent_epochs(self._config.training.epochs)
        return self._config.budget.spent(state.kinds["searched"], epochs, self._timing.seconds / 3600)

    @property
    def search_is_over(self) -> bool:
        """Whether nothing more is proposed."""
        return self.exhausted or not self._config.budget.allows(self.spent, self._config.training.epochs)

    @property
    def awaiting_seeds(self) -> set[int]:
        """Architectures that are still to be trained with further seeds."""
        return {number for number, _ in self._missing_seeds}

    # -- what is told

    def retry(self, number: int) -> None:
        """A trial that is open in the record is to be run again, before all others."""
        self._retries.append(number)

    def ended(self, trial: Trial) -> None:
        """A trial of the history has ended: it may ask for further seeds."""
        if trial.kind == "searched" and trial.state == "complete":
            for seed_index in range(1, self._config.study.seeds):
                heappush(self._missing_seeds, (trial.number, seed_index))

    # -- the phases

    def _next_baseline(self) -> Trial | None:
        for name, costed in self.baselines.items():
            if name not in self._history.state.baselines:
                return self._add(costed, kind="baseline", name=name, choices=self._first_recipe)
        return None

    def _next_seed(self) -> Trial | None:
        """A searched architecture that has not all of its seeds yet."""
        while self._missing_seeds:
            number, seed_index = heappop(self._missing_seeds)
            if seed_index not in self._history.state.replicates(number):
                return self._replicate(number, seed_index)
        return None

    def _next_proposal(self) -> Trial | None:
        if self.search_is_over:
            return None
        known, trials = self._history.known, self._history.trials
        while self._starts:
            start = self._starts.popleft()
            proposal = self._proposer.propose(len(trials), known, given=start.choices)
            trial = self._proposed(proposal, name=start.name)
            if trial is not None:
                return trial
        for attempt in range(SAMPLER_REFUSALS + PRIOR_REFUSALS):
            trial = self._proposed(self._proposer.propose(len(trials), known, prior=attempt >= SAMPLER_REFUSALS))
            if trial is not None:
                return trial
        self.exhausted = True
        self._say(
            f"the space seems used up: {PRIOR_REFUSALS} draws in a row were known, over a limit or ill-typed;"
            f" the search ends with {self._history.state.kinds['searched']} architectures;"
            f" the budget was {self._config.budget}"
        )
        return None

    def _proposed(self, proposal: Proposal, name: str | None = None) -> Trial | None:
        """The trial of a proposal; one that is refused stands in the record, and None is returned."""
        if proposal.reason is None and proposal.costed is not None:
            return self._add(
                proposal.costed,
                kind="searched",
                choices=proposal.choices,
                parameters=proposal.parameters,
                name=name,
                origin=proposal.origin,
                parents=proposal.parents,
            )
        refused = Trial(
            number=len(self._history.trials),
            state="pruned",
            kind="rejected",
            reason=proposal.reason,
            sentence=proposal.sentence,
            key=proposal.costed.key if proposal.costed else None,
            cost=proposal.costed.cost if proposal.costed else None,
            choices=proposal.choices,
            duplicate_of=proposal.duplicate_of,
            name=name,
            origin=proposal.origin,
            parents=proposal.parents,
            started=self._timing.clock.time(),
            clock=self._timing.seconds,
        )
        self._history.add(refused, proposal.parameters)
        return None

    def _next_replicate(self) -> Trial | None:
        state, trials, confirm = self._history.state, self._history.trials, self._config.study.confirm
        # Baselines are repeated in any case: they fill the workers while the last searched ones finish.
        for number in sorted(state.baselines.values()):
            if trials[number].state == "complete":
                for seed_index in range(1, confirm):
                    if seed_index not in state.replicates(number):
                        return self._replicate(number, seed_index)
        if any(trial.kind == "searched" for trial in state.open.values()):
            return None
        if self._recommended is None and confirm > 1:
            # By first seeds alone: what replicates say later must not change which ones are asked for.
            self._recommended = self._proposer.recommend(replicates=False) or []
        for number, seed_index in front.unconfirmed(trials, confirm, self._recommended or ()):
            return self._replicate(number, seed_index)
        return None

    def _replicate(self, number: int, seed_index: int) -> Trial:
        trial = self._history.trials[number]
        costed = Costed(trial.sentence, trial.key or "", trial.cost or {})
        return self._add(
            costed,
            kind="replicate",
            replicate_of=number,
            seed_index=seed_index,
            name=trial.name,
            batch=trial.batch,
            choices={RECIPE + key: value for key, value in trial.recipe.items()},
        )

    def _add(
        self,
        costed: Costed,
        kind: str,
        parameters: Parameters | None = None,
        replicate_of: int | None = None,
        seed_index: int = 0,
        **more: Any,
    ) -> Trial:
        first = len(self._history.trials) if replicate_of is None else replicate_of
        trial = replace(
            running(
                costed.sentence,
                costed.key,
                costed.cost,
                kind=kind,
                replicate_of=replicate_of,
                seed_index=seed_index,
                **more,
            ),
            seed=derived(self._config.study.seed, "training", first, seed_index),
            started=self._timing.clock.time(),
            clock=self._timing.seconds,
        )
        return self._history.add(trial, parameters)
