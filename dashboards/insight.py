"""What is worked out of a record rather than read from it: why, which choices, words, the space, the atlas.

Some of it takes seconds to minutes, so it is worked out in one background thread and asked for again until it is
there. Nothing trains.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from metamixer import record
from metamixer.dashboards.understanding import atlas as atlases
from metamixer.dashboards.understanding import front, spaces, trained, words
from metamixer.dashboards.view import View
from metamixer.errors import LanguageError, UserError

STALE_SECONDS = 120.0  # of a running search an answer is worked out anew when it is asked for after this
DRAWS, SLICE_SECONDS = 100_000, 0.5


@dataclass
class _Answer:
    future: Future[Any]
    begun: float
    finished: int  # trials that had ended then
    value: Any = None  # of the time before, until the future has another


class Insights:
    """Answers by (what, run, more), worked out one after the other; `{"working": seconds}` until one is there."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="insight")
        self._lock = threading.Lock()
        self._answers: dict[tuple[Any, ...], _Answer] = {}
        self._models: dict[tuple[str, str], tuple[int, front.Model]] = {}
        self._profiles: dict[tuple[str, str], spaces.Profile] = {}

    def why(self, view: View, number: int) -> Any:
        """See `understanding.front.why`; None where the trial was not trained to its end."""

        def work() -> Any:
            try:
                return front.why(self._model(view), number)
            except KeyError:
                return {"number": number, "reason": "it was not trained to its end", "choices": []}

        return self._asked(("why", view.name, view.generation, number), _finished(view), work)

    def effects(self, view: View) -> Any:
        """See `understanding.front.effects`."""
        key = ("effects", view.name, view.generation)
        return self._asked(key, _finished(view), lambda: front.effects(self._model(view)))

    def words(self, view: View) -> Any:
        """See `understanding.words.frequencies`."""
        limits = view.attributes["settings"].get("limits") or {}
        key = ("words", view.name, view.generation)
        return self._asked(key, _finished(view), lambda: words.frequencies(self._model(view).study, limits))

    def space(self, view: View) -> Any:
        """The space of a run: its rules, size, the costs of draws so far (more at each call), the catalogue in it."""
        context = trained.Context.of(view.attributes["settings"])
        with self._lock:
            profile = self._profiles.setdefault((view.name, view.generation), spaces.Profile(context))
            profile.extend(DRAWS, SLICE_SECONDS)
            found = {**spaces.described(context), "profile": profile.described(), "wanted": DRAWS}
        # The catalogue's derivations are worked out once; only their ranks change with the draws.
        members = self._asked(("members", view.name, view.generation), 0, lambda: spaces.members(context, None))
        if isinstance(members, list):
            ranks = [{name: profile.rank(name, one[name]) for name in ("macs", "params")} for one in members]
            members = [{**one, "share_below": rank} for one, rank in zip(members, ranks, strict=True)]
        return {**found, "members": members}

    def atlas(self) -> Any:
        """See `understanding.atlas.atlas`."""
        return self._asked(("atlas",), 0, atlases.atlas)

    def _asked(self, key: tuple[Any, ...], finished: int, work: Callable[[], Any]) -> Any:
        with self._lock:
            answer = self._answers.get(key)
            if answer is None:
                answer = self._answers[key] = _Answer(self._pool.submit(work), time.monotonic(), finished)
            elif answer.future.done():
                failure = answer.future.exception()
                if failure is not None:
                    del self._answers[key]
                    raise failure
                answer.value = answer.future.result()
                age = time.monotonic() - answer.begun
                if answer.finished != finished and age > STALE_SECONDS:
                    self._answers[key] = _Answer(self._pool.submit(work), time.monotonic(), finished, answer.value)
            if answer.value is not None:
                return answer.value
            return {"working": time.monotonic() - answer.begun}

    def _model(self, view: View) -> front.Model:
        """The model of a run's trainings, fitted anew when trials have ended since; in the background thread alone."""
        finished, key = _finished(view), (view.name, view.generation)
        known = self._models.get(key)
        if known is None or known[0] != finished:
            context = trained.Context.of(view.attributes["settings"])
            study = trained.Study(context, trained.architectures(record.trials(view.place)))
            known = self._models[key] = finished, front.Model.of(study)
        return known[1]


def roles(sentence: str) -> list[dict[str, Any]]:
    """A sentence cut where roles change, see `understanding.atlas.spans`; one plain piece where it cannot be read."""
    try:
        return atlases.spans(sentence)
    except (LanguageError, UserError):
        return []


def _finished(view: View) -> int:
    table, _ = view.table()
    return int((table["status"] != 1).sum())
