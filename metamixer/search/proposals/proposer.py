"""Proposing sentences: draw, name, cost, and refuse before anything is built.

Samplers do not look at the record itself but at an in-memory Optuna study that holds its proposals alone. Baselines
and replicates have no parameters, and one such trial would leave samplers without any parameter in common.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial

from metamixer.errors import LanguageError
from metamixer.record import Trial
from metamixer.search import samplers
from metamixer.search.configuration import Limits
from metamixer.search.seeds import derived
from metamixer.search.storage.trial_store import Parameters

if TYPE_CHECKING:
    from metamixer.language import Sentence, Space
    from metamixer.language.syntax.nodes import Node
    from metamixer.tasks import Task

# Refusals in a row after which the sampler is passed over and the prior is drawn from, and after which a space counts
# as used up.
SAMPLER_REFUSALS = 24
PRIOR_REFUSALS = 1000


@dataclass(frozen=True)
class Costed:
    """A sentence as a task's whole network: its key and its cost."""

    sentence: str
    key: str
    cost: dict[str, int]


@dataclass(frozen=True)
class Proposal:
    """A drawn sentence: to be trained when `reason` is None, otherwise refused."""

    sentence: str
    choices: dict[str, int | str]
    parameters: Parameters
    costed: Costed | None
    reason: str | None = None
    duplicate_of: int | None = None


def costed(sentence: Sentence, task: Task) -> Costed:
    """Key and cost of a sentence with the task's head, on the task's shapes.

    Raises:
        LanguageError: It does not fit them.
    """
    from metamixer.cost import cost

    network = task.network(sentence)
    found = cost(network, channels=task.channels, grid=task.grid)
    return Costed(
        sentence=str(sentence),
        key=network.key(channels=task.channels, grid=task.grid),
        cost={name: int(getattr(found, name)) for name in ("macs", "params", "elementwise", "activations")},
    )


def over(cost: dict[str, int], limits: Limits) -> str | None:
    """Which limit a cost exceeds, in words."""
    for name, most in limits.model_dump().items():
        if most is not None and cost[name] > most:
            return f"over the limit: {cost[name]:,} {name}, at most {most:,}"
    return None


@lru_cache(maxsize=2048)  # searches on a table meet the same ones again and again
def _node(sentence: str) -> Node:
    from metamixer.language import parse

    return parse(sentence).node


