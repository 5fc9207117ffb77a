"""A sentence taken apart for comparison: each phrase at its place, chains as rows of parts."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from metamixer.language.memo import memo
from metamixer.language.syntax.nodes import Node, X, chain, joined

CHAINS = ("seq", "prod", "cat", "mem", "read")
COPIES = 100_000  # of a repetition that is written out
PERMUTED = 3  # terms of a sum or product that are also tried in another order


class Part:
    """A phrase at one place of a sentence.

    Attributes:
        node: the phrase.
        first, last: places that it takes, in text order.
        parent: the phrase around it.
        kids: its own phrases.
        rows: it as a chain of some kind, as far as asked for.
    """

    __slots__ = ("first", "kids", "last", "node", "parent", "rows")

    def __init__(self, node: Node, first: int, parent: Node | None = None) -> None:
        self.node, self.first, self.last = node, first, first
        self.parent = node if parent is None else parent
        self.rows: dict[Any, Row] = {}
        kids = []
        for kid in node.kids:
            kids.append(Part(kid, self.last + 1, node))
            self.last = kids[-1].last
        self.kids = tuple(kids)

    def row(self, op: str) -> Row:
        """The phrase as a chain of this kind; a phrase of another kind is a chain of one."""
        if op not in self.rows:
            parts = self.kids if self.node.op == op else () if op == "seq" and self.node is X else (self,)
            signs = (self.node.data if self.node.op == "sum" else "+") if op == "sum" else ""
            self.rows[op] = Row(op, parts, signs, self.first, self.last)
        return self.rows[op]

    def reordered(self, op: str) -> list[Row]:
        """The terms of a sum or product in every other order, if they are few."""
        if op not in ("sum", "prod") or len(self.kids) > PERMUTED or "-" in (self.node.data or ""):
            return []
        if ("other", op) not in self.rows:
            for number, parts in enumerate(list(permutations(self.kids))[1:]):
                row = Row(op, parts, self.row(op).signs, self.first, self.last)
                self.rows["other", op, number] = row
            self.rows["other", op] = self.row(op)
        return [row for key, row in self.rows.items() if len(key) == 3 and key[:2] == ("other", op)]

    def places(self, number: int) -> tuple[Part, Row]:
        """The operand of ``operand@place@place`` without its last places, and these."""
        operand: Part = self
        taken: tuple[Part, ...] = ()
        for _ in range(number):
            taken = (operand.kids[1], *taken)
            operand = operand.kids[0]
        key = ("at", number)
        if key not in self.rows:
            self.rows[key] = Row("at", taken, "", taken[0].first, taken[-1].last)
        return operand, self.rows[key]


class Row:
    """Phrases side by side in a chain of one kind."""

    __slots__ = ("first", "last", "op", "parts", "signs")

    def __init__(self, op: str, parts: tuple[Part, ...], signs: str, first: int, last: int) -> None:
        self.op, self.parts, self.signs, self.first, self.last = op, parts, signs, first, last

    def phrase(self, begin: int, end: int) -> Node:
        """Some of them as one phrase."""
        return chain(self.op, [part.node for part in self.parts[begin:end]]) if begin < end else X


@memo
def plain(node: Node) -> Node:
    """A sentence with repetitions written out, and without what does nothing in a sequence."""
    kids = tuple(plain(kid) for kid in node.kids)
    if node.op == "power" and kids[1].op == "size" and kids[1].data.isdigit() and int(kids[1].data) <= COPIES:
        copies = [kids[0]] * int(kids[1].data) if kids[0] is not X else []
        return chain("seq", copies) if copies else X
    if node.op == "seq":
        kept = [kid for kid in kids if kid is not X]
        return chain("seq", kept) if kept else X
    return joined(node, kids) if kids else node
