"""Keys: one for all spellings of an architecture, another as soon as function, weights, cost or locking differ."""

from __future__ import annotations

import random

import pytest

from metamixer.language import Space, parse
from metamixer.language.canonical import canonical

SAME = [
    # sections of the form: expansion, sizes and defaults, neutral parts, order, bindings
    ("att(lin,lin,lin)", "dot(lin,lin) -> softmax -> mm(lin)"),
    ("ffn(2)", "dot0(x,#2C,b=1) -> gelu -> mm(#2C,b=1)"),
    ("ffn(2)", "dot0(x,#128,b=1) -> gelu -> mm(#128,b=1)"),
    ("dw(3)", "conv(x,#3,b=1)"),
    ("dw(3x3)", "dw(3)"),
    ("patch(2,8)", "down(2,8)"),
    ("patch(2,8)", "fconv(2,8,s=2)"),
    ("fconv(3,8,pad=1)", "fconv(3,8)"),
    ("mean", "pool(1)"),
    ("pool(2x2)", "pool(/4)"),
    ("se(4)", "x * (mean >> lin(16) >> relu >> lin(64) >> sig)"),
    ("res(lin)", "x + lin"),
    ("res(lin)", "lin + x"),
    ("unit(lin)", "lin"),
    ("lin", "lin(C)"),
    ("lin", "lin(64,b=1,g=1)"),
    ("lin(D)", "lin(64)"),
    ("lin(32) >> lin(2C)", "lin(32) >> lin(D)"),
    ("norm", "norm(b=1)"),
    ("scale", "scale(1.0)"),
    ("scale(1)", "scale(1.0)"),
    ("gn", "gn(1)"),
    ("gn(eps=1e-5)", "gn(b=1)"),
    ("norm(eps=.000001)", "norm"),
    ("cls", "cls(1)"),
    ("att(lin,lin,lin)@N(3)", "att(lin,lin,lin)@N(3x3,s=1,d=1,clamp)"),
    ("[.25: lin | x]", "[16: lin | x]"),
    ("[.25: lin | x]", "[C/4: lin | 48: x]"),
    ("[lin | x]", "[.5: lin | .5: x]"),
    ("lin >> lin", "lin^2"),
    ("(lin >> gelu)^2", "lin >> gelu >> lin >> gelu"),
    ("each(lin,3)", "lin^3"),
    ("lin^0", "x"),
    ("lin >> norm^0", "lin"),
    ("x >> lin >> x", "lin"),
    ("(x >> (lin >> (x >> gelu)))", "lin >> gelu"),
    ("lin >> id", "lin"),
    ("dot(lin,lin) -> id -> softmax -> mm(lin)", "att(lin,lin,lin)"),
    ("(dot(lin,lin) -> softmax) -> mm(lin)", "att(lin,lin,lin)"),
    ("dot(lin,lin) -> exp -> l1 -> mm(lin)", "att(lin,lin,lin)"),
    ("lin@all", "lin"),
    ("att(lin,lin,lin)@all", "att(lin,lin,lin)"),
    ("att(lin,lin,lin)@h(1)", "att(lin,lin,lin)"),
    ("lin@h(4)", "lin"),
    ("ffn(2)@h(1)", "ffn(2)"),
    ("lin@T@T", "lin"),
    ("(lin@T >> gelu)@T@T", "lin@T >> gelu"),
    ("lin@seg(1)", "lin"),
    ("att(lin,lin,lin)@win(8)", "att(lin,lin,lin)"),
    ("att(lin,lin,lin)@win(8)@h(4)", "att(lin,lin,lin)@h(4)"),
    ("att(lin,lin,lin)@grid(8)", "att(lin,lin,lin)"),
    ("att(lin,lin,lin)@h(4)@win(4)", "att(lin,lin,lin)@win(4)@h(4)"),
    ("att(lin,lin,lin)@h(4)@N(3)", "att(lin,lin,lin)@N(3)@h(4)"),
    ("att(lin,lin,lin)@h(2)@h(4)", "att(lin,lin,lin)@h(2)"),
    ("(lin >> att(lin,lin,lin))@h(4)", "lin >> att(lin,lin,lin)@h(4)"),
    ("(norm >> lin)@h(4)", "norm >> lin"),
    ("pool(8) >> lin", "lin"),
    ("pool(/1)", "x"),
    ("lin + norm + gelu", "gelu + lin + norm"),
    ("lin + (norm + gelu)", "(lin + norm) + gelu"),
    ("lin - norm - gelu", "lin - gelu - norm"),
    ("lin - (norm + gelu)", "lin - norm - gelu"),
    ("lin - (norm - gelu)", "lin + gelu - norm"),
    ("lin * norm", "norm * lin"),
    ("lin * (norm * gelu)", "(gelu * norm) * lin"),
    (".5 * x", "x * .5"),
    ("x ++ (lin ++ norm)", "(x ++ lin) ++ norm"),
    ("let k = lin in att(lin,k,lin)", "att(lin,lin,lin)"),
    ("let n = x in lin + n", "lin + x"),
    ("let n = gelu in n * n", "gelu * gelu"),
    ("let unused = lin in norm", "norm"),
    ("let unused = lin in res(let q = lin in att(q,q,x)@T)", "res(let q = lin in att(q,q,x)@T)"),
    ("let u = lin in u * u + (let q = lin in q * q)", "let a = lin in (let b = lin in b * b) + a * a"),
    ("let q = lin, k = lin in att(q,k,q) + k", "let k = lin, q = lin in att(q,k,q) + k"),
    ("let q = lin, k = norm in att(q,k,q) + k", "let k = norm, q = lin in k + att(q,k,q)"),
    ("let a = lin in let b = a in b + b", "let a = lin in a + a"),
    ("let a = lin in let b = gelu(a) in b * b", "let a = lin in gelu(a) * gelu(a)"),
    ("let long_name = lin in long_name * long_name", "let q = lin in q * q"),
    ("let a = lin in (let a = norm in a) + a * a", "let a = lin in norm + a * a"),
    ("tie a = lin in a", "lin"),
    ("tie a = lin, unused = norm in a >> a", "tie b = lin in b >> b"),
    ("tie f = lin in f >> f >> f", "tie f = lin in f^3"),
    (
        "tie n = norm in res(n >> lin) >> res(n >> ffn(2))",
        "tie m = norm in x + (m >> lin) >> x + (m >> ffn(2))",
    ),
    ("pick c = lin in c >> c", "lin >> lin"),
    ("pick w = 32 in lin(w) >> lin(w)", "lin(32) >> lin(32)"),
    ("map(lin)", "lin"),
]

