"""What a worker on Ray says of a trial, in the order in which it may say it; each is one report of Tune's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metamixer import errors
from metamixer.errors import UserError

KEY = "metamixer"


@dataclass(frozen=True)
class Refused:
    """This trial cannot run on this worker, and no other could: the search ends with this error."""

    error: str
    message: str
    place: str | None
    advice: str | None

    @staticmethod
    def of(error: UserError) -> Refused:
        """What a worker caught."""
        return Refused(type(error).__name__, error.message, error.place, error.advice)

    def raised(self) -> UserError:
        """The error, to be raised in the driver."""
        kind: type[UserError] = getattr(errors, self.error)
        return kind(self.message, self.place, self.advice)


@dataclass(frozen=True)
class Began:
    """A worker took the trial up.

    Attributes:
        worker: Host and process.
        node: Ray's id of the machine.
        versions: Of the packages there.
    """

    worker: str
    node: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Epoch:
    """An epoch is over; `measured` is what `evaluate` reported of it."""

    measured: dict[str, Any]


@dataclass(frozen=True)
class Ended:
    """The trial is over; `result` is what `evaluate` returned, `weights` a file's content where the driver has no
    access to it.
    """

    result: dict[str, Any]
    weights: bytes | None = field(default=None, repr=False)


Message = Refused | Began | Epoch | Ended
