"""Spaces: exact sizes, type-directed draws, names of choices, replaying and repairing, sharing, depth."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter

import pytest

from metamixer.errors import LanguageError
from metamixer.language import Sentence, Space, check, parse
from metamixer.language.spaces.choice import Choice
from metamixer.language.spaces.drawing.sampling import substitute
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import X, chain, count_of, joined, size, word
from metamixer.language.syntax.printer import text

# rules, channels, grid, max_depth, number of derivations counted by hand or None
SPACES = {
    "widths": ({"n": "lin({8|16})"}, 4, (4, 4), 3, 2),
    "unequal widths": (
        {"n": "lin({8|12|16}) >> att(lin({C|C/2}),lin({C|C/2}),lin)@h({2|3|4}) >> lin"}, 4, (4, 4), 3, None,
    ),
    "must divide": ({"n": "lin({8|12}) >> lin(g={3|4})"}, 24, (2,), 3, 3),
    "residual": ({"n": "res({lin | lin(8) | lin(8) >> lin({4|8})})"}, 4, (2,), 3, 2),
    "pick": ({"n": "pick c = {lin|norm|dw({3|5})} in c >> down(2,{8|16}) >> c"}, 4, (8, 8), 3, 8),
    "pick of a width": ({"n": "pick c = lin({4|8}) in c >> lin({4|8}) >> c"}, 4, (8, 8), 3, 4),
    "pick within reach": ({"n": "pick k = {3|5|7} in dw(k) >> down(2,8) >> dw(k)"}, 4, (4, 4), 3, 1),
    "tie": ({"n": "tie c = lin({4|8}) in lin({4|8}) >> c >> lin({4|8}) >> c"}, 4, (8, 8), 3, 4),
    "unused": ({"n": "pick c = {lin|norm} in x"}, 4, (8, 8), 3, 1),
    "each": ({"n": "each(b,{1..2}) >> (res({norm|b}))^{0..3}", "b": "{lin|dw(3)}"}, 4, (8, 8), 3, 60),
    "power of a width": ({"n": "lin({8|16})^{1..3}"}, 8, (8, 8), 3, 4),
    "power keeps type": ({"n": "({lin | lin(2C)})^{1..3}"}, 8, (2,), 3, 4),
    "power may change": ({"n": "down(2,2C)^{0..3}"}, 8, (4, 4), 3, 3),
    "places": ({"n": "att(lin,lin,lin)@{win({2|4|8})@h({2|3}) | all | N({3|5})}"}, 8, (4, 4), 3, 4),
    "place fits operand": ({"n": "att(lin({8|12}),lin({8|12}),lin)@h({2|3})"}, 8, (4, 4), 3, None),
    "recursive": ({"n": "m >> m", "m": "{lin | lin * m | res(m)}"}, 8, (4, 4), 3, 49),
    "recursive twice": ({"n": "{lin | n >> n}"}, 8, (4, 4), 3, 5),
    "mutual": ({"n": "{lin | res(m)}", "m": "{norm | res(n)}"}, 8, (4, 4), 2, 4),
    "split": ({"n": "[{.25|.5}: att(lin,lin,lin)@h({2|4}) | x] >> pool({/2|/3|/4})"}, 8, (8, 8), 3, 6),
    "stages": ({"n": "conv(lin,#{3|5|9}) -> {gelu|relu -> silu|id} -> conv(#{3|5})"}, 8, (4, 4), 3, 12),
    "expansions": ({"n": "dw({3|5},lin({8|16})) >> se({2|4}) >> {patch({2|3},{4|8})|x}"}, 8, (4, 4), 3, 24),
    "let": ({"n": "let q = lin({8|16}) in att(q,{lin|q},q)@h({2|3|16})"}, 8, (4, 4), 3, None),
    "let of a let": ({"n": "let q = lin({2|4}) in (let r = {q|x} in r + lin({2|4}))"}, 4, (2,), 3, 4),
    "operand before place": (
        {"n": "(att(lin({8|12}),lin({8|12}),lin)@{h({2|3})|win({2|4})@h({4|5})})^{0..2}"}, 8, (4, 4), 3, None,
    ),
    "counts": ({"n": "{lin | gelu}^{0..2} >> each({lin|norm},{0|2})"}, 4, (2,), 3, 25),
    "range with a step": ({"n": "lin({4..16 step 4}) >> lin(g={1..4})"}, 12, (2,), 3, 13),
    "scopes": ({"n": "lin(8) >> b >> lin({D|C})", "b": "lin({D|2C}) >> lin(D)"}, 4, (2,), 3, 4),
    "heads in force": ({"n": "(dot(lin,lin) -> {softmax|sig} -> mm(lin({4|6})))@h({2|4})"}, 4, (2,), 3, 6),
    "class token": ({"n": "{x|cls} >> {dw(3)|lin|att} >> {mean|first}"}, 4, (3, 3), 3, 10),
    "tie of a pick": ({"n": "pick p = {3|5} in tie f = dw(p) in f >> {f|norm}"}, 4, (8, 8), 3, 4),
    "pick of a pick": ({"n": "pick a = {lin|norm}, b = a >> a in b >> b"}, 4, (8, 8), 3, 2),
    "tie of a tie": ({"n": "tie a = {lin|norm}, b = {a >> a|a} in b >> {b|a}"}, 4, (8, 8), 3, 8),
    "pick of a width picked": (
        {"n": "pick w = {8|16}, c = {lin(w)|lin(24)} in c >> lin(4) >> c >> lin(w)"}, 4, (8, 8), 3, 4,
    ),
    "picked kernel, here and there": (
        {"n": "pick k = {3|5|7}, f = {dw(k)|conv(x,#k)} in f >> down(2,8) >> {f|dw(k)}"}, 4, (8, 8), 3, 12,
    ),
    "pick not always used": ({"n": "pick c = {lin|norm} in {c >> c | gelu}"}, 4, (4,), 3, 3),
    "pick used here or there": (
        {"n": "pick c = {lin|norm|bn} in {c|x} >> {gelu|relu >> {c|lin}} >> {c|x}"}, 4, (4,), 3, 32,
    ),
    "picks that use each other or not": (
        {"n": "pick a = {lin|norm}, b = {a|gelu} in {b >> {a|x} | relu}"}, 4, (4,), 3, 8,
    ),
    "pick under counts": ({"n": "pick c = {lin|norm} in c^{0..2} >> {gelu|relu}^{0..1} >> {c|x}"}, 4, (4,), 3, None),
    "tie not always used": ({"n": "tie c = {lin|norm} in {c >> c | {c|gelu} >> res({c|x})}"}, 4, (4,), 3, None),
    "pick of a rule not always used": (
        {"n": "lin >> {pick a = m in {res({a|gelu}) >> m | m}|norm} >> m", "m": "{lin|dw({3|5})}"}, 4, (8, 8), 3, None,
    ),
    "pick of a width not always used": (
        {"n": "pick w = {8|16}, c = {lin(w)|lin(24)} in {c >> lin({4|w}) | x} >> lin(g={4|8})"}, 4, (8, 8), 3, None,
    ),
    "hidden names": ({"n": "pick c = {lin|norm} in pick c = {c >> c|res(c)} in c"}, 4, (8, 8), 3, 4),
    "pick of a let": ({"n": "let s = {lin|norm} in pick f = {s|gelu(s)} in f + f"}, 4, (8, 8), 3, 4),
    "pick of a rule": ({"n": "pick a = m, b = {a|res(a)} in a >> b", "m": "{lin|dw({3|5})}"}, 4, (8, 8), 3, 6),
    "picks within copies": (
        {"n": "(pick a = {lin|norm}, b = {a|gelu} in a >> b)^2 >> each(pick a = {lin|norm}, b = {a|gelu} in a >> b,2)"},
        4, (4,), 3, 64,
    ),
    "tie of a shrinking phrase": ({"n": "tie p = down(2,C) in p^{0..2} >> {lin|norm}"}, 4, (8, 8), 3, 6),
    "pick of a shrinking phrase": ({"n": "pick p = down(2,2C) in p^{1..3} >> {lin|norm}"}, 4, (8, 8), 3, 6),
    "binders in copies": (
        {"n": "(pick c = {lin|norm} in c >> c)^2 >> each(pick c = {lin|norm} in c,2)"}, 4, (2,), 3, 8,
    ),
}  # fmt: skip


def everything(space: Space, channels, grid):
    """All draws of a space, found by answering every choice in every viable way."""
    waiting, found = [()], []
    while waiting:
        before, taken = waiting.pop(), []

        def choose(name, choice, before=before, taken=taken):
            i = len(taken)
            value = before[i] if i < len(before) else choice.viable[0]
            if i >= len(before):
                waiting.extend((*taken, other) for other in choice.viable[1:])
            taken.append(value)
            return value

        found.append(space.draw(random.Random(0), channels, grid, choose))
    return found


@pytest.mark.parametrize("name", SPACES)
def test_the_size_is_the_number_of_well_typed_derivations(name):
    rules, channels, grid, max_depth, number = SPACES[name]
    space = Space(rules, "n", max_depth)
    draws = everything(space, channels, grid)
    assert space.size(channels, grid) == len(draws)
    if number is not None:
        assert len(draws) == number
    assert len({tuple(draw.choices.items()) for draw in draws}) == len(draws)
    for draw in draws:
        again = parse(str(draw.sentence))
        assert again == draw.sentence
        check(again, channels, grid)
        replayed = space.replay(draw.choices, channels, grid)
        assert (replayed.sentence, replayed.choices) == (draw.sentence, draw.choices)


# With a count above one, a choice in the operand of a power must keep its type: not every fitting sentence is meant.
@pytest.mark.parametrize("name", [name for name in SPACES if not name.startswith("power")])
def test_nothing_well_typed_is_left_out(name):
    """Choices replaced in every way, without a thought of types: what then fits is what is drawn."""
    rules, channels, grid, max_depth, _ = SPACES[name]
    nodes = {rule: parse(body).node for rule, body in rules.items()}
    fitting = set()
    for node in spelled(word("n"), nodes, {}, max_depth):
        try:
            fitting.add(Sentence(node).key(channels, grid))
        except LanguageError:
            continue
    drawn = {draw.sentence.key(channels, grid) for draw in everything(Space(rules, "n", max_depth), channels, grid)}
    assert drawn == fitting


def spelled(node, rules, opened, max_depth):
    """Every phrase that a phrase with choices can become."""

    def inside(kid, opened=opened):
        return spelled(kid, rules, opened, max_depth)

    match node:
        case nodes.Range(low, high, step):
            yield from map(size, range(low, high + 1, step))
        case nodes.Choice(kids):
            yield from itertools.chain.from_iterable(map(inside, kids))
        case nodes.Word(name, ()) if name in rules:
            opened = {**opened, name: opened.get(name, 0) + 1}
            if opened[name] <= max_depth:
                yield from (scoped(body) for body in inside(rules[name], opened))
        case nodes.Pick(name, value, body):
            for drawn in inside(value):
                yield from inside(substitute(body, name, scoped(drawn)))
        case nodes.Repetition(operand, count):
            for copies in map(count_of, inside(count)):
                once = ((body,) * copies for body in inside(operand))
                anew = itertools.product(inside(operand), repeat=copies)
                for bodies in anew if isinstance(node, nodes.Each) else once:
                    yield chain(nodes.Sequence, bodies) if bodies else X
        case _:
            for kids in itertools.product(*(list(inside(kid)) for kid in node.kids)):
                yield joined(node, kids)


def scoped(node):
    return word("unit", node) if "D" in text(node) else node


@pytest.mark.parametrize("name", SPACES)
def test_every_draw_fits(name):
    rules, channels, grid, max_depth, _ = SPACES[name]
    space, rng = Space(rules, "n", max_depth), random.Random(7)
    seen = {draw.sentence for draw in everything(space, channels, grid)}
    for _ in range(30):
        draw = space.draw(rng, channels, grid)
        check(draw.sentence, channels, grid)
        assert draw.sentence in seen
        assert not draw.sentence.node.open
        assert all(word not in str(draw.sentence) for word in ("pick", "each", "{"))


def frequencies(rules, channels=8, grid=(4, 4), draws=4000, **options):
    space, rng = Space(rules, "n", **options), random.Random(11)
    return Counter(str(space.draw(rng, channels, grid).sentence) for _ in range(draws))


def chi_square(found: Counter, expected: dict[str, float]) -> float:
    draws = sum(found.values())
    assert set(found) <= set(expected)
    assert math.isclose(sum(expected.values()), 1)
    return sum((found[text] - draws * p) ** 2 / (draws * p) for text, p in expected.items())


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"n": "{lin: 3 | norm: 1 | gelu}"}, {"lin": 0.6, "norm": 0.2, "gelu": 0.2}),
        ({"n": "{lin: .5 | norm: 1.5}"}, {"lin": 0.25, "norm": 0.75}),
        ({"n": "lin({2..8 step 2})"}, {f"lin({w})": 0.25 for w in (2, 4, 6, 8)}),
        # priors are renormalised over what can be completed, and nothing else is conditioned
        ({"n": "res({lin: 1 | lin(4): 8 | norm: 3})"}, {"res(lin)": 0.25, "res(norm)": 0.75}),
        (
            {"n": "lin({8|12}) >> lin(g={3|4|8})"},
            {f"lin({c}) >> lin(g={g})": 0.25 for c, g in ((8, 4), (8, 8), (12, 3), (12, 4))},
        ),
        (
            {"n": "{lin|norm} >> {lin|norm: 3}"},
            {"lin >> lin": 0.125, "norm >> lin": 0.125, "lin >> norm": 0.375, "norm >> norm": 0.375},
        ),
        # at the bound of depth only what ends is offered, with its priors
        ({"n": "{lin: 1 | norm: 3 | res(n): 4}"}, {"lin": 0.125, "norm": 0.375, "res(lin)": 0.125, "res(norm)": 0.375}),
        # the count is drawn before the operand
        ({"n": "{lin|norm}^{1..2}"}, {"lin": 0.25, "norm": 0.25, "lin^2": 0.25, "norm^2": 0.25}),
        (
            {"n": "each({lin|norm: 3},2)"},
            {"lin^2": 1 / 16, "norm^2": 9 / 16, "lin >> norm": 3 / 16, "norm >> lin": 3 / 16},
        ),
    ],
)  # fmt: skip
def test_priors_are_respected(rules, expected):
    found = frequencies(rules, max_depth=2)
    # 99.9 % quantiles of chi-square are below 11 + 2.2 k for k < 10 degrees of freedom
    assert chi_square(found, expected) < 11 + 2.2 * (len(expected) - 1), found


def names(rules, channels=8, grid=(8, 8), seed=0, **options):
    space = Space(rules, next(iter(rules)), **options)
    found: dict[str, tuple] = {}

    def choose(name, choice):
        found[name] = choice.domain
        return choice.draw(rng)

    rng = random.Random(seed)
    for _ in range(100):
        space.draw(rng, channels, grid, choose)
    return found


def test_choices_are_named_by_their_place_in_the_text():
    rules = {
        "network": "lin({8|16}) >> {block: 2 | block >> block} >> each(block,{1..2}) >> {norm|bn}",
        "block": "res({norm|bn} >> mixer) >> res(ffn({1|2}))",
        "mixer": "{attention | gated | lin}",
        "attention": "att(lin,lin,lin)@h({2|4})",
        "gated": "lin * mixer",
    }
    found = names(rules, max_depth=2)
    assert found["network#1"] == (8, 16)
    assert found["network#2"] == ("block", "block >> block")
    assert found["network#3"] == (1, 2)
    assert found["network#4"] == ("norm", "bn")
    assert found["network/block#1"] == ("norm", "bn")
    assert found["network/block#2"] == (1, 2)
    assert found["network/block~2#1"] == ("norm", "bn")  # first of the second alternative: the second in the text
    assert found["network/block~3#1"] == ("norm", "bn")
    assert found["network[1]/block~4#2"] == (1, 2)
    assert found["network[2]/block~4/mixer#1"] == ("attention", "gated", "lin")
    assert found["network[2]/block~4/mixer/attention#1"] == (2, 4)
    assert found["network/block/mixer/gated/mixer#1"] == ("attention", "gated", "lin")
    assert found["network/block/mixer/gated/mixer/attention#1"] == (2, 4)
    assert not [name for name in found if "gated/mixer/gated/mixer/gated" in name]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"n": "{norm | {bn: 2 | gelu} >> lin | {relu|silu}}"}, {"n#1", "n#2", "n#3"}),
        ({"n": "{x|lin}^{2..3} >> {relu|gelu}"}, {"n#1", "n#2", "n#3"}),
        ({"n": "dw({3|5},lin({8|16})) >> se({2|4})"}, {"n#1", "n#2", "n#3"}),
        ({"n": "att({lin|x},{lin|x},lin)@{win({2|4}) | h({2|4})}"}, {"n#1", "n#2", "n#3", "n#4", "n#5"}),
        ({"n": "[{.25|.5}: {lin|x} | {norm|gelu}]"}, {"n#1", "n#2", "n#3"}),
        ({"n": "pick c = {lin|norm} in c >> {gelu|relu} >> c"}, {"n#1", "n#2"}),
        ({"n": "m >> m >> res(m)", "m": "{lin|norm}"}, {"n/m#1", "n/m~2#1", "n/m~3#1"}),
        ({"n": "pick c = m in c >> c >> m", "m": "{lin|norm}"}, {"n/m#1", "n/m~2#1"}),
        ({"n": "each(m,2) >> m^2", "m": "{lin|norm}"}, {"n[1]/m#1", "n[2]/m#1", "n/m~2#1"}),
        ({"n": "each({lin|norm},2) >> {gelu|relu}"}, {"n[1]#1", "n[2]#1", "n#2"}),
        ({"n": "each(each({lin|norm},2),2)"}, {"n[1][1]#1", "n[1][2]#1", "n[2][1]#1", "n[2][2]#1"}),
        ({"n": "ffn({1|2}) >> (let q = {lin|norm} in q + {x|q})"}, {"n#1", "n#2", "n#3"}),
    ],
)  # fmt: skip
def test_names_follow_text_order(rules, expected):
    assert set(names(rules)) == expected


def test_the_domain_of_a_name_is_what_is_written():
    seen = set()

    def choose(name, choice):
        seen.add((name, choice.domain, choice.viable, choice.weights))
        return choice.viable[-1]

    Space({"n": "res({lin(4): 2 | lin: 3 | lin(8)}) >> lin({C|4}) >> lin({4..12 step 4})"}, "n").draw(
        random.Random(0), 8, (2,), choose
    )
    assert seen == {
        ("n#1", ("lin(4)", "lin", "lin(8)"), ("lin", "lin(8)"), (2.0, 3.0, 1.0)),
        ("n#2", ("C", "4"), ("C", "4"), (1.0, 1.0)),
        ("n#3", (4, 8, 12), (4, 8, 12), (1.0, 1.0, 1.0)),
    }


def test_replay_repairs_what_does_not_fit_and_ignores_what_is_not_met():
    space = Space({"n": "lin({8|12|16}) >> lin(g={1..6}) >> {norm | lin({2|4}) >> gelu}"}, "n")
    draw = space.replay({"n#1": 12, "n#2": 5, "n#3": "norm", "n#4": 4, "other#9": 1}, 240, (2,))
    assert draw.choices == {"n#1": 12, "n#2": 4, "n#3": "norm"}  # the nearest of 1, 2, 3, 4, 6; the lower on a tie
    assert str(draw.sentence) == "lin(12) >> lin(g=4) >> norm"
    assert space.replay({}, 240, (2,)).choices == {"n#1": 8, "n#2": 1, "n#3": "norm"}


def test_repair():
    numbers = Choice((2, 4, 8, 16), (2, 8), (1.0,) * 4)
    assert [numbers.repair(value) for value in (2, 4, 5, 6, 8, 16, 99, -3)] == [2, 2, 2, 8, 8, 8, 8, 2]
    words = Choice(("a", "b", "c", "d"), ("b", "d"), (1.0,) * 4)
    assert [words.repair(value) for value in ("a", "b", "c", "d", "gone")] == ["b", "b", "d", "d", "b"]
    last = Choice(("a", "b", "c"), ("a",), (1.0,) * 3)
    assert last.repair("c") == "a"  # cyclically


def test_only_viable_answers_are_taken():
    space = Space({"n": "res({lin(4) | lin})"}, "n")
    with pytest.raises(ValueError, match=r"n#1 was answered with 'lin\(4\)', which is not viable"):
        space.draw(random.Random(0), 8, (2,), lambda name, choice: "lin(4)")


def drawn(rules, channels=8, grid=(4, 4), draws=60, **options):
    space, rng = Space(rules, "n", **options), random.Random(5)
    return {str(space.draw(rng, channels, grid).sentence) for _ in range(draws)}


def test_what_is_drawn_is_plain():
    assert drawn({"n": "m^2 >> each(m,2)", "m": "{lin|norm}"}) == {
        f"{a}^2 >> {tail}"
        for a in ("lin", "norm")
        for tail in ("lin^2", "norm^2", "lin >> norm", "norm >> lin")
    }  # fmt: skip
    assert drawn({"n": "lin(4) >> m", "m": "lin({2|D})"}) == {"lin(4) >> lin(2)", "lin(4) >> unit(lin(D))"}
    assert drawn({"n": "m", "m": "lin({2|D})"}) == {"lin(2)", "lin(D)"}
    assert drawn({"n": "res({x|lin} >> gelu) >> {x|id}"}) == {
        f"res({a}){b}" for a in ("gelu", "lin >> gelu") for b in ("", " >> id")
    }
    assert drawn({"n": "lin * m", "m": "{lin + x | norm >> lin}"}) == {"lin * (lin + x)", "lin * (norm >> lin)"}
    assert drawn({"n": "{lin|norm}^{0..1} >> gelu"}) == {"gelu", "lin >> gelu", "norm >> gelu"}


def test_a_pick_is_drawn_once_and_a_reference_anew():
    shared = drawn({"n": "pick c = m in c >> gelu >> c", "m": "{lin|norm}"})
    assert shared == {"lin >> gelu >> lin", "norm >> gelu >> norm"}
    assert len(drawn({"n": "m >> gelu >> m", "m": "{lin|norm}"})) == 4
    assert drawn({"n": "tie c = m in c >> gelu >> c", "m": "{lin|norm}"}) == {
        "tie c = lin in c >> gelu >> c",
        "tie c = norm in c >> gelu >> c",
    }
    assert drawn({"n": "let c = m in c * c", "m": "{lin|norm}"}) == {"let c = lin in c * c", "let c = norm in c * c"}


def test_a_rule_does_not_see_names_bound_where_it_is_used():
    from metamixer.errors import SpaceError

    with pytest.raises(SpaceError, match="unknown rule or word k"):
        Space({"n": "let k = lin in m", "m": "k >> lin"}, "n")


def test_depth_bounds_recursive_rules_only():
    nested = drawn({"n": "{lin | res(n)}"}, max_depth=2, draws=200)
    assert nested == {"lin", "res(lin)"}
    deeper = drawn({"n": "{lin | res(n)}"}, max_depth=4, draws=400)
    assert deeper == {"lin", "res(lin)", "res(res(lin))", "res(res(res(lin)))"}
    # three uses of one rule side by side are no recursion
    assert drawn({"n": "m >> m >> m", "m": "lin"}, max_depth=1) == {"lin >> lin >> lin"}
    # the bound is one for each rule
    assert len(drawn({"n": "{lin | res(m)}", "m": "{norm | res(n)}"}, max_depth=2, draws=400)) == 4


def test_a_space_has_one_fingerprint_for_one_meaning():
    one = Space({"n": "lin({8|16})", "m": "lin"}, "n")
    assert one.fingerprint == Space({"m": "lin", "n": "lin( {8|16} )"}, "n", name="other").fingerprint
    others = [
        Space({"n": "lin({8|24})", "m": "lin"}, "n"),
        Space({"n": "lin({8|16})", "m": "lin"}, "m"),
        Space({"n": "lin({8|16})", "m": "lin"}, "n", max_depth=4),
        Space({"n": "lin({16|8})", "m": "lin"}, "n"),
        Space({"n": "lin({8: 2|16})", "m": "lin"}, "n"),
    ]
    assert len({one.fingerprint, *(space.fingerprint for space in others)}) == 6


def test_equal_seeds_give_equal_draws():
    space = Space.load("digits")
    first = [str(space.draw(random.Random(seed), 1, (8, 8)).sentence) for seed in range(20)]
    again = Space.load("digits")
    rng = random.Random(99)
    for _ in range(10):
        again.draw(rng, 1, (8, 8))
    assert first == [str(again.draw(random.Random(seed), 1, (8, 8)).sentence) for seed in range(20)]


def test_the_domain_stays_as_written_where_a_draw_is_put_in_place():
    rules = {"n": "pick w = {8|16}, c = {lin(w)|lin(8): 2} in c >> lin({w|24}) >> dw({3|5})"}
    domains = set()
    for seed in range(10):
        found = names(rules, seed=seed)
        domains.add(tuple(sorted(found.items())))
    assert domains == {
        (("n#1", (8, 16)), ("n#2", ("lin(w)", "lin(8)")), ("n#3", ("w", "24")), ("n#4", (3, 5)))
    }  # fmt: skip
    draw = Space(rules, "n").replay({"n#1": 16, "n#2": "lin(w)", "n#3": "w"}, 4, (8, 8))
    assert str(draw.sentence) == "lin(16) >> lin(16) >> dw(3)"


def test_places_behind_an_operand_with_choices_all_remain_viable():
    """The inner place stands alike under every number of heads; none of them is lost."""
    read = "(dot0(lin >> {elu1|relu},lin) -> l1 -> mm(lin))"
    for where in ("@causal@h({4|2|8})", "@N(3)@h({4|2|8})", "@{causal|N(3)}@h({4|2|8})"):
        viable = []

        def choose(name, choice, viable=viable):
            viable.append(choice.viable)
            return choice.viable[0]

        Space({"n": read + where}, "n").draw(random.Random(0), 8, (8,), choose)
        assert viable[0] == ("elu1", "relu")
        assert viable[-1] == (4, 2, 8)
        assert Space({"n": read + where}, "n").size(8, (8,)) == 6 * (2 if "|N" in where else 1)
