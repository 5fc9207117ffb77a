"""What was taken of the choices of a phrase, laid out like the phrase, and the names that drawing gives them."""

from __future__ import annotations

from typing import NamedTuple

from metamixer.language.spaces.choice import Value
from metamixer.language.spaces.drawing.plan import Drawer
from metamixer.language.spaces.drawing.sampling import Spot, behind, reference
from metamixer.language.syntax.nodes import Node


class Took(NamedTuple):
    """A choice that was taken; ``inner`` are the choices of the alternative."""

    value: Value
    option: int
    inner: Taking


class Entered(NamedTuple):
    """A rule, and the choices of its body."""

    body: Node
    inner: Taking


class Parts(NamedTuple):
    """Choices of parts of a phrase, by index."""

    of: tuple[tuple[int, Taking], ...]


class Copies(NamedTuple):
    """Choices of an ``each``: those of its number, and of every copy."""

    number: Taking
    copies: tuple[Taking, ...]


Taking = Took | Entered | Parts | Copies | None


def parts_of(*takings: tuple[int, Taking]) -> Taking:
    """Choices of the parts that have some."""
    kept = tuple(item for item in takings if item[1] is not None)
    return Parts(kept) if kept else None


def give_names(drawer: Drawer, node: Node, taking: Taking, spot: Spot, path: str, found: dict[str, Value]) -> None:
    """Adds the values of choices by their names, which are those that drawing gives them."""
    if isinstance(taking, Took):
        found[f"{path}{spot.copy}#{spot.choices + 1}"] = taking.value
        if taking.inner is not None:
            choices, refs = drawer.before(node, taking.option)
            give_names(drawer, node.kids[taking.option], taking.inner, behind(spot, (choices + 1, refs)), path, found)
    elif isinstance(taking, Entered):
        give_names(drawer, taking.body, taking.inner, Spot(), f"{path}{spot.copy}{reference(node, spot)}", found)
    elif isinstance(taking, Parts):
        for index, inner in taking.of:
            give_names(drawer, node.kids[index], inner, behind(spot, drawer.before(node, index)), path, found)
    elif isinstance(taking, Copies):
        for number, inner in enumerate(taking.copies, start=1):
            copy = behind(spot, drawer.before(node, 0))._replace(copy=f"{spot.copy}[{number}]")
            give_names(drawer, node.kids[0], inner, copy, path, found)
        give_names(drawer, node.kids[1], taking.number, behind(spot, drawer.before(node, 1)), path, found)
