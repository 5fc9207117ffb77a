"""Interned syntax nodes: equal phrases are one object.

Because of that a node can carry what is known about it (its checked tree, its key, its cost), and every
walk over sentences that share phrases pays for each phrase once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

DEEPEST = 100  # levels of nesting in one sentence; the walks over sentences are recursive


class Node:
    """A phrase of the language.

    Attributes:
        op: kind of phrase: one of ``word size num seq sum prod cat mem at read power bank group split choice
            range let tie pick slot``.
        data: what belongs to the phrase itself (a name, a size's text, signs, weights); hashable.
        kids: the sub-phrases in text order.
        open: whether a choice, a ``pick`` or an ``each`` is left inside.
        names: names of words without arguments used inside; rules and bound names look like words.
        choices: number of choices written inside, nested ones included.
        nesting: how many phrases stand inside one another, itself included.
        cache: facts that other modules derive from the node; they live as long as the node.
    """

    __slots__ = ("__weakref__", "cache", "choices", "data", "kids", "names", "nesting", "op", "open")

    op: str
    data: Any
    kids: tuple[Node, ...]
    open: bool
    names: frozenset[str]
    choices: int
    nesting: int
    cache: dict[Any, Any]

    def __repr__(self) -> str:
        from metamixer.language.printer import text

        return f"<{self.op} {text(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return make, (self.op, self.data, self.kids)


class Rewritten(NamedTuple):
    """What belongs to a choice whose alternatives are no longer as they were written (a draw was put in place)."""

    weights: tuple[str | None, ...] | None
    domain: tuple[int | str, ...]


_interned: WeakValueDictionary[tuple[Any, ...], Node] = WeakValueDictionary()
_no_names: frozenset[str] = frozenset()


def make(op: str, data: Any = None, kids: tuple[Node, ...] = ()) -> Node:
    """The one node with this operator, data and sub-phrases."""
    key = (op, data, kids)
    node = _interned.get(key)
    if node is not None:
        return node
    node = Node()
    node.op, node.data, node.kids, node.cache = op, data, kids, {}
    opened = op in ("choice", "range", "pick") or (op == "word" and data[0] == "each")
    node.open = opened or any(kid.open for kid in kids)
    node.choices = (op in ("choice", "range")) + sum(kid.choices for kid in kids)
    node.nesting = 1 + max((kid.nesting for kid in kids), default=0)
    own = frozenset((data[0],)) if op == "word" and not kids else _no_names
    node.names = own.union(*(kid.names for kid in kids)) if kids else own
    return _interned.setdefault(key, node)


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
        flat.extend(kid.kids if kid.op == op else (kid,))
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
