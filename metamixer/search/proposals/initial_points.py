"""Starting points: architectures that the user names and the search proposes first, whatever its sampler.

Each is a member of the space with its derivation, so it is a proposal as any other: it counts against the budget, it is
known to models, mutations and crossovers, and one that is known already is refused as a duplicate.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from metamixer import record, resources
from metamixer.errors import LanguageError, StudyError, UserError
from metamixer.record import Trial
from metamixer.search.configuration import Limits
from metamixer.search.proposals.proposer import Costed, costed, over

if TYPE_CHECKING:
    from metamixer.language import Sentence
    from metamixer.language.spaces.space import Draw
    from metamixer.tasks import Task

_TRIAL = re.compile(r"([\w./-]+)#(\d+)")


class Deriving(Protocol):
    """What starting points ask of a space, see `metamixer.language.Space`."""

    name: str

    def derivation(self, sentence: Sentence, channels: int, grid: tuple[int, ...]) -> Draw: ...


@dataclass(frozen=True)
class Start:
    """A starting point: its name as the study has it, its derivation, its key and cost."""

    name: str
    choices: dict[str, int | str]
    costed: Costed


def begun(rows: Iterable[Trial]) -> set[str]:
    """Names of the starting points that a record has proposed already."""
    return {row.name for row in rows if row.name is not None and row.kind in ("searched", "rejected")}


def find(
    names: Sequence[str],
    space: Deriving,
    task: Task,
    limits: Limits,
    runs: Path,
    done: Collection[str] = (),
    price: Callable[[Sentence, Task], Costed] = costed,
) -> list[Start]:
    """The starting points that a run has not proposed yet, in order.

    Args:
        names: Catalogue entries, trials of runs as `run#number`, or sentences.
        space: What is searched.
        task: Gives the shapes and the head.
        limits: Of the study.
        runs: Where other runs are looked for.
        done: Names of those that were proposed already.
        price: Key and cost of a drawn sentence.

    Raises:
        StudyError: There is no such entry or trial, or its sentence does not fit the task, is over a limit, or is none
            of the space's.
    """
    return [_start(name, space, task, limits, runs, price) for name in dict.fromkeys(names) if name not in done]


def _start(
    name: str,
    space: Deriving,
    task: Task,
    limits: Limits,
    runs: Path,
    price: Callable[[Sentence, Task], Costed],
) -> Start:
    sentence = _sentence(name, runs)
    try:
        sentence.typed(task.channels, task.grid)
    except LanguageError as error:
        raise _refused(name, f"does not fit the task {task.name}", error) from None
    try:
        drawn = space.derivation(sentence, task.channels, task.grid)
    except UserError as error:
        raise _refused(name, f"is not in the space {space.name}", error) from None
    found = price(drawn.sentence, task)
    reason = over(found.cost, limits)
    if reason is not None:
        raise StudyError(f"the starting point {name} is {reason}", "search.start", "raise [limits], or leave it out")
    return Start(name, dict(drawn.choices), found)


def _sentence(name: str, runs: Path) -> Sentence:
    """What a name means."""
    from metamixer import catalog
    from metamixer.language import parse

    trial = _TRIAL.fullmatch(name)
    if trial is not None:
        rows = record.read(resources.record(trial[1], runs))
        row = rows[int(trial[2])] if int(trial[2]) < len(rows) else None
        if row is None or not row.sentence:
            raise StudyError(f"the run {trial[1]} has no trial {trial[2]} with a sentence", f"search.start = {name}")
        return parse(row.sentence)
    try:
        entry = catalog.find(name)
        return parse(name) if entry is None else entry.sentence
    except LanguageError as error:
        raise _refused(name, "is neither in the catalogue nor a sentence", error) from None


def _refused(name: str, what: str, error: UserError) -> StudyError:
    return StudyError(f"the starting point {name} {what}", f"search.start\n{error}", "leave it out, or write another")
