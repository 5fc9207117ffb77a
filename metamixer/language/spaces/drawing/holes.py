"""Phrases that only stand in a rule's body while it is drawn; once it is filled none is left."""

from __future__ import annotations

from typing import Self

from metamixer.language.syntax.interning import Node, interned, kind


@kind
class Hole(Node):
    """Where the phrase of a rule belongs: the one of this number among those that the body names."""

    number: int

    def __new__(cls, number: int) -> Self:
        return interned(cls, (), number)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return self


@kind
class Copies(Node):
    """What an ``each`` drew, as long as holes keep equal neighbours from being told."""

    kids: tuple[Node, ...]

    def __new__(cls, kids: tuple[Node, ...]) -> Self:
        return interned(cls, kids, kids)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return Copies(kids)
