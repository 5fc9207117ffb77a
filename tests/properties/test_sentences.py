"""One pass of random sentences through every check: of the shipped space, and of a space that says what it does not."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metamixer.language import Space, parse
from metamixer.testing import check_sentence

# The whole pass: 256 sentences, in parts that several processes share; `make fuzz` takes sixteen times as many.
CASES, SENTENCES = 8, int(os.environ.get("METAMIXER_SENTENCES", "32"))

# Everything that the shipped space leaves out: other words, reads within reads, sharing, grids of one and three axes.
WILD = {
    "network": "{x | stem} >> each(phrase,{1..2}) >> {x | tail}",
    "stem": "{lin({8|12}) | fconv({2|3},{8|12},s={1|2}) | cls({1..2}) >> pos}",
    "tail": "{mean | first | pool({2|/2}) | norm >> gelu | down(2,2C) | shuffle(2)}",
    "phrase": "{simple: 3 | read: 4 | joined: 2 | shared: 2 | viewed: 2 | res(phrase >> {lin(D)|x}) | map(phrase)}",
    "simple": "{lin({C|8|12},b={0|1}) | lin({C|2C},g=2) | norm(b={0|1}) | bn | gn({1|2}) | aff | scale({.5|2})"
    " | ffn({1|2}) | dw({3|5},b={0|1}) | conv(x,#rep(3,1)) | avg(3) - x | se({2|4},gate={sig|hsig}) | act | pos"
    " | pool(2) >> act >> {lin|x} | up(2) >> dw(3,s=2)}",
    "act": "{gelu|relu|silu|sig|tanh|hswish|elu1|sq|neg|starrelu|softmax|exp >> l1}",
    "read": "{(score -> mm({lin|x|norm}))@{h({1|2|4}) | all | N(3)@h(2) | N({3|5},mask) | N(3,zero,d={1|2})@h(2)}"
    "| att(query,key,{lin|read}) | dot0(x,#{5|2C},b={0|1}) -> {act|id} -> mm(#{5|2C},b={0|1})"
    " | conv({lin|x},#3) -> {act|id} -> conv(#{3|5}) | lin -> {act|id} -> had({lin|x})"
    " | (dot(lin,#3 & lin) -> softmax -> mm(#3 & lin))@h({1|2})}",
    "score": "{dot(lin,lin) -> {softmax|sig|relu|id|exp -> l1} | dot0(lin >> exp,lin >> elu1) -> {l1|id} | dot(x,lin)}",
    "query": "{lin | x | lin >> norm}",
    "key": "{lin | x | att(lin,lin,lin)}",
    "joined": "{phrase + lin | x - simple | simple * {simple|mean >> lin|lin(1)} | simple ++ simple"
    " | [{.25|.5}: phrase | {x|simple}] | .5 * simple + x}",
    "shared": "{let k = lin in att({k|lin},k,{k|lin})@h({1|2}) + k | tie f = {lin|norm|res(ffn(1))} in f >> act >> f"
    " | pick f = {simple} in f + (act >> f) | let a = simple in (let b = a >> act in a * b)"
    " | tie f = lin >> {act|x} in f^{2..3} | let k = lin, s = dot(k,k), r = s -> relu in (r -> mm(k)) + (s -> mm(x))}",
    "viewed": "{(phrase)@T | (phrase)@win(2) | (phrase)@grid(2) | (phrase)@seg(2) | (simple)@flat | lin@flat@win(2)"
    " | (let q = lin, v = simple in att(q,q,v)@T@h({1|2})) | (phrase)@T@h(2) | lin(sets=2)@T}",
}

INPUTS = {"image": (8, (4, 4)), "sequence": (4, (6,)), "volume": (8, (4, 2, 2))}


def one_pass(sentences: int) -> settings:
    checks = list(HealthCheck)
    return settings(
        max_examples=sentences, derandomize=True, deadline=None, database=None, suppress_health_check=checks
    )


@pytest.fixture(scope="module")
def digits() -> Space:
    return Space.load("digits")


@pytest.fixture(scope="module")
def wild() -> Space:
    return Space(WILD, "network", max_depth=2)


@pytest.mark.parametrize("case", range(CASES))
def test_sentences_of_the_shipped_space(digits, case):
    seen = set()

    @one_pass(SENTENCES)
    @given(seed=st.integers(0, 2**40))
    def every_check_holds(seed: int) -> None:
        # derandomised, hypothesis gives each case the same seeds
        drawn = digits.draw(random.Random(f"{case} {seed}"), 1, (8, 8))
        assert digits.replay(drawn.choices, 1, (8, 8)).sentence == drawn.sentence
        seen.add(drawn.sentence.key(1, (8, 8)))
        check_sentence(parse(str(drawn.sentence)), 1, (8, 8), seed=case)

    every_check_holds()
    assert len(seen) > 0.97 * SENTENCES


@pytest.mark.parametrize("kind", INPUTS)
def test_sentences_beyond_the_shipped_space(wild, kind):
    channels, grid = INPUTS[kind]

    @one_pass(SENTENCES // 2)
    @given(seed=st.integers(0, 2**40))
    def every_check_holds(seed: int) -> None:
        drawn = wild.draw(random.Random(seed), channels, grid)
        assert wild.replay(drawn.choices, channels, grid).sentence == drawn.sentence
        check_sentence(parse(str(drawn.sentence)), channels, grid)

    every_check_holds()
