"""Words on the front against the space."""

from __future__ import annotations

import json
import random

from metamixer.cost import cost
from metamixer.dashboards.understanding.words import draws_of, frequencies, words_of
from metamixer.language import parse


def test_words_are_operators_and_names_without_sizes_and_bound_names():
    node = parse("let k = lin(2C) in res(norm >> att(lin,k,k)@h(4)) >> conv(lin,#3) -> gelu -> conv(#5)").node
    assert words_of(node) == {"let", "lin", "res", "norm", "att", "@", "h", "conv", "#", "->", "gelu", ">>"}


def test_shares_are_those_of_a_count_by_hand(study):
    found = frequencies(study, draws=60)
    rows = {row["word"]: row for row in found["words"]}
    front = study.front()
    for word in ("att", "dw", "conv", "ffn"):
        counted = sum(word in words_of(parse(one.sentence).node) for one in front)
        assert rows[word]["front"]["share"] == counted / len(front)
    rng = random.Random(0)
    drawn = [words_of(study.context.space.draw(rng, 1, (8, 8)).sentence.node) for _ in range(60)]
    assert rows["ffn"]["space"]["share"] == sum("ffn" in one for one in drawn) / 60
    assert found["draws"] == 60
    assert found["front"] == len(front)


def test_intervals_hold_their_shares_and_narrow_with_the_number(study):
    few, many = ({row["word"]: row["space"] for row in frequencies(study, draws=n)["words"]} for n in (30, 240))
    for share in (*few.values(), *many.values()):
        assert 0 <= share["low"] <= share["share"] <= share["high"] <= 1
    assert many["ffn"]["high"] - many["ffn"]["low"] < few["ffn"]["high"] - few["ffn"]["low"]


def test_a_word_that_is_everywhere_is_undecided(study):
    row = next(row for row in frequencies(study, draws=60)["words"] if row["word"] == ">>")
    assert row["verdict"] == "undecided"
    assert row["front"]["share"] == row["space"]["share"] == row["front"]["high"] == 1


def test_draws_respect_the_limits_of_the_study(study):
    context, rng = study.context, random.Random(0)
    macs = sorted(cost(context.network(context.space.draw(rng, 1, (8, 8)).sentence), 1, (8, 8)).macs for _ in range(40))
    limited = list(draws_of(context, 30, {"macs": macs[10], "params": None}))
    assert 0 < len(limited) <= 30
    assert list(draws_of(context, 30, {"macs": 1})) == []


def test_answers_are_plain_and_the_same_each_time(study):
    first, again = (json.dumps(frequencies(study, draws=20), allow_nan=False) for _ in "ab")
    assert first == again
