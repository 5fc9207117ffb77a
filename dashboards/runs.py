"""The runs of a folder, of a database, or one run: which there are, and the view model of each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from metamixer.dashboards.architecture import described
from metamixer.dashboards.view import View
from metamixer.errors import RecordError, UserError
from metamixer.record import feed, location
from metamixer.record.location import Storage

KEPT = 400  # described architectures that are remembered


class Runs:
    """What the server answers from. `place` is a folder of runs, one run, or the URL of a database, for people to read.

    A password of the URL is not in it: the page shows it.
    """

    def __init__(self, place: str | Path) -> None:
        """See the class.

        Raises:
            RecordError: There is no such folder or record.
        """
        self._source = str(place)
        self.place = location.hidden(self._source) if "://" in self._source else self._source
        self._lock = threading.Lock()
        self._views: dict[str, View] = {}
        self._described: OrderedDict[tuple[str, str, int, int], dict[str, Any]] = OrderedDict()
        if "://" not in self._source and not Path(place).expanduser().exists():
            raise RecordError(
                "there is no such folder or record", self.place, "name a folder of runs; metamixer search makes one"
            )
        self.names()

    def names(self) -> list[str]:
        """The runs that there are now, by name."""
        with self._lock:
            found = self._places()
            self._views = {
                name: self._views[name] if name in self._views and self._views[name].place == place
                else View(place, name)
                for name, place in found.items()
            }  # fmt: skip
            return list(found)

    def view(self, name: str) -> View:
        """The up-to-date view of a run.

        Raises:
            RecordError: There is none of this name, or it cannot be read.
        """
        if name not in self._views:
            self.names()
        view = self._views.get(name)
        if view is None:
            raise RecordError("there is no such run", name, f"runs there are: {', '.join(self._views) or 'none'}")
        view.refresh()
        return view

    def summaries(self) -> list[dict[str, Any]]:
        """Every run as a line of the list; one that cannot be read says why."""
        lines = []
        for name in self.names():
            try:
                lines.append(self.view(name).summary())
            except UserError as error:
                lines.append({"name": name, "error": str(error)})
        return lines

    def architecture(self, name: str, key: str) -> dict[str, Any] | None:
        """All that is known of a trial, by its key or number; None where there is none.

        Raises:
            RecordError: The record cannot be read.
        """
        view = self.view(name)
        number = view.number_of(key)
        if number is None:
            return None
        numbers = view.seeds_of(number)
        trials = feed.some(view.place, numbers)
        # A trial that runs changes; one that has ended stays as it is but for its replicates.
        parents, children = view.kin_of(number)
        tested = view.tested(number)
        changing = hash((len(children), sum(len(t.curve) + t.finished for t in trials), tested))
        mark = (name, view.generation, number, changing)
        with self._lock:
            known = self._described.get(mark)
        if known is None:
            known = described(
                trials,
                view.attributes["settings"],
                parents=feed.some(view.place, parents),
                children=children,
                tested=tested,
            )
            with self._lock:
                self._described[mark] = known
                while len(self._described) > KEPT:
                    self._described.popitem(last=False)
        return known

    def _places(self) -> dict[str, Storage]:
        if "://" in self._source:
            return {name: Storage(url=self._source, name=name) for name in feed.studies(self._source)}
        path = Path(self._source).expanduser()
        if path.is_file() or _is_run(path):
            folder = path.parent if path.is_file() else path
            return {folder.resolve().name: location.find(path)}
        if not path.is_dir():
            return {}
        return {inner.name: location.find(inner) for inner in sorted(path.iterdir()) if _is_run(inner)}


def _is_run(folder: Path) -> bool:
    return (folder / location.FILE).is_file() or location.elsewhere(folder) is not None
