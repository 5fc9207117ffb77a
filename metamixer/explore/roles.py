"""What each piece of a sentence's text is to the read that it stands in: query, key, activation, value or place.

A read matches a query with keys, an activation turns the match into coefficients, and these aggregate values, within a
place (attention as one case, arXiv 2406.02021). Which argument is which is declared by the words themselves
(``Word.roles``, and ``Plain.slots`` for what is written); nothing here knows an operator by its name.

- A source takes the role of its slot: ``q`` is a query, ``k`` a key, ``v`` a value.
- Stages between the match and the aggregation are activations. The sources of the stage that aggregates are values:
  in ``conv(lin,#3) -> gelu -> conv(#5)`` the second kernel is one.
- What a read without a match begins with predicts the coefficients from the token that asks: it is a query. A learned
  bank there is a key: the same score for all.
- In a product with one plain projection (or ``x``) that is the value, and what it is multiplied with predicts its
  coefficients. A product of equals has no roles.
- What stands behind ``@`` is a place.
- A bound phrase has the role that all uses of its name have, if that is one.

Reads nest, so roles do: every span knows the roles around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from metamixer.language import Sentence, parse
from metamixer.language.checking.inference import SIGNS, kind_of
from metamixer.language.checking.protocols import Projection
from metamixer.language.checking.types import Bound, Context, Field, Mismatch
from metamixer.language.checking.vocabulary import Plain, Word, words
from metamixer.language.syntax.nodes import Node, X
from metamixer.language.syntax.parser import occurrences

ROLES = ("query", "key", "activation", "value", "place", "plain")
SOURCES = {"q": "query", "k": "key", "v": "value"}  # roles that words declare
BINDERS = ("let", "tie", "pick")
_SOMEWHERE = Context(Field((1,), 1), 1, (1,))  # which argument fills which slot does not depend on the input


@dataclass(frozen=True)
class Span:
    """A piece of a sentence's text.

    Attributes:
        text: the piece; the pieces of a sentence, put together, are its text.
        role: one of ``ROLES``, the innermost that holds here.
        within: the roles around it, outermost first; the last is ``role``, and none are ``plain``.
    """

    text: str
    role: str
    within: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Phrase:
    """One occurrence of a phrase in the text."""

    node: Node
    begin: int
    end: int
    parts: tuple[_Phrase, ...]


def roles(sentence: Sentence | str) -> tuple[Span, ...]:
    """The text of a sentence, as ``str`` prints it, cut where roles change.

    Raises:
        LanguageError: the text is no sentence.
    """
    source = str(parse(sentence) if isinstance(sentence, str) else sentence)
    paths: list[Path] = [()] * len(source)
    node, places = occurrences(source)
    _paint(_phrase(node, 0, len(source), _Places(places)), (), {}, paths)
    spans, begin = [], 0
    for at in range(1, len(source) + 1):
        if at == len(source) or paths[at] != paths[begin]:
            path = paths[begin]
            spans.append(Span(source[begin:at], path[-1] if path else "plain", path))
            begin = at
    return tuple(spans)


class _Places:
    """Where nodes are written, to be asked from left to right."""

    def __init__(self, found: list[tuple[int, int, Node]]) -> None:
        self.of: dict[Node, list[tuple[int, int]]] = {}
        for begin, end, node in sorted(found, key=lambda item: (item[0], -item[1])):
            self.of.setdefault(node, []).append((begin, end))

    def first(self, node: Node, begin: int, end: int) -> tuple[int, int]:
        """The first place within bounds; where a binder's inner one is not written for itself, all that is left."""
        inside = (place for place in self.of.get(node, ()) if begin <= place[0] and place[1] <= end)
        return next(inside, (begin, end))


def _phrase(node: Node, begin: int, end: int, places: _Places) -> _Phrase:
    parts, at = [], begin
    for kid in node.kids:
        part = _phrase(kid, *places.first(kid, at, end), places)
        parts.append(part)
        at = part.end
    return _Phrase(node, begin, end, tuple(parts))