DIFFERENT = [
    ("lin", "lin(b=0)"),
    ("lin", "lin(g=2)"),
    ("lin + lin", "lin"),
    ("lin + lin", "let a = lin in a + a"),
    ("let u = lin in u * u + (let q = lin in q * q)", "let u = lin in u * u + u * u"),
    ("lin >> lin", "lin"),
    ("lin >> lin", "tie a = lin in a >> a"),
    ("lin(8) >> lin(D)", "lin"),
    ("lin - norm", "norm - lin"),
    ("lin ++ norm", "norm ++ lin"),
    ("[lin | norm]", "[norm | lin]"),
    ("[.25: lin | x]", "[.5: lin | x]"),
    ("lin -> gelu -> had(norm)", "norm -> gelu -> had(lin)"),
    ("dot(lin,norm) -> softmax -> mm(lin)", "dot(norm,lin) -> softmax -> mm(lin)"),
    ("att(lin,lin,lin)", "dot0(lin,lin) -> softmax -> mm(lin)"),
    ("dot(lin,lin) -> relu -> softmax -> mm(lin)", "dot(lin,lin) -> softmax -> relu -> mm(lin)"),
    ("let k = lin in att(lin,k,k)", "att(lin,lin,lin)"),
    ("let k = lin in att(k,lin,k)", "let k = lin in att(lin,k,k)"),
    ("let a = norm in a >> att(a,a,lin)", "norm >> att(norm,norm,lin)"),
    ("let a = norm in lin >> a + x", "lin >> norm + x"),
    ("let a = lin in (att(a,a,x))@win(4)", "(let a = lin in att(a,a,x))@T"),
    ("let a = dw(3) in (lin * a)@win(4)", "(lin * dw(3))@win(4)"),
    ("att(lin,lin,lin)@h(2)", "att(lin,lin,lin)@h(4)"),
    ("att(lin,lin,lin)@grid(4)", "att(lin,lin,lin)@win(4)"),
    ("att(lin,lin,lin)@win(4)", "att(lin,lin,lin)@win(2)"),
    ("att(lin,lin,lin)@N(3)", "att(lin,lin,lin)@N(3,mask)"),
    ("att(lin,lin,lin)@N(3)", "att(lin,lin,lin)@N(3,d=2)"),
    ("att(lin,lin,lin)@N(3)@h(2)", "att(lin,lin,lin)@win(2)@h(2)"),
    ("lin@T", "lin"),
    ("norm@T", "norm"),
    ("lin@T@h(2)", "lin@T"),
    ("gn", "norm"),
    ("gn", "gn(eps=1e-6)"),
    ("norm", "norm(eps=1e-5)"),
    ("gn(2)", "gn(4)"),
    ("bn", "norm"),
    ("bn", "aff"),
    ("gelu", "relu"),
    ("dw(3)", "dw(5)"),
    ("dw(3x1)", "dw(1x3)"),
    ("dw(3)", "dw(3,b=0)"),
    ("patch(2,8)", "fconv(3,8,s=2)"),
    ("fconv(3,8)", "fconv(3,8,pad=0)"),
    ("conv(x,#rep(3))", "dw(3,b=0)"),
    ("conv(x,#rep(5,3))", "conv(x,#5) + conv(x,#3)"),
    ("scale(.1)", "scale(.2)"),
    ("pos", "x"),
    ("pos >> pos", "pos"),
    ("cls >> first", "cls >> mean"),
    ("cls(1)", "cls(2)"),
    ("res(lin)", "lin"),
    ("pool(4)", "pool(2)"),
    ("lin >> pool(4)", "pool(4) >> lin"),
    ("tie n = norm in n >> lin >> n", "norm >> lin >> norm"),
    ("tie a = lin, b = lin in a >> b >> a", "tie a = lin, b = lin in a >> b >> b"),
    ("softmax", "exp"),
    ("(dot(lin,lin) -> sig -> l1 -> mm(lin))", "dot(lin,lin) -> relu -> l1 -> mm(lin)"),
    ("let s = dot(x,x) in (s -> mm(lin)) + (s -> relu -> mm(lin))",
     "(dot(x,x) -> mm(lin)) + (dot(x,x) -> relu -> mm(lin))"),
    ("let s = dot(lin,lin) in (s -> softmax -> mm(lin)) + (s -> relu -> mm(lin))",
     "(dot(lin,lin) -> softmax -> mm(lin)) + (dot(lin,lin) -> relu -> mm(lin))"),
    ("let a = lin in let b = gelu(a) in b * b", "gelu(lin) * gelu(lin)"),
    ("let a = lin, b = a >> gelu, c = b >> norm(b=0) in b * b", "(lin >> gelu) * (lin >> gelu)"),
]  # fmt: skip


