"""What ``metamixer words`` prints: the vocabulary, one row a word."""

from __future__ import annotations

import json
from typing import Any

from metamixer.language.table import packages, words
from metamixer.language.vocabulary import Macro, Plain, Word


def described(word: Word) -> dict[str, Any]:
    """A word as plain values."""
    counts = [
        name
        for name, own in (
            ("MACs", type(word).macs is not Word.macs),
            ("parameters", type(word).weights is not Word.weights),
        )
        if own
    ]
    if isinstance(word, Macro):
        counts = ["as its expansion"]
    elif not counts and type(word).elementwise is not Word.elementwise:
        counts = ["elementwise"]
    return {
        "word": word.name,
        "stands as": [kind for kind in word.kinds if kind not in ("memory", "flag")],
        "written": word.signature() if isinstance(word, Plain) else word.name,
        "counts": counts,
        "package": packages().get(word.name),
        "means": " ".join((word.__doc__ or "").split("\n\n")[0].replace("``", "").split()),
    }


def table(as_json: bool) -> int:
    """Prints all words, those of installed packages included."""
    found = [described(word) for name, word in sorted(words().items()) if " " not in name]
    if as_json:
        print(json.dumps(found, indent=1))
        return 0
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = Table("word", "stands as", "counts", "means", box=box.SIMPLE)
    for facts in found:
        rows.add_row(
            escape(facts["word"]),
            ", ".join(facts["stands as"]),
            ", ".join(facts["counts"]) or "-",
            escape(facts["means"] + (f" [{facts['package']}]" if facts["package"] else "")),
        )
    Console().print(rows)
    return 0
