"""The base class of contract tests for words, for pytest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from metamixer.testing import checks, word
from metamixer.testing.checks import Subject
from metamixer.testing.declared import declared
from metamixer.testing.word import Example, subject_of


class WordContract:
    """Tests of one word on example sentences; a subclass names both.

        class TestLin(WordContract):
            word = "lin"
            examples = (("lin(8,g=2)", 4, (5, 3)), ("lin@T", 4, (7,)))

    Attributes:
        word: the word's name, as in the table of words.
        examples: sentences that use it, each with the channels and the grid of an input, and the types of further
            inputs where it reads them: ``(("ctx", Field((5,), 4)),)``. They should reach every
            setting and edge of the word, on grids of one, two and three axes but those that it refuses; the first one
            is seen to be refused there.
    """

    word: ClassVar[str]
    examples: ClassVar[Sequence[Example]]

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "subject" in metafunc.fixturenames:
            ids = [f"{text} [{'x'.join(map(str, grid))}x{channels}]" for text, channels, grid, *_ in self.examples]
            metafunc.parametrize("subject", self.examples, indirect=True, ids=ids)

    @pytest.fixture
    def subject(self, request: pytest.FixtureRequest) -> Subject:
        return subject_of(request.param)

    def test_the_word_is_documented(self) -> None:
        word.documented(self.word)

    def test_every_example_uses_the_word(self) -> None:
        word.used(self.word, self.examples)

    def test_examples_stand_on_every_grid_that_the_word_does(self) -> None:
        word.on_every_grid(self.word, self.examples)

    def test_what_is_counted_is_said(self) -> None:
        word.counting_said(self.word)

    def test_places_matter_as_declared(self) -> None:
        word.minds_places(self.word, self.examples)

    def test_it_reads_and_weighs_what_it_declares(self, subject: Subject) -> None:
        declared(subject, self.word)

    def test_printing_and_reading_give_the_sentence_back(self, subject: Subject) -> None:
        checks.round_trip(subject)

    def test_the_output_has_the_declared_type(self, subject: Subject) -> None:
        checks.shapes(subject)

    def test_costs_are_those_of_the_module(self, subject: Subject) -> None:
        checks.counts(subject)

    def test_the_module_computes_the_dense_meaning(self, subject: Subject) -> None:
        checks.agrees(subject)

    def test_gradients_are_finite_and_reach_what_matters(self, subject: Subject) -> None:
        checks.differentiable(subject)

    def test_it_trains(self, subject: Subject) -> None:
        checks.trains(subject)

    def test_rows_of_a_batch_do_not_meet(self, subject: Subject) -> None:
        checks.batch_independent(subject)

    def test_the_canonical_form_is_the_same_function(self, subject: Subject) -> None:
        checks.canonical(subject)

    def test_it_exports(self, subject: Subject) -> None:
        checks.exports(subject)
