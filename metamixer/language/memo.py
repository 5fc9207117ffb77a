"""What functions found out about a phrase: kept with the phrase, and freed with it.

Equal phrases are one node, so a walk over sentences that share phrases pays for each phrase once. A result often refers
to its phrase (a checked tree to its node); a `WeakKeyDictionary` would then keep both for ever, while here the garbage
collector sees the circle. What one function remembers no other one can find.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar


class Remembering(Protocol):
    """A node, or a checked occurrence of one. Its memory is read and written in this module alone."""

    @property
    def _memory(self) -> dict[Any, Any]: ...


Phrase = TypeVar("Phrase", bound=Remembering)
More = ParamSpec("More")
Key = TypeVar("Key")
Found = TypeVar("Found")
_MISSING = object()


def memo(function: Callable[Concatenate[Phrase, More], Found]) -> Callable[Concatenate[Phrase, More], Found]:
    """Decorator: a function of a phrase, and perhaps of one hashable thing more, is worked out once for each.

    An exception is not remembered, and what is remembered is never to be changed.
    """
    _, *more = signature(function).parameters.values()
    assert len(more) < 2
    if more:
        usual = None if more[0].default is Parameter.empty else more[0].default

        def of_two(phrase: Any, other: Any = usual) -> Any:
            memory = phrase._memory.get(function)
            if memory is None:
                memory = phrase._memory[function] = {}
            found = memory.get(other, _MISSING)
            if found is _MISSING:
                found = memory[other] = function(phrase, other)  # type: ignore[call-arg]
            return found

        return wraps(function)(of_two)  # type: ignore[return-value]

    def of_one(phrase: Any) -> Any:
        found = phrase._memory.get(function, _MISSING)
        if found is _MISSING:
            found = phrase._memory[function] = function(phrase)  # type: ignore[call-arg]
        return found

    return wraps(function)(of_one)  # type: ignore[return-value]


class Memo(Generic[Key, Found]):
    """The memory of a function that remembers under something else than its arguments, or not always."""

    __slots__ = ()

    def of(self, phrase: Remembering) -> dict[Key, Found]:
        """What was kept about a phrase, to be added to."""
        memory: dict[Key, Found] | None = phrase._memory.get(self)
        if memory is None:
            memory = phrase._memory[self] = {}
        return memory
