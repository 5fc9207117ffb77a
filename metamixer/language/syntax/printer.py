"""Node -> text: normal spacing and the fewest parentheses; parsing the text gives the node back."""

from __future__ import annotations

from metamixer.language.memo import memo
from metamixer.language.syntax.nodes import (
    At,
    Bank,
    Binder,
    Chain,
    Choice,
    Concatenation,
    Each,
    Group,
    Let,
    Memory,
    Node,
    Number,
    Pick,
    Power,
    Product,
    Range,
    Read,
    Sequence,
    Size,
    Slot,
    Split,
    Sum,
    Taken,
    Tie,
    Word,
)

# How tightly a phrase binds; it stands bare where at least `need` is asked for.
LEVEL: dict[type[Node], int] = {
    Let: 0, Tie: 0, Pick: 0, Sequence: 1, Sum: 2, Product: 3, Concatenation: 4, Memory: 5, At: 6, Read: 7, Power: 8,
}  # fmt: skip
HEAD = 9


@memo
def text(node: Node) -> str:
    """The sentence as it is written."""
    match node:
        case Size(written) | Number(written):
            return written
        case Word():
            return _word(node)
        case Chain(kids):
            level = LEVEL[type(node)]
            if isinstance(node, Read):
                parts = [_at_least(kids[0], level), *map(_behind, kids[1:])]
            else:
                parts = [_at_least(kid, level + 1) for kid in kids]
            return f" {node.sign} ".join(parts)
        case Sum(signs, kids):
            written = _at_least(kids[0], LEVEL[Sum] + 1)
            for sign, kid in zip(signs[1:], kids[1:], strict=True):
                written += f" {sign} {_at_least(kid, LEVEL[Sum] + 1)}"
            return written
        case At(operand, place):
            return f"{_at_least(operand, LEVEL[At])}@{_place(place)}"
        case Power(operand, count):
            return f"{_at_least(operand, HEAD)}^{text(count)}"
        case Each(operand, count):
            return f"{node.sign}({text(operand)},{text(count)})"
        case Bank(size):
            return f"#{text(size)}"
        case Group(kids):
            return "(" + " | ".join(map(text, kids)) + ")"
        case Split(parts):
            return "[" + " | ".join(f"{text(share)}: {text(a)}" if share else text(a) for share, a in parts) + "]"
        case Choice(kids):
            weights = weights_of(node)
            options = [f"{text(kid)}: {w}" if w else text(kid) for kid, w in zip(kids, weights, strict=True)]
            return "{" + " | ".join(options) + "}"
        case Range(low, high, step):
            return f"{{{low}..{high} step {step}}}" if step != 1 else f"{{{low}..{high}}}"
        case Slot(_, inner):
            return text(inner)
        case Taken():
            return text(node.option)
        case Binder():
            return _binder(node)
    raise TypeError(f"a phrase of kind {type(node).__name__} is never written")


def part_text(node: Node, kind: type[Chain]) -> str:
    """A phrase as it is written within a sequence, product, .. of others."""
    return _at_least(node, LEVEL[kind] + 1)


def _at_least(node: Node, need: int) -> str:
    written = text(node)
    return f"({written})" if LEVEL.get(type(node), HEAD) < need else written


def weights_of(choice: Choice) -> tuple[str | None, ...]:
    """The prior weight of each alternative as it is written, None where there is none."""
    return choice.weights or (None,) * len(choice.kids)


def domain_of(choice: Choice | Range) -> tuple[int | str, ...]:
    """The alternatives of a choice as they are written: integers if all are, else texts."""
    if isinstance(choice, Range):
        return choice.values
    if choice.domain is not None:
        return choice.domain
    counts = [kid.count if isinstance(kid, Size) else None for kid in choice.kids]
    whole = [count for count in counts if count is not None]
    return tuple(whole) if len(whole) == len(counts) else tuple(map(text, choice.kids))


def _place(node: Node) -> str:
    """A place: a word, a choice or a union stands bare, anything else in parentheses."""
    return text(node) if isinstance(node, (Word, Each, Choice, Group)) else f"({text(node)})"


def _behind(node: Node) -> str:
    """A stage behind ``->``: what is no word or choice stands in braces, as the only alternative."""
    return text(node) if isinstance(node, (Word, Each, Choice, Range)) else f"{{{text(node)}}}"


def _word(node: Word) -> str:
    args = [f"{key}={text(kid)}" if key else text(kid) for key, kid in zip(node.keys, node.arguments, strict=True)]
    written = node.name
    if node.scope:
        inner = ",".join(map(text, node.in_scope))
        written += f"[{node.scope}({inner})]" if inner else f"[{node.scope}]"
    if args:
        return f"{written}({','.join(args)})"
    return "N()" if written == "N" else written  # a bare N is a size


def _binder(node: Binder) -> str:
    """A binder that follows at once is written behind a comma."""
    binds, body = [f"{node.name} = {_at_least(node.value, 1)}"], node.body
    while isinstance(body, Binder) and type(body) is type(node):
        binds.append(f"{body.name} = {_at_least(body.value, 1)}")
        body = body.body
    return f"{node.sign} {', '.join(binds)} in {text(body)}"
