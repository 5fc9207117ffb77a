"""Every word that a user can write has a contract class in this folder."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from metamixer.language.checking.vocabulary import words
from metamixer.testing import WordContract


def test_every_word_has_a_contract():
    covered = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        spec = importlib.util.spec_from_file_location(f"contracts_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, WordContract)]
        covered |= {kind.word for kind in found if kind is not WordContract}
    writable = {name for name in words() if " " not in name}  # names with a blank serve the checker only
    assert covered == writable
