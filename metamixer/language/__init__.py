"""Text <-> sentence: grammar, nodes, printer, types, choices and spaces, canonical form."""

from __future__ import annotations

from metamixer.language.sentence import Sentence, check, parse
from metamixer.language.space import Draw, Profile, Space
from metamixer.language.types import Field

__all__ = ["Draw", "Field", "Profile", "Sentence", "Space", "check", "parse"]
