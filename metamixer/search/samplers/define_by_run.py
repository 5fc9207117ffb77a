"""What our samplers have in common in plain Optuna: whole configurations from what the study's trials asked for."""

from __future__ import annotations

import random
import warnings
from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from metamixer.search.samplers.core.features import Tree
from metamixer.search.samplers.core.observations import Observation
from metamixer.search.samplers.core.optimizer import Optimizer
from metamixer.search.samplers.core.variation import Candidate
from metamixer.search.samplers.inferred_space import InferredSpace
from metamixer.search.samplers.single_thread import in_one_thread
from metamixer.search.seeds import derived

NOTE = "derivation"  # system attribute of a trial: what its proposal was, depended on, and why it was made
# Values that no trial had are tried: among parameters that half of the trials asked for every second trial at first,
# later those of a quarter every fourth.
EARLY, OFTEN_EARLY, OFTEN = 12, (0.5, 2), (0.25, 4)
Known = Mapping[int, Callable[[dict[str, Any]], float]]


class DerivationSampler(BaseSampler):
    """Proposes whole configurations, conditional parameters included, in any define-by-run study.

    Names, domains and conditions are those that the study's trials have shown, see
    `metamixer.search.samplers.inferred_space`. So: the first trial is random; a name never seen is drawn at random when
    it is asked; functions of the parameters may be called with a set of names that the objective would not ask for,
    until a trial has shown better; what an alternative asks for is learned by trying it once, so some early trials try
    values that none had. Parameters that were tried, in whatever state, are not proposed again while others
    are found. One sampler serves one study.

    A proposal is a function of seed, trial number and the trials that were finished or running then. Which ones ran is
    in the trial's system attribute `derivation`; `replay` proposes from them again.
    """

    def __init__(
        self,
        known: Known | None,
        seed: int | None,
        key: Callable[[dict[str, Any]], Hashable] | None,
        tree: Callable[[dict[str, Any]], Tree] | None,
        legal: Callable[[dict[str, Any]], bool] | None,
    ) -> None:
        self.known = dict(known or {})
        self.seed = random.SystemRandom().randrange(2**31) if seed is None else seed
        self.key, self.tree, self.legal = key, tree, legal
        self._optimizer: Optimizer | None = None
        self._joint: dict[int, dict[str, Any]] = {}
        self._candidates: dict[int, Candidate | None] = {}

    @abstractmethod
    def _make(self, signs: Sequence[int]) -> Optimizer:
        """An optimizer for objectives to be minimised (1) and maximised (-1)."""

    def reseed_rng(self) -> None:
        """Nothing: what is drawn depends on the seed and the trial's number."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        trials = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]
        proposed, note, space = self._propose(study.directions, trials, trial.number)
        self._joint = {trial.number: proposed}
        if proposed:
            study._storage.set_trial_system_attr(trial._trial_id, NOTE, note)
        return {name: space.distributions[name] for name in proposed}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._joint.pop(trial.number, {})

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        sampler = RandomSampler(seed=derived(self.seed, trial.number, param_name, bits=32))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def replay(self, study: Study, number: int) -> dict[str, Any]:
        """What was proposed for a trial, worked out again from the trials that had finished and were running then."""
        trials = study.get_trials(deepcopy=False)
        note = trials[number].system_attrs.get(NOTE)
        if note is None:
            return {}
        running = set(note["running"])
        earlier = [_running(trial) if trial.number in running else trial for trial in trials[:number]]
        self._candidates = {n: c for n, c in self._candidates.items() if n not in running}
        return self._propose(study.directions, earlier, number)[0]

    def recommend(self, study: Study) -> list[FrozenTrial]:
        """The front of the finished trials, as the sampler sees it; of several alike the first stands for them."""
        trials = study.get_trials(deepcopy=False)
        observations, firsts = self._observations(self._space(study.directions, trials), trials, study.directions)
        return [firsts[i] for i in in_one_thread(self._ready(study.directions).recommend)(observations)]

    # -- one proposal

    def _propose(
        self, directions: Sequence[StudyDirection], trials: Sequence[FrozenTrial], number: int
    ) -> tuple[dict[str, Any], dict[str, Any], InferredSpace]:
        """Parameters, empty where none were found, with what is noted of them, and the space they are from."""
        space = self._space(directions, trials)
        if not space.distributions:
            return {}, {}, space
        rng = random.Random(derived(self.seed, number, bits=32))
        observations, _ = self._observations(space, trials, directions)
        running = [trial for trial in trials if trial.state == TrialState.RUNNING]
        numbers = {"running": [trial.number for trial in running]}
        often = OFTEN_EARLY if len(observations) < EARLY else OFTEN
        untried = space.untried(rng, often[0]) if number > 2 and number % often[1] == 1 else None
        if untried is not None:
            lineage = {"origin": "untried value", "parents": []}
            return untried, {"source": "untried value", "proposed": untried, **lineage, **numbers}, space
        pending = {c.key: c for c in (self._candidate(space, trial) for trial in running) if c is not None}
        keys = {c.key for c in (self._candidate(space, trial) for trial in trials) if c is not None}
        evaluated = {item.candidate.key for item in observations}
        chosen, reasons = in_one_thread(self._ready(directions).propose)(
            observations,
            [candidate for key, candidate in pending.items() if key not in evaluated],
            keys.__contains__,
            space,
            rng,
        )
        if chosen is None:
            return {}, {}, space
        proposed = dict(chosen.choices)
        lineage = {"origin": chosen.origin, "parents": list(chosen.parents)}
        return proposed, {**reasons, "proposed": proposed, **lineage, **numbers}, space

    def _ready(self, directions: Sequence[StudyDirection]) -> Optimizer:
        if self._optimizer is None or self._optimizer.objectives != len(directions):
            self._optimizer = self._make(_signs(directions))
        return self._optimizer

    def _space(self, directions: Sequence[StudyDirection], trials: Sequence[FrozenTrial]) -> InferredSpace:
        if not set(self.known) <= set(range(len(directions))):
            raise ValueError(f"known names objectives {sorted(self.known)}, the study has {len(directions)}")
        if len(self.known) == len(directions):
            raise ValueError("every objective is known: there is nothing to learn from trials")
        return InferredSpace(trials, self.known, _signs(directions), self.key, self.tree, self.legal)

    def _candidate(self, space: InferredSpace, trial: FrozenTrial) -> Candidate | None:
        """What a trial evaluates; for one that runs, what was proposed and not yet asked for counts as asked."""
        if trial.number in self._candidates:
            return self._candidates[trial.number]
        params = trial.params
        if trial.state == TrialState.RUNNING:
            params = {**trial.system_attrs.get(NOTE, {}).get("proposed", {}), **params}
        candidate = None
        if params:
            try:
                candidate = space.candidate(params, trial.number)
            except KeyError:  # a trial that was cut off, or of another version of the objective
                candidate = None
        if trial.state.is_finished():
            self._candidates[trial.number] = candidate
        return candidate

    def _observations(
        self, space: InferredSpace, trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
    ) -> tuple[list[Observation], list[FrozenTrial]]:
        """One observation an architecture, with its first trial."""
        signs = np.array(_signs(directions))
        groups: dict[Hashable, tuple[Candidate, FrozenTrial, list[np.ndarray]]] = {}
        for trial in trials:
            candidate = self._candidate(space, trial) if trial.state == TrialState.COMPLETE else None
            if candidate is None:
                continue
            values = signs * np.array(trial.values, dtype=float)
            for i, exact in candidate.known.items():
                if not np.isclose(values[i], exact, rtol=1e-6, atol=0):
                    warnings.warn(
                        f"objective {i} of trial {trial.number} was told as {trial.values[i]}, but known[{i}] says"
                        f" {signs[i] * exact}: the sampler goes by known[{i}]",
                        stacklevel=2,
                    )
            groups.setdefault(candidate.key, (candidate, trial, []))[2].append(values)
        observations = [
            Observation(
                candidate,
                tuple(np.mean(values, axis=0).tolist()),
                len(values),
                tuple(np.var(values, axis=0, ddof=1).tolist()) if len(values) > 1 else (),
                seconds=None if trial.duration is None else trial.duration.total_seconds(),
            )
            for candidate, trial, values in groups.values()
        ]
        return observations, [trial for _, trial, _ in groups.values()]


def _running(trial: FrozenTrial) -> FrozenTrial:
    """A finished trial as it was while it ran."""
    before = create_trial(
        state=TrialState.RUNNING,
        params=trial.params,
        distributions=trial.distributions,
        system_attrs=trial.system_attrs,
    )
    before.number = trial.number
    return before


def _signs(directions: Sequence[StudyDirection]) -> list[int]:
    return [-1 if direction == StudyDirection.MAXIMIZE else 1 for direction in directions]
