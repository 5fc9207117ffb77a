"""Syntax nodes, one class for each kind of phrase.

A node is a frozen dataclass and interned: equal phrases are one object, compared by identity. Walkers look at nodes by
``match``; what serves every kind alike goes by ``kids``. What functions find out about a node is kept by
``metamixer.language.memo``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from metamixer.language.syntax.interning import Node as Node
from metamixer.language.syntax.interning import interned, kind

DEEPEST = 100  # levels of nesting in one sentence; the walks over sentences are recursive
_NO_NAMES: frozenset[str] = frozenset()


# -- leaves and words


@kind
class Size(Node):
    """A size as it is written: ``64``, ``2C``, ``7x7``, ``/2``."""

    text: str

    sign = "size"

    def __new__(cls, text: str) -> Self:
        return interned(cls, (), text)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return self

    @property
    def count(self) -> int | None:
        """Its value as a plain integer; None for several numbers, and for what follows from the input."""
        return int(self.text) if self.text.isdigit() else None


@kind
class Number(Node):
    """A number with a point or an exponent, as it is written."""

    text: str

    sign = "number"

    def __new__(cls, text: str) -> Self:
        return interned(cls, (), text)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return self


@kind
class Word(Node):
    """``name[scope(in_scope)](arguments)``: a word, or without arguments a rule or a bound name.

    Attributes:
        name: as it is written.
        arguments: in text order.
        keys: the keyword of each argument; None where it has none.
        scope: the name in square brackets.
        in_scope: what stands behind that name.
    """

    name: str
    arguments: tuple[Node, ...] = ()
    keys: tuple[str | None, ...] = ()
    scope: str | None = None
    in_scope: tuple[Node, ...] = ()

    def __new__(
        cls,
        name: str,
        arguments: tuple[Node, ...] = (),
        keys: tuple[str | None, ...] = (),
        scope: str | None = None,
        in_scope: tuple[Node, ...] = (),
    ) -> Self:
        keys = keys or (None,) * len(arguments)
        kids = arguments + in_scope
        names = _NO_NAMES if kids else frozenset((name,))
        return interned(cls, kids, name, arguments, keys, scope, in_scope, names=names)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        count = len(self.arguments)
        return Word(self.name, kids[:count], self.keys, self.scope, kids[count:])

    def renamed(self, name: str) -> Word:
        """Another word with the same arguments."""
        return Word(name, self.arguments, self.keys, self.scope, self.in_scope)


# -- phrases side by side


@kind
class Chain(Node):
    """Phrases side by side; one of the same kind in front is part of it (``chain``)."""

    kids: tuple[Node, ...]

    def __new__(cls, kids: tuple[Node, ...]) -> Self:
        return interned(cls, kids, kids)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return type(self)(kids)


@kind
class Sequence(Chain):
    """``a >> b``: b reads what a made."""

    sign = ">>"


@kind
class Product(Chain):
    """``a * b``."""

    sign = "*"


@kind
class Concatenation(Chain):
    """``a ++ b``: channels side by side."""

    sign = "++"


@kind
class Memory(Chain):
    """``a & b``: what one read reads, side by side."""

    sign = "&"


@kind
class Read(Chain):
    """``a -> b -> c``: the stages of a read."""

    sign = "->"


@kind
class Sum(Node):
    """``a + b - c``: ``signs`` has a sign for each term, the first of them ``+``."""

    signs: str
    kids: tuple[Node, ...]

    sign = "+"

    def __new__(cls, signs: str, kids: tuple[Node, ...]) -> Self:
        return interned(cls, kids, signs, kids)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return Sum(self.signs, kids)


@kind
class Split(Node):
    """``[.25: a | b]``: of each part its share, or None, and its term."""

    parts: tuple[tuple[Node | None, Node], ...]

    sign = "[]"

    def __new__(cls, parts: tuple[tuple[Node | None, Node], ...]) -> Self:
        return interned(cls, tuple(node for part in parts for node in part if node is not None), parts)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        left = iter(kids)
        return Split(tuple((None if share is None else next(left), next(left)) for share, _ in self.parts))


@kind
class Group(Node):
    """``(a | b)``: the union of places."""

    kids: tuple[Node, ...]

    sign = "|"

    def __new__(cls, kids: tuple[Node, ...]) -> Self:
        return interned(cls, kids, kids)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return Group(kids)


# -- a phrase and what stands at it


@kind
class At(Node):
    """``operand@place``."""

    operand: Node
    place: Node

    sign = "@"

    def __new__(cls, operand: Node, place: Node) -> Self:
        return interned(cls, (operand, place), operand, place)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return At(*kids)


@kind
class Repetition(Node):
    """A phrase as often as ``count`` says, one behind the other."""

    operand: Node
    count: Node

    def __new__(cls, operand: Node, count: Node) -> Self:
        return interned(cls, (operand, count), operand, count)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return type(self)(*kids)


@kind
class Power(Repetition):
    """``e^n``: choices inside are drawn once."""

    sign = "^"


@kind
class Each(Repetition):
    """``each(e, n)``: choices inside are drawn anew for every copy."""

    sign, opens = "each", True


@kind
class Bank(Node):
    """``#64``, ``#rep(7,3)``: a learned bank of a size, or by a word."""

    size: Node

    sign = "#"

    def __new__(cls, size: Node) -> Self:
        return interned(cls, (size,), size)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return Bank(*kids)


