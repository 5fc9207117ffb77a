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
from metamixer.language.checking.inference import kind_of
from metamixer.language.checking.protocols import Projection
from metamixer.language.checking.types import Bound, Context, Field, Mismatch
from metamixer.language.checking.vocabulary import Plain, Word, words
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, X, name_of, word_name
from metamixer.language.syntax.parser import occurrences

ROLES = ("query", "key", "activation", "value", "place", "plain")
SOURCES = {"q": "query", "k": "key", "v": "value"}  # roles that words declare
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
    match node:
        case nodes.Binder(name):
            value, body = parts
            _paint(body, path, {**names, name: Bound(node.sign, node=value.node)}, paths)
            used = _uses(body, name, paths, len(path))
            _paint(value, (*path, used) if used else path, names, paths)
        case nodes.Read():
            _paint_read(parts, path, names, paths)
        case nodes.At():
            _paint(parts[0], path, names, paths, kind)
            _paint(parts[1], (*path, "place"), names, paths, "place")
        case nodes.Product():
            values = [part for part in parts if _projects(part.node)]
            for part in parts:
                own: Path = () if len(values) != 1 else ("value",) if part is values[0] else ("query",)
                _paint(part, (*path, *own), names, paths)
        case _:
            inner = "place" if isinstance(node, nodes.Group) else "term"
            for part, slot in zip(parts, _slots(node, names, kind), strict=True):
                role = SOURCES.get(slot, "")
                _paint(part, (*path, role) if role else path, names, paths, inner)


def _paint_read(parts: tuple[_Phrase, ...], path: Path, names: Names, paths: list[Path]) -> None:
    match, *stages = parts
    sources = set(_slots(match.node, names, "term")) & set(SOURCES)
    begins: Path = ("key",) if isinstance(match.node, nodes.Bank) else ("query",)
    if sources or isinstance(match.node, nodes.At):
        begins = ()
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
        if name_of(phrase.node) == name:
            inner = paths[phrase.begin][depth:]
            found.add(inner[-1] if inner else "")
        stack += phrase.parts
    return found.pop() if len(found) == 1 else None


def _slots(node: Node, names: Names, kind: str) -> tuple[str, ...]:
    """The slot that each sub-phrase fills; nothing for what fills none."""
    word = _word(node, names)
    if not isinstance(word, Plain) or not isinstance(node, nodes.Word) or not node.kids:
        return ("",) * len(node.kids)
    ctx = _SOMEWHERE._replace(kind=kind if kind in word.kinds else word.kinds[0], env=tuple(names.items()))
    try:
        slots = word.slots(node, ctx, kind_of)
    except Mismatch:  # written as no word is: whoever checks the sentence says so
        return ("",) * len(node.kids)
    return tuple(slot if what == "term" else "" for what, slot in slots)


def _word(node: Node, names: Names) -> Word | None:
    return None if name_of(node) in names else words().get(word_name(node))


def _projects(node: Node) -> bool:
    """Whether a phrase is the input, or one projection of it."""
    plain = not any(isinstance(kid, (nodes.Word, nodes.Each)) for kid in node.kids)
    return node is X or (isinstance(words().get(word_name(node)), Projection) and plain)
