"""What a sampler is: it observes trials, proposes architectures, and recommends a front.

A study makes one object of its sampler, by calling it with a `Setup`. It is shown every trial of the record by
`observe`: when it was added, and once more when it has ended; those of earlier lives of the search first, by number. It
is asked by `propose` for each next architecture, and at the end by `recommend` which ones to confirm.

    class Shortest:
        '''Of eight draws from the prior the one with the fewest multiply-accumulates.'''

        def __init__(self, setup):
            self.tried = 8

        def observe(self, trial, parameters):
            pass

        def propose(self, number, space, known, rng):
            samples = [space.sample(lambda name, choice: choice.draw(rng)) for _ in range(self.tried)]
            legal = [sample for sample in samples if sample.reason is None and sample.key not in known]
            return Suggestion(min(legal, key=lambda sample: sample.cost["macs"]), origin="cheapest") if legal else None

        def recommend(self, replicates=True):
            return None

A search that is continued proposes the same where a proposal is a function of its arguments, of the setup and of what
was observed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from metamixer.language import Sentence
    from metamixer.language.spaces.choice import Choice, Choose, Value
    from metamixer.record import Trial
    from metamixer.search.storage.trial_store import Parameters

# Origins of a trial that the search itself gives; a sampler may have words of its own.
PRIOR, MODEL, INITIAL_POINT = "prior", "model", "initial point"


@dataclass(frozen=True)
class Parts:
    """What `known-cost` is made of; benchmarks take parts away to see what each is worth.

    Attributes:
        cost: FLOPs are known; else they are learned from trials, as the error is.
        families: features the model sees; on recorded trainings the choices by name add nothing to these.
        unseen: an architecture is proposed once only.
    """

    cost: bool = True
    families: tuple[str, ...] = ("rules", "labels", "graph", "known")
    unseen: bool = True


@dataclass(frozen=True)
class Setup:
    """What a study tells its sampler when it is made.

    Attributes:
        seed: the study's; everything random follows from it and from the trial's number.
        startup: finished trials before the sampler takes over from the prior.
        reference: accuracy and FLOPs beyond which the hypervolume counts nothing; None if nothing is beyond.
        per_second: the budget is counted in hours, so what is gained in a second counts, not in a training.
        repeats: architectures that are known may be proposed again.
        parts: of `known-cost`.
    """

    seed: int = 0
    startup: int = 12
    reference: tuple[float, float] | None = None
    per_second: bool = False
    repeats: bool = False
    parts: Parts = Parts()


@dataclass(frozen=True)
class Sample:
    """One architecture of a space, with its price; drawn and priced once, from here on carried.

    Attributes:
        choices: its derivation, name of each choice -> what was taken.
        domains: the choices as they were met, by name.
        sentence: the architecture; None if these choices make none that fits.
        text: the sentence as the record will have it.
        key: equal for equal architectures, as the task's whole network, under equal recipes; None if it is ill-typed.
        cost: macs, params, elementwise and activations of the whole network, for one input.
        reason: why it may not be trained: ill-typed, or over a limit; None if it may.
        network: the key of the architecture alone; it is `key` where no recipe is searched.
    """

    choices: Mapping[str, Value]
    domains: Mapping[str, Choice] = field(repr=False)
    sentence: Sentence | None = None
    text: str = ""
    key: str | None = None
    cost: Mapping[str, int] = field(default_factory=dict)
    reason: str | None = None
    network: str | None = None


class SampleSpace(Protocol):
    """What a study searches: its space, on its task, under its limits."""

    def sample(self, choose: Choose) -> Sample:
        """The architecture whose choices `choose` answers, from left to right.

        `choose(name, choice)` returns one of `choice.viable`: `choice.draw(rng)` takes one by the prior,
        `choice.repair(value)` the one nearest to a value of its domain.
        """


@dataclass(frozen=True)
class Suggestion:
    """What a sampler proposes.

    Attributes:
        sample: from `SampleSpace.sample`; or choices by name, of which those are repaired that cannot be taken here,
            and those drawn from the prior that are left out.
        origin: how it was made, for the record: `prior`, `model`, `mutation`, `crossover`, or a word of your own.
        parents: numbers of the trials that it was made of.
        notes: JSON that is kept with the trial, in Optuna's system attributes; handed back to `observe`.
    """

    sample: Sample | Mapping[str, Value]
    origin: str = MODEL
    parents: tuple[int, ...] = ()
    notes: Mapping[str, Any] = field(default_factory=dict)


class Sampler(Protocol):
    """How a study proposes; see the module."""

    def observe(self, trial: Trial, parameters: Parameters) -> None:
        """A trial of the record as it stands now: proposed and refused, running, or ended.

        Args:
            trial: of any kind, see `metamixer.record.Trial`.
            parameters: how its choices stand in Optuna, and the notes of its suggestion; empty for baselines and
                replicates, and where a trial that was seen running has ended.
        """

    def propose(
        self, number: int, space: SampleSpace, known: Mapping[str, int], rng: random.Random
    ) -> Suggestion | None:
        """The next architecture; None to draw from the prior. One that is known or over a limit will be refused.

        Args:
            number: of the trial that it would be.
            space: what is searched.
            known: what is trained or being trained, their trials' numbers by key (see `Sample`).
            rng: source of randomness, seeded by the study's seed and the number.
        """

    def recommend(self, replicates: bool = True) -> list[int] | None:
        """Numbers of the trials that the sampler holds for the front; None if it has no view of its own.

        Args:
            replicates: False for the view from first seeds alone, which later replicates do not change.
        """


@runtime_checkable
class Replaying(Protocol):
    """A sampler that takes notes of initial points, too."""

    def replay(
        self, number: int, space: SampleSpace, choices: Mapping[str, Value], rng: random.Random
    ) -> Suggestion | None:
        """The suggestion of these choices, which are decided already; None if there is nothing to note."""


SamplerFactory = Callable[[Setup], Sampler]
