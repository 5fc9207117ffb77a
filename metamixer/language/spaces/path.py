"""Where a choice stands in a derivation: the rules from the start rule to the phrase that has the choice.

The name of a choice is the printed path, `network[2]/block~2/mixer#1`: the first choice of the body of `mixer`, which
the second `block` written in the body of `network`, there in the second copy of an `each`, refers to. Drawing prints
these names, Optuna and the record hold them; whoever asks what one means parses it here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_REFERENCE = re.compile(r"(?P<rule>[^/#~\[\]]+)(~(?P<occurrence>\d+))?(?P<copies>(\[\d+\])*)")


@dataclass(frozen=True)
class Reference:
    """One reference to a rule.

    Attributes:
        rule: the rule's name.
        occurrence: which reference to this rule it is in the body that refers, from 1.
        copies: which copies of ``each`` what follows stands in, in the body of this rule; outermost first.
    """

    rule: str
    occurrence: int = 1
    copies: tuple[int, ...] = ()

    def __str__(self) -> str:
        nth = f"~{self.occurrence}" if self.occurrence > 1 else ""
        return f"{self.rule}{nth}{''.join(f'[{copy}]' for copy in self.copies)}"


Place = tuple[Reference, ...]  # a place in the tree of references, from the start rule


@dataclass(frozen=True)
class ChoicePath:
    """A choice's address.

    Attributes:
        place: the references from the start rule to the rule whose body has the choice.
        number: which choice of that body it is, from 1.
    """

    place: Place
    number: int

    @classmethod
    def parse(cls, name: str) -> ChoicePath:
        """The path that a name of a choice prints.

        Raises:
            ValueError: It is no such name.
        """
        path = _parsed(name)
        if path is None:
            raise ValueError(f"{name!r} is no path of a choice such as network[2]/block~2/mixer#1")
        return path

    @classmethod
    def find(cls, name: str) -> ChoicePath | None:
        """The path that a name prints; None for a name that somebody else gave to a parameter."""
        return _parsed(name)

    def __str__(self) -> str:
        return f"{'/'.join(map(str, self.place))}#{self.number}"

    @property
    def rules(self) -> tuple[str, ...]:
        """The rules from the start rule on, without which reference and copy each is."""
        return tuple(reference.rule for reference in self.place)

    @property
    def places(self) -> tuple[Place, ...]:
        """Every place that the choice stands in, below the start rule; outermost first."""
        return tuple(self.place[:depth] for depth in range(2, len(self.place) + 1))

    def within(self, place: Place) -> bool:
        """Whether the choice belongs to a place, or to what stands below it.

        A place that does not say in which copies it is holds all copies.
        """
        depth = len(place)
        if len(self.place) < depth or self.place[: depth - 1] != place[:-1]:
            return False
        there, last = self.place[depth - 1], place[-1]
        return (
            there.rule == last.rule
            and there.occurrence == last.occurrence
            and there.copies[: len(last.copies)] == last.copies
        )

    def rebased(self, old: Place, new: Place) -> ChoicePath:
        """The choice of the same name below another place; it must be `within` the old one."""
        if not self.within(old):
            raise ValueError(f"{self} does not stand within {'/'.join(map(str, old))}")
        last = new[-1]
        rest = self.place[len(old) - 1].copies[len(old[-1].copies) :]
        moved = Reference(last.rule, last.occurrence, last.copies + rest)
        return ChoicePath((*new[:-1], moved, *self.place[len(old) :]), self.number)


@lru_cache(maxsize=100_000)
def _parsed(name: str) -> ChoicePath | None:
    """Mutations of a front meet the same names again and again."""
    path, mark, number = name.rpartition("#")
    if not mark or not number.isdecimal():
        return None
    place = []
    for part in path.split("/"):
        found = _REFERENCE.fullmatch(part)
        if found is None:
            return None
        copies = tuple(int(copy) for copy in re.findall(r"\d+", found["copies"]))
        place.append(Reference(found["rule"], int(found["occurrence"] or 1), copies))
    return ChoicePath(tuple(place), int(number))
