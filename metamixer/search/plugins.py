"""What a study names and somebody else may have written: by a short name, or as `package.module:Class`.

Short names are those that ship, and those of the entry points of a group that installed packages declare. Nothing is
imported before it is asked for.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from metamixer.errors import ResourceError, StudyError

DOTTED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Plugins:
    """One kind of thing that a study names.

    Attributes:
        what: one of them, for messages: `sampler`.
        key: where a study names it: `search.sampler`.
        group: of entry points.
        shipped: where those that ship are, as `package.module:attribute`, by name.
        extras: names of those that need the extra of metamixer of the same name.
    """

    what: str
    key: str
    group: str
    shipped: Mapping[str, str]
    extras: frozenset[str] = frozenset()

    def names(self) -> list[str]:
        """Every short name, those that ship first."""
        return [*self.shipped, *sorted(self._installed().keys() - self.shipped.keys())]

    def find(self, name: str) -> str:
        """Where what is named so is: `package.module:attribute`.

        Raises:
            StudyError: There is no such name.
        """
        if name in self.shipped:
            return self.shipped[name]
        if DOTTED.fullmatch(name):
            return name
        installed = self._installed()
        if name in installed:
            return installed[name].value
        raise StudyError(self.unknown(name), self.key, self.advice(name))

    def unknown(self, name: str) -> str:
        """That there is no such name."""
        return f"unknown {self.what} {name!r}"

    def advice(self, name: str) -> str:
        """What to write instead."""
        known = self.names()
        near = difflib.get_close_matches(name, known, n=1)
        asked = f"did you mean {near[0]}? " if near else ""
        return f"{asked}one of: {', '.join(known)}, or your own as package.module:Class"

    def load(self, name: str) -> Any:
        """What is named so.

        Raises:
            StudyError: There is no such name, or it cannot be imported.
            ResourceError: A package that it needs is not installed.
        """
        target = self.find(name)
        module, _, attribute = target.partition(":")
        if (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)  # as `python -m` does: a user's own module lies where the search was started
        try:
            loaded: Any = import_module(module)
            for part in attribute.split("."):
                loaded = getattr(loaded, part)
        except ModuleNotFoundError as error:
            if name in self.extras:
                raise self.missing(name, error) from None
            own = error.name is not None and f"{module}.".startswith(f"{error.name}.")
            raise self._refused(name, target, f"there is no module {error.name}" if own else str(error)) from error
        except AttributeError:
            raise self._refused(name, target, f"the module {module} has no {attribute}") from None
        except Exception as error:  # whatever a user's module raises while it is imported
            raise self._refused(name, target, f"{type(error).__name__}: {error}") from error
        return loaded

    def missing(self, name: str, error: ModuleNotFoundError) -> ResourceError:
        """That what is named so needs a package that is not there."""
        return ResourceError(
            f"{self.what} {name} needs a package that is not installed: {error.name}",
            place=self.key,
            advice=f"pip install 'metamixer[{name}]'" if name in self.extras else f"install {error.name}",
        )

    def _refused(self, name: str, target: str, why: str) -> StudyError:
        return StudyError(
            f"the {self.what} {name} cannot be imported: {why}",
            place=self.key if name == target else f"{self.key}, entry point {name} = {target}",
            advice="write package.module:Class of a module that lies in the working directory, or is installed",
        )

    def _installed(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}
