"""What ``metamixer words`` prints: the vocabulary, one row a word, and the page that documents it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from metamixer.language.checking.registry import packages, words
from metamixer.language.checking.vocabulary import Macro, Plain, Word

AXES = (1, 2, 3)


def described(word: Word) -> dict[str, Any]:
    """A word as plain values."""
    return {
        "word": word.name,
        "stands as": [kind for kind in word.kinds if kind not in ("memory", "flag")],
        "written": word.signature() if isinstance(word, Plain) else word.name,
        "counts": list(counts(word)),
        "axes": {str(n): word.refuses.get(n) for n in AXES},
        "package": packages().get(word.name),
        "means": " ".join((word.__doc__ or "").split("\n\n")[0].replace("``", "").split()),
    }


def counts(word: Word) -> dict[str, str]:
    """What of a word is counted, and how: ``MACs``, ``parameters``, ``elementwise``."""
    if isinstance(word, Macro):
        return {"as its expansion": ""}
    kind, found = type(word), {}
    if kind.macs is not Word.macs:
        found["MACs"] = word.counted
    if kind.weights is not Word.weights:
        found["parameters"] = "its weights"
    if kind.elementwise is not Word.elementwise:
        found["elementwise"] = "its results"
    return found


def vocabulary() -> list[Word]:
    """All words that can be written, by name; names with a blank serve the checker only."""
    return [word for name, word in sorted(words().items()) if " " not in name]


def table(as_json: bool, as_page: bool = False) -> int:
    """Prints all words, those of installed packages included; as a page, those of metamixer alone."""
    if as_page:
        print(page(), end="")
        return 0
    found = [described(word) for word in vocabulary()]
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


PAGE = """\
# The words

Written by `metamixer words --table > docs/words.md` from the words themselves; a test says when it is out of date.

## On grids of one, two and three axes

A word treats all axes of a grid alike: a size with one number (`dw(3)`, `@win(4)`) serves every axis, one with several
(`dw(3x1)`, `@win(Hx1)`) gives each axis its own. Sequences are grids of one axis, images of two, volumes and videos of
three. The contract of every word runs its examples on each grid that is marked `yes`, and sees that the others are
refused. Behind `@T` the channels are the tokens of a grid with one axis, so every word stands on channels too. Sets of
points without a grid are no input of this version.

{axes}

## What counts

`MACs` are multiply-accumulates for one input, over the full support: causal and masked slots and zero padding are
counted, as torch counts them. FLOPs are 2 x MACs. `tokens` are those of the result; `C` and `c` are channels of the
source (of the queries) and of the result; `k` is the number of positions of a kernel, `g` of groups, `slots` of the
candidates of one token. `elementwise` results are listed apart and are no MACs: norms, activations, gates, sums,
pooling. A read that can sum its values first is counted in that order where it is cheaper, and a read over single slots
(`@N(1)`) as elementwise; `cost(.., order="dense")` counts scores first and leaves absent slots out. What is counted
equals what torch's counter finds in the module.

{counts}
"""


def page() -> str:
    """The page docs/words.md."""
    known = [word for word in vocabulary() if word.name not in packages()]
    axes = [
        (_code(f["word"]), ", ".join(f["stands as"]) or "-", *(_axes(f, n) for n in AXES), f["means"])
        for f in map(described, known)
    ]
    counted = [(_code(word.name), *_counted(counts(word))) for word in known]
    return PAGE.format(
        axes=_markdown(("word", "stands as", "1-D", "2-D", "3-D", "means"), axes),
        counts=_markdown(("word", "MACs", "parameters", "elementwise"), counted),
    )


def _axes(facts: dict[str, Any], n: int) -> str:
    why = facts["axes"][str(n)]
    return f"no: {why}" if why else "yes"


def _counted(found: dict[str, str]) -> tuple[str, str, str]:
    if "as its expansion" in found:
        return ("as its expansion",) * 3
    return found.get("MACs", "0"), found.get("parameters", "none"), found.get("elementwise", "0")


def _code(text: str) -> str:
    return f"`{text}`"


def _markdown(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
