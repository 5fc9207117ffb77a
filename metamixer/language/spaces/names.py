"""Names in a space: what a rule may be called, and whether every word and every rule that is named exists."""

from __future__ import annotations

from collections.abc import Mapping

from metamixer.errors import SpaceError
from metamixer.language.checking.inference import UNKNOWN
from metamixer.language.checking.vocabulary import words
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node
from metamixer.language.syntax.parser import Spans, nearest, pointed

TAKEN = ("x", "let", "tie", "pick", "in", "step")  # by the grammar


def check_name(rule: str, place: str | None) -> None:
    """Whether a rule may have this name.

    Raises:
        SpaceError: it may not.
    """
    known = words()
    if not (rule.isidentifier() and rule.islower() and rule.isascii()) or rule in TAKEN:
        raise SpaceError(f"{rule} cannot be the name of a rule", place, "use small letters, digits and _")
    if rule in known:
        raise SpaceError(f"the rule {rule} has the name of a word", place, "choose another name")
    owner = next((word.name for word in known.values() if rule in getattr(word, "flags", ())), None)
    if owner:
        what = f"the rule {rule} has the name of a word, an option of {owner}"
        raise SpaceError(what, place, "choose another name")


def check_words(
    node: Node, body: str, spans: Spans, rules: Mapping[str, Node], where: str, bound: frozenset[str] = frozenset()
) -> None:
    """Whether all that a phrase of a rule names exists.

    Args:
        node: The phrase.
        body: The rule's text, for messages.
        spans: Where its phrases stand in it.
        rules: All rules of the space.
        where: The rule, for messages.
        bound: Names that are bound where the phrase stands.

    Raises:
        SpaceError: a name is neither a word, nor a rule, nor bound; or a rule is given arguments.
    """
    if isinstance(node, nodes.Binder):
        check_words(node.value, body, spans, rules, where, bound)
        check_words(node.body, body, spans, rules, where, bound | {node.name})
        return
    if isinstance(node, nodes.Word):
        known, name = words(), node.name
        named = name in known or (not node.kids and (name in bound or name in rules))
        if not named and not any(name in getattr(word, "flags", ()) for word in known.values()):
            close = nearest(name, [option for option in (*known, *rules, *bound) if option.isidentifier()])
            what = f"unknown rule or word {name}"
            advice = f"did you mean {close}?" if close else UNKNOWN
            if name in rules or name in bound:
                what = f"{name} is a rule or a bound name and takes no arguments"
                advice = "rules are applied with >>: y >> f"
            raise SpaceError(pointed(body, spans.get(node, (0, 0))[0], what), where, advice)
    for kid in node.kids:
        check_words(kid, body, spans, rules, where, bound)
