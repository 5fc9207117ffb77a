"""Reading a record by cursor: only the trials that are new or have changed since the last time.

A reader opens the database read-only for one question and closes it again, so that it holds no lock between two
readings and none against the search at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from metamixer.record.location import Storage
from metamixer.record.reading import asking, attributes_of, not_a_record, out_of_reach, written
from metamixer.record.trial import STATES, Trial


@dataclass(frozen=True)
class News:
    """What a reading found.

    Attributes:
        trials: those that are new or have changed, by number.
        attributes: of the study, where they have changed: `settings`, `fingerprints`, `references`, `lease`.
        anew: whether the record is another one than before, so that nothing known of it holds any more.
    """

    trials: list[Trial] = field(default_factory=list)
    attributes: dict[str, Any] | None = None
    anew: bool = False

    def __bool__(self) -> bool:
        return bool(self.trials) or self.attributes is not None or self.anew


class Feed:
    """A cursor into one record."""

    def __init__(self, place: Storage) -> None:
        self.place = place
        self._identity: object = None
        self._last = -1  # the highest trial_id that was read
        self._open: dict[int, str | None] = {}  # trial_id of what may still change -> its state and text as read
        self._attributes: dict[str, str] = {}

    def read(self) -> News:
        """What has happened since the last call; all of the record at the first.

        Raises:
            RecordError: There is no such record, it is locked or out of reach, or it is something else.
        """
        identity = self._stat()
        with asking(self.place) as (query, study):
            anew = self._identity is not None and self._identity != (identity, study)
            if anew:
                self._last, self._open, self._attributes = -1, {}, {}
            self._identity = (identity, study)
            attributes = dict(
                map(tuple, query("SELECT key, value_json FROM study_user_attributes WHERE study_id = :study",
                                 {"study": study}))
            )  # fmt: skip
            # Numbers of our own, not text of a user: they may stand in the question.
            still_open = "".join(f", {number}" for number in self._open)
            found = list(
                query(
                    "SELECT t.trial_id, t.number, t.state, a.value_json FROM trials t LEFT JOIN trial_user_attributes a"
                    " ON a.trial_id = t.trial_id AND a.key = 'trial'"
                    f" WHERE t.study_id = :study AND (t.trial_id > :last OR t.trial_id IN (-1{still_open}))"
                    " ORDER BY t.number",
                    {"study": study, "last": self._last},
                )
            )
        changed = attributes != self._attributes
        self._attributes = attributes
        notes = attributes_of(self.place, attributes) if changed else None
        return News(list(self._changed(found)), notes, anew)

    def _changed(self, found: Iterable[Any]) -> Iterable[Trial]:
        for trial, number, state_written, text in found:
            self._last = max(self._last, trial)
            state = STATES.get(state_written, state_written)
            seen = f"{state} {text}"
            if self._open.get(trial) == seen:
                continue
            if state == "running":
                self._open[trial] = seen
            else:
                self._open.pop(trial, None)
            yield written(self.place, number, state_written, text)

    def _stat(self) -> object:
        """What tells a file from another one that took its place."""
        if self.place.file is None:
            return None
        try:
            status = self.place.file.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def some(place: Storage, numbers: Iterable[int]) -> list[Trial]:
    """The trials of these numbers, by number, without reading the others.

    Raises:
        RecordError: As `Feed.read`.
    """
    listed = ", ".join(str(int(number)) for number in numbers) or "-1"
    with asking(place) as (query, study):
        found = query(
            "SELECT t.number, t.state, a.value_json FROM trials t LEFT JOIN trial_user_attributes a"
            f" ON a.trial_id = t.trial_id AND a.key = 'trial' WHERE t.study_id = :study AND t.number IN ({listed})"
            " ORDER BY t.number",
            {"study": study},
        )
        return [written(place, number, state, text) for number, state, text in found]


def studies(url: str) -> list[str]:
    """The names of the studies in a database.

    Raises:
        RecordError: It is out of reach, or holds none of Optuna's tables.
    """
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError, ProgrammingError

    place = Storage(url=url)
    engine = place.engine()
    try:
        with engine.connect() as connection:
            return sorted(str(name) for (name,) in connection.execute(text("SELECT study_name FROM studies")))
    except ProgrammingError:
        raise not_a_record(place) from None
    except DBAPIError as error:
        raise out_of_reach(place, error) from None
    finally:
        engine.dispose()
