"""Causal reads in chunks: the same sums as scores first, and as the recurrence, at a cost linear in the tokens."""

from __future__ import annotations

import math

import pytest
import torch

import metamixer as mm
from metamixer.compile.chunks import Chunked
from metamixer.explore.attributes import attributes
from metamixer.testing import check_sentence, checks

LIGHTNING = (
    "((dot0(lin >> silu,lin >> silu) -> decay -> mm(lin >> silu))@causal@h(4) >> norm)"
    " * (lin(8) >> lin(D) >> sig) >> lin"
)


def chunks(net: torch.nn.Module) -> int:
    return sum(isinstance(part, Chunked) for part in net.modules())


@pytest.mark.parametrize(
    ("sentence", "channels", "grid"),
    [
        (LIGHTNING, 16, (64,)),
        ("(dot0(lin >> silu,lin >> silu) -> decay -> mm(lin >> silu))@causal@h(4)", 8, (40,)),
        ("(dot(lin >> elu1,lin >> elu1) -> l1 -> mm(lin))@causal@h(2)", 8, (6, 7)),
        ("(dot0(lin >> elu1,lin >> elu1) -> id -> decay -> l1 -> mm(lin(6)))@causal@h(2)", 8, (4, 4, 3)),
        ("(dot0(lin,lin) -> decay -> decay -> mm(lin))@causal", 8, (64,)),
        ("(dot0(lin,lin) -> mm(lin))@causal@win(64)", 4, (128,)),
    ],
)
def test_chunks_keep_the_contract(sentence, channels, grid):
    subject = check_sentence(sentence, channels, grid)
    assert chunks(subject.net) == 1
    checks.trains(subject)
    checks.exports(subject)


@pytest.mark.parametrize(
    "sentence",
    [
        "(dot0(lin >> elu1,lin >> elu1) -> decay -> sig -> mm(lin))@causal",
        "(dot0(lin >> elu1,lin >> elu1) -> l1 -> decay -> mm(lin))@causal",
        "(dot0(lin,lin) -> mm(lin))@causal@N(3)",
        "att(lin,lin,lin)@causal",
    ],
)
def test_other_stages_and_places_form_their_scores(sentence):
    assert chunks(mm.build(sentence, 8, (64,))) == 0


def test_few_tokens_form_their_scores_first():
    assert chunks(mm.build("(dot0(lin,lin) -> mm(lin))@causal", 32, (32,))) == 0
    assert chunks(mm.build("(dot0(lin,lin) -> mm(lin))@causal", 32, (128,))) == 1


def test_a_chunked_read_is_the_recurrence():
    """S_t = exp(-rate) S_(t-1) + k_t v_t^T, o_t = q_t S_t (Lightning Attention, arXiv 2401.04658), head by head."""
    heads, tokens = 2, 50
    net = mm.build(f"(dot0(lin,lin) -> decay -> mm(lin))@causal@h({heads})", 8, (tokens,)).double()
    x = torch.randn(1, tokens, 8, dtype=torch.float64)
    with torch.no_grad():
        y = net(x)
        q, k, v = next(part for part in net.modules() if isinstance(part, Chunked)).sources(x, {})
        for head in range(heads):
            own = slice(4 * head, 4 * head + 4)
            fade, state = math.exp(-(2.0 ** (-8 * (head + 1) / heads))), torch.zeros(4, 4, dtype=torch.float64)
            for i in range(tokens):
                state = fade * state + torch.outer(k[0, i, own], v[0, i, own])
                assert torch.allclose(y[0, i, own], q[0, i, own] @ state, atol=1e-12)


def test_the_cost_of_a_token_is_the_same_in_long_sequences():
    per_token = {mm.cost(LIGHTNING, 64, (n,)).macs / n for n in (256, 4096, 65536)}
    c, size, heads = 64, 16, 4
    products = size * 2 * c + 2 * c * c // heads
    assert per_token == {3 * c * c + products + 2 * 8 * c + c * c}
    assert mm.cost(LIGHTNING, 64, (4096,), order="dense").macs > 100 * 4096 * c
    found = attributes(LIGHTNING, 64, (256,))
    assert found.linear
    assert found.causal
    assert found.growth == pytest.approx(1.0, abs=1e-6)