# -- bound names


@kind
class Binder(Node):
    """A name for something, in a body: one name a node, later ones may use earlier ones."""

    name: str
    value: Node
    body: Node

    def __new__(cls, name: str, value: Node, body: Node) -> Self:
        return interned(cls, (value, body), name, value, body)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return type(self)(self.name, *kids)


@kind
class Let(Binder):
    """``let n = e in b``: the value of e."""

    sign = "let"


@kind
class Tie(Binder):
    """``tie n = e in b``: the weights of e."""

    sign = "tie"


@kind
class Pick(Binder):
    """``pick n = e in b``: one draw of the choices in e."""

    sign, opens = "pick", True


# -- choices


@kind
class Choice(Node):
    """``{a | b: 2}``.

    Attributes:
        kids: the alternatives.
        weights: the prior weight of each as it is written, None where there is none; None where none has one.
        domain: what the alternatives were called before a draw was put in place in them; None where none was.
    """

    kids: tuple[Node, ...]
    weights: tuple[str | None, ...] | None = None
    domain: tuple[int | str, ...] | None = None

    opens = chooses = True

    def __new__(
        cls,
        kids: tuple[Node, ...],
        weights: tuple[str | None, ...] | None = None,
        domain: tuple[int | str, ...] | None = None,
    ) -> Self:
        return interned(cls, kids, kids, weights, domain)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return Choice(kids, self.weights, self.domain)


@kind
class Range(Node):
    """``{low..high step step}``."""

    low: int
    high: int
    step: int = 1

    opens = chooses = True

    def __new__(cls, low: int, high: int, step: int = 1) -> Self:
        return interned(cls, (), low, high, step)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return self

    @property
    def values(self) -> tuple[int, ...]:
        """What can be drawn."""
        return tuple(range(self.low, self.high + 1, self.step))


@kind
class Taken(Node):
    """A choice of which one alternative is taken; it keeps its place, for the names of the choices behind it."""

    index: int
    kids: tuple[Node, ...]

    opens = chooses = True

    def __new__(cls, index: int, kids: tuple[Node, ...]) -> Self:
        return interned(cls, kids, index, kids)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return Taken(self.index, kids)

    @property
    def option(self) -> Node:
        """The alternative that is taken."""
        return self.kids[self.index]


@kind
class Slot(Node):
    """An argument of an abbreviation in its expansion: the argument of this number, as it stands in the text."""

    number: int
    inner: Node

    def __new__(cls, number: int, inner: Node) -> Self:
        return interned(cls, (inner,), number, inner)

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        return Slot(self.number, *kids)


# -- writing phrases


X = Word("x")


