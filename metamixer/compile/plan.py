"""In which order and by which kernel a read is evaluated: a function of the sentence and its shapes only.

Free of torch, so that counting and building agree by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import (
    AdditiveBias,
    EnvironmentReader,
    Fading,
    FusedNormaliser,
    MarginalNormaliser,
    Match,
    Neutral,
    RowNormaliser,
    Truncating,
    WeightedSum,
    expect,
)
from metamixer.language.checking.types import Bank, Memory, Score
from metamixer.language.checking.vocabulary import Macro, place_word
from metamixer.language.memo import memo
from metamixer.words import supports

Path = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """How one read runs.

    Attributes:
        order: ``staged`` (stage by stage, scores first), ``fused`` (scaled dot-product attention in one kernel),
            ``masked`` (the same over all tokens with a mask, where a small neighbourhood is meant: more products in a
            faster kernel; what counts is ``staged``), ``values first`` (sums over values before queries are read;
            docs/algebra.md#values-first), ``chunked`` (the same of what came before, in chunks of tokens), ``grouped``
            (fused, for each group of tokens that share their slots), or ``looked up`` (the one slot that counts follows
            from the query: its values are fetched and summed over the heads).
        match: the stage that makes the scores, with its path below the read.
        between: the stages between.
        sum: the stage that aggregates.
    """

    order: str
    match: tuple[Path, Typed] | None = None
    between: tuple[tuple[Path, Typed], ...] = ()
    sum: tuple[Path, Typed] | None = None


STAGED = Plan("staged")
MASKED_TOKENS = (
    1024  # up to here a mask over all pairs of tokens costs less than gathering slots, whatever their number
)
MASKED_TOKENS_A_SLOT = 32  # and as many tokens for each slot; measured: gathering a slot costs about 100 masked ones
MASKED_PAIRS = 2**26  # what a mask may hold


def needed(t: Typed) -> tuple[str, ...]:
    """Names of values that an occurrence takes from the phrases around it."""
    return t.word.needs(t) if isinstance(t.word, EnvironmentReader) else ()


def stages(t: Typed, path: Path = ()) -> list[tuple[Path, Typed]]:
    """The stages of a read in order, reads within it opened up; each with its path below ``t``."""
    found: list[tuple[Path, Typed]] = []
    for i, kid in enumerate(t.kids):
        inner, where = kid, (*path, i)
        while isinstance(inner.word, Macro):
            inner, where = inner.kids[0], (*where, 0)
        if inner.word.form == "read":
            found += stages(inner, where)
        else:
            found.append((where, inner))
    return found


@memo
def plan(t: Typed) -> Plan:
    """The plan of a read ``t``."""
    steps = [step for step in stages(t) if not isinstance(step[1].word, Neutral)]
    if len(steps) < 2:
        return STAGED
    match, total = steps[0][1], steps[-1][1]
    if not isinstance(match.word, Match) or len(match.out.parts) > 1 or not isinstance(total.word, WeightedSum):
        return STAGED
    between = tuple(steps[1:-1])
    if match.out.parts[0].memory is None:
        return Plan("looked up", steps[0], between, steps[-1]) if _looks_up(match, between, total) else STAGED
    if isinstance(total.inputs[1], (Bank, Memory)):
        return STAGED
    support = match.out.parts[0].place
    words = [step.word for _, step in between]
    if words and isinstance(words[-1], FusedNormaliser) and not between[-1][1].settings["scope"]:
        if support is None and all(isinstance(word, AdditiveBias) for word in words[:-1]):
            return Plan("fused", steps[0], between, steps[-1])
        part = match.out.parts[0]
        if support and len(words) == 1 and part.memory and supports.grouped(support, part.memory):
            return Plan("grouped", steps[0], between, steps[-1])
        small = _masks(match.out.tokens, match.out.slots, supports.tokens_of(part.memory or ((), 0)))
        known = support is not None and supports.distinct(support) and not supports.chosen(support)
        small = small or (support is not None and all(place_word(place).prefix for place in support))  # no mask at all
        if support and len(words) == 1 and known and small and supports.full(support):
            return Plan("masked", steps[0], between, steps[-1])
    if support and runs_on(support, between) and chunked(match, total) < match_first(match, total):
        return Plan("chunked", steps[0], between, steps[-1])
    chosen = bool(needed(match))  # of keys that are drawn while training
    if support is not None or chosen or len(words) > 1 or any(step.settings.get("scope") for _, step in between):
        return STAGED
    if all(isinstance(word, MarginalNormaliser) for word in words) and values_first(match, total) < match_first(
        match, total
    ):
        return Plan("values first", steps[0], between, steps[-1])
    return STAGED


def _masks(tokens: int, slots: int, memory: int) -> bool:
    """Whether a mask over all pairs of tokens costs less than gathering the slots."""
    few = tokens <= MASKED_TOKENS or tokens <= MASKED_TOKENS_A_SLOT * slots
    return few and tokens * memory <= MASKED_PAIRS


def runs_on(support: supports.Stack, between: tuple[tuple[Path, Typed], ...]) -> bool:
    """Whether scores of all that came before fade at fixed rates, and are at last divided by their sums, or not."""
    if not all(place_word(place).prefix for place in support) or any(s.settings.get("scope") for _, s in between):
        return False
    rest = [step.word for _, step in between if not isinstance(step.word, Fading)]
    return not rest or (len(rest) == 1 and isinstance(rest[0], RowNormaliser) and between[-1][1].word is rest[0])


def chunk(match: Typed) -> int:
    """Tokens of a chunk: about the channels of a head, where the two kinds of products are of one size."""
    width = match.settings["width"] // match.out.heads
    return min(128, max(16, 1 << (width - 1).bit_length()))


def chunked(match: Typed, total: Typed) -> int:
    """MACs in chunks: tokens * (chunk * (C of keys + C of values) + 2 * C of keys * C of values / heads).

    The last chunk counts in full.
    """
    size, c, v = chunk(match), match.settings["width"], total.inputs[1].channels
    tokens = -(-match.out.tokens // size) * size
    return int(tokens * (size * (c + v) + 2 * c * v // match.out.heads))


def _looks_up(match: Typed, between: tuple[tuple[Path, Typed], ...], total: Typed) -> bool:
    """Whether only the best slot of each head counts, by its softmax, for values that are summed over the heads."""
    if len(between) != 2:
        return False
    (_, normaliser), (_, cut) = between
    one = isinstance(cut.word, Truncating) and cut.word.kept(cut) == 1
    softmax = isinstance(normaliser.word, FusedNormaliser) and not normaliser.settings["scope"]
    static = isinstance(total.inputs[1], Bank) and total.settings["summed"]
    return expect(match.word, Match).codes(match) and softmax and one and static


def match_first(match: Typed, total: Typed) -> int:
    """MACs when scores are formed first: tokens * slots * (C of keys + C of values)."""
    return match.word.macs(match) + total.word.macs(total)


def values_first(match: Typed, total: Typed) -> int:
    """MACs when values are summed first: (tokens + slots) * C of keys * C of values / heads."""
    score: Score = match.out
    return int((score.tokens + score.slots) * match.settings["width"] * total.inputs[1].channels // score.heads)


def macs(t: Typed) -> int:
    """MACs of one read in its planned order, its sources apart."""
    chosen = plan(t)
    if chosen.order == "values first":
        assert chosen.match is not None
        assert chosen.sum is not None
        return values_first(chosen.match[1], chosen.sum[1])
    if chosen.order == "chunked":
        assert chosen.match is not None
        assert chosen.sum is not None
        return chunked(chosen.match[1], chosen.sum[1])
    if chosen.order == "looked up":
        assert chosen.match is not None
        score: Score = chosen.match[1].out
        return score.tokens * score.heads * int(t.out.channels)
    return sum(step.word.macs(step) for _, step in stages(t))


def executed(t: Typed) -> int:
    """MACs that the kernel of a read runs: those of its planned order, or more where a mask stands for few slots."""
    chosen = plan(t)
    if chosen.order != "masked":
        return macs(t)
    assert chosen.match is not None
    assert chosen.sum is not None
    match, total = chosen.match[1], chosen.sum[1]
    memory = match.out.parts[0].memory
    return int(match.out.tokens * supports.tokens_of(memory) * (match.settings["width"] + total.inputs[1].channels))
