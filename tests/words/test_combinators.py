"""Contracts of the signs and words that put phrases together, and of the three ways to share."""

from __future__ import annotations

from metamixer.testing import WordContract


class TestSequence(WordContract):
    word = ">>"
    examples = (
        ("lin >> gelu >> lin", 4, (7,)),
        ("lin(6) >> (dw(3) >> relu) >> lin(2C)", 4, (5, 3)),
        ("x >> lin >> x", 4, (2, 3, 2)),
        ("cls >> norm >> first", 4, (3, 3)),
    )


class TestSum(WordContract):
    word = "+"
    examples = (
        ("lin + x", 4, (7,)),
        ("lin - norm - gelu", 4, (5, 3)),
        ("x - (lin - norm)", 4, (2, 3, 2)),
        ("lin + lin", 4, (3, 3)),
        ("1.0 - lin + x", 4, (3, 3)),
        ("cls >> lin + norm", 4, (3, 3)),
        ("(norm + (lin - gelu)) - (x + relu)", 4, (3, 3)),
    )


class TestProduct(WordContract):
    word = "*"
    examples = (
        ("lin * norm", 4, (7,)),
        ("lin * pool(1)", 4, (5, 3)),
        ("pool(Hx1) * pool(1xW)  * x", 4, (3, 5)),
        ("lin(2) * x", 4, (3, 3)),
        ("lin(1) * lin(8) * lin(2)", 4, (2, 3, 2)),
        ("cls >> lin * lin(2)", 4, (3, 3)),
        ("cls >> x * mean", 4, (3, 3)),
    )


class TestConcatenation(WordContract):
    word = "++"
    examples = (
        ("lin ++ x", 4, (7,)),
        ("lin(2) ++ norm ++ lin(3)", 4, (5, 3)),
        ("(x ++ x) ++ lin >> lin(D)", 4, (2, 3, 2)),
        ("cls >> x ++ lin(1)", 4, (3, 3)),
    )


class TestSplit(WordContract):
    word = "[]"
    examples = (
        ("[lin | x]", 4, (7,)),
        ("[.25: lin | norm]", 8, (5, 3)),
        ("[2: lin(3) | C/4: gelu | x]", 8, (2, 3, 2)),
        ("[.5: att(lin,lin,lin)@h(2) | dw(3)]", 8, (3, 3)),
        ("let q = lin in [.5: att(q,q,lin) | x]", 8, (3, 3)),
        ("let q = lin(4) in [.5: q | x]", 8, (3, 3)),
        ("cls >> [lin | x] >> lin", 4, (3, 3)),
    )


class TestResidual(WordContract):
    word = "res"
    examples = (
        ("res(lin)", 4, (7,)),
        ("res(norm >> lin(2C) >> lin(D))", 4, (5, 3)),
        ("res(res(lin) >> gelu)", 4, (2, 3, 2)),
        ("cls >> res(ffn(2))", 4, (3, 3)),
        ("res(x)", 4, (3, 3)),
    )


class TestUnit(WordContract):
    word = "unit"
    examples = (
        ("lin(6) >> unit(lin(3) >> lin(D))", 4, (7,)),
        ("unit(lin)", 4, (2, 3, 2)),
        ("unit(pool(2) >> lin >> up)", 4, (4, 6)),
        ("cls >> unit(lin(D/2))", 4, (3, 3)),
    )


class TestMap(WordContract):
    word = "map"
    examples = (
        ("cls >> map(dw(3))", 4, (3, 5)),
        ("cls(2) >> map(res(dw(3) >> lin)) >> att(lin,lin,lin)", 4, (3, 3)),
        ("map(lin)", 4, (7,)),
        ("cls >> map(dw(3))", 4, (2, 3, 2)),
    )


class TestPower(WordContract):
    word = "^"
    examples = (
        ("res(lin)^3", 4, (7,)),
        ("(lin(2C))^2", 4, (5, 3)),
        ("lin^1", 4, (3, 3)),
        ("lin >> gelu^0", 4, (3, 3)),
        ("down(2,2C)^2", 4, (4, 4)),
        ("(res(norm >> dw(3)))^2 >> lin", 4, (2, 3, 2)),
    )


class TestEach(WordContract):
    word = "each"
    examples = (
        ("each(res(lin),3)", 4, (7,)),
        ("each(lin(2C),2)", 4, (5, 3)),
        ("lin >> each(gelu,0)", 4, (2, 3, 2)),
    )


class TestLet(WordContract):
    word = "let"
    examples = (
        ("let q = lin in q + gelu(q)", 4, (7,)),
        ("let k = lin, v = k >> gelu in att(lin,k,v)@h(2)", 4, (5, 3)),
        ("let k = lin in att(lin,k,k)@win(2)@h(2) + .5 * k", 4, (4, 4)),
        ("let s = dot(lin,lin) in (s -> softmax -> mm(lin)) + (s -> relu -> mm(lin))", 4, (3, 3)),
        ("let a = down(2,6) in (a >> up(2)) ++ x", 4, (4, 2)),
        ("let a = lin in let a = a >> gelu in a * x", 4, (2, 3, 2)),
        ("let k = lin in (att(x,k,lin))^2", 4, (3, 3)),
        ("let k = lin, v = lin in att(lin,k,v)@T@h(2)", 4, (3, 3)),
        ("let a = norm in lin >> a + x", 4, (3, 3)),
        ("cls >> (let k = lin in att(lin,k,k))", 4, (3, 3)),
    )


class TestTie(WordContract):
    word = "tie"
    examples = (
        ("tie n = norm in n >> lin >> n", 4, (7,)),
        ("tie b = res(norm >> att(lin,lin,lin)@h(2) >> lin) in b^3", 4, (5, 3)),
        ("tie f = lin(C) >> bn in f + (gelu >> f)", 4, (2, 3, 2)),
        ("tie f = lin in f", 4, (3, 3)),
        ("tie f = lin, g = f >> gelu in f >> g >> g", 4, (3, 3)),
        ("tie f = dw(3) in f >> pool(/2) >> f", 4, (6, 6)),
        ("tie n = norm in cls >> n >> lin >> n", 4, (3, 3)),
    )


class TestPick(WordContract):
    word = "pick"
    examples = (
        ("pick c = lin >> gelu in c >> c", 4, (7,)),
        ("pick w = 6 in lin(w) >> lin(w)", 4, (5, 3)),
        ("lin(8) >> (pick c = lin(D/2) in c >> c)", 4, (2, 3, 2)),
    )
