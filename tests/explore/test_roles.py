"""Roles in a sentence's text, as declared by words and not by their names."""

from __future__ import annotations

import importlib.util
import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamixer import catalog
from metamixer.errors import LanguageError
from metamixer.explore.roles import ROLES, roles
from metamixer.language import Space, parse

_path = Path(__file__).parents[1] / "properties" / "test_sentences.py"
_spec = importlib.util.spec_from_file_location("sentences", _path)
assert _spec is not None
assert _spec.loader is not None
_sentences = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_sentences)
WILD = Space(_sentences.WILD, "network", max_depth=2)
DIGITS = Space.load("digits")


def coloured(sentence: str) -> str:
    """The text with each piece that has roles as ``[outer/inner: piece]``."""
    return "".join(f"[{'/'.join(s.within)}: {s.text}]" if s.within else s.text for s in roles(sentence))


def test_attention_has_a_query_a_key_a_value_and_places():
    assert coloured("att(lin,lin >> norm,x)@win(4)@h(2) >> lin") == (
        "att([query: lin],[key: lin >> norm],[value: x])@[place: win(4)]@[place: h(2)] >> lin"
    )


def test_the_second_kernel_of_ffnified_attention_is_its_value():
    assert coloured("conv(lin,#7) -> gelu -> conv(#5)") == (
        "conv([query: lin],[key: #7]) -> [activation: gelu] -> conv([value: #5])"
    )


def test_linear_attention_has_its_feature_maps_inside_query_and_key():
    assert coloured("(dot0(lin >> relu,lin >> exp) -> l1 -> mm(lin))@h(4) >> lin") == (
        "dot0([query: lin >> relu],[key: lin >> exp]) -> [activation: l1] -> mm([value: lin])@[place: h(4)] >> lin"
    )


def test_the_network_of_a_ninformer_gates_a_value():
    assert coloured("lin * (res(norm >> ffn(2)@T) >> res(norm >> ffn(2)))") == (
        "[value: lin] * ([query: res(norm >> ffn(2)@][query/place: T][query: ) >> res(norm >> ffn(2))])"
    )


def test_nested_reads_nest():
    assert coloured("let k = lin in att(att(lin,k,k),k,lin)") == (
        "let k = lin in att([query: att(][query/query: lin][query: ,][query/key: k][query: ,][query/value: k]"
        "[query: )],[key: k],[value: lin])"
    )


def test_a_bound_phrase_has_the_role_of_its_uses_if_that_is_one():
    assert coloured("let q = lin, v = norm in att(q,v,v)").startswith("let q = [query: lin], v = norm in ")


def test_predicted_coefficients_are_made_by_the_query():
    assert coloured("((pool(1) >> lin(9C)) -> mm(lin))@N(3)@h(C)") == (
        "([query: pool(1) >> lin(9C)]) -> mm([value: lin])@[place: N(3)]@[place: h(C)]"
    )


def test_a_place_that_is_chosen_by_a_match_has_a_query_and_a_key_of_its_own():
    text = coloured("let q = lin in att(q,q,lin)@top(4,dot(pool(4,q),q))")
    assert "@[place: top(4,dot(][place/query: pool(4,q)][place: ,][place/key: q][place: ))]" in text


def test_a_product_of_equals_has_no_roles():
    assert coloured("lin * lin") == "lin * lin"


def test_spellings_of_one_sentence_are_coloured_as_it_is_printed():
    assert "".join(span.text for span in roles("( att( lin , lin,lin ) )")) == "att(lin,lin,lin)"


@settings(max_examples=60)
@given(seed=st.integers(0, 2**40), wild=st.booleans())
def test_spans_put_together_are_the_text(seed: int, wild: bool):
    space, channels, grid = (WILD, 8, (4, 4)) if wild else (DIGITS, 1, (8, 8))
    sentence = space.draw(random.Random(seed), channels, grid).sentence
    spans = roles(sentence)
    assert "".join(span.text for span in spans) == str(sentence)
    for span in spans:
        assert span.role in ROLES
        assert span.role == (span.within[-1] if span.within else "plain")
        assert span.text
    assert all(a.within != b.within for a, b in pairwise(spans))


@pytest.mark.parametrize("name", [name for name in catalog.names() if catalog.get(name).mixer])
def test_every_system_of_the_catalogue_is_coloured(name):
    entry = catalog.get(name)
    text = str(parse(entry.mixer)) if entry.mixer else str(entry.sentence)
    spans = roles(text)
    assert "".join(span.text for span in spans) == text
    if "att(" in text or "dot(" in text or "dot0(" in text:
        found = {role for span in spans for role in span.within}
        assert {"query", "key"} <= found or "#" in text


def test_what_is_no_sentence_is_refused_with_its_place():
    with pytest.raises(LanguageError, match="column 5"):
        roles("att(,)")
