"""The inverse of drawing: what a space draws it also recognises, with its choices; what it does not draw it refuses."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

import metamixer as mm
from metamixer.errors import LanguageError, SpaceError
from metamixer.language import Space

SHIPPED = [
    ("digits", 1, (8, 8), 150),
    ("atlas", 1, (8, 8), 60),
    ("atlas", 1, (64,), 30),
    ("atlas", 1, (4, 4, 4), 30),
    ("vision", 3, (224, 224), 10),
]


@pytest.mark.parametrize(("name", "channels", "grid", "number"), SHIPPED)
def test_what_a_space_draws_it_recognises(name, channels, grid, number):
    space, rng = Space.load(name), random.Random(11)
    for _ in range(number):
        draw = space.draw(rng, channels, grid)
        found = space.derivation(draw.sentence, channels, grid)
        assert found.sentence == draw.sentence
        assert space.replay(found.choices, channels, grid).sentence == draw.sentence


RULES = {
    "block": "{lin|norm} >> skip >> act",
    "skip": "{x|lin}",
    "act": "{gelu|relu|x}",
    "deep": "res({lin >> deep | block >> deep | act})",
    "wide": "lin(2C) >> act >> {lin(D) | lin}",
    "many": "{2|{3..4}}",
    "where": "{h(2) | h({1|4})@N(3) | all@h(2)}",
}


@pytest.mark.parametrize(
    "network",
    [
        "each(block,{1..3}) >> norm",
        "norm >> each({block|skip},3) >> each(skip,{0..2})",
        "(block >> skip)^{0..3} >> skip",
        "each(each(block,{1..2}) >> (lin >> act)^many,{0|2|{3..4}})",
        "lin * skip * (block + act) >> [{.5|.25}: block | skip] >> (skip ++ block) >> lin",
        "{block|act} - lin + {skip|lin + x} >> each({act|lin|lin * act},{0..3})",
        "let a = block in res(a >> skip) >> act",
        "dot(lin,skip >> lin) -> {softmax|sig} -> mm(block)@h({1|2}) >> each(act,2)",
        "att(lin,{lin|x},lin)@where >> deep",
        "pick a = block in a >> skip >> a",
        "pick a = {block|skip}, b = act in each(a >> b >> skip,2)",
        "pick a = {lin|ffn({1..3})} in {a >> a | res(a) * a | norm}",
        "pick n = many in each(block,n) >> act^n >> each(lin,n)",
        "tie a = block in a >> act >> a",
        "tie a = {lin|dw({3|5})} in each(act,2) >> {a >> norm >> a | lin}",
        "deep >> deep",
        "lin(4) >> res(wide >> lin(D)) >> wide",
        "(lin(2C) * wide) >> lin(D) >> conv(lin,#{3|5}) -> act -> conv(#{3|{5..6}})",
    ],
)
def test_whatever_a_rule_is_made_of(network):
    space, rng = Space({"network": network, **RULES}, "network", 2), random.Random(3)
    for _ in range(60):
        draw = space.draw(rng, 8, (4, 4))
        found = space.derivation(str(draw.sentence), 8, (4, 4))
        assert found.sentence.key(8, (4, 4)) == draw.sentence.key(8, (4, 4))  # several ways draw some of them
        assert space.replay(found.choices, 8, (4, 4)) == found


def every(space: Space, channels: int, grid: tuple[int, ...]) -> Iterator[mm.Sentence]:
    """All derivations of a small space, by an odometer of answers."""
    answers: list[tuple[int, int]] = []
    while True:
        taken: list[tuple[int, int]] = []

        def choose(name, choice, taken=taken, answers=tuple(answers)):
            index = answers[len(taken)][0] if len(taken) < len(answers) else 0
            taken.append((index, len(choice.viable)))
            return choice.viable[index]

        yield space.draw(random.Random(0), channels, grid, choose).sentence
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        answers = [*taken[:-1], (taken[-1][0] + 1, taken[-1][1])]


def test_what_it_recognises_is_what_it_draws():
    """Sentences of a larger space are recognised if and only if the smaller one draws their architecture."""
    inner = {"network": "each(block,{1..2}) >> act", "block": "res({lin|norm} >> act)", "act": "{gelu|ffn({1|2})}"}
    outer = {
        "network": "each(block,{1..3}) >> {act|act >> act}",
        "block": "{res({lin|norm|bn} >> act): 4 | lin >> act}",
        "act": "{gelu: 4 | relu | ffn({1: 3 | 2: 3 | 3})}",
    }
    space, larger, rng = Space(inner, "network"), Space(outer, "network"), random.Random(5)
    every_one = list(every(space, 8, (4,)))
    assert len(every_one) == space.size(8, (4,)) == 2 * 3 * 3 + (2 * 3) ** 2 * 3
    keys = {sentence.key(8, (4,)) for sentence in every_one}
    answers = []
    for _ in range(600):
        sentence = larger.draw(rng, 8, (4,)).sentence
        try:
            space.derivation(sentence, 8, (4,))
            answers.append(True)
        except SpaceError:
            answers.append(False)
        assert answers[-1] == (sentence.key(8, (4,)) in keys), sentence
    assert 30 < sum(answers) < 570


@pytest.mark.parametrize(
    ("written", "drawn"),
    [
        ("res(norm >> lin) >> res(norm >> lin) >> gelu", "res(norm >> lin)^2 >> gelu"),
        ("x >> res(norm >> lin)^2 >> x >> gelu^1", "res(norm >> lin)^2 >> gelu"),
        ("(norm >> lin) * lin >> gelu", "lin * (norm >> lin) >> gelu"),
        ("(let other = lin in other + (other >> norm)) >> gelu", "(let a = lin in a + (a >> norm)) >> gelu"),
        ("res(norm >> dot0(x,#2C,b=1) -> gelu -> mm(#2C,b=1)) >> gelu", "res(norm >> ffn(2)) >> gelu"),
        ("scale(0.50) >> gelu", "scale(.5) >> gelu"),
    ],
)
def test_other_spellings_of_an_architecture(written, drawn):
    body = "{res(norm >> {lin | ffn({1|2|3})})^{2..3} | res(norm >> ffn({1|2})) | lin * (norm >> lin) | bound | half}"
    rules = {"network": f"{body} >> gelu", "bound": "let a = lin in a + (a >> norm)", "half": "scale({.5|.25})"}
    space = Space(rules, "network")
    assert str(space.derivation(written, 8, (4,)).sentence) == drawn


def test_long_sentences_and_many_ways():
    """Every block can be derived in several ways; a sentence that fails at its end is refused all the same."""
    rules = {"network": "each({a|b|c},{1..80}) >> norm", "a": "{lin|b}", "b": "{lin|lin >> act}", "c": "lin >> act"}
    space = Space({**rules, "act": "{gelu|relu|gelu^{1..2}}"}, "network")
    rng = random.Random(1)
    for _ in range(3):
        sentence = space.draw(rng, 8, (4,)).sentence
        assert space.derivation(sentence, 8, (4,)).sentence.key(8, (4,)) == sentence.key(8, (4,))
    with pytest.raises(SpaceError):
        space.derivation("lin >> gelu >> " * 60 + "bn", 8, (4,))


BLOCKS = "(res(norm >> dw(3)) >> res(norm >> ffn(2)))^2"


@pytest.mark.parametrize(
    ("sentence", "where", "message", "advice"),
    [
        ("patch(2,48) >> res(norm >> att(lin,lin,lin)@h(3) >> lin)", "attention", "not 3 in h(3)", "2 | 4 | 8"),
        ("patch(2,48) >> shift >> norm", None, "unknown word shift", None),
        (f"patch(2,50) >> {BLOCKS} >> norm", "stem", "not 50 in patch(2,50)", "32 | 40 | 48 | 56 | 64"),
        (f"patch(2,48) >> {BLOCKS} >> norm >> gelu", "network", "not gelu", "nothing more"),
        (f"patch(2,48) >> {BLOCKS}", None, "something is missing behind", "norm | bn"),
    ],
)
def test_where_a_sentence_leaves_the_space(sentence, where, message, advice):
    space = Space.load("digits")
    with pytest.raises((SpaceError, LanguageError)) as caught:
        space.derivation(sentence, 1, (8, 8))
    assert message in caught.value.message
    assert where is None or caught.value.place.endswith(f"rule {where}")
    assert advice is None or advice in caught.value.advice


def test_the_depth_of_recursion_counts():
    rules = {"network": "deep >> norm", "deep": "res({lin >> deep | gelu})"}
    sentence = "res(lin >> res(lin >> res(gelu))) >> norm"
    assert str(Space(rules, "network", 3).derivation(sentence, 8, (4,)).sentence) == sentence
    with pytest.raises(SpaceError) as caught:
        Space(rules, "network", 2).derivation(sentence, 8, (4,))
    assert "max_depth" in caught.value.advice


def test_a_sentence_with_choices_is_no_architecture():
    with pytest.raises(LanguageError, match="choices left"):
        Space.load("digits").derivation("patch(2,{32|48}) >> norm", 1, (8, 8))
