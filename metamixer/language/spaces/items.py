"""A sentence taken apart for comparison: each phrase at its place, chains as rows of parts."""

from __future__ import annotations

from functools import reduce
from itertools import permutations
from typing import Any

from metamixer.language.memo import memo
from metamixer.language.syntax.nodes import (
    At,
    Chain,
    Node,
    Power,
    Product,
    Sequence,
    Sum,
    X,
    chain,
    count_of,
    joined,
    total,
)

Kind = type[Node]  # of a chain, Sum included; or At, of places

COPIES = 100_000  # of a repetition that is written out
PERMUTED = 3  # terms of a sum or product that are also tried in another order


class Part:
    """A phrase at one place of a sentence.

    Attributes:
        node: the phrase.
        first, last: places that it takes, in text order.
        parent: the phrase around it.
        kids: its own phrases.
        rows: it as a chain of some kind, or its last places, as far as asked for.
        others: it in other orders, if asked for.
    """

    __slots__ = ("first", "kids", "last", "node", "others", "parent", "rows")

    def __init__(self, node: Node, first: int, parent: Node | None = None) -> None:
        self.node, self.first, self.last = node, first, first
        self.parent = node if parent is None else parent
        self.rows: dict[Any, Row] = {}
        self.others: list[Row] | None = None
        kids = []
        for kid in node.kids:
            kids.append(Part(kid, self.last + 1, node))
            self.last = kids[-1].last
        self.kids = tuple(kids)

    def row(self, kind: Kind) -> Row:
        """The phrase as a chain of this kind; a phrase of another kind is a chain of one."""
        if kind not in self.rows:
            same = type(self.node) is kind
            parts = self.kids if same else () if kind is Sequence and self.node is X else (self,)
            signs = self.node.signs if isinstance(self.node, Sum) else "+"
            self.rows[kind] = Row(kind, parts, signs if kind is Sum else "", self.first, self.last)
        return self.rows[kind]

    def reordered(self, kind: Kind) -> list[Row]:
        """The terms of a sum or product in every other order, if they are few."""
        negative = isinstance(self.node, Sum) and "-" in self.node.signs
        if kind not in (Sum, Product) or len(self.kids) > PERMUTED or negative:
            return []
        if self.others is None:
            orders, signs = list(permutations(self.kids))[1:], self.row(kind).signs
            self.others = [Row(kind, parts, signs, self.first, self.last) for parts in orders]
        return self.others

    def places(self, number: int) -> tuple[Part, Row]:
        """The operand of ``operand@place@place`` without its last places, and these."""
        operand: Part = self
        taken: tuple[Part, ...] = ()
        for _ in range(number):
            taken = (operand.kids[1], *taken)
            operand = operand.kids[0]
        key = (At, number)
        if key not in self.rows:
            self.rows[key] = Row(At, taken, "", taken[0].first, taken[-1].last)
        return operand, self.rows[key]


class Row:
    """Phrases side by side in a chain of one kind."""

    __slots__ = ("first", "kind", "last", "parts", "signs")

    def __init__(self, kind: Kind, parts: tuple[Part, ...], signs: str, first: int, last: int) -> None:
        self.kind, self.parts, self.signs, self.first, self.last = kind, parts, signs, first, last

    def phrase(self, begin: int, end: int) -> Node:
        """Some of them as one phrase."""
        if begin >= end:
            return X
        phrases = [part.node for part in self.parts[begin:end]]
        if issubclass(self.kind, Chain):
            return chain(self.kind, phrases)
        if self.kind is Sum:
            return total("+" + self.signs[begin + 1 : end], phrases)
        return reduce(At, phrases)  # places, the innermost first


@memo
def plain(node: Node) -> Node:
    """A sentence with repetitions written out, and without what does nothing in a sequence."""
    kids = tuple(plain(kid) for kid in node.kids)
    match node:
        case Power() if (number := count_of(kids[1])) is not None and number <= COPIES:
            copies = [kids[0]] * number if kids[0] is not X else []
            return chain(Sequence, copies) if copies else X
        case Sequence():
            kept = [kid for kid in kids if kid is not X]
            return chain(Sequence, kept) if kept else X
    return joined(node, kids) if kids else node
