"""Contract tests for words: what every operator of the language owes its users.

A package that adds a word tests it by inheriting `WordContract` (see docs/own-words.md); the checks behind it are plain
functions in `metamixer.testing.checks` and serve any sentence. This package needs torch and, for `WordContract`,
pytest.
"""

from __future__ import annotations

from metamixer.testing.checks import Subject, check_sentence
from metamixer.testing.contract import WordContract
from metamixer.testing.pieces import Piece, pieces

__all__ = ["Piece", "Subject", "WordContract", "check_sentence", "pieces"]
