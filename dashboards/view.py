"""The view model of one run, kept up to date from its feed, and what the page is sent of it."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metamixer.dashboards.columns import FIELDS, KINDS, MEANS, STATUSES, means, record_of, status
from metamixer.dashboards.encode import column, pooled
from metamixer.dashboards.summary import described, progress
from metamixer.record import Trial
from metamixer.record.feed import Feed
from metamixer.record.location import Storage
from metamixer.record.retrained import Tested, tested

FRESH_SECONDS = 0.4  # several pages that ask within this time are answered from one reading
INLINE = 2_000  # so many changed trials bring their texts with their numbers


class View:
    """One run as columns.

    A page names the revision it has; it is sent the rows that changed since. `generation` tells a record from another
    that took its place: a page that names the old one is sent everything.
    """

    def __init__(self, place: Storage, name: str) -> None:
        self.place, self.name = place, name
        self._feed = Feed(place)
        self._lock = threading.Lock()
        self._read = -FRESH_SECONDS
        self._begin()

    def _begin(self) -> None:
        self.generation = uuid.uuid4().hex[:8]
        self.revision = 0
        self.attributes: dict[str, Any] = {}
        self._study_revision = 0
        self._n = 0
        self._table = np.zeros(64, dtype=FIELDS)
        self._means = np.zeros(0, dtype=MEANS)
        self._revisions = np.zeros(64, dtype=np.int32)
        self._texts: list[tuple[str, str | None, str | None, str | None]] = []  # sentence, name, reason, key
        self._choices: list[dict[str, int | str]] = []
        self._reasons: Counter[tuple[str, str]] = Counter()
        self._parents: dict[int, tuple[int, ...]] = {}
        self._children: dict[int, list[int]] = {}
        self._retrained: dict[int, Trial] = {}

    # -- reading -------------------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take in what is new in the record.

        Raises:
            RecordError: It cannot be read.
        """
        with self._lock:
            if time.monotonic() - self._read < FRESH_SECONDS:
                return
            news = self._feed.read()
            self._read = time.monotonic()
            if news.anew:
                self._begin()
            if not news:
                return
            self.revision += 1
            if news.attributes is not None:
                # The lease is renewed all the time; that it is there is news, when it was renewed is not.
                if _without_time(news.attributes) != _without_time(self.attributes):
                    self._study_revision = self.revision
                elif not news.trials:
                    self.revision -= 1
                self.attributes = news.attributes
            if news.trials:
                self._take(news.trials)

    def _take(self, trials: Iterable[Trial]) -> None:
        for trial in trials:
            at = trial.number
            if at >= len(self._table):
                self._table = np.resize(self._table, 2 * (at + 1))
                self._revisions = np.resize(self._revisions, 2 * (at + 1))
            while at >= len(self._texts):
                self._texts.append(("", None, None, None))
                self._choices.append({})
                self._table[len(self._texts) - 1] = record_of(Trial(len(self._texts) - 1, "failed", "rejected"))
            self._n = len(self._texts)
            before = self._table[at]["status"]
            if self._texts[at][2] is not None:
                self._reasons[STATUSES[before], self._texts[at][2] or ""] -= 1
            self._table[at] = record_of(trial)
            self._revisions[at] = self.revision
            if trial.kind == "retrained":
                self._retrained[at] = replace(trial, curve=[], traceback=None, versions={})
            self._texts[at] = (trial.sentence, trial.name or trial.source, _reason(trial), trial.key)
            self._choices[at] = {str(name): value for name, value in trial.choices.items()}
            if at not in self._parents and trial.parents:
                self._parents[at] = trial.parents
                for parent in dict.fromkeys(trial.parents):
                    self._children.setdefault(parent, []).append(at)
            if self._texts[at][2] is not None:
                self._reasons[status(trial), self._texts[at][2] or ""] += 1
        found = means(self._table[: self._n], tested(self._retrained[number] for number in sorted(self._retrained)))
        known = len(self._means)
        differ = np.ones(self._n, dtype=bool)
        differ[:known] = False
        for name, _ in MEANS:
            old, new = self._means[name], found[name][:known]
            differ[:known] |= ~((old == new) | ((old != old) & (new != new)))
        self._revisions[: self._n][differ] = self.revision
        self._means = found

    # -- telling -------------------------------------------------------------------------------------------------------

    def since(self, revision: int, generation: str = "") -> dict[str, Any]:
        """What a page that has a revision lacks; two numbers where it lacks nothing."""
        with self._lock:
            if generation != self.generation or revision > self.revision:
                revision = -1
            answer: dict[str, Any] = {"revision": self.revision, "generation": self.generation}
            if revision == self.revision:
                return answer
            changed = (self._revisions[: self._n] > revision).nonzero()[0].astype(np.int32)
            answer["whole"] = revision < 0
            answer["rows"] = self._n
            if self._study_revision > revision:
                answer["study"] = self._study()
            answer["progress"] = self._progress()
            answer["index"] = column(changed)
            answer["columns"] = self._columns(changed)
            if len(changed) <= INLINE:
                answer["texts"] = self._written(changed)
            return answer

    def texts(self) -> dict[str, Any]:
        """Sentences, names, reasons, keys and choices of all trials."""
        with self._lock:
            everything = np.arange(self._n, dtype=np.int32)
            return {"generation": self.generation, "index": column(everything), **self._written(everything)}

    def summary(self) -> dict[str, Any]:
        """The run in a list of runs."""
        with self._lock:
            return {"name": self.name, "study": self._study(), "progress": self._progress()}

    def table(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The columns of `FIELDS` and of `MEANS`."""
        with self._lock:
            return self._table[: self._n].copy(), self._means.copy()

    def number_of(self, key: str) -> int | None:
        """The trial of a key, the first that has it, or of a number written as text; None where there is none."""
        with self._lock:
            if key.isdecimal() and len(key) < 10:
                return int(key) if int(key) < self._n else None
            return next((number for number, texts in enumerate(self._texts) if texts[3] == key), None)

    def seeds_of(self, number: int) -> list[int]:
        """A trial and its replicates."""
        with self._lock:
            again = (self._table["original"][: self._n] == number) & (
                self._table["kind"][: self._n] == KINDS.index("replicate")
            )
            return [number, *again.nonzero()[0].tolist()]

    def tested(self, number: int) -> Tested | None:
        """What retraining says of a trial; None where it was not retrained."""
        with self._lock:
            return tested(self._retrained[again] for again in sorted(self._retrained)).get(number)

    def kin_of(self, number: int) -> tuple[list[int], list[int]]:
        """A trial's parents, those that the record holds, and its children."""
        with self._lock:
            parents = [one for one in dict.fromkeys(self._parents.get(number, ())) if 0 <= one < self._n]
            return parents, list(self._children.get(number, ()))

    def _columns(self, rows: NDArray[np.int32]) -> dict[str, Any]:
        found = {name: column(self._table[name][rows]) for name, _ in FIELDS}
        return found | {name: column(self._means[name][rows]) for name, _ in MEANS}

    def _written(self, rows: NDArray[np.int32]) -> dict[str, Any]:
        texts = [self._texts[row] for row in rows]
        names: dict[str, int] = {}
        values: dict[int | str, int] = {}
        flat: list[int] = []
        ends = []
        for row in rows:
            for name, value in self._choices[row].items():
                flat += (names.setdefault(name, len(names)), values.setdefault(value, len(values)))
            ends.append(len(flat))
        return {
            "sentence": [text[0] for text in texts],
            "name": pooled(text[1] for text in texts),
            "reason": pooled(text[2] for text in texts),
            "key": [text[3] for text in texts],
            "choices": {
                "names": list(names),
                "values": list(values),
                "flat": column(np.array(flat, dtype=np.int32)),
                "ends": column(np.array(ends, dtype=np.int32)),
            },
        }

    def _study(self) -> dict[str, Any]:
        return described(self.name, self.place, self.attributes)

    def _progress(self) -> dict[str, Any]:
        return progress(self._table[: self._n], self._means, self.attributes, self._reasons)


def _reason(trial: Trial) -> str | None:
    """Why a trial failed, was stopped or refused, without what differs from trial to trial."""
    if trial.state not in ("failed", "pruned"):
        return None
    if trial.duplicate_of is not None:
        return "duplicate of a trained architecture"
    return (trial.reason or "no reason recorded").split("\n")[0]


def _without_time(attributes: dict[str, Any]) -> dict[str, Any]:
    lease = attributes.get("lease")
    return {**attributes, "lease": {**lease, "renewed": None} if isinstance(lease, dict) else lease}