def keys(sentences, channels=64, grid=(8, 8)):
    return [parse(sentence).key(channels, grid) for sentence in sentences]


@pytest.mark.parametrize("pair", SAME, ids=" = ".join)
def test_spellings_of_one_architecture_have_one_key(pair):
    first, second = keys(pair)
    assert first == second, [str(canonical(parse(sentence), 64, (8, 8))) for sentence in pair]


@pytest.mark.parametrize("pair", DIFFERENT, ids=" | ".join)
def test_different_architectures_have_different_keys(pair):
    first, second = keys(pair)
    assert first != second, str(canonical(parse(pair[0]), 64, (8, 8)))


def test_no_two_of_the_different_sentences_share_a_key():
    known = {}
    for sentence in {sentence for pair in DIFFERENT for sentence in pair}:
        known.setdefault(parse(sentence).key(64, (8, 8)), []).append(sentence)
    assert [spellings for spellings in known.values() if len(spellings) > 1] == []


def test_a_key_belongs_to_its_input():
    sentence = parse("lin >> pool(4)")
    found = {sentence.key(), sentence.key(64, (8, 8)), sentence.key(32, (8, 8)), sentence.key(64, (4, 4))}
    assert len(found) == 4
    assert parse("pool(4) >> lin").key(64, (4, 4)) == parse("lin").key(64, (4, 4))


