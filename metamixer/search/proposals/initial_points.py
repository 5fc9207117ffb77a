"""Initial points: architectures that the user names and the search proposes first, whatever its sampler.

Each is a member of the space with its derivation, so it is a proposal as any other: it counts against the budget, it is
known to models, mutations and crossovers, and one that is known already is refused as a duplicate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from metamixer import record, resources
from metamixer.errors import LanguageError, StudyError, UserError
from metamixer.record import Trial
from metamixer.record.trial import RECIPE
from metamixer.search.configuration import Limits
from metamixer.search.proposals.proposer import Costed, costed, over

if TYPE_CHECKING:
    from metamixer.language import Sentence
    from metamixer.language.spaces.space import Draw
    from metamixer.tasks import Task

_TRIAL = re.compile(r"([\w./-]+)#(\d+)")


class Deriving(Protocol):
    """What initial points ask of a space, see `metamixer.language.Space`."""

    name: str

    def derivation(self, sentence: Sentence, channels: int, grid: tuple[int, ...]) -> Draw: ...


@dataclass(frozen=True)
class InitialPoint:
    """An initial point: its name as the study has it, its derivation, its key and cost."""

    name: str
    choices: dict[str, int | str]
    costed: Costed


def proposed(trials: Iterable[Trial]) -> set[str]:
    """Names of the initial points that a record has proposed already."""
    return {trial.name for trial in trials if trial.name is not None and trial.kind in ("searched", "rejected")}


def find(
    names: Sequence[str],
    space: Deriving,
    task: Task,
    limits: Limits,
    runs: Path,
    there: Collection[str] = (),
    price: Callable[[Sentence, Task], Costed] = costed,
    searched: Mapping[str, Sequence[int | str]] | None = None,
) -> list[InitialPoint]:
    """The initial points that a run has not proposed yet, in order.

    Args:
        names: Catalogue entries, trials of runs as `run#number`, or sentences.
        space: What is searched.
        task: Gives the shapes and the head.
        limits: Of the study.
        runs: Where other runs are looked for.
        there: Names of those that were proposed already.
        price: Key and cost of a drawn sentence.
        searched: Keys of the recipe that are chosen, and their alternatives: initial points have the first of each.

    Raises:
        StudyError: There is no such entry or trial, or its sentence does not fit the task, is over a limit, or is none
            of the space's.
    """
    recipe = {RECIPE + key: values[0] for key, values in (searched or {}).items()}
    points = [
        _initial_point(name, space, task, limits, runs, price) for name in dict.fromkeys(names) if name not in there
    ]
    return [replace(point, choices=point.choices | recipe) for point in points]


def _initial_point(
    name: str,
    space: Deriving,
    task: Task,
    limits: Limits,
    runs: Path,
    price: Callable[[Sentence, Task], Costed],
) -> InitialPoint:
    sentence = _sentence(name, runs)
    try:
        sentence.typed(task.channels, task.grid)
    except LanguageError as error:
        raise _refused(name, f"does not fit the task {task.name}", error) from None
    try:
        drawn = space.derivation(sentence, task.channels, task.grid)
    except UserError as error:
        raise _refused(name, f"is not in the space {space.name}", error) from None
    priced = price(drawn.sentence, task)
    reason = over(priced.cost, limits)
    if reason is not None:
        raise StudyError(
            f"the initial point {name} is {reason}", "search.initial_points", "raise [limits], or leave it out"
        )
    return InitialPoint(name, dict(drawn.choices), priced)


def _sentence(name: str, runs: Path) -> Sentence:
    """What a name means."""
    from metamixer import catalog
    from metamixer.language import parse

    named = _TRIAL.fullmatch(name)
    if named is not None:
        trials = record.read(resources.record(named[1], runs))
        source = trials[int(named[2])] if int(named[2]) < len(trials) else None
        if source is None or not source.sentence:
            raise StudyError(
                f"the run {named[1]} has no trial {named[2]} with a sentence", f"search.initial_points = {name}"
            )
        return parse(source.sentence)
    try:
        entry = catalog.find(name)
        return parse(name) if entry is None else entry.sentence
    except LanguageError as error:
        raise _refused(name, "is neither in the catalogue nor a sentence", error) from None


def _refused(name: str, what: str, error: UserError) -> StudyError:
    return StudyError(
        f"the initial point {name} {what}", f"search.initial_points\n{error}", "leave it out, or write another"
    )
