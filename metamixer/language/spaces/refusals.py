"""Why no sentence of a space fits an input: the phrase at fault, and the rule that it is written in."""

from __future__ import annotations

from typing import Any, NamedTuple

from metamixer.language.checking.inference import check_node
from metamixer.language.checking.types import Mismatch
from metamixer.language.spaces.drawing.outcomes import Outcome, Reach
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, name_of
from metamixer.language.syntax.printer import text


class Offence(NamedTuple):
    """A phrase of a rule that cannot be typed, and why."""

    node: Node
    why: str
    rule: str
    advice: str | None = None


def offence(reach: Reach, node: Node, contexts: tuple[Any, ...], rule: str) -> Offence:
    """A short phrase that cannot be typed, why, and in which rule it is written.

    Args:
        reach: Of the space.
        node: A phrase without outcomes in these contexts.
        contexts: Where it stands.
        rule: The rule that it is written in.
    """
    match node:
        case nodes.Slot(_, inside):
            return offence(reach, inside, contexts, rule)
        case nodes.Size() | nodes.Range() | nodes.Number():
            return Offence(node, f"{text(node)} is a number, no network", rule)
        case nodes.Choice(kids):
            found = [offence(reach, kid, contexts, rule) for kid in kids]
            return min(found, key=lambda flaw: len(text(flaw.node)))
    name = name_of(node)
    if name is not None and name in reach.rules and contexts[0].find(name) is None:
        inner = reach.entered(name, contexts)
        if inner is None:
            why = f"the rule {name} would stand more than max_depth = {reach.max_depth} times on one path"
            return Offence(node, why, rule)
        return offence(reach, reach.rules[name], inner, name)
    if all(reach.closed(node, ctx) for ctx in contexts):
        try:
            for ctx in contexts:
                check_node(node, ctx)
        except Mismatch as mismatch:
            return Offence(node, mismatch.message, rule, mismatch.advice)
        return Offence(node, "it does not fit what follows", rule)
    done: tuple[Outcome, ...] = ()
    while True:
        step = reach.step(node, contexts, done)
        if not isinstance(step, list):
            return Offence(node, *reach.refusal(node, contexts, done, rule))
        kid = node.kids[step[0].kid] if isinstance(step[0].kid, int) else step[0].kid
        inner = tuple(demand.context for demand in step)
        ends = reach.outcomes(kid, inner)
        if not ends:
            flaw = offence(reach, kid, inner, rule)
            in_text = isinstance(step[0].kid, int)
            return flaw if in_text else flaw._replace(node=node)  # an expansion stands nowhere in the text
        done = (*done, next(iter(ends)))
