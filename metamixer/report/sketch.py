"""Checked tree of a sentence -> the parts of its drawing.

A word says itself how it is drawn (``Word.form``); here that is turned into the shapes that
:mod:`metamixer.report.drawing` knows.  Macros stay one box, as they are written.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from metamixer.language.checking.inference import Typed, check_node, kind_of
from metamixer.language.checking.types import Field, Type
from metamixer.language.checking.vocabulary import Macro
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, X
from metamixer.language.syntax.printer import text


@dataclass(frozen=True)
class Part:
    """What is drawn for one phrase.

    Attributes:
        kind: ``input`` (the x of this place), ``name`` (a bound value), ``word``, ``chain`` (each part reads the one
            before), ``read`` (likewise, but the parts' own sources see the input of the whole), ``join`` (``label``
            is the sign), ``residual``, ``split``, ``frame``, ``repeat``, ``let`` (values, then the body).
        label: what is written on it.
        text: the phrase, for tooltips.
        parts: what it is made of.
        roles: one a part: ``q``, ``k``, ``v``, the share of a split, the names of a let, the sign of a term.
        shape: what comes out, as text; ``""`` if it is no field.
        before: what goes in, likewise.
        weights: whether the word itself owns weights.
    """

    kind: str
    label: str = ""
    text: str = ""
    parts: tuple[Part, ...] = ()
    roles: tuple[str, ...] = ()
    shape: str = ""
    before: str = ""
    weights: bool = False


def shape(value: Type) -> str:
    """``8×8×64``: grid and channels of a field; extra tokens stand in front: ``1+14×14×192``; nothing for others."""
    if not isinstance(value, Field):
        return ""
    front = f"{value.extra}+" if value.extra else ""
    return front + "×".join(str(n) for n in (*value.grid, value.channels))


def sketch(t: Typed) -> Part:
    """What is drawn for a checked phrase and all that is inside it."""
    match t.word.form:
        case "input":
            return _part(t, "input")
        case "bound":
            return _part(t, "name", t.settings["name"])
        case "chain" | "read":
            return _part(t, t.word.form, parts=[sketch(kid) for kid in t.kids])
        case "sum":
            return _sum(t)
        case "product" | "concat":
            if isinstance(t.node, nodes.Split):
                shares = [text(share) if share else "rest" for share, _ in t.node.parts]
                return _part(t, "split", "", [sketch(kid) for kid in t.kids], shares)
            return _part(t, "join", t.word.name, [sketch(kid) for kid in t.kids])
        case "residual":
            return _part(t, "residual", "", [sketch(t.kids[0])])
        case "let":
            return _let(t)
        case "tie":
            return sketch(t.kids[0])
        case "repeat":
            return _repeat(t)
        case "place":
            return _place(t)
        case "tied":
            return _tied(t)
        case "frame":
            return _part(t, "frame", t.word.name, [sketch(t.kids[0])])
    return _word(t)


def _part(
    t: Typed,
    kind: str,
    label: str = "",
    parts: list[Part] | None = None,
    roles: list[str] | None = None,
    weights: bool = False,
) -> Part:
    inner = tuple(parts or ())
    return Part(
        kind, label, t.text, inner, tuple(roles or [""] * len(inner)), shape(t.out), shape(t.x), weights
    )  # fmt: skip


def _sum(t: Typed) -> Part:
    signs = list(t.signs)
    if signs == ["+", "-"]:
        return _part(t, "join", "−", [sketch(kid) for kid in t.kids])
    return _part(t, "join", "+", [sketch(kid) for kid in t.kids], ["" if sign == "+" else "−" for sign in signs])


def _let(t: Typed) -> Part:
    """Bindings that follow each other are one part: their values, then the body."""
    values, names, body = [], [], t
    while body.word.form == "let":
        values.append(sketch(body.kids[0]))
        names.append(str(body.settings["name"]))
        body = body.kids[1]
    return _part(t, "let", "", [*values, sketch(body)], names)


def _repeat(t: Typed) -> Part:
    """Equal copies are one frame; copies that differ in type stand one behind the other."""
    runs = [(kid, len(list(same))) for kid, same in groupby(t.kids)]
    parts = [_part(kid, "repeat", f"× {n}", [sketch(kid)]) if n > 1 else sketch(kid) for kid, n in runs]
    if not parts:
        return _part(t, "input")
    return parts[0] if len(parts) == 1 else _part(t, "chain", parts=parts)


def _place(t: Typed) -> Part:
    """Places on places are one frame, the innermost first as in the text."""
    label, inner = f"@{_bracketed(t.node.kids[1])}", t.kids[0]
    while inner.word.form == "place":
        label, inner = f"@{_bracketed(inner.node.kids[1])} {label}", inner.kids[0]
    return _part(t, "frame", label, [sketch(inner)])


def _bracketed(node: Node) -> str:
    written = text(node)
    return written if isinstance(node, (nodes.Word, nodes.Group)) else f"({written})"


def _tied(t: Typed) -> Part:
    """A use of shared weights; one tied word needs no frame around it."""
    name, inner = t.settings["name"], sketch(t.kids[0])
    if inner.kind == "word" and not inner.parts:
        return _part(t, "word", f"{name} = {inner.label}", weights=inner.weights)
    return _part(t, "frame", f"{name} (shared weights)", [inner])


def _word(t: Typed) -> Part:
    """A box. Banks at the end of its sources are written inside; the other sources are drawn."""
    kids = [check_node(node, t.context.source()) for node in _sources(t)] if isinstance(t.word, Macro) else list(t.kids)
    roles = list(t.roles)
    while kids and isinstance(kids[-1].node, nodes.Bank):
        kids.pop()
    roles = (roles + [""] * len(kids))[: len(kids)]
    weights = bool(t.word.weights(t)) or _owns(t, {kid.node for kid in kids})
    label = _label(t.node, {id(kid.node) for kid in kids})
    # A lone x is the wire itself.
    if [kid.node for kid in kids] == [X]:
        kids, roles = [], []
    if isinstance(t.node, (nodes.Number, nodes.Bank)):
        return _part(t, "bank", t.text, weights=isinstance(t.node, nodes.Bank))
    return _part(t, "word", label, [sketch(kid) for kid in kids], roles, weights)


def _sources(t: Typed) -> list[Node]:
    """The source phrases of a macro in the order of its slots, x where none is written."""
    assert isinstance(t.word, Macro)
    slots = t.word.slots(t.node, t.context, kind_of)
    given = {slot: kid for (kind, slot), kid in zip(slots, t.node.kids, strict=True) if kind == "term"}
    wanted = t.word.sources[1:] if t.context.kind == "stage" else t.word.sources
    return [given.get(slot, X) for slot in wanted]


def _owns(t: Typed, sources: set[Node]) -> bool:
    """Whether a macro's expansion owns weights, its sources apart."""
    if not isinstance(t.word, Macro):
        return False
    stack = list(t.kids)
    while stack:
        inner = stack.pop()
        if inner.node in sources:
            continue
        if inner.word.weights(inner):
            return True
        stack += inner.kids
    return False


def _label(node: Node, sources: set[int]) -> str:
    """The word as written, without the sources that are drawn."""
    if not isinstance(node, nodes.Word):
        return text(node)
    args = [
        f"{key}={text(kid)}" if key else text(kid)
        for key, kid in zip(node.keys, node.arguments, strict=True)
        if id(kid) not in sources and kid is not X
    ]
    written = f"{node.name}[{node.scope}]" if node.scope else node.name
    return f"{written}({','.join(args)})" if args else written
