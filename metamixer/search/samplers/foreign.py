"""Samplers of others: of our protocol, or Optuna's. What they answer is looked at before it is trusted."""

from __future__ import annotations

import inspect
import json
import random
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from metamixer.errors import StudyError, UserError
from metamixer.record import Trial
from metamixer.search.samplers.protocol import Replaying, Sample, Sampler, SampleSpace, Setup, Suggestion

if TYPE_CHECKING:
    from metamixer.language.spaces.choice import Choice, Value
    from metamixer.search.storage.trial_store import Parameters

T = TypeVar("T")
METHODS = {"observe": 2, "propose": 4, "recommend": 0}  # arguments that each is called with
WRITE = (
    "write a class that is made of a Setup and has observe, propose and recommend"
    " (metamixer.search.samplers.protocol), or a subclass of optuna.samplers.BaseSampler"
)


def adopt(name: str, loaded: Any, setup: Setup) -> Sampler:
    """A sampler of somebody else, held to the protocol.

    Args:
        name: As the study names it.
        loaded: A class or function that makes a sampler of our protocol of a `Setup`; a subclass of Optuna's
            `BaseSampler`, or an object of one.
        setup: Of the study.

    Raises:
        StudyError: It is none of these, or making it fails.
    """
    from optuna.samplers import BaseSampler

    from metamixer.search.samplers.optuna_samplers import OptunaSampler

    if isinstance(loaded, type) and issubclass(loaded, BaseSampler):
        if inspect.isabstract(loaded):
            missing = ", ".join(sorted(loaded.__abstractmethods__))
            raise StudyError(f"the sampler {name} is abstract: it lacks {missing}", _key(name), WRITE)
        made: Any = _guarded(name, "when it is made", lambda: OptunaSampler.of_class(loaded, setup))
        return Checked(name, made)
    if not callable(loaded) and not isinstance(loaded, BaseSampler):
        raise StudyError(f"the sampler {name} is no class, but {_kind(loaded)}", _key(name), WRITE)
    made = loaded if isinstance(loaded, BaseSampler) else _guarded(name, "when it is made", lambda: loaded(setup))
    if isinstance(made, BaseSampler):
        return Checked(name, OptunaSampler(setup, lambda seed: made))
    for method, arguments in METHODS.items():
        found = getattr(made, method, None)
        if not callable(found):
            raise StudyError(f"the sampler {name} has no method {method}", _key(name), WRITE)
        try:
            inspect.signature(found).bind(*range(arguments))
        except TypeError as error:
            raise StudyError(f"the sampler {name}: {method} {error}", _key(name), WRITE) from None
    return Checked(name, made)


class Checked:
    """A sampler of somebody else; what goes wrong in it is one message that names it.

    Args:
        name: As the study names it.
        sampler: What is checked.
    """

    def __init__(self, name: str, sampler: Sampler) -> None:
        self.name, self.sampler = name, sampler
        self._seen: set[int] = set()
        self._complete: set[int] = set()

    def observe(self, trial: Trial, parameters: Parameters) -> None:
        self._seen.add(trial.number)
        if trial.searched and trial.state == "complete":
            self._complete.add(trial.number)
        _guarded(self.name, f"in observe, of trial {trial.number}", lambda: self.sampler.observe(trial, parameters))

    def propose(
        self, number: int, space: SampleSpace, known: Mapping[str, int], rng: random.Random
    ) -> Suggestion | None:
        place = f"in propose, for trial {number}"
        made = _guarded(self.name, place, lambda: self.sampler.propose(number, space, known, rng))
        return None if made is None else self._checked(made, place, space, rng)

    def replay(
        self, number: int, space: SampleSpace, choices: Mapping[str, Value], rng: random.Random
    ) -> Suggestion | None:
        sampler = self.sampler
        if not isinstance(sampler, Replaying):
            return None
        return _guarded(
            self.name, f"in replay, for trial {number}", lambda: sampler.replay(number, space, choices, rng)
        )

    def recommend(self, replicates: bool = True) -> list[int] | None:
        numbers: Any = _guarded(self.name, "in recommend", lambda: self.sampler.recommend(replicates))
        if numbers is None:
            return None
        try:
            wrong = [number for number in numbers if number not in self._complete]
        except TypeError:
            wrong = [numbers]
        if wrong:
            raise StudyError(
                f"the sampler {self.name} recommends {wrong[0]!r}, which is no number of a finished trial",
                f"{_key(self.name)}, in recommend",
                "return the numbers of trials that were observed complete, or None",
            )
        return [int(number) for number in numbers]

    def _checked(self, made: Any, place: str, space: SampleSpace, rng: random.Random) -> Suggestion:
        def nonsense(what: str, advice: str) -> StudyError:
            return StudyError(f"the sampler {self.name} proposed {what}", f"{_key(self.name)}, {place}", advice)

        if not isinstance(made, Suggestion):
            raise nonsense(_kind(made), "return a metamixer.search.samplers.protocol.Suggestion, or None for the prior")
        if not isinstance(made.origin, str) or not made.origin:
            raise nonsense(f"something of the origin {made.origin!r}", "origin is a word, such as 'mutation'")
        strangers = [number for number in made.parents if number not in self._seen]
        if strangers:
            raise nonsense(f"a child of {strangers[0]!r}", "parents are numbers of trials that were observed")
        try:
            json.dumps(dict(made.notes))
        except (TypeError, ValueError) as error:
            raise nonsense(f"notes that are no JSON: {error}", "keep numbers, texts, lists and dictionaries") from None
        if isinstance(made.sample, Sample):
            return made
        if not isinstance(made.sample, Mapping):
            raise nonsense(
                _kind(made.sample), "give what space.sample returned, or a dictionary of choices by their names"
            )
        choices = made.sample
        met: set[str] = set()

        def choose(name: str, choice: Choice) -> Value:
            if name not in choices:
                return choice.draw(rng)
            met.add(name)
            if choices[name] not in choice.domain:
                allowed = ", ".join(map(repr, choice.domain))
                raise nonsense(f"{choices[name]!r} for the choice {name}", f"there it may be one of: {allowed}")
            return choice.repair(choices[name])

        sample = space.sample(choose)
        if choices and not met:
            raise nonsense(
                f"values for choices that the space does not have: {', '.join(map(str, list(choices)[:3]))}",
                f"its choices are named like {', '.join(list(sample.choices)[:3])}",
            )
        return replace(made, sample=sample)


def _guarded(name: str, where: str, call: Callable[[], T]) -> T:
    try:
        return call()
    except UserError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise StudyError(
            f"the sampler {name} failed: {type(error).__name__}: {error}",
            f"{_key(name)}, {where}\n{frame.filename}, line {frame.lineno}, in {frame.name}",
            "mend it, or search with another one; what was trained stays in the record",
        ) from error


def _key(name: str) -> str:
    return f"search.sampler = {name}"


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"{value!r:.80}, of type {type(value).__name__}"