Names = Mapping[str, Bound]
Path = tuple[str, ...]  # roles from the outermost to the innermost


def _paint(phrase: _Phrase, path: Path, names: Names, paths: list[Path], kind: str = "term") -> None:
    """Writes the roles of a phrase and of all inside it over its letters."""
    paths[phrase.begin : phrase.end] = [path] * (phrase.end - phrase.begin)
    node, parts = phrase.node, phrase.parts
    if node.op in BINDERS:
        value, body = parts
        inner = {**names, node.data[0]: Bound(node.op, node=value.node)}
        _paint(body, path, inner, paths)
        used = _uses(body, node.data[0], paths, len(path))
        _paint(value, (*path, used) if used else path, names, paths)
    elif node.op == "read":
        _paint_read(parts, path, names, paths)
    elif node.op == "at":
        _paint(parts[0], path, names, paths, kind)
        _paint(parts[1], (*path, "place"), names, paths, "place")
    elif node.op == "prod":
        values = [part for part in parts if _projects(part.node)]
        for part in parts:
            own: Path = () if len(values) != 1 else ("value",) if part is values[0] else ("query",)
            _paint(part, (*path, *own), names, paths)
    else:
        slots = _slots(node, names, kind)
        for part, slot in zip(parts, slots, strict=True):
            role = SOURCES.get(slot, "")
            _paint(part, (*path, role) if role else path, names, paths, "place" if node.op == "group" else "term")


def _paint_read(parts: tuple[_Phrase, ...], path: Path, names: Names, paths: list[Path]) -> None:
    match, *stages = parts
    sources = set(_slots(match.node, names, "term")) & set(SOURCES)
    begins: Path = () if sources or match.node.op == "at" else ("key",) if match.node.op == "bank" else ("query",)
    _paint(match, (*path, *begins), names, paths)
    for number, stage in enumerate(stages, start=1):
        slots = _slots(stage.node, names, "stage")
        if "v" in slots or (number == len(stages) and "k" in slots):
            paths[stage.begin : stage.end] = [path] * (stage.end - stage.begin)
            for part, slot in zip(stage.parts, slots, strict=True):
                _paint(part, (*path, "value") if slot in SOURCES else path, names, paths)
        else:
            _paint(stage, (*path, "activation"), names, paths, "stage")


def _uses(body: _Phrase, name: str, paths: list[Path], depth: int) -> str | None:
    """The role of a bound name in all phrases that use it, if it is one; roles further in count as the outermost."""
    found: set[str] = set()
    stack = [body]
    while stack:
        phrase = stack.pop()
        node = phrase.node
        if node.op == "word" and not node.kids and node.data[0] == name:
            inner = paths[phrase.begin][depth:]
            found.add(inner[-1] if inner else "")
        stack += phrase.parts
    return found.pop() if len(found) == 1 else None


def _slots(node: Node, names: Names, kind: str) -> tuple[str, ...]:
    """The slot that each sub-phrase fills; nothing for what fills none."""
    word = _word(node, names)
    if not isinstance(word, Plain) or node.op != "word" or not node.kids:
        return ("",) * len(node.kids)
    ctx = _SOMEWHERE._replace(kind=kind if kind in word.kinds else word.kinds[0], env=tuple(names.items()))
    try:
        slots = word.slots(node, ctx, kind_of)
    except Mismatch:  # written as no word is: whoever checks the sentence says so
        return ("",) * len(node.kids)
    return tuple(slot if what == "term" else "" for what, slot in slots)


def _word(node: Node, names: Names) -> Word | None:
    if node.op == "word" and not node.kids and node.data[0] in names:
        return None
    return words().get(SIGNS.get(node.op) or node.data[0])


def _projects(node: Node) -> bool:
    """Whether a phrase is the input, or one projection of it."""
    word = words().get(node.data[0]) if node.op == "word" else None
    return node is X or (
        word is not None and isinstance(word, Projection) and not any(kid.op == "word" for kid in node.kids)
    )
