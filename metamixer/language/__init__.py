"""Text <-> sentence: grammar, nodes, printer, types, choices and spaces, canonical form."""

from __future__ import annotations

from metamixer.language.sentence import Sentence, check, parse
from metamixer.language.types import Field

__all__ = ["Field", "Sentence", "check", "parse"]
