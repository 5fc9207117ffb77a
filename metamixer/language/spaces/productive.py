"""Whether rules can be derived to an end, and how deep that takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from metamixer.language.syntax.nodes import Node

DEEPEST = 60  # depths looked at when telling how deep a grammar must go


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
    depths = range(1, DEEPEST)
    least = next((depth for depth in depths if _derivable(rules[start], rules, {start: 1}, depth)), None)
    if least is not None and least <= max_depth:
        return None
    advice = f"write max_depth = {least}" if least else f"some rule needs itself {DEEPEST} times on one path"
    return Flaw(f"max_depth = {max_depth} is too little for the start rule {start}", start, advice)


def _finite(node: Node, rules: Mapping[str, Node], finite: set[str]) -> bool:
    """Whether a phrase can be derived to an end with the rules known to be finite."""
    if node.op == "choice":
        return any(_finite(kid, rules, finite) for kid in node.kids)
    if node.op == "word" and not node.kids and node.data[0] in rules:
        return node.data[0] in finite
    return all(_finite(kid, rules, finite) for kid in node.kids)


def _derivable(node: Node, rules: Mapping[str, Node], opened: dict[str, int], depth: int) -> bool:
    """Whether a phrase can be derived with no rule more than ``depth`` times on one path."""
    if node.op == "choice":
        return any(_derivable(kid, rules, opened, depth) for kid in node.kids)
    if node.op == "word" and not node.kids and node.data[0] in rules:
        rule = node.data[0]
        count = opened.get(rule, 0) + 1
        return count <= depth and _derivable(rules[rule], rules, {**opened, rule: count}, depth)
    return all(_derivable(kid, rules, opened, depth) for kid in node.kids)
