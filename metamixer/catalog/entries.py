"""Reading the catalogue's data files.

A family's file names its source and what its figures count, then has one table an entry; whatever stands before the
first table holds for every entry of the file that does not say otherwise. A network is a whole sentence; a system
that is one mixer, or one block, is written as that and stands in a shell of ``shells.toml`` where the shell says
``mixer``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

from metamixer.cost import Cost, cost
from metamixer.errors import LanguageError, near
from metamixer.language import Sentence, parse
from metamixer.language.checking.vocabulary import words
from metamixer.language.syntax.nodes import size, word
from metamixer.language.syntax.parser import nearest

FOLDER = Path(__file__).parent
OTHERS = ("shells.toml", "unsaid.toml")  # data files that hold no entries
FIGURES = ("params", "macs", "top1", "result")


@dataclass(frozen=True)
class Entry:
    """One system of the catalogue.

    Attributes:
        name: as ``get`` takes it.
        family: name of the system it belongs to.
        text: the sentence, without the head ``mean >> lin(classes)``.
        channels, grid, classes: the input and output that its numbers hold for; 0 classes where the sentence itself
            makes the result (an image, a map of labels, a forecast) and has no head.
        source: where the system was published.
        published: printed figures, as texts with their unit: ``params``, ``macs``, ``top1`` (ImageNet-1k, unless it
            says otherwise), ``result`` of another task. What no source prints is absent.
        counting: what the published figure of computation counts, and where the figures are printed.
        peculiarities: what a reader of the paper would not expect.
        differs: what differs from the original, and why.
        checked: the authors' code (or timm's) that it was compared with, "repository, file", with the same weights;
            empty where it was compared with none.
        original: of a system that is only one mixer here, the published figures of its whole network.
        task: the task whose study trains it as a baseline, if any; `images` for data of about its grid.
        mixer: of a system in a common shell, its own phrase.
        shell: the name of that shell.
    """

    name: str
    family: str
    text: str
    channels: int
    grid: tuple[int, ...]
    classes: int
    source: str
    published: Mapping[str, str] = field(default_factory=dict)
    counting: str = ""
    peculiarities: tuple[str, ...] = ()
    differs: str = ""
    checked: str = ""
    original: str = ""
    task: str | None = None
    mixer: str | None = None
    shell: str | None = None

    @property
    def sentence(self) -> Sentence:
        """The sentence, without the head."""
        return parse(self.text)

    @property
    def network(self) -> Sentence:
        """The sentence with its head, as the published numbers count it."""
        if not self.classes:
            return self.sentence
        return self.sentence.then(word("mean"), word("lin", size(self.classes)))

    @property
    def cost(self) -> Cost:
        """Cost of the network with its head."""
        return cost(self.network, self.channels, self.grid)


@dataclass(frozen=True)
class Unsaid:
    """A system, or an aspect of one, that no sentence says.

    Attributes:
        name: of the system or aspect.
        source: where it was published.
        missing: what the language lacks.
        reason: why it is left out.
        instead: what the catalogue has in its place, if anything.
    """

    name: str
    source: str
    missing: str
    reason: str
    instead: str = ""


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def shells() -> Mapping[str, Mapping[str, Any]]:
    """The common shells: sentence with a phrase ``mixer``, channels, grid and classes of each."""
    return _read(FOLDER / "shells.toml")


@cache
def entries() -> Mapping[str, Entry]:
    """All entries by name."""
    found: dict[str, Entry] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        if path.name in OTHERS:
            continue
        content = _read(path)
        common = {key: value for key, value in content.items() if not isinstance(value, dict)}
        for name, facts in content.items():
            if name in common:
                continue
            if name in found:
                raise LanguageError(f"the entry {name} stands twice", str(path))
            found[name] = _entry(name, {**common, **facts}, path)
    return found


def _entry(name: str, facts: dict[str, Any], path: Path) -> Entry:
    shell = facts.get("shell") if "sentence" not in facts else None
    if shell is None:
        facts.pop("shell", None)
        facts["text"] = " ".join(facts.pop("sentence", "").split())
    elif shell not in shells() or "mixer" not in facts:
        raise LanguageError(f"the entry {name} has no sentence, nor a mixer in a shell", str(path))
    else:
        facts = {**shells()[shell], **facts}
        mixer = facts["mixer"] = " ".join(facts["mixer"].split())
        facts["text"] = re.sub(r"\bmixer\b", lambda _: f"({mixer})", facts.pop("sentence"))
    unknown = set(facts) - {item.name for item in fields(Entry)}
    unknown |= set(facts.get("published", ())) - set(FIGURES)
    missing = {item.name for item in fields(Entry)[1:7]} - set(facts)
    missing |= set() if facts["text"] else {"sentence"}
    if unknown or missing:
        wrong = ", ".join(sorted(unknown | missing))
        raise LanguageError(f"the entry {name} is not well formed: look at {wrong}", str(path))
    facts["grid"] = tuple(facts["grid"])
    facts["peculiarities"] = tuple(facts.get("peculiarities", ()))
    return Entry(name=name, **facts)


@cache
def unsaid() -> tuple[Unsaid, ...]:
    """What the language cannot say, with the reason."""
    return tuple(Unsaid(name=name, **facts) for name, facts in _read(FOLDER / "unsaid.toml").items())


def names(task: str | None = None) -> list[str]:
    """Names of all entries, or of the baselines of one task."""
    return [name for name, entry in entries().items() if task is None or entry.task == task]


def for_images(grid: tuple[int, ...]) -> list[str]:
    """Names of the baselines for images of a size: of the task `images`, those whose grid has about as many positions.

    "About" is within a factor of two, so that width and patches suit the images; the head follows their classes.
    """

    def about(entry: Entry) -> bool:
        return len(entry.grid) == len(grid) and 1 / 2 <= prod(entry.grid) / prod(grid) <= 2

    return [name for name in names("images") if about(entries()[name])]


def get(name: str) -> Entry:
    """The entry of this name.

    Raises:
        LanguageError: there is none.
    """
    if name not in entries():
        whole, close = f"`metamixer catalog` lists all {len(entries())}", nearest(name, entries())
        others = ", ".join(other for other in near(name, list(entries())) if other != close)
        advice = (f"did you mean {close}? " if close else "") + (f"near: {others}; " if others else "")
        raise LanguageError(f"the catalogue has no {name}", None, advice + whole)
    return entries()[name]


def find(text: str) -> Entry | None:
    """The entry that a text names; None for the text of a sentence.

    Raises:
        LanguageError: it is one name, of neither an entry nor a word.
    """
    if text in entries():
        return entries()[text]
    if text.isidentifier() and text not in words():
        close = nearest(text, entries())
        raise LanguageError(
            f"the catalogue has no {text}, and it is no word",
            None,
            f"did you mean {close}?" if close else "`metamixer catalog` lists the one, `metamixer words` the other",
        )
    return None
