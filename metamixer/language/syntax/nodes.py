"""Interned syntax nodes: equal phrases are one object.

Because of that a node can carry what is known about it (its checked tree, its key, its cost), and every
walk over sentences that share phrases pays for each phrase once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from weakref import ref

DEEPEST = 100  # levels of nesting in one sentence; the walks over sentences are recursive


class Node:
    """A phrase of the language.

    Attributes:
        op: kind of phrase: one of ``word size num seq sum prod cat mem at read power bank group split choice
            range let tie pick``; while drawing also ``slot taken hole copies``.
        data: what belongs to the phrase itself (a name, a size's text, signs, weights); hashable.
        kids: the sub-phrases in text order.
        open: whether a choice, a ``pick`` or an ``each`` is left inside.
        names: names of words without arguments used inside; rules and bound names look like words.
        choices: number of choices written inside, nested ones included.
        nesting: how many phrases stand inside one another, itself included.
    """

    __slots__ = ("__weakref__", "_memory", "choices", "data", "kids", "names", "nesting", "op", "open")

    op: str
    data: Any
    kids: tuple[Node, ...]
    open: bool
    names: frozenset[str]
    choices: int
    nesting: int
    _memory: dict[Any, Any]  # see metamixer.language.memo

    def __repr__(self) -> str:
        from metamixer.language.syntax.printer import text

        return f"<{self.op} {text(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return make, (self.op, self.data, self.kids)


class Rewritten(NamedTuple):
    """What belongs to a choice whose alternatives are no longer as they were written (a draw was put in place)."""

    weights: tuple[str | None, ...] | None
    domain: tuple[int | str, ...]


class _Interned(ref["Node"]):
    """Where an interned node is found, until nothing else holds it."""

    __slots__ = ("key",)

    key: tuple[Any, ...]


def _forget(interned: _Interned) -> None:
    if _known.get(interned.key) is interned:
        del _known[interned.key]


_known: dict[tuple[Any, ...], _Interned] = {}
_no_names: frozenset[str] = frozenset()
_opening = frozenset(("choice", "range", "taken", "pick"))
_choosing = frozenset(("choice", "range", "taken"))


def make(op: str, data: Any = None, kids: tuple[Node, ...] = ()) -> Node:
    """The one node with this operator, data and sub-phrases."""
    key = (op, data, kids)
    interned = _known.get(key)
    if interned is not None:
        known = interned()
        if known is not None:
            return known
    node = Node()
    node.op, node.data, node.kids, node._memory = op, data, kids, {}
    is_word = op == "word"
    names = frozenset((data[0],)) if is_word and not kids else _no_names
    opened, choices, nesting = op in _opening or (is_word and data[0] == "each"), 0, 0
    for kid in kids:
        opened = opened or kid.open
        choices += kid.choices
        if kid.nesting > nesting:
            nesting = kid.nesting
        if len(kid.names) > len(names):
            names = kid.names
    if kids:
        every = names.union(*[kid.names for kid in kids])
        if len(every) > len(names):  # else the names of one part are those of all, and are kept once
            names = every
    node.names = names
    node.open, node.nesting = opened, nesting + 1
    node.choices = choices + 1 if op in _choosing else choices
    interned = _Interned(node, _forget)
    interned.key = key
    first = _known.setdefault(key, interned)
    if first is not interned:
        known = first()
        if known is not None:  # another thread was quicker
            return known
        _known[key] = interned
    return node


def word(name: str, *args: Node, **keywords: Node) -> Node:
    """The word ``name(args, key=value)``."""
    keys = (None,) * len(args) + tuple(keywords)
    return make("word", (name, keys, None, 0), args + tuple(keywords.values()))


def size(value: int | str | Iterable[int]) -> Node:
    """A size: an integer, a text such as ``2C``, or one integer an axis."""
    if isinstance(value, (int, str)):
        return make("size", str(value))
    return make("size", "x".join(str(v) for v in value))


def number(value: float) -> Node:
    """A number, printed so that it reads back as a number (with a point or an exponent)."""
    text = repr(float(value)).replace("e-0", "e-").replace("e+0", "e+")
    return make("num", text[1:] if text.startswith("0.") else text)


X = word("x")


def chain(op: str, kids: Iterable[Node]) -> Node:
    """``seq``, ``prod``, ``cat``, ``mem`` or ``read`` of phrases, flattened; one phrase is itself."""
    flat: list[Node] = []
    for kid in kids:
        if kid.op == op:
            flat += kid.kids
        else:
            flat.append(kid)
    return flat[0] if len(flat) == 1 else make(op, None, tuple(flat))


def place(operand: Node, where: Node) -> Node:
    """``operand@where``; a sequence of places is written one after the other, innermost first."""
    if where.op == "at":
        return place(place(operand, where.kids[0]), where.kids[1])
    return make("at", None, (operand, where))


def total(signs: str, kids: Iterable[Node]) -> Node:
    """A sum with one sign for each term; the first sign is ``+``. A leading sum opens up."""
    terms = list(kids)
    if terms[0].op == "sum":
        signs = terms[0].data + signs[1:]
        terms = [*terms[0].kids, *terms[1:]]
    return terms[0] if len(terms) == 1 else make("sum", signs, tuple(terms))


def joined(node: Node, kids: tuple[Node, ...]) -> Node:
    """A phrase like this one with other parts, written without needless parentheses."""
    if node.op in ("seq", "prod", "cat", "mem", "read"):
        return chain(node.op, kids)
    if node.op == "sum":
        return total(node.data, kids)
    if node.op == "at":
        return place(*kids)
    return make(node.op, node.data, kids)


def walk(node: Node) -> Iterator[Node]:
    """The node and all phrases inside it in text order, without recursion."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.kids))