class Proposer:
    """Draws the proposals of one study; each is a function of (study seed, row number, record).

    Args:
        space: What is drawn from.
        task: Gives the shapes and the head.
        limits: What is refused.
        sampler: Its name.
        startup: Finished trials before the sampler takes over.
        seed: The study's.
        price: Key and cost of a drawn sentence; a simulation looks them up.
        reference: Accuracy and flops beyond which the hypervolume counts nothing.
        repeats: An architecture that is known is not refused.
        parts: Of the sampler `known-cost`.
        per_second: It goes by what is gained in a second, not in a training.

    Attributes:
        last: The sampler's stand-in of the last proposal; `last.seen` are the parameters it sampled jointly.
    """

    def __init__(
        self,
        space: Space,
        task: Task,
        limits: Limits,
        sampler: str,
        startup: int,
        seed: int,
        price: Callable[[Sentence, Task], Costed] = costed,
        reference: tuple[float, float] | None = None,
        repeats: bool = False,
        parts: samplers.Parts | None = None,
        per_second: bool = False,
    ) -> None:
        self.space = space
        self.task = task
        self.limits = limits
        self.sampler = sampler
        self.startup = startup
        self.seed = seed
        self.price = price
        self.repeats = repeats
        self.last: samplers.Repairing | None = None
        self._numbers: dict[int, int] = {}
        self._study = optuna.create_study(directions=["maximize", "minimize"])
        self._own: samplers.Sentences | None = None
        if sampler in samplers.OWN:
            parts = replace(parts or samplers.Parts(), unseen=not repeats)
            self._own = samplers.Sentences(sampler, startup, self._drawn, _node, reference, parts, per_second)

    def propose(
        self,
        number: int,
        known: dict[str, int],
        prior: bool = False,
        given: Mapping[str, int | str] | None = None,
    ) -> Proposal:
        """Draw the proposal of row `number`.

        Args:
            number: The row it would have.
            known: Keys of architectures that were trained or are being trained, with their rows.
            prior: Leave the sampler out.
            given: A derivation that is proposed, whatever the sampler would.
        """
        seed = derived(self.seed, "proposal", number)
        rng = random.Random(seed)
        asked = self._own is not None and not prior and given is None
        joint, own = self._own.propose(known, rng) if self._own is not None and asked else ({}, {})
        inner = None if prior else self._sampler(seed)
        repairing = samplers.Repairing(inner, rng, joint if given is None else given)
        self.last = self._study.sampler = repairing
        # A draw from the prior needs no trial, whose making looks at all that there are.
        trial = None if inner is None and not joint else self._study.ask()

        taken: dict[str, int | str] = {}
        domains: dict[str, BaseDistribution] = {}

        def choose(name: str, choice: samplers.Choice) -> int | str:
            if name in taken:
                # A draw that turned out impossible is taken back and made again; Optuna keeps its first value.
                taken[name] = choice.repair(taken[name])
                return taken[name]
            repairing.choice = choice
            domain = domains[name] = samplers.distribution(choice)
            if trial is None:
                taken[name] = choice.draw(rng) if given is None else given[name]
            elif isinstance(domain, IntDistribution):
                taken[name] = trial.suggest_int(name, domain.low, domain.high, step=domain.step)
            else:
                taken[name] = cast("int | str", trial.suggest_categorical(name, choice.domain))
            return taken[name]

        sentence, priced, reason, duplicate = "", None, None, None
        try:
            drawn = self.space.draw(rng, channels=self.task.channels, grid=self.task.grid, choose=choose)
            taken = dict(drawn.choices)
            sentence = str(drawn.sentence)
            priced = self.price(drawn.sentence, self.task)
        except LanguageError as error:
            reason = f"ill-typed: {error.message}"
        else:
            duplicate = None if self.repeats else known.get(priced.key)
            reason = over(priced.cost, self.limits)
            if duplicate is not None:
                reason = f"duplicate of {duplicate}"
        # This trial was a way to run the sampler. What comes of it is added by `add`, once it stands in the record.
        attributes = {} if trial is None else self._study.tell(trial, state=TrialState.FAIL).system_attrs
        notes = {key: value for key, value in attributes.items() if key.endswith(":generation")} | own
        return Proposal(
            sentence=sentence,
            choices=taken,
            parameters=Parameters(dict(taken), {name: domains[name] for name in taken}, notes),
            costed=priced,
            reason=reason,
            duplicate_of=duplicate,
        )

    def add(self, row: Trial, parameters: Parameters) -> None:
        """Let the sampler see a row that stands in the record: refused, running or finished."""
        state = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}.get(
            row.state, TrialState.RUNNING
        )
        if self._own is not None:
            self._own.see(row)
        if self._own is not None or self.sampler == "random":
            return
        self._numbers[row.number] = len(self._study.get_trials(deepcopy=False))
        self._study.add_trial(
            create_trial(
                state=state,
                values=row.values,
                params=parameters.values,
                distributions=parameters.distributions,
                system_attrs=parameters.notes,
            )
        )

    def tell(self, row: Trial) -> None:
        """Let the sampler see how a row that it saw running ended."""
        if self._own is not None:
            self._own.see(row)
        if self._own is not None or self.sampler == "random":
            return
        number = self._numbers[row.number]
        if row.values is not None:
            self._study.tell(number, row.values)
        else:
            # A trial that was stopped early has no value here: what it had at a rung is not what it had ended at.
            self._study.tell(number, state=TrialState.PRUNED if row.stopped else TrialState.FAIL)

    def beside(self, row: Trial) -> None:
        """Let the sampler see a baseline or a replicate: ours learn from them, Optuna's could not."""
        if self._own is not None:
            self._own.see(row)

    def recommend(self, replicates: bool = True) -> list[int] | None:
        """Numbers of the rows that the sampler holds for the front; None if it has no view of its own.

        Args:
            replicates: Whether further seeds count, or the first of each alone.
        """
        return None if self._own is None else self._own.recommend(replicates)

    def _drawn(self, choose: Callable[[str, samplers.Choice], int | str]) -> samplers.Drawn | None:
        """A sentence of the space from answers to its choices; None if it is over a limit."""
        drawn = self.space.draw(random.Random(0), channels=self.task.channels, grid=self.task.grid, choose=choose)
        priced = self.price(drawn.sentence, self.task)
        if over(priced.cost, self.limits) is not None:
            return None
        return drawn.sentence.node, dict(drawn.choices), priced.key, priced.cost

    def _sampler(self, seed: int) -> BaseSampler | None:
        if self._own is not None:
            return None
        if self.sampler == "random":
            return samplers.make(self.sampler, seed, self.startup)
        finished = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        # NSGA-II counts its first generation itself, and draws it from the prior as well.
        if len(finished) < self.startup and self.sampler != "nsga2":
            return None
        return samplers.make(self.sampler, seed, self.startup)
