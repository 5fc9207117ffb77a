"""Node -> text: normal spacing and the fewest parentheses; parsing the text gives the node back."""

from __future__ import annotations

from metamixer.language.memo import memo
from metamixer.language.syntax.nodes import Node, Rewritten

# How tightly an operator binds; a phrase stands bare where at least `need` is asked for.
LEVEL = {
    "let": 0,
    "tie": 0,
    "pick": 0,
    "seq": 1,
    "sum": 2,
    "prod": 3,
    "cat": 4,
    "mem": 5,
    "at": 6,
    "read": 7,
    "power": 8,
}
SIGN = {"seq": " >> ", "prod": " * ", "cat": " ++ ", "mem": " & ", "read": " -> "}
HEAD = 9


def part_text(node: Node, op: str) -> str:
    """A phrase as it is written within a ``seq``, ``prod``, .. of others."""
    return _at_least(node, LEVEL[op] + 1)


def _at_least(node: Node, need: int) -> str:
    written = text(node)
    return f"({written})" if LEVEL.get(node.op, HEAD) < need else written


@memo
def text(node: Node) -> str:
    """The sentence as it is written."""
    op, data, kids = node.op, node.data, node.kids
    if op in ("size", "num"):
        return str(data)
    if op == "word":
        return _write_word(node)
    if op in SIGN:
        level = LEVEL[op]
        first = _at_least(kids[0], level if op == "read" else level + 1)
        rest = [_behind(kid) if op == "read" else _at_least(kid, level + 1) for kid in kids[1:]]
        return SIGN[op].join([first, *rest])
    if op == "sum":
        written = _at_least(kids[0], LEVEL["sum"] + 1)
        for sign, kid in zip(data[1:], kids[1:], strict=True):
            written += f" {sign} {_at_least(kid, LEVEL['sum'] + 1)}"
        return written
    if op == "at":
        return f"{_at_least(kids[0], LEVEL['at'])}@{_stage(kids[1])}"
    if op == "power":
        return f"{_at_least(kids[0], HEAD)}^{text(kids[1])}"
    if op == "bank":
        return f"#{text(kids[0])}"
    if op == "group":
        return "(" + " | ".join(text(kid) for kid in kids) + ")"
    if op == "split":
        return _write_split(node)
    if op == "choice":
        weights = weights_of(node)
        return "{" + " | ".join(text(k) + (f": {w}" if w else "") for k, w in zip(kids, weights, strict=True)) + "}"
    if op == "range":
        low, high, step = data
        return f"{{{low}..{high} step {step}}}" if step != 1 else f"{{{low}..{high}}}"
    if op == "slot":
        return text(kids[0])
    if op == "taken":
        return text(kids[data])
    binds = []
    while node.op == op:  # a binder that follows at once is written behind a comma
        binds.append(f"{node.data[0]} = {_at_least(node.kids[0], 1)}")
        node = node.kids[1]
    return f"{op} {', '.join(binds)} in {text(node)}"


def weights_of(choice: Node) -> tuple[str | None, ...]:
    """The prior weight of each alternative as it is written, None where there is none."""
    weights = choice.data.weights if isinstance(choice.data, Rewritten) else choice.data
    return weights or (None,) * len(choice.kids)


def domain_of(choice: Node) -> tuple[int | str, ...]:
    """The alternatives of a choice as they are written: integers if all are, else texts."""
    if isinstance(choice.data, Rewritten):
        return choice.data.domain
    whole = all(kid.op == "size" and kid.data.isdigit() for kid in choice.kids)
    return tuple(int(kid.data) if whole else text(kid) for kid in choice.kids)


def _stage(node: Node) -> str:
    """A stage or a place: a word, a choice or a union stands bare, anything else in parentheses."""
    return text(node) if node.op in ("word", "choice", "group") else f"({text(node)})"


def _behind(node: Node) -> str:
    """A stage behind ``->``: what is no word or choice stands in braces, as the only alternative."""
    return text(node) if node.op in ("word", "choice", "range") else f"{{{text(node)}}}"


def _write_word(node: Node) -> str:
    name, keys, scope, in_scope = node.data
    count = len(node.kids) - in_scope
    args = [f"{key}={text(kid)}" if key else text(kid) for key, kid in zip(keys, node.kids[:count], strict=True)]
    written = name
    if scope:
        inner = ",".join(text(kid) for kid in node.kids[count:])
        written += f"[{scope}({inner})]" if inner else f"[{scope}]"
    if args:
        return f"{written}({','.join(args)})"
    return "N()" if written == "N" else written  # a bare N is a size


def _write_split(node: Node) -> str:
    parts, kids = [], iter(node.kids)
    for has_share in node.data:
        share = f"{text(next(kids))}: " if has_share else ""
        parts.append(share + text(next(kids)))
    return "[" + " | ".join(parts) + "]"
