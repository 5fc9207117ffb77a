"""What functions found out about a phrase: kept with the phrase, and freed with it.

Equal phrases are one node, so a walk over sentences that share phrases pays for each phrase once. A result often refers
to its phrase (a checked tree to its node); a `WeakKeyDictionary` would then keep both for ever, while here the garbage
collector sees the circle. What one function remembers no other one can find.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar


class Remembering(Protocol):
    """A node, or a checked occurrence of one. Its memory is read and written in this module alone."""

    @property
    def _memory(self) -> dict[Any, Any]: ...


Phrase = TypeVar("Phrase", bound=Remembering)
More = ParamSpec("More")
Found = TypeVar("Found")
_MISSING = object()


def memo(function: Callable[Concatenate[Phrase, More], Found]) -> Callable[Concatenate[Phrase, More], Found]:
    """Decorator: a function of a phrase, and further hashable arguments, is worked out once for each of them.

    An exception is not remembered, and what is remembered is never to be changed.
    """
    if len(signature(function).parameters) == 1:

        def of_phrase(phrase: Phrase) -> Found:
            found = phrase._memory.get(function, _MISSING)
            if found is _MISSING:
                found = phrase._memory[function] = function(phrase)  # type: ignore[call-arg]
            return found

        return wraps(function)(of_phrase)  # type: ignore[return-value]

    def of_more(phrase: Phrase, *more: More.args, **named: More.kwargs) -> Found:
        key = (function, more, *named.items()) if named else (function, more)
        found = phrase._memory.get(key, _MISSING)
        if found is _MISSING:
            found = phrase._memory[key] = function(phrase, *more, **named)
        return found

    return wraps(function)(of_more)


class Memo(Generic[Found]):
    """The memory of a function that remembers under something else than its arguments, or not always."""

    __slots__ = ()

    def get(self, phrase: Remembering, key: Hashable) -> Found | None:
        """What was kept about a phrase under a key; None if nothing was."""
        return phrase._memory.get((self, key))

    def keep(self, phrase: Remembering, key: Hashable, found: Found) -> Found:
        """Keeps something about a phrase, and returns it."""
        phrase._memory[self, key] = found
        return found
