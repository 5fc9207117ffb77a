"""What can go wrong through the user's input, told in one message: what is wrong, where, what to write instead.

The command line prints a `UserError` without a traceback and exits with code 2. Anything else that is raised is a
defect of metamixer, and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence

LISTED = 8  # names that a message lists at most


class UserError(Exception):
    """An error that the user can mend.

    Args:
        message: What is wrong, one sentence.
        place: Where: a file, rule and column, a configuration key, a row of the record; it may have several lines
            (the line at fault and a caret below it).
        advice: What to write or do instead.

    `str(error)` is the whole text, as the command line prints it. The three parts are the exception's arguments, so
    that the error survives pickling from a worker.
    """

    def __init__(self, message: str, place: str | None = None, advice: str | None = None) -> None:
        super().__init__(message, place, advice)
        self.message = message
        self.place = place
        self.advice = advice

    def __str__(self) -> str:
        lines = [self.message]
        for part in (self.place, self.advice):
            if part:
                lines += ["  " + line for line in part.splitlines()]
        return "\n".join(lines)


class LanguageError(UserError):
    """A sentence cannot be read, or does not fit the shapes it is given."""


class InputError(UserError):
    """A tensor has not the shape that a network was built for."""


class SpaceError(UserError):
    """A search space is not well formed: an unknown rule, a rule without a finite derivation, an empty choice."""


class StudyError(UserError):
    """A study's configuration, or a command on a study, asks for what cannot be done."""


class TaskError(UserError):
    """A task is unknown, or its data cannot be had."""


class RecordError(UserError):
    """A record cannot be read, is in use, or belongs to another study."""


class ResourceError(UserError):
    """A file, a machine or memory that was named or is needed is not there, or cannot be used."""


def near(name: str, known: Sequence[str]) -> list[str]:
    """The known names that look like this one or begin like it, the nearest first, at most ``LISTED``."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=LISTED, cutoff=0.5)
    alike = [other for other in known if len(name) >= 3 and other[:3] == name[:3] and other not in close]
    return [*close, *alike][:LISTED]


def listed(name: str, known: Sequence[str], place: str = "") -> str:
    """The known names for a message about an unknown one: all if they are few, else those near it and how many more.

    Args:
        name: The unknown one.
        known: All of them.
        place: What has the rest, such as "in runs".
    """
    if len(known) <= LISTED:
        return ", ".join(known)
    shown = near(name, known) or list(known[:LISTED])
    return f"{', '.join(shown)} and {len(known) - len(shown)} more{f' {place}' if place else ''}"
