"""Whether rules can be derived to an end, and how deep that takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from metamixer.language.syntax.nodes import Choice, Node, Word, name_of

DEEPEST = 60  # depths looked at when telling how deep a grammar must go


Opened = tuple[tuple[str, int], ...]


class Flaw(NamedTuple):
    """Why no derivation ends: what, in which rule, what to write instead."""

    message: str
    rule: str
    advice: str


def unending(rules: Mapping[str, Node], start: str, max_depth: int) -> Flaw | None:
    """What keeps derivations from ending: a rule that always needs itself, or a depth that is too small."""
    finite: set[str] = set()
    while more := {rule for rule in rules if rule not in finite and _finite(rules[rule], rules, finite)}:
        finite |= more
    endless = [rule for rule in rules if rule not in finite]
    if endless:
        path = [endless[0]]
        while path[-1] not in path[:-1]:
            path.append(next(name for name in sorted(rules[path[-1]].names) if name in endless))
        circle = path[path.index(path[-1]) :]
        message = f"the rule {circle[0]} has no finite derivation: {' -> '.join(circle)}"
        return Flaw(message, circle[0], "give it an alternative that does not use itself: {.. | lin}")
    least = _least(rules, start)
    if least is not None and least <= max_depth:
        return None
    advice = f"write max_depth = {least}" if least else f"some rule needs itself {DEEPEST} times on one path"
    return Flaw(f"max_depth = {max_depth} is too little for the start rule {start}", start, advice)


def _finite(node: Node, rules: Mapping[str, Node], finite: set[str]) -> bool:
    """Whether a phrase can be derived to an end with the rules known to be finite."""
    match node:
        case Choice(kids):
            return any(_finite(kid, rules, finite) for kid in kids)
        case Word(name) if not node.kids and name in rules:
            return name in finite
    return all(_finite(kid, rules, finite) for kid in node.kids)


def _least(rules: Mapping[str, Node], start: str) -> int | None:
    """The smallest depth with which the start rule can be derived to an end; None beyond ``DEEPEST``."""
    recursive = {rule: _below(rule, rules) for rule in rules}
    recursive = {rule: below for rule, below in recursive.items() if rule in below}
    for depth in range(1, DEEPEST):
        known: dict[tuple[str, Opened], bool] = {}
        if _derivable(rules[start], rules, recursive, _entered(start, (), recursive), depth, known):
            return depth
    return None


def _below(rule: str, rules: Mapping[str, Node]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [rule]
    while waiting:
        more = {name for name in rules[waiting.pop()].names if name in rules} - found
        found |= more
        waiting += more
    return frozenset(found)


def _entered(rule: str, opened: Opened, recursive: Mapping[str, frozenset[str]]) -> Opened:
    """How often recursive rules stand on the path, one more included."""
    if rule not in recursive:
        return opened
    counts = dict(opened)
    counts[rule] = counts.get(rule, 0) + 1
    return tuple(sorted(counts.items()))


def _derivable(
    node: Node,
    rules: Mapping[str, Node],
    recursive: Mapping[str, frozenset[str]],
    opened: Opened,
    depth: int,
    known: dict[tuple[str, Opened], bool],
) -> bool:
    """Whether a phrase can be derived with no recursive rule more than ``depth`` times on one path."""

    def ends(kid: Node) -> bool:
        return _derivable(kid, rules, recursive, opened, depth, known)

    if isinstance(node, Choice):
        return any(map(ends, node.kids))
    rule = name_of(node)
    if rule is None or rule not in rules:
        return all(map(ends, node.kids)) if node.names else True
    inner = _entered(rule, opened, recursive)
    if max((count for _, count in inner), default=0) > depth:
        return False
    if (rule, inner) not in known:
        known[rule, inner] = _derivable(rules[rule], rules, recursive, inner, depth, known)
    return known[rule, inner]
