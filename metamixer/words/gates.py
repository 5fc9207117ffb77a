"""Gates: the product of two fields as a read."""

from __future__ import annotations

from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Spectral
from metamixer.language.checking.types import Context, Type, field_of
from metamixer.language.checking.vocabulary import Done, Plain, register
from metamixer.words.combinators import broadcast, elements, multiply


@register
class Had(Plain, Spectral):
    """``had(q,k)``: the product of two fields, token by token; as a stage the coefficients weigh a value."""

    name, kinds = "had", ("term", "stage")
    sources = roles = ("q", "v")

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        return Done(broadcast([field_of(source) for source in sources]))

    def elementwise(self, t: Typed) -> int:
        return elements(t.out)

    def dense(self, t: Typed, w: Any, q: Any, v: Any) -> Any:
        return multiply([q, v], [field_of(kind) for kind in t.inputs], t.out)
