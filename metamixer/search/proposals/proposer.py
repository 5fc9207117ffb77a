"""Proposing sentences: draw, name, cost, and refuse before anything is built."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from metamixer.errors import LanguageError
from metamixer.record import Trial
from metamixer.record.trial import RECIPE, identity
from metamixer.search.configuration import Limits
from metamixer.search.samplers import registry
from metamixer.search.samplers.optuna_samplers import distribution
from metamixer.search.samplers.protocol import INITIAL_POINT, PRIOR, Parts, Replaying, Sample, Setup, Suggestion
from metamixer.search.seeds import derived
from metamixer.search.storage.trial_store import Parameters

if TYPE_CHECKING:
    from metamixer.language import Sentence, Space
    from metamixer.language.spaces.choice import Choice, Choose, Value
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
    """A drawn sentence: to be trained when `reason` is None, otherwise refused.

    Attributes:
        sentence: As it was drawn.
        choices: Its derivation.
        parameters: What Optuna's tables hold of it.
        costed: Its key and cost; None if it is ill-typed.
        reason: Why it is refused.
        duplicate_of: Number of the trial that has the same architecture.
        origin: How it was made, see `metamixer.record.Trial`.
        parents: Numbers of the trials that it was made of.
    """

    sentence: str
    choices: dict[str, int | str]
    parameters: Parameters
    costed: Costed | None
    reason: str | None = None
    duplicate_of: int | None = None
    origin: str = PRIOR
    parents: tuple[int, ...] = ()


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


def over(cost: Mapping[str, int], limits: Limits) -> str | None:
    """Which limit a cost exceeds, in words."""
    for name, most in limits.model_dump().items():
        if most is not None and cost[name] > most:
            return f"over the limit: {cost[name]:,} {name}, at most {most:,}"
    return None


def recipe_choices(searched: Mapping[str, Sequence[Value]]) -> dict[str, Choice]:
    """Choices of a recipe by name: its alternatives are as probable as one another."""
    from metamixer.language.spaces.choice import Choice

    return {
        RECIPE + key: Choice(tuple(values), tuple(values), (1.0,) * len(values)) for key, values in searched.items()
    }


@dataclass(frozen=True)
class TaskSpace:
    """A space on a task, under limits; see `metamixer.search.samplers.protocol.SampleSpace`.

    Attributes:
        space: What is drawn from.
        task: Gives the shapes and the head.
        limits: What is refused.
        price: Key and cost of a drawn sentence; a simulation looks them up.
        recipe: Choices of the recipe, by name; they are answered after those of the sentence.
    """

    space: Space
    task: Task
    limits: Limits
    price: Callable[[Sentence, Task], Costed] = costed
    recipe: Mapping[str, Choice] = field(default_factory=dict)

    def sample(self, choose: Choose) -> Sample:
        """The architecture whose choices `choose` answers, priced."""
        choices: dict[str, Value] = {}
        domains: dict[str, Choice] = {}

        def answer(name: str, choice: Choice) -> Value:
            domains[name] = choice
            value = choices[name] = choose(name, choice)
            return value

        sentence: Sentence | None = None
        try:
            # What the source of randomness would be for, `answer` answers.
            drawn = self.space.draw(random.Random(0), channels=self.task.channels, grid=self.task.grid, choose=answer)
            sentence, choices = drawn.sentence, dict(drawn.choices)
            priced = self.price(sentence, self.task)
        except LanguageError as error:
            return Sample(choices, domains, sentence, reason=f"ill-typed: {error.message}")
        choices |= {name: answer(name, choice) for name, choice in self.recipe.items()}
        reason = over(priced.cost, self.limits)
        key = identity(priced.key, choices)
        return Sample(choices, domains, sentence, priced.sentence, key, priced.cost, reason, priced.key)


class Proposer:
    """Draws the proposals of one study; each is a function of (study seed, trial number, record).

    Args:
        space: What is drawn from.
        task: Gives the shapes and the head.
        limits: What is refused.
        sampler: Its name, see `metamixer.search.samplers.registry`.
        startup: Finished trials before the sampler takes over.
        seed: The study's.
        price: Key and cost of a drawn sentence; a simulation looks them up.
        reference: Accuracy and flops beyond which the hypervolume counts nothing.
        repeats: An architecture that is known is not refused.
        parts: Of the sampler `known-cost`.
        per_second: The sampler goes by what is gained in a second, not in a training.
        searched: Keys of the recipe that are chosen, and their alternatives.

    Attributes:
        space: The space as samplers see it.
        sampler: Who proposes.
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
        parts: Parts | None = None,
        per_second: bool = False,
        searched: Mapping[str, Sequence[Value]] | None = None,
    ) -> None:
        self.space = TaskSpace(space, task, limits, price, recipe_choices(searched or {}))
        self.seed = seed
        self.repeats = repeats
        setup = Setup(seed, startup, reference, per_second, repeats, parts or Parts())
        self.sampler = registry.make(sampler, setup)

    def propose(
        self,
        number: int,
        known: Mapping[str, int],
        prior: bool = False,
        given: Mapping[str, int | str] | None = None,
    ) -> Proposal:
        """Draw the proposal of trial `number`.

        Args:
            number: The number that it would have.
            known: Identities of architectures, with their recipes where those are searched, that were trained or are
                being trained, with their trials.
            prior: Leave the sampler out.
            given: A derivation that is proposed, whatever the sampler would.
        """
        rng = random.Random(derived(self.seed, "proposal", number))
        suggestion: Suggestion | None = None
        if given is not None:
            suggestion = self._initial_point(number, given, rng)
        elif not prior:
            suggestion = self.sampler.propose(number, self.space, known, rng)
        if suggestion is None:
            suggestion = Suggestion(self.space.sample(lambda name, choice: choice.draw(rng)), PRIOR)
        assert isinstance(suggestion.sample, Sample)  # samplers of others are checked
        return self._proposal(suggestion, suggestion.sample, known)

    def _initial_point(self, number: int, given: Mapping[str, int | str], rng: random.Random) -> Suggestion:
        if isinstance(self.sampler, Replaying):
            suggestion = self.sampler.replay(number, self.space, given, rng)
            if suggestion is not None:
                return replace(suggestion, origin=INITIAL_POINT)
        return Suggestion(self.space.sample(lambda name, choice: given[name]), INITIAL_POINT)

    def _proposal(self, suggestion: Suggestion, sample: Sample, known: Mapping[str, int]) -> Proposal:
        priced = None if sample.key is None else Costed(sample.text, sample.network or sample.key, dict(sample.cost))
        duplicate = None if sample.key is None or self.repeats else known.get(sample.key)
        choices = dict(sample.choices)
        domains = {name: distribution(sample.domains[name]) for name in choices}
        return Proposal(
            sentence="" if sample.sentence is None else str(sample.sentence),
            choices=choices,
            parameters=Parameters(dict(choices), dict(domains), dict(suggestion.notes)),
            costed=priced,
            reason=sample.reason if duplicate is None else f"duplicate of {duplicate}",
            duplicate_of=duplicate,
            origin=suggestion.origin,
            parents=suggestion.parents,
        )

    def observe(self, trial: Trial, parameters: Parameters | None = None) -> None:
        """Let the sampler see a trial as it stands in the record: when it was added, and when it has ended."""
        self.sampler.observe(trial, parameters or Parameters())

    def recommend(self, replicates: bool = True) -> list[int] | None:
        """Numbers of the trials that the sampler holds for the front; None if it has no view of its own.

        Args:
            replicates: Whether further seeds count, or the first of each alone.
        """
        return self.sampler.recommend(replicates)
