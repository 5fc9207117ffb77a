"""The table of all words: the built-in ones, and those that installed packages add."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from metamixer.errors import LanguageError, UserError
from metamixer.language.checking.protocols import Neutral
from metamixer.language.syntax.nodes import Node, name_of

if TYPE_CHECKING:
    from metamixer.language.checking.word import Word

GROUP = "metamixer.words"  # entry points of this group name modules that register words
_NAME = re.compile(r"[a-z_][a-z_0-9]*")

_words: dict[str, Word] = {}
_packages: dict[str, str] = {}  # word -> the package that added it, with its version


def register(cls: type[Word]) -> type[Word]:
    """Class decorator: adds a word to the table under ``cls.name``."""
    known = _words.get(cls.name)
    if known is not None and type(known) is not cls:
        raise LanguageError(
            f"the word {cls.name} is defined twice",
            f"in {type(known).__module__}.{type(known).__qualname__} and in {cls.__module__}.{cls.__qualname__}",
            "give one of them another name",
        )
    lacking = sorted(name for name in dir(cls) if getattr(getattr(cls, name), "__isabstractmethod__", False))
    if lacking:
        raise LanguageError(
            f"the word {cls.name} lacks {', '.join(lacking)}",
            f"{cls.__module__}.{cls.__qualname__}",
            "write the methods that its protocols name, see metamixer.language.checking.protocols",
        )
    _words[cls.name] = cls()
    return cls


@cache
def words() -> Mapping[str, Word]:
    """All words by name: the built-in ones and those of installed packages.

    Raises:
        LanguageError: an installed package names a module for words that cannot be imported, or that defines a word
            again.
    """
    import_module("metamixer.words")
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        _plug_in(entry)
    return _words


def neutral(node: Node) -> bool:
    """Whether a phrase is a word that keeps its input."""
    name = name_of(node)
    return name is not None and isinstance(words().get(name), Neutral)


@cache
def only(flag: str, value: object = True) -> str:
    """Name of the one word that declares a property, for walkers that write it and name no word themselves."""
    (name,) = (name for name, word in words().items() if vars(type(word)).get(flag) == value)
    return name


def packages() -> Mapping[str, str]:
    """The words that installed packages add, each with the name and the version of its package."""
    words()
    return _packages


def _plug_in(entry: EntryPoint) -> None:
    """Registers the words of a package; all of them, or none."""
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.module
    before = dict(_words)
    try:
        entry.load()
        for name in _words.keys() - before.keys():
            if not _NAME.fullmatch(name):
                raise LanguageError(f"{name!r} cannot be the name of a word", None, "use small letters, digits and _")
    except Exception as error:
        _words.clear()
        _words.update(before)
        told = error if isinstance(error, UserError) else UserError(f"{type(error).__name__}: {error}")
        where = f"entry point {entry.name} = {entry.value} of the group {GROUP}"
        uninstall = f"pip uninstall {entry.dist.name}" if entry.dist else "uninstall it"
        raise LanguageError(
            f"the words of the package {package} cannot be used: {told.message}",
            "\n".join(filter(None, (where, told.place))),
            f"{told.advice or 'mend the package'}; or go without it: {uninstall}",
        ) from error
    _packages.update(dict.fromkeys(_words.keys() - before.keys(), package))
