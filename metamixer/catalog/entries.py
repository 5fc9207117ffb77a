"""Reading the catalogue's data files."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path

from metamixer.cost import Cost, cost
from metamixer.errors import LanguageError
from metamixer.language import Sentence, parse
from metamixer.language.nodes import size, word
from metamixer.language.parse import nearest


@dataclass(frozen=True)
class Entry:
    """One system of the catalogue.

    Attributes:
        name: as ``get`` takes it.
        family: name of the system it belongs to.
        text: the sentence, without the head ``mean >> lin(classes)``.
        channels, grid, classes: the input and output that its numbers hold for.
        source: where the system was published.
        published: printed figures: ``params``, ``macs``, ``top1``, as texts with their unit.
        task: the task whose study trains it as a baseline, if any.
        differs: what differs from the original, and why.
    """

    name: str
    family: str
    text: str
    channels: int
    grid: tuple[int, ...]
    classes: int
    source: str
    published: Mapping[str, str] = field(default_factory=dict)
    task: str | None = None
    differs: str = ""

    @property
    def sentence(self) -> Sentence:
        """The sentence, without the head."""
        return parse(self.text)

    @property
    def network(self) -> Sentence:
        """The sentence with its head, as the published numbers count it."""
        return self.sentence.then(word("mean"), word("lin", size(self.classes)))

    @property
    def cost(self) -> Cost:
        """Cost of the network with its head."""
        return cost(self.network, self.channels, self.grid)


@cache
def entries() -> Mapping[str, Entry]:
    """All entries by name."""
    found: dict[str, Entry] = {}
    known = {item.name for item in fields(Entry)} | {"sentence"}
    for path in sorted(Path(__file__).parent.glob("*.toml")):
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        family, source = content.pop("family"), content.pop("source")
        for name, facts in content.items():
            unknown = set(facts) - known
            if unknown or name in found:
                raise LanguageError(f"the entry {name} is not well formed: {sorted(unknown) or 'twice'}", str(path))
            facts = {"family": family, "source": source, **facts}
            facts["text"] = " ".join(facts.pop("sentence").split())
            facts["grid"] = tuple(facts["grid"])
            found[name] = Entry(name=name, **facts)
    return found


def names(task: str | None = None) -> list[str]:
    """Names of all entries, or of the baselines of one task."""
    return [name for name, entry in entries().items() if task is None or entry.task == task]


def get(name: str) -> Entry:
    """The entry of this name.

    Raises:
        LanguageError: there is none.
    """
    if name not in entries():
        close = nearest(name, entries())
        raise LanguageError(
            f"the catalogue has no {name}",
            None,
            f"did you mean {close}?" if close else f"it has: {', '.join(entries())}",
        )
    return entries()[name]