SYMBOLIC = [
    ("att(lin,lin,lin)", "dot(lin,lin) -> softmax -> mm(lin)"),
    ("att(lin)", "dot(lin) -> softmax -> mm"),
    ("ffn(2)", "dot0(x,#2C,b=1) -> gelu -> mm(#2C,b=1)"),
    ("dw(3x1)", "conv(x,#3x1,b=1)"),
    ("patch(2,2C)", "fconv(2,2C,s=2)"),
    ("down(2,C)", "patch(2,C,b=1)"),
    ("mean >> lin(C/4)", "pool(1) >> lin(C/4,g=1)"),
    ("tok(N/4)", "lin(N/4)@T"),
    ("se(4)", "x * (mean >> lin(C/4) >> relu >> lin(4C) >> sig)"),
    ("res(norm >> ffn(2))^2", "x + (norm >> ffn(2)) >> (norm >> ffn(2)) + x"),
    ("unit(lin >> gelu)", "lin >> id >> gelu"),
    ("dot(lin,lin) -> id -> softmax -> mm(lin)", "att(lin,lin,lin)"),
    ("let q = lin, k = norm in att(q,k,q) + k", "let other = norm, one = lin in other + att(one,other,one)"),
    ("lin(b=0,g=2)", "lin(g=2,b=0)"),
    ("each(lin >> gelu,2)", "each(lin >> gelu,2)"),
]


def canonical_text(sentence):
    return parse(sentence).key()


def test_without_an_input_sizes_stay_symbolic():
    assert parse("x >> lin^2").key() == parse("lin >> lin").key()
    assert parse("lin * norm + x").key() == parse("x + norm * lin").key()
    assert parse("lin(2C)").key() != parse("lin(128)").key()
    for pair in SYMBOLIC:
        first, second = (canonical_text(sentence) for sentence in pair)
        assert first == second
    found = [canonical_text(sentence) for pair in DIFFERENT for sentence in pair]
    same = {frozenset(pair) for pair in DIFFERENT if canonical_text(pair[0]) == canonical_text(pair[1])}
    assert not same
    assert len(found) == 2 * len(DIFFERENT)
    assert parse("lin@win(8)").key() != parse("lin").key()


def test_keys_do_not_depend_on_what_was_keyed_before():
    sentences = [sentence for pair in SAME for sentence in pair]
    first = keys(sentences)
    order = list(range(len(sentences)))
    random.Random(0).shuffle(order)
    again = {i: parse(sentences[i]).key(64, (8, 8)) for i in order}
    assert first == [again[i] for i in range(len(sentences))]


def test_canonical_forms_of_draws_are_at_rest_and_print_back():
    space, rng = Space.load("digits"), random.Random(3)
    for _ in range(300):
        sentence = space.draw(rng, 1, (8, 8)).sentence
        form = canonical(sentence, 1, (8, 8))
        assert parse(str(form)) == form
        assert canonical(form, 1, (8, 8)) == form
        assert form.key(1, (8, 8)) == sentence.key(1, (8, 8))
        assert not any(word in str(form) for word in ("att(", "ffn(", "dw(", "patch(", "res(", "unit(", "^", " D"))
