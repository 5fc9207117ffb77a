"""MACs, parameters, elementwise work and activations by one recursion over the checked sentence.

Counting rules (docs/counting.md): ``macs`` are multiply-accumulates of matrix products and convolutions for one input
in the planned order, over their full support (zero padding and window slots included); norms, activations, gates,
pooling and sums count 0 there and are listed as ``elementwise``. FLOPs are 2 x MACs.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from metamixer.compile.plan import executed, stages
from metamixer.compile.plan import macs as planned
from metamixer.language import Sentence, parse
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Match, Repeating, WeightedSum
from metamixer.language.checking.types import Field, Given, Score, Slots
from metamixer.language.memo import memo
from metamixer.words import supports


class Row(NamedTuple):
    """Cost of one stage of a sentence.

    Attributes:
        path: indices from the root of the checked tree.
        text: the phrase.
        macs, params, elementwise, activations: as in ``Cost``.
    """

    path: tuple[int, ...]
    text: str
    macs: int
    params: int
    elementwise: int
    activations: int


class Cost(NamedTuple):
    """What one forward pass of one input costs.

    Attributes:
        macs: multiply-accumulates of matrix products and convolutions.
        params: trained parameters.
        elementwise: results of elementwise work.
        activations: values that words with weights, products and reads produce (what training keeps, roughly).
        breakdown: one row for each stage of the outermost sequence.
    """

    macs: int
    params: int
    elementwise: int
    activations: int
    breakdown: tuple[Row, ...] = ()

    @property
    def flops(self) -> int:
        """2 x MACs."""
        return 2 * self.macs


Counts = tuple[int, int, int, int]
READS = {"planned": planned, "executed": executed}


def cost(
    sentence: Sentence | str, channels: int, grid: tuple[int, ...], order: str = "planned", context: Given = None
) -> Cost:
    """Cost of a sentence for an input of ``channels`` channels on ``grid``.

    Args:
        sentence: an architecture (no choices left).
        channels: channels of the input.
        grid: length of each axis of the input.
        order: ``planned`` (as the module evaluates it), ``dense`` (scores first, absent slots left out), or
            ``executed`` (as planned, but with every product that the module's kernels run: where a small neighbourhood
            is faster as a masked product over all tokens they are more).
        context: further inputs, as for ``check``.

    Raises:
        LanguageError: the sentence does not fit that input.
    """
    sentence = parse(sentence) if isinstance(sentence, str) else sentence
    t = sentence.typed(channels, tuple(grid), context)
    return Cost(*counts(t, order), tuple([Row(path, *_facts(part, order)) for path, part in parts(t)]))


@memo
def _facts(part: Typed, order: str) -> tuple[str, int, int, int, int]:
    return (part.text, *counts(part, order))


def parts(t: Typed, path: tuple[int, ...] = ()) -> list[tuple[tuple[int, ...], Typed]]:
    """The stages of the outermost sequence; repetitions inside it are opened up."""
    if t.word.form not in ("chain", "repeat"):
        return [(path, t)]
    found: list[tuple[tuple[int, ...], Typed]] = []
    for i, kid in enumerate(t.kids):
        if kid.word.form in ("chain", "repeat"):
            found += parts(kid, (*path, i))
        else:
            found.append(((*path, i), kid))
    return found


def repeats(t: Typed) -> int:
    """How often the sub-phrases of an occurrence run for one input."""
    return t.word.times(t) if isinstance(t.word, Repeating) else 1


@memo
def counts(t: Typed, order: str = "planned") -> Counts:
    """(macs, params, elementwise, activations) of an occurrence with all below it."""
    word = t.word
    macs = params = elementwise = activations = 0
    for kid in t.kids:
        below = counts(kid, order)
        macs += below[0]
        params += below[1]
        elementwise += below[2]
        activations += below[3]
    times = repeats(t)
    macs, elementwise, activations = times * macs, times * elementwise, times * activations
    if word.form == "tied":  # its weights are counted where they are bound
        params = 0
    if word.form == "tie":
        params += _tied_params(t, order)
    if word.form == "read" and order in READS:  # stages report their own MACs; the plan may take other products
        macs += READS[order](t) - sum(step.word.macs(step) for _, step in stages(t))
    own = _own(t, order)
    trained = sum(prod(w.shape) for w in word.weights(t) if w.trained)
    if own or trained:
        activations += _elements(t)
    return macs + own, params + trained, elementwise + word.elementwise(t), activations


def _own(t: Typed, order: str) -> int:
    macs = t.word.macs(t)
    score = t.settings.get("score", t.out)
    if order != "dense" or not macs or not isinstance(score, Score) or not isinstance(t.word, (Match, WeightedSum)):
        return macs
    if not any(part.place for part in score.parts):
        return macs
    slots = score.heads * score.tokens * score.slots
    return macs // slots * sum(_present(part, score) for part in score.parts)


def _present(part: Slots, score: Score) -> int:
    """The slots of one memory that are there, over all heads and tokens."""
    if not part.place or not part.memory or supports.chosen(part.place):
        return score.heads * score.tokens * part.number
    rows = supports.table(part.place, (score.grid, score.extra), part.memory, score.heads)
    there = (rows >= 0).sum()
    return int(there) * (score.heads * score.tokens * part.number // rows.size)


def _tied_params(t: Typed, order: str) -> int:
    from metamixer.words.sharing import uses_of

    uses = uses_of(t.settings["name"], t.kids[0])
    return counts(uses[0].kids[0], order)[1] if uses else 0


def _elements(t: Typed) -> int:
    out = t.out
    if isinstance(out, Score) and all(part.memory is not None and part.place is None for part in out.parts):
        return 0  # scores over tokens, which a fused kernel never stores
    return out.tokens * out.channels if isinstance(out, (Field, Score)) else 0
