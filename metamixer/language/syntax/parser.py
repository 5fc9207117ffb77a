"""Text -> node, with errors that show the place."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from lark import Lark, Token, Transformer_NonRecursive, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken, VisitError

from metamixer.errors import LanguageError
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, Size, chain
from metamixer.language.syntax.printer import text

VALUES = 4096  # of one range
Spans = dict[Node, tuple[int, int]]

# How the tokens of the grammar are called in messages.
CALLED = {
    "NAME": "a word", "SIZE": "a size", "NUMBER": "a number", "VIEW": "T", "PLACE": "N(..)", "HASH": "#", "LPAR": "(",
    "RPAR": ")", "LSQB": "[", "RSQB": "]", "LBRACE": "{", "RBRACE": "}", "__ANON_0": ">>", "__ANON_1": "++",
    "__ANON_2": "->", "__ANON_3": "..", "PLUS": "+", "MINUS": "-", "STAR": "*", "AMPERSAND": "&", "AT": "@",
    "CIRCUMFLEX": "^", "VBAR": "|", "COLON": ":", "COMMA": ",", "EQUAL": "=", "IN": "in", "STEP": "step",
    "LET": "let", "TIE": "tie", "PICK": "pick", "$END": "the end",
}  # fmt: skip


@cache
def _parser() -> Lark:
    grammar = (Path(__file__).parent / "grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", propagate_positions=True, maybe_placeholders=True)


def parse_node(source: str, place: str | None = None) -> tuple[Node, Spans]:
    """The node of a sentence and where each of its phrases stands in the text.

    Args:
        source: the sentence.
        place: what the text is called in messages, such as a file and a rule.

    Raises:
        LanguageError: the text is no sentence; the message shows line, column and a caret.
    """
    node, build = _parsed(source, place)
    return node, build.spans


def occurrences(source: str) -> tuple[Node, list[tuple[int, int, Node]]]:
    """The node of a sentence, and begin, end and node of every phrase as often as it is written, inner ones first.

    ``parse_node`` tells the first place of each node alone, since equal phrases are one node.

    Raises:
        LanguageError: as ``parse_node``.
    """
    node, build = _parsed(source, None)
    return node, build.places


def _parsed(source: str, place: str | None) -> tuple[Node, _Build]:
    source = source.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair could not be printed
    try:
        tree = _parser().parse(source)
        build = _Build()
        node = build.transform(tree)
    except UnexpectedInput as error:
        raise _syntax_error(source, error, place) from None
    except VisitError as error:
        if isinstance(error.orig_exc, _FlawError):
            flaw = error.orig_exc
            raise LanguageError(pointed(source, flaw.at, flaw.message), place, flaw.advice) from None
        raise
    if node.nesting > nodes.DEEPEST:
        raise LanguageError(
            pointed(source, 0, f"phrases stand {node.nesting} deep inside one another"),
            place,
            f"{nodes.DEEPEST} levels are the limit; write repetition as e^4",
        )
    return node, build


def pointed(source: str, at: int, message: str) -> str:
    """A message with the line it speaks of and a caret below the place."""
    at = min(max(at, 0), len(source))
    start = source.rfind("\n", 0, at) + 1
    end = source.find("\n", at)
    line = source[start : end if end >= 0 else len(source)]
    number, column = source.count("\n", 0, at) + 1, at - start
    first, cut = 0, line
    if len(line) > 110:  # show the surroundings only
        first = max(0, min(column - 50, len(line) - 100))
        cut = line[first : first + 100]
    where = f"line {number}, column {column + 1}" if "\n" in source else f"column {column + 1}"
    return f"{message} ({where})\n    {cut}\n    {' ' * (column - first)}^"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one, for "did you mean"."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None


class _FlawError(Exception):
    def __init__(self, message: str, at: int, advice: str | None = None) -> None:
        super().__init__(message)
        self.message, self.at, self.advice = message, at, advice


@v_args(meta=True)
class _Build(Transformer_NonRecursive):
    """Tree of the grammar -> interned nodes; remembers the first place of each."""

    def __init__(self) -> None:
        super().__init__()
        self.spans: Spans = {}
        self.places: list[tuple[int, int, Node]] = []

    def _at(self, meta: Any, node: Node) -> Node:
        if not meta.empty:
            self.spans.setdefault(node, (meta.start_pos, meta.end_pos))
            self.places.append((meta.start_pos, meta.end_pos, node))
        return node

    def start(self, meta: Any, kids: list[Any]) -> Node:
        return kids[0]

    def size(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, Size(str(kids[0])))

    def number(self, meta: Any, kids: list[Any]) -> Node:
        value = float(kids[0])
        if not isfinite(value):
            raise _FlawError(f"the number {kids[0]} is too large", meta.start_pos, "numbers lie below 1e308")
        return self._at(meta, nodes.number(value))

    def args(self, meta: Any, kids: list[Any]) -> list[tuple[str | None, Node]]:
        return [kid for kid in kids if kid is not None]

    def arg(self, meta: Any, kids: list[Any]) -> tuple[str | None, Node]:
        return (str(kids[0]) if kids[0] is not None else None, kids[1])

    def scope(self, meta: Any, kids: list[Any]) -> tuple[str, list[Node]]:
        return str(kids[0]), [node for _, node in kids[1] or []]

    def word(self, meta: Any, kids: list[Any]) -> Node:
        name, scope, args = kids
        scope_name, scope_args = scope or (None, [])
        args = args or []
        keys, arguments = tuple(key for key, _ in args), tuple(node for _, node in args)
        return self._at(meta, nodes.written(str(name), arguments, keys, scope_name, tuple(scope_args)))

    def bankword(self, meta: Any, kids: list[Any]) -> Node:
        return self.word(meta, [kids[0], None, kids[1]])

    def bank(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, nodes.Bank(kids[0]))

    def group(self, meta: Any, kids: list[Any]) -> Node:
        return kids[0] if len(kids) == 1 else self._at(meta, nodes.Group(tuple(kids)))

    def part(self, meta: Any, kids: list[Any]) -> tuple[Node | None, Node]:
        return kids[0], kids[1]

    def split(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, nodes.Split(tuple(kids)))

    def alt(self, meta: Any, kids: list[Any]) -> tuple[Node, Node | None]:
        return kids[0], kids[1] if len(kids) > 1 else None

    def choice(self, meta: Any, kids: list[Any]) -> Node:
        terms = tuple(term for term, _ in kids)
        if len(terms) == 1:
            return terms[0]
        if len(set(terms)) < len(terms):
            twice = next(term for term in terms if terms.count(term) > 1)
            raise _FlawError(
                f"the alternative {text(twice)} is written twice",
                meta.start_pos,
                f"give it a weight: {{{text(twice)}: 2 | ..}}",
            )
        weights = tuple(text(weight) if weight is not None else None for _, weight in kids)
        for weight in weights:
            if weight is not None and not (weight.replace(".", "", 1).isdigit() and float(weight) > 0):
                raise _FlawError(
                    f"the weight {weight} is not a positive number",
                    meta.start_pos,
                    "leave out an alternative that is never to be drawn",
                )
        return self._at(meta, nodes.Choice(terms, weights if any(weights) else None))

    def range(self, meta: Any, kids: list[Any]) -> Node:
        ends = [str(kid) if kid is not None else "1" for kid in kids]
        for end in ends:
            if not end.isdigit():
                raise _FlawError(
                    f"the range end {end} is not an integer",
                    meta.start_pos,
                    "write integers: {2..6} or {16..64 step 16}",
                )
        if max(map(len, ends)) > 12:
            raise _FlawError(f"the range {'..'.join(ends[:2])} is too large", meta.start_pos, "no size is as large")
        low, high, step = (int(end) for end in ends)
        if low > high or step < 1:
            raise _FlawError(
                f"the range {low}..{high} step {step} is empty", meta.start_pos, "write the lower end first: {2..6}"
            )
        if (high - low) // step >= VALUES:
            wide = -(-(high - low + 1) // VALUES)
            raise _FlawError(
                f"the range {low}..{high} step {step} has {(high - low) // step + 1:,} values, the limit is {VALUES:,}",
                meta.start_pos,
                f"write a step: {{{low}..{high} step {wide}}}",
            )
        return self._at(meta, nodes.Range(low, high, step) if low + step <= high else Size(str(low)))

    def seq(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, chain(nodes.Sequence, kids))

    def sum(self, meta: Any, kids: list[Any]) -> Node:
        signs = "+" + "".join(str(kid) for kid in kids if isinstance(kid, Token))
        return self._at(meta, nodes.total(signs, [kid for kid in kids if not isinstance(kid, Token)]))

    def prod(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, chain(nodes.Product, kids))

    def cat(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, chain(nodes.Concatenation, kids))

    def mem(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, chain(nodes.Memory, kids))

    def read(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, chain(nodes.Read, kids))

    def at(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, nodes.place(*kids))

    def power(self, meta: Any, kids: list[Any]) -> Node:
        return self._at(meta, nodes.Power(*kids))

    def bind(self, meta: Any, kids: list[Any]) -> tuple[str, Node, int]:
        if kids[0] == "x":
            raise _FlawError("x is always the input and cannot be bound", meta.start_pos, "choose another name")
        return str(kids[0]), kids[1], meta.start_pos

    def binder(self, meta: Any, kids: list[Any]) -> Node:
        sign, *binds, body = kids
        binder = next(kind for kind in (nodes.Let, nodes.Tie, nodes.Pick) if kind.sign == sign)
        node = body
        # one binder a node: later bindings may use earlier ones
        for name, value, _ in reversed(binds):
            node = self._at(meta, binder(name, value, node))
        return node


def _syntax_error(source: str, error: UnexpectedInput, place: str | None) -> LanguageError:
    unbalanced = _unbalanced(source)
    if unbalanced:
        return LanguageError(pointed(source, unbalanced[0], unbalanced[1]), place, unbalanced[2])
    at: int
    if isinstance(error, UnexpectedCharacters):
        at, expected = error.pos_in_stream or 0, error.allowed or set()
        message = f"{source[at]!r} is no part of the language here"
    elif isinstance(error, UnexpectedToken):
        at, expected = error.token.start_pos or 0, error.accepts or error.expected
        at = len(source) if error.token.type == "$END" else at
        message = (
            "the sentence ends too early" if error.token.type == "$END" else f"{str(error.token)!r} cannot stand here"
        )
    else:  # pragma: no cover - lark has no other kind for LALR
        at, expected, message = len(source), set(), "this is no sentence"
    if (at < len(source) and source[at] == "N") or source[max(at - 1, 0) : at + 1] == "@N":
        return LanguageError(pointed(source, at, message), place, "a bare N is the number of tokens; the place is N(3)")
    if advice := _foreign(source, at):
        return LanguageError(pointed(source, at, message), place, advice)
    names = sorted({CALLED.get(name, name) for name in expected})
    return LanguageError(pointed(source, at, message), place, f"expected one of: {'  '.join(names)}" if names else None)


def _foreign(source: str, at: int) -> str | None:
    """What to write instead of habits of other notations: capitals, commas between alternatives, products of sizes."""
    found = next((m for m in re.finditer(r"[A-Za-z_]\w*", source) if m.start() <= at < m.end()), None)
    name = found.group() if found else ""
    if name and name != name.lower() and not re.fullmatch(r"\d*[CDNHWT]", name):
        return f"{name} is no word: words have small letters, such as fconv(3,64) or norm; `metamixer words` lists them"
    if source[at : at + 1] == "," and _innermost(source[:at]) == "{":
        return "alternatives are separated by |: {32|64}"
    if at and source[at - 1].isdigit() and name:
        return f"a size is a number, or a multiple of C, D, N, H or W, such as 2C; {source[at - 1]}{name} is none"
    return None


def _innermost(before: str) -> str:
    """The bracket that is open at the end of a text."""
    stack: list[str] = []
    for sign in before:
        if sign in "([{":
            stack.append(sign)
        elif sign in ")]}" and stack:
            stack.pop()
    return stack[-1] if stack else ""


def _unbalanced(source: str) -> tuple[int, str, str] | None:
    closing = {"(": ")", "[": "]", "{": "}"}
    stack: list[tuple[str, int]] = []
    for at, sign in enumerate(source):
        if sign in closing:
            stack.append((sign, at))
        elif sign in closing.values():
            if not stack:
                return at, f"the bracket {sign} closes nothing", f"take it out, or open it before with {_opens(sign)}"
            opened, start = stack.pop()
            if closing[opened] != sign:
                return (
                    at,
                    f"the bracket {sign} cannot close the {opened} of column {start + 1}",
                    f"write {closing[opened]}",
                )
    if stack:
        return stack[-1][1], f"the bracket {stack[-1][0]} is not closed", f"add {closing[stack[-1][0]]}"
    return None


def _opens(sign: str) -> str:
    return {")": "(", "]": "[", "}": "{"}[sign]
