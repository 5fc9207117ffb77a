"""Why trials failed: each new reason told as it happens, all of them counted, with what to change; when to give up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable

from metamixer.errors import StudyError
from metamixer.record import Trial

# So many failures in a row that nothing about the architectures explains end a search, rather than its budget.
ALIKE_IN_A_ROW = 5
# Failures of what trains, not of what is trained. Memory, time and numbers that are none depend on the architecture.
_OF_THE_CODE = ("exception:", "the worker process was killed", "the worker lacks")

_ADVICE = (
    ("exception:", "mend what raises it; `metamixer show RUN TRIAL` shows where"),
    ("time limit", "raise search.time_limit, or lower [limits]"),
    ("out of memory", "set search.retry_out_of_memory, lower training.batch_size or search.workers"),
    ("memory limit", "raise search.memory_limit, or lower [limits]"),
    ("nan", "lower training.learning_rate, or clip gradients"),
    ("the worker lacks", "install it on every machine, in the Python that runs Ray"),
    ("the worker process was killed", "see whether the machine ran out of memory; lower search.workers"),
)


def alike(reason: str) -> str:
    """A reason without what differs from trial to trial: its first line, numbers and addresses left out."""
    first = (reason.strip().splitlines() or ["no reason"])[0]
    return re.sub(r"0x[0-9a-f]+|\d+(\.\d+)?", "#", first)


def by_count(trials: Iterable[Trial]) -> list[tuple[str, int]]:
    """Reasons of the trials that failed, each as it was first told, and how many; the most frequent first."""
    counts: Counter[str] = Counter()
    told: dict[str, str] = {}
    for trial in trials:
        if trial.state == "failed" and trial.kind != "rejected":
            reason = trial.reason or "no reason"
            counts[alike(reason)] += 1
            told.setdefault(alike(reason), (reason.strip().splitlines() or ["no reason"])[0])
    return [(told[key], count) for key, count in counts.most_common()]


def advice(reason: str) -> str | None:
    """What to change so that trials do not fail so, if that is known."""
    return next((text for beginning, text in _ADVICE if reason.startswith(beginning)), None)


class Failures:
    """Is told of every trial that ended.

    Args:
        say: Is told each new reason, once.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[str] = set()
        self._last: str | None = None
        self._in_a_row = 0

    def ended(self, trial: Trial) -> None:
        """A trial ended, well or not.

        Raises:
            StudyError: Several in a row failed alike, for a reason that lies in the code.
        """
        if trial.state != "failed":
            self._last, self._in_a_row = None, 0
            return
        reason = trial.reason or "no reason"
        key = alike(reason)
        if key not in self._told:
            self._told.add(key)
            first = reason.strip().splitlines()[0]
            self._say(f"trial {trial.number} failed: {first} (told once; counted at the end)")
        self._in_a_row = self._in_a_row + 1 if key == self._last else 1
        self._last = key
        if self._in_a_row >= ALIKE_IN_A_ROW and reason.startswith(_OF_THE_CODE):
            lines = [line for line in (trial.traceback or "").strip().splitlines()[-3:] if line.strip()]
            raise StudyError(
                f"{ALIKE_IN_A_ROW} trials in a row failed alike: {reason.strip().splitlines()[0]}",
                place="\n".join([f"trial {trial.number}, the last of them", *lines]),
                advice="mend it, then start the same command with --retry-failed; what was trained is kept",
            )
