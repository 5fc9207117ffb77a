"""Text <-> sentence: grammar, nodes, printer, types, choices and spaces, canonical form."""

from __future__ import annotations

from metamixer.language.checking.types import Field
from metamixer.language.sentence import Sentence, check, parse
from metamixer.language.spaces.space import Draw, Profile, Space

__all__ = ["Draw", "Field", "Profile", "Sentence", "Space", "check", "parse"]
