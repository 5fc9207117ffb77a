"""Contract tests for words: what every operator of the language owes its users.

A package that adds a word tests it by inheriting `WordContract` (see docs/own-words.md), which needs pytest, or by
calling `check_word`, which does not. The checks behind both are plain functions in `metamixer.testing.checks` and
`metamixer.testing.declared`, and serve any sentence. This package needs torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from metamixer.testing.checks import Subject, check_sentence
from metamixer.testing.pieces import Piece, pieces
from metamixer.testing.word import check_word

if TYPE_CHECKING:
    from metamixer.testing.contract import WordContract

__all__ = ["Piece", "Subject", "WordContract", "check_sentence", "check_word", "pieces"]


def __getattr__(name: str) -> Any:
    if name != "WordContract":
        raise AttributeError(f"module 'metamixer.testing' has no attribute {name!r}")
    try:
        from metamixer.testing.contract import WordContract
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        raise ImportError("WordContract needs pytest: pip install pytest; check_word does the same without") from error
    return WordContract
