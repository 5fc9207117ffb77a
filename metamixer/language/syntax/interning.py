"""What every syntax node is: frozen, one object for equal phrases, freed once nothing holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform
from weakref import ref


class Node:
    """A phrase of the language.

    Attributes:
        kids: the sub-phrases in text order.
        open: whether a choice, a ``pick`` or an ``each`` is left inside.
        names: names of words without arguments used inside; rules and bound names look like words.
        choices: number of choices written inside, nested ones included.
        nesting: how many phrases stand inside one another, itself included.
        sign: name of the word behind phrases of this kind; nothing where the phrase itself names it, or there is none.
    """

    __slots__ = ("__weakref__", "_memory", "choices", "kids", "names", "nesting", "open")

    kids: tuple[Node, ...]
    open: bool
    names: frozenset[str]
    choices: int
    nesting: int
    _memory: dict[Any, Any]  # see metamixer.language.memo

    sign: ClassVar[str] = ""
    opens: ClassVar[bool] = False  # whether it leaves something to draw or to write out
    chooses: ClassVar[bool] = False  # whether it is a choice
    _fields: ClassVar[tuple[Callable[[Any, Any], None], ...]]  # writes of its own fields, in order
    _interned: ClassVar[dict[tuple[Any, ...], _Reference]]

    def with_kids(self, kids: tuple[Node, ...]) -> Node:
        """A phrase of this kind with as many other sub-phrases, all else equal."""
        raise NotImplementedError  # every kind has one

    def __repr__(self) -> str:
        from metamixer.language.syntax.printer import text

        return f"<{type(self).__name__} {text(self)}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, name) for name in self.__match_args__)  # type: ignore[attr-defined]


class _Reference(ref[Node]):
    """Where an interned node is found, until nothing else holds it."""

    __slots__ = ("key", "table")

    key: tuple[Any, ...]
    table: dict[tuple[Any, ...], _Reference]


def _forget(reference: _Reference) -> None:
    if reference.table.get(reference.key) is reference:
        del reference.table[reference.key]


P = TypeVar("P", bound=Node)
_NO_NAMES: frozenset[str] = frozenset()
_new = object.__new__
_set_kids: Any = vars(Node)["kids"].__set__
_set_open: Any = vars(Node)["open"].__set__
_set_names: Any = vars(Node)["names"].__set__
_set_choices: Any = vars(Node)["choices"].__set__
_set_nesting: Any = vars(Node)["nesting"].__set__
_set_memory: Any = vars(Node)["_memory"].__set__


@dataclass_transform(eq_default=False, frozen_default=True)
def kind(cls: type[P]) -> type[P]:
    """Class decorator: a kind of phrase, a frozen dataclass whose instances are interned by its ``__new__``."""
    made = dataclass(frozen=True, eq=False, repr=False, init=False, slots=True)(cls)
    made._fields = tuple(getattr(made, name).__set__ for name in made.__match_args__)  # type: ignore[attr-defined]
    made._interned = {}
    return made


def interned(cls: type[P], kids: tuple[Node, ...], *values: Any, names: frozenset[str] = _NO_NAMES) -> P:
    """The one node of a kind with these values of its fields.

    Args:
        cls: the kind.
        kids: its sub-phrases.
        values: hashable, in the order of the fields.
        names: that it uses itself, apart from its sub-phrases.
    """
    table = cls._interned
    reference = table.get(values)
    if reference is not None:
        known = reference()
        if known is not None:
            return cast(P, known)
    node = _new(cls)
    for set_field, value in zip(cls._fields, values, strict=True):
        set_field(node, value)
    opened, choices, nesting = cls.opens, 1 if cls.chooses else 0, 0
    for kid in kids:
        opened = opened or kid.open
        choices += kid.choices
        if kid.nesting > nesting:
            nesting = kid.nesting
        if len(kid.names) > len(names):
            names = kid.names
    if kids:
        every = names.union(*[kid.names for kid in kids])
        if len(every) > len(names):  # else the names of one part are those of all, and are kept once
            names = every
    _set_kids(node, kids)
    _set_open(node, opened)
    _set_names(node, names)
    _set_choices(node, choices)
    _set_nesting(node, nesting + 1)
    _set_memory(node, {})
    reference = _Reference(node, _forget)
    reference.key, reference.table = values, table
    first = table.setdefault(values, reference)
    if first is not reference:
        known = first()
        if known is not None:  # another thread was quicker
            return cast(P, known)
        table[values] = reference
    return node
