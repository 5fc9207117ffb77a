"""Numbers and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Combinator, Evaluate
from metamixer.language.checking.types import Context, Mismatch, Number, Type
from metamixer.language.checking.vocabulary import Demand, Done, KindOf, Word, register
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node


@register
class NumberTerm(Word, Combinator):
    """A number as a term (it adapts to anything), or as an argument."""

    name, kinds = "number", ("term", "size")

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        assert isinstance(node, nodes.Number)
        return Done(float(node.text) if ctx.kind == "size" else Number(float(node.text)))

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return None


@register
class Size(Word):
    """A size: integers and ``C D N H W`` of the place where it stands, one number an axis, exact divisions."""

    name, kinds = "size", ("size", "term", "bank")

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        assert isinstance(node, nodes.Size)
        if ctx.kind == "term":
            raise Mismatch(
                f"the size {node.text} stands where a term belongs", "a number that is a term has a point: 2.0"
            )
        return Done(measure(node.text, ctx))


def measure(text: str, ctx: Context) -> tuple[Any, ...]:
    """The numbers of a size; a reduction ``/2`` is ``('/', 2)``."""
    if text[0] == "/":
        return ("/", int(text[1:]))
    return tuple(_atom(atom, text, ctx) for atom in text.split("x"))


def _atom(atom: str, text: str, ctx: Context) -> int:
    top, _, bottom = atom.partition("/")
    digits = top.rstrip("CDNHW")
    value = int(digits) if digits else 1
    if digits != top:
        grid = ctx.x.grid
        letters = {
            "C": ctx.x.channels,
            "D": ctx.width,
            "N": prod(grid) + ctx.x.extra,
            "H": grid[0] if grid else 1,
            "W": grid[-1] if grid else 1,
        }
        value *= letters[top[-1]]
    if bottom:
        if int(bottom) == 0 or value % int(bottom):
            raise Mismatch(
                f"{text} is {value}/{bottom} here, not a whole number", "sizes are exact; nothing is rounded"
            )
        value //= int(bottom)
    if value < 0:
        raise Mismatch(f"{text} is negative")
    return value
