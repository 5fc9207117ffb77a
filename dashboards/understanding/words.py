"""How often each word stands on the front, against how often the space draws it.

Both are shares of architectures that hold a word at least once. A search trains what it likes, so neither its front nor
its trials say by themselves what is favoured: the space's own draws are what to compare with. Draws are those of the
recorded space, within the study's limits, from a fixed seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scipy.stats import beta

from metamixer.cost import cost
from metamixer.dashboards.understanding.trained import Context, Study
from metamixer.errors import LanguageError
from metamixer.language import parse
from metamixer.language.checking.vocabulary import words
from metamixer.language.syntax.nodes import Binder, Node, Number, Size, X, name_of, walk, word_name

DRAWS = 400
CONFIDENCE = 0.95
PRIOR = 0.5  # Jeffreys: of a word seen in none or in all the interval still has a width


def frequencies(study: Study, limits: Mapping[str, int | None] | None = None, draws: int = DRAWS) -> dict[str, Any]:
    """Words on the front, among all that was trained, and in the space.

    Args:
        study: the trained architectures.
        limits: most macs and params that the study admits.
        draws: of the space.

    Returns:
        ``front``, ``trained``, ``draws``: how many architectures each share is of; ``words``, the most over-represented
        on the front first: ``word``, ``front``, ``trained``, ``space`` (each ``share``, and ``low`` and ``high`` of its
        95 % interval by Jeffreys' prior), ``lift``, the front's share over the space's with half an architecture added
        to each count, and ``verdict``: ``more`` or ``less`` on the front where the intervals of front and space are
        apart, else ``undecided``.
    """
    front = [words_of(parse(one.sentence).node) for one in study.front()]
    trained = [words_of(parse(one.sentence).node) for one in study.architectures if one.searched]
    drawn = list(draws_of(study.context, draws, limits or {}))
    counts = [Counter(word for one in group for word in one) for group in (front, trained, drawn)]
    sizes = [len(front), len(trained), len(drawn)]
    rows = [_row(word, [count[word] for count in counts], sizes) for word in sorted({w for c in counts for w in c})]
    rows.sort(key=lambda row: (-row["lift"], row["word"]))
    return {"front": sizes[0], "trained": sizes[1], "draws": sizes[2], "words": rows}


def words_of(node: Node) -> frozenset[str]:
    """The words of a sentence, operators by their signs; sizes, numbers and bound names are none."""
    known = words()
    bound = {inner.name for inner in walk(node) if isinstance(inner, Binder)}
    found = set()
    for inner in walk(node):
        if inner is X or isinstance(inner, (Size, Number)) or name_of(inner) in bound:
            continue
        name = word_name(inner)
        if name in known:
            found.add(name)
    return frozenset(found)


def draws_of(context: Context, number: int, limits: Mapping[str, int | None]) -> Iterable[frozenset[str]]:
    """Words of draws of a space that are within limits; at most ten tries a draw."""
    rng = random.Random(0)
    found = 0
    for _ in range(10 * number):
        if found == number:
            return
        try:
            drawn = context.space.draw(rng, context.channels, context.grid).sentence
            counted = cost(context.network(drawn), context.channels, context.grid) if any(limits.values()) else None
        except LanguageError:
            continue
        if counted is None or all(most is None or getattr(counted, name) <= most for name, most in limits.items()):
            found += 1
            yield words_of(drawn.node)


def _row(word: str, counts: Sequence[int], sizes: Sequence[int]) -> dict[str, Any]:
    shares = [_share(count, size) for count, size in zip(counts, sizes, strict=True)]
    front, trained, space = shares
    lift = ((counts[0] + 0.5) / (sizes[0] + 1)) / ((counts[2] + 0.5) / (sizes[2] + 1))
    apart = "more" if front["low"] > space["high"] else "less" if front["high"] < space["low"] else "undecided"
    return {"word": word, "front": front, "trained": trained, "space": space, "lift": lift, "verdict": apart}


def _share(count: int, size: int) -> dict[str, float]:
    """A share with its equal-tailed interval."""
    low, high = beta.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], count + PRIOR, size - count + PRIOR)
    return {
        "share": count / size if size else 0.0,
        "low": 0.0 if count == 0 else float(low),
        "high": 1.0 if count == size else float(high),
    }
