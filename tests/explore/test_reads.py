"""Reads of a checked sentence as points of the table of mixers."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamixer.explore import attributes
from metamixer.explore.reads import PLACES, SCORES, principal, reads
from metamixer.language import Space, parse

_path = Path(__file__).parents[1] / "properties" / "test_sentences.py"
_spec = importlib.util.spec_from_file_location("sentences", _path)
assert _spec is not None
assert _spec.loader is not None
_sentences = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_sentences)
WILD = Space(_sentences.WILD, "network", max_depth=2)
DIGITS = Space.load("digits")

# sentence -> score, normaliser, value, place of the read that it is known by; attention-systems' slot table
CELLS = {
    "att(lin,lin,lin)@h(4) >> lin": ("content", "softmax", "field", "all tokens"),
    "(dot(lin,lin) -> sig -> mm(lin))@h(4)": ("content", "none", "field", "all tokens"),
    "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@causal@h(4)": ("content", "l1", "field", "past"),
    "att(lin,lin,lin)@N(3)@h(2)": ("content", "softmax", "field", "neighbourhood"),
    "att(lin,lin,lin)@h(2)@win(4)": ("content", "softmax", "field", "window"),
    "(let q = lin, k = lin, v = lin in att(q,k,v)@T@h(4)) >> lin": ("content", "softmax", "field", "channels"),
    "let q = lin in att(q,q,lin)@top(4,dot(q,q))": ("content", "softmax", "field", "selected"),
    "att(lin,#64,#64)@h(4)": ("bank", "softmax", "bank", "slots"),
    "ffn(2)": ("bank", "none", "bank", "slots"),
    "dw(5)": ("position", "none", "field", "neighbourhood"),
    "conv(lin,#3) -> gelu -> conv(#3)": ("position", "none", "bank", "neighbourhood"),
    "lin@T": ("position", "none", "field", "all tokens"),
    "#fix(N) -> softmax -> mm(x)": ("position", "softmax", "field", "all tokens"),
    "avg(3)": ("constant", "none", "field", "neighbourhood"),
    "lin * (res(norm >> ffn(2)@T) >> res(norm >> ffn(2)))": ("prediction", "none", "field", "itself"),
    "had(lin >> sig,lin)": ("prediction", "none", "field", "itself"),
    "let k = lin in att(att(lin,k,k),k,lin)": ("content", "softmax", "field", "all tokens"),
    "let q = lin, k = lin, v = lin, a = pool(4,q) in att(q,a,att(a,k,v))": ("content", "softmax", "read", "all tokens"),
}


@pytest.mark.parametrize("sentence", CELLS)
def test_coordinates_are_those_of_the_table(sentence):
    found = principal(reads(parse(sentence).typed(32, (8, 8))))
    assert found is not None
    assert (found.score, found.normaliser, found.value, found.place) == CELLS[sentence]


def test_a_gate_comes_before_the_reads_of_the_network_that_makes_it():
    found = reads(parse("lin * (res(norm >> ffn(2)@T) >> res(norm >> ffn(2)))").typed(32, (8, 8)))
    assert [(read.score, read.tokens, read.depth) for read in found] == [
        ("prediction", True, 0),
        ("bank", True, 1),
        ("bank", False, 1),
    ]


def test_a_gate_by_a_projection_mixes_no_tokens():
    """Found by the property below."""
    found = reads(parse("ffn(2)@grid(2) >> lin -> tanh -> had(x)").typed(8, (4, 4)))
    assert [(read.place, read.tokens) for read in found] == [("slots", False), ("itself", False)]


def test_pointwise_stages_are_activations_and_what_compares_slots_normalises():
    (read,) = reads(parse("(dot(lin,lin) -> rel -> exp -> l1 -> mm(lin))@N(3)@h(2)").typed(32, (8, 8)))
    assert (read.activation, read.normaliser) == (("rel", "exp"), "l1")
    assert [support.partition("(")[0] for support in read.supports] == ["h", "N"]


def test_aggregated_values_that_are_read_as_scores_again_are_a_prediction():
    sentence = "let s = dot(lin,pool(4) >> lin)@h(4) in ((s -> mm(#16,c=9)) -> rel -> softmax -> mm(lin))@N(3)@h(4)"
    found = principal(reads(parse(sentence).typed(32, (8, 8))))
    assert found is not None
    assert (found.score, found.normaliser, found.place) == ("prediction", "softmax", "neighbourhood")


@settings(max_examples=40)
@given(seed=st.integers(0, 2**40), wild=st.booleans())
def test_what_mixes_tokens_by_its_reads_is_what_has_a_receptive_field(seed: int, wild: bool):
    space, channels, grid = (WILD, 8, (4, 4)) if wild else (DIGITS, 1, (8, 8))
    sentence = space.draw(random.Random(seed), channels, grid).sentence
    found = reads(sentence.typed(channels, grid))
    for read in found:
        assert read.score in SCORES
        assert read.place in PLACES
    if any(read.tokens for read in found):
        radius = attributes(sentence, channels, grid).receptive_field
        assert any(r is None or r > 0 for r in radius), str(sentence)
