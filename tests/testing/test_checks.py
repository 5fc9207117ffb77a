"""Each check of the contract kit fails where a word breaks its promise."""

from __future__ import annotations

import pytest
import torch

from metamixer.language.checking.types import Field
from metamixer.language.checking.vocabulary import Done, words
from metamixer.language.syntax.nodes import word
from metamixer.testing import Subject, check_sentence, checks


@pytest.fixture
def broken(monkeypatch):
    """Replaces a method of `lin`; the sentence that uses it is checked afresh."""
    kind = type(words()["lin"])

    def replace(name, change):
        monkeypatch.setattr(kind, name, change(getattr(kind, name)))

    return replace


def subject(width: int) -> Subject:
    # what is known of a checked phrase is kept: each test takes a width of its own
    return Subject(f"norm >> lin({width}) >> sig", 3, (4,))


def test_nothing_is_found_where_nothing_is_broken():
    check_sentence("norm >> lin(11) >> sig", 3, (4,))


def test_a_wrong_type_is_found(broken):
    def wider(type_):
        return lambda self, *given: Done(Field((4,), 99), type_(self, *given).settings)

    broken("type", wider)
    with pytest.raises(AssertionError, match="declared 4 tokens x 99"):
        checks.shapes(subject(21))


def test_a_wrong_number_of_macs_is_found(broken):
    broken("macs", lambda macs: lambda self, t: macs(self, t) + 1)
    with pytest.raises(AssertionError, match="cost says 530 FLOPs, torch counts 528"):
        checks.counts(subject(22))


def test_an_uncounted_parameter_is_found():
    one = subject(23)
    one.net.register_parameter("extra", torch.nn.Parameter(torch.zeros(1)))
    with pytest.raises(AssertionError, match="98 parameters, the module has 99"):
        checks.counts(one)


def test_another_function_is_found(broken):
    broken("apply", lambda apply: lambda self, t, w, x: apply(self, t, w, x) * (1 + 1e-4))
    with pytest.raises(AssertionError, match="float32 deviates from the reference"):
        checks.agrees(subject(24))


def test_a_function_that_is_exact_in_single_precision_only_is_found(broken):
    broken("apply", lambda apply: lambda self, t, w, x: apply(self, t, w, x) * (1 + 1e-8))
    with pytest.raises(AssertionError, match="float64 deviates from the reference"):
        checks.agrees(subject(25))


def test_a_detached_parameter_is_found(broken):
    broken("apply", lambda apply: lambda self, t, w, x: torch.nn.functional.linear(x, w.weight.detach(), w.bias))
    with pytest.raises(AssertionError, match=r"parts\.1\.weights\.weight promise a change"):
        checks.differentiable(subject(26))


def test_a_gradient_that_is_not_finite_is_found(broken):
    def steep(apply):
        return lambda self, t, w, x: apply(self, t, w, x) + 0.0 * (x.sum(-1, keepdim=True) * 0).sqrt()

    broken("apply", steep)
    with pytest.raises(AssertionError, match="is not finite"):
        checks.differentiable(subject(27))
    with pytest.raises(AssertionError, match="not finite in training mode"):
        checks.trains(subject(27))


def test_rows_that_meet_are_found(broken):
    broken("apply", lambda apply: lambda self, t, w, x: apply(self, t, w, x - x.mean(0)))
    with pytest.raises(AssertionError, match="row 0 of a batch"):
        checks.batch_independent(subject(28))


def test_a_canonical_form_that_drops_something_is_found(broken):
    broken("written", lambda written: lambda self, t, kids: word("lin", *written(self, t, kids).kids[:1]))
    with pytest.raises(AssertionError, match=r"not at rest|differ in|different functions"):
        checks.canonical(Subject("norm >> lin(29,b=0) >> sig", 3, (4,)))


def test_a_canonical_form_of_another_function_is_found(broken):
    broken("written", lambda written: lambda self, t, kids: word("lin", *written(self, t, kids).kids[:1], word("neg")))
    with pytest.raises(AssertionError, match=r"not at rest|different functions"):
        checks.canonical(Subject("norm >> lin(30) >> sig", 3, (4,)))


def test_what_cannot_be_exported_is_found(broken):
    broken("apply", lambda apply: lambda self, t, w, x: apply(self, t, w, x) * (2 if x.sum() > 0 else 1))
    with pytest.raises(Exception, match="data-dependent"):
        checks.exports(subject(31))


def test_a_program_of_one_batch_size_only_is_found(broken):
    def fixed(apply):
        return lambda self, t, w, x: apply(self, t, w, x.reshape(len(x), -1, 3).expand(len(x), -1, -1))

    broken("apply", fixed)
    with pytest.raises(AssertionError, match="for a batch of 3 only"):
        checks.exports(subject(32))


def test_tensors_are_moved_off_their_neutral_values():
    net = Subject("bn >> lin(5) >> scale(.1)", 3, (4,)).net
    state = net.state_dict()
    variance = next(value for name, value in state.items() if name.endswith("variance"))
    assert bool(((variance > 0.5) & (variance < 1.5)).all())
    assert all(float(value.std()) > 0 for value in state.values())


def test_where_words_select_one_row_may_differ_in_single_precision_but_not_two():
    one = Subject("dot(lin,lin) -> top(2) -> softmax -> mm(lin(26))", 3, (4,))
    checks.agrees(one)
    one.expected[0] += 1
    with pytest.raises(AssertionError, match="float64 deviates"):
        checks.agrees(one)
    one.expected[1] += 1
    with pytest.raises(AssertionError, match="float32 deviates"):
        checks.agrees(one)
