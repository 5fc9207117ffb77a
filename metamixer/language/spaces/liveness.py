"""Whether a phrase with choices comes to use a bound name: a draw that nothing uses is not drawn."""

from __future__ import annotations

from collections.abc import Iterable

from metamixer.language.syntax.nodes import Node, make, size

Path = tuple[int, ...]
Usage = bool | Path  # always, never, or the indices down to the choice that is to be taken before one can tell


def usage(node: Node, name: str) -> Usage:
    """Whether every derivation of a phrase uses a name, none does, or which choice has a say in that.

    What is drawn anew for every copy is no single choice; if a copy may use the name it counts as used.
    """
    if name not in node.names:
        return False
    if node.op == "word" and not node.kids:
        return True
    if node.op == "choice":
        found = [usage(kid, name) for kid in node.kids]
        return found[0] if all(use is found[0] for use in found) and isinstance(found[0], bool) else ()
    if node.op == "taken":
        return _below(node, node.data, name)
    if node.op in ("let", "tie", "pick"):
        return _bound(node, name)
    if node.op == "power" or (node.op == "word" and node.data[0] == "each"):
        count, none = _below(node, 1, name), _none(node.kids[1])
        if count is not False or none is True:
            return count
        if none is not False:
            return (1, *none)
        operand = _below(node, 0, name)
        return operand if node.op == "power" or isinstance(operand, bool) else True
    return _first(_below(node, i, name) for i in range(len(node.kids)))


def _below(node: Node, index: int, name: str) -> Usage:
    found = usage(node.kids[index], name)
    return found if isinstance(found, bool) else (index, *found)


def _first(uses: Iterable[Usage]) -> Usage:
    """Of parts that all stand in a phrase."""
    found = list(uses)
    return True if True in found else next((use for use in found if use is not False), False)


def _bound(node: Node, name: str) -> Usage:
    """What is bound by let is there in any case, what is bound by tie or pick where the body uses it."""
    value, inner = _below(node, 0, name), node.data[0]
    body = False if inner == name else _below(node, 1, name)
    if value is False or body is True:
        return body
    wanted = True if node.op == "let" else _below(node, 1, inner)
    return _first((value, body)) if wanted is True else body if wanted is False else wanted


def _none(count: Node) -> Usage:
    """Whether a count is 0, or which choice is to be taken before one can tell."""
    if count.op == "taken":
        inner = _none(count.kids[count.data])
        return inner if isinstance(inner, bool) else (count.data, *inner)
    if count.op in ("choice", "range"):
        found = [_none(kid) for kid in alternatives(count)]
        return found[0] if all(none is found[0] for none in found) and isinstance(found[0], bool) else ()
    return bool(count.op == "size" and count.data == "0")


def alternatives(node: Node) -> tuple[Node, ...]:
    """The alternatives of a choice or range."""
    if node.op == "range":
        low, high, step = node.data
        return tuple(size(value) for value in range(low, high + 1, step))
    return node.kids


def taken(node: Node, path: Path, index: int) -> Node:
    """The phrase with the choice at a path taken; it keeps its place, for the names of the choices behind it."""
    if not path:
        return make("taken", index, alternatives(node))
    kids = list(node.kids)
    kids[path[0]] = taken(kids[path[0]], path[1:], index)
    return make(node.op, node.data, tuple(kids))
