"""What a word owes its users, checked on example sentences; free of any test framework."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from metamixer.errors import LanguageError
from metamixer.language import Field, check, parse
from metamixer.language.checking.vocabulary import Word, words
from metamixer.language.syntax.nodes import walk, word_name
from metamixer.testing import checks
from metamixer.testing.checks import Subject
from metamixer.testing.declared import declared, places, probes

# a sentence, channels and grid of its input, and the types of further inputs by name
Example = tuple[str, int, tuple[int, ...]] | tuple[str, int, tuple[int, ...], tuple[tuple[str, Field], ...]]


@lru_cache(maxsize=8)
def subject_of(example: Example) -> Subject:
    """The subject of an example; the last few are kept."""
    text, channels, grid, *further = example
    return Subject(text, channels, grid, context=dict(*further))


def documented(word: str) -> None:
    """The word says what it is."""
    if not (type(words()[word]).__doc__ or "").strip():
        raise AssertionError(f"{word} has no docstring")


def used(word: str, examples: Iterable[Example]) -> None:
    """Every example uses the word."""
    for sentence, *_ in examples:
        if word not in {word_name(node) for node in walk(parse(sentence).node)}:
            raise AssertionError(f"{sentence} does not use {word}")


def on_every_grid(word: str, examples: Sequence[Example]) -> None:
    """There are examples on grids of one, two and three axes but those that the word refuses, and those it refuses."""
    refused = words()[word].refuses
    seen = {len(grid) for _, _, grid, *_ in examples}
    if seen != {1, 2, 3} - refused.keys():
        raise AssertionError(f"examples of {word} stand on grids of {sorted(seen)} axes; it refuses {sorted(refused)}")
    text, channels, grid, *_ = examples[0]
    for axes, why in refused.items():
        try:
            check(text, channels, (max(grid),) * axes)
        except LanguageError as error:
            if why and why in str(error):
                continue
        raise AssertionError(f"{text} is not refused on {axes} axes with: {why}")


def counting_said(word: str) -> None:
    """A word with multiply-accumulates says how many."""
    kind = type(words()[word])
    if bool(kind.counted) != (kind.macs is not Word.macs):
        raise AssertionError(f"{word} {'says what it counts and has no' if kind.counted else 'does not say its'} MACs")


def minds_places(word: str, examples: Iterable[Example]) -> None:
    """Whether tokens are treated by where they stand is as declared (``positional``)."""
    claimed = words()[word].positional
    seen = [places(probe) for example in examples for probe in probes(subject_of(example), word)]
    if not claimed and True in seen:
        raise AssertionError(f"{word} treats tokens by where they stand, and is not declared positional")
    if claimed and False in seen and True not in seen:
        raise AssertionError(f"{word} is declared positional, and treats tokens alike wherever they stand")


OF_A_SENTENCE = (*checks.EVERY, checks.trains, checks.exports)


def check_word(word: str, examples: Sequence[Example]) -> None:
    """All checks of a word: those of ``WordContract``, one after the other.

    Args:
        word: its name.
        examples: sentences that use it, each with the channels and the grid of an input, and the types of further
            inputs where it reads them.

    Raises:
        AssertionError: one of them does not hold.
    """
    documented(word)
    used(word, examples)
    on_every_grid(word, examples)
    counting_said(word)
    for example in examples:
        subject = subject_of(example)
        for holds in OF_A_SENTENCE:
            holds(subject)
        declared(subject, word)
    minds_places(word, examples)