def written(
    name: str,
    arguments: tuple[Node, ...],
    keys: tuple[str | None, ...],
    scope: str | None = None,
    in_scope: tuple[Node, ...] = (),
) -> Node:
    """What the text ``name[scope(in_scope)](arguments)`` is: a word, or a repetition that is written like one."""
    if name == Each.sign and keys == (None, None) and scope is None:
        return Each(*arguments)
    return Word(name, arguments, keys, scope, in_scope)


def word(name: str, *args: Node, **keywords: Node) -> Node:
    """The word ``name(args, key=value)``."""
    return written(name, args + tuple(keywords.values()), (None,) * len(args) + tuple(keywords))


def size(value: int | str | Iterable[int]) -> Node:
    """A size: an integer, a text such as ``2C``, or one integer an axis."""
    return Size(str(value) if isinstance(value, (int, str)) else "x".join(str(v) for v in value))


def number(value: float) -> Node:
    """A number, printed so that it reads back as a number (with a point or an exponent)."""
    text = repr(float(value)).replace("e-0", "e-").replace("e+0", "e+")
    return Number(text[1:] if text.startswith("0.") else text)


def chain(kind: type[Chain], kids: Iterable[Node]) -> Node:
    """Phrases as a sequence, product, .., flattened; one phrase is itself."""
    flat: list[Node] = []
    for kid in kids:
        if type(kid) is kind:
            flat += kid.kids
        else:
            flat.append(kid)
    return flat[0] if len(flat) == 1 else kind(tuple(flat))


def place(operand: Node, where: Node) -> Node:
    """``operand@where``; a sequence of places is written one after the other, innermost first."""
    if isinstance(where, At):
        return place(place(operand, where.operand), where.place)
    return At(operand, where)


def total(signs: str, kids: Iterable[Node]) -> Node:
    """A sum with one sign for each term; the first sign is ``+``. A leading sum opens up."""
    terms = list(kids)
    if isinstance(terms[0], Sum):
        signs = terms[0].signs + signs[1:]
        terms = [*terms[0].kids, *terms[1:]]
    return terms[0] if len(terms) == 1 else Sum(signs, tuple(terms))


def joined(node: Node, kids: tuple[Node, ...]) -> Node:
    """A phrase like this one with other parts, written without needless parentheses."""
    match node:
        case Chain():
            return chain(type(node), kids)
        case Sum(signs):
            return total(signs, kids)
        case At():
            return place(*kids)
    return node.with_kids(kids)


# -- reading phrases

SIGNS = frozenset(
    kind.sign
    for kind in (Size, Number, Sequence, Product, Concatenation, Memory, Read, Sum, Split, Group, At, Power, Bank)
) | {Let.sign, Tie.sign, Pick.sign}  # names of words that only stand behind signs of the grammar


def word_name(node: Node) -> str:
    """Name of the word behind a phrase; nothing behind a choice."""
    return node.name if isinstance(node, Word) else node.sign


def name_of(node: Node) -> str | None:
    """The name that a phrase is: a word without arguments, a rule or a bound name; None for any other phrase."""
    return node.name if isinstance(node, Word) and not node.kids else None


def label(node: Node) -> str:
    """A phrase without its sub-phrases: equal for phrases that differ in these alone."""
    match node:
        case Word(name, _, keys, scope, in_scope):
            own: tuple[object, ...] = (name, keys, scope, len(in_scope))
        case Size(written) | Number(written):
            own = (node.sign, written)
        case Sum(signs):
            own = (node.sign, signs)
        case Split(parts):
            own = (node.sign, *(share is not None for share, _ in parts))
        case Binder(name):
            own = (node.sign, name)
        case _:
            own = (node.sign or repr(node),)
    return " ".join(map(str, own))


def count_of(node: Node) -> int | None:
    """The plain integer that a phrase is; None for any other phrase."""
    return node.count if isinstance(node, Size) else None


def walk(node: Node) -> Iterator[Node]:
    """The node and all phrases inside it in text order, without recursion."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(current.kids))
