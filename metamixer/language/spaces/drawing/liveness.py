"""Whether a phrase with choices comes to use a bound name: a draw that nothing uses is not drawn."""

from __future__ import annotations

from collections.abc import Iterable

from metamixer.language.syntax.nodes import (
    Binder,
    Choice,
    Let,
    Node,
    Power,
    Range,
    Repetition,
    Taken,
    Word,
    size,
)

Path = tuple[int, ...]
Usage = bool | Path  # always, never, or the indices down to the choice that is to be taken before one can tell


def usage(node: Node, name: str) -> Usage:
    """Whether every derivation of a phrase uses a name, none does, or which choice has a say in that.

    What is drawn anew for every copy is no single choice; if a copy may use the name it counts as used.
    """
    if name not in node.names:
        return False
    match node:
        case Word() if not node.kids:
            return True
        case Choice(kids):
            found = [usage(kid, name) for kid in kids]
            return found[0] if all(use is found[0] for use in found) and isinstance(found[0], bool) else ()
        case Taken(index):
            return _below(node, index, name)
        case Binder():
            return _bound(node, name)
        case Repetition():
            count, none = _below(node, 1, name), _none(node.count)
            if count is not False or none is True:
                return count
            if none is not False:
                return (1, *none)
            operand = _below(node, 0, name)
            return operand if isinstance(node, Power) or isinstance(operand, bool) else True
    return _first(_below(node, i, name) for i in range(len(node.kids)))


def _below(node: Node, index: int, name: str) -> Usage:
    found = usage(node.kids[index], name)
    return found if isinstance(found, bool) else (index, *found)


def _first(uses: Iterable[Usage]) -> Usage:
    """Of parts that all stand in a phrase."""
    found = list(uses)
    return True if True in found else next((use for use in found if use is not False), False)


def _bound(node: Binder, name: str) -> Usage:
    """What is bound by let is there in any case, what is bound by tie or pick where the body uses it."""
    value, inner = _below(node, 0, name), node.name
    body = False if inner == name else _below(node, 1, name)
    if value is False or body is True:
        return body
    wanted = True if isinstance(node, Let) else _below(node, 1, inner)
    return _first((value, body)) if wanted is True else body if wanted is False else wanted


def _none(count: Node) -> Usage:
    """Whether a count is 0, or which choice is to be taken before one can tell."""
    match count:
        case Taken(index):
            inner = _none(count.option)
            return inner if isinstance(inner, bool) else (index, *inner)
        case Choice() | Range():
            found = [_none(kid) for kid in alternatives(count)]
            return found[0] if all(none is found[0] for none in found) and isinstance(found[0], bool) else ()
    return count is size(0)


def alternatives(node: Node) -> tuple[Node, ...]:
    """The alternatives of a choice or range."""
    return tuple(map(size, node.values)) if isinstance(node, Range) else node.kids


def taken(node: Node, path: Path, index: int) -> Node:
    """The phrase with the choice at a path taken; it keeps its place, for the names of the choices behind it."""
    if not path:
        return Taken(index, alternatives(node))
    kids = list(node.kids)
    kids[path[0]] = taken(kids[path[0]], path[1:], index)
    return node.with_kids(tuple(kids))
