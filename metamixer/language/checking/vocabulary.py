"""What whoever writes a word imports: the base classes, their parts, and the registry.

What else a word may be, such as a normaliser or a combinator, is in `metamixer.language.checking.protocols`.
"""

from __future__ import annotations

from metamixer.language.checking.arguments import argument, on_grid, one, per_axis
from metamixer.language.checking.place import PlaceWord, place_word, written_supports
from metamixer.language.checking.plain import REQUIRED, Macro, Plain
from metamixer.language.checking.registry import neutral, register, words
from metamixer.language.checking.word import (
    SAME,
    Demand,
    Done,
    Form,
    KindOf,
    Span,
    Spans,
    Weighing,
    Weight,
    Word,
    aligned,
)

__all__ = [
    "REQUIRED",
    "SAME",
    "Demand",
    "Done",
    "Form",
    "KindOf",
    "Macro",
    "PlaceWord",
    "Plain",
    "Span",
    "Spans",
    "Weighing",
    "Weight",
    "Word",
    "aligned",
    "argument",
    "neutral",
    "on_grid",
    "one",
    "per_axis",
    "place_word",
    "register",
    "words",
    "written_supports",
]
