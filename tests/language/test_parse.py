"""Text to sentence and back: every published sentence, precedence, and what a wrong text is told."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamixer.errors import LanguageError
from metamixer.language import parse
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, walk
from metamixer.language.syntax.parser import parse_node

LINES = (Path(__file__).parent / "sentences.txt").read_text(encoding="utf-8").splitlines()
PUBLISHED = [tuple(line.split("\t")[::2]) for line in LINES if not line.startswith("#")]


@pytest.mark.parametrize(("name", "sentence"), PUBLISHED, ids=[f"{i} {name}" for i, (name, _) in enumerate(PUBLISHED)])
def test_published_sentences_read_and_print(name, sentence):
    read = parse(sentence)
    printed = str(read)
    assert parse(printed) == read
    assert parse(printed).node is read.node  # equal phrases are one object
    assert str(parse(printed)) == printed
    assert len(printed.replace(" ", "")) <= len(sentence.replace(" ", ""))  # the fewest parentheses
    assert pickle.loads(pickle.dumps(read)) == read


def test_the_published_sentences_are_all_there():
    assert len(PUBLISHED) >= 79


@pytest.mark.parametrize(
    ("sentence", "meaning"),
    [
        ("a >> b >> c", "sequence(a,b,c)"),
        ("a >> (b >> c)", "sequence(a,b,c)"),
        ("a -> b@p(3)", "at(read(a,b),p(3))"),
        ("a -> b -> c", "read(a,b,c)"),
        ("a >> b@p", "sequence(a,at(b,p))"),
        ("x + a >> b", "sequence(sum(x,a),b)"),
        ("x * a ++ b", "product(x,concatenation(a,b))"),
        ("a * b + c", "sum(product(a,b),c)"),
        ("a + b * c", "sum(a,product(b,c))"),
        ("a ++ b & c", "concatenation(a,memory(b,c))"),
        ("a & b@p", "memory(a,at(b,p))"),
        ("a@p@q", "at(at(a,p),q)"),
        ("a - b - c", "sum(a,b,c)"),
        ("a - (b - c)", "sum(a,sum(b,c))"),
        ("(a - b) - c", "sum(a,b,c)"),
        ("a -> b^2", None),
        ("a^2 -> b", "read(power(a,2),b)"),
        ("a@p^2", None),
        ("(a@p)^2", "power(at(a,p),2)"),
        ("a^2^3", None),
        ("(a^2)^3", "power(power(a,2),3)"),
        ("a^n", "power(a,n)"),
        ("a^{2|3}", "power(a,choice(2,3))"),
        ("let n = a >> b in n + n", "let(sequence(a,b),sum(n,n))"),
        ("let n = a, m = n in m >> n", "let(a,let(n,sequence(m,n)))"),
        ("x + let n = a in n", None),
        ("x + (let n = a in n >> b)", "sum(x,let(a,sequence(n,b)))"),
        ("tie n = a in let m = n in pick k = m in k", "tie(a,let(n,pick(m,k)))"),
        ("[.5: a >> b | c]", "split(.5,sequence(a,b),c)"),
        ("a@(p | q >> r)", "at(a,group(p,sequence(q,r)))"),
        ("{a >> b | c: 3}", "choice(sequence(a,b),c)"),
        ("{a}", "a"),
        ("{2..6}", "range"),
        ("#{3|5}", "bank(choice(3,5))"),
        ("#7x1", "bank(7x1)"),
        ("7xW", "7xW"),
        ("N/4", "N/4"),
        ("/2", "/2"),
        ("a(N)", "a(N)"),
        ("a@N(3)", "at(a,N(3))"),
        ("2..6", None),
        ("softmax[q]", "softmax(q)"),
        ("softmax[blk(16)]", "softmax(16)"),
        ("f(a=1,b)", "f(1,b)"),
        ("a -b", "sum(a,b)"),
        ("a->b", "read(a,b)"),
        ("a\n  >>\tb", "sequence(a,b)"),
    ],
)
def test_precedence(sentence, meaning):
    if meaning is None:
        with pytest.raises(LanguageError):
            parse(sentence)
    else:
        assert shape(parse(sentence).node) == meaning


def shape(node: Node) -> str:
    """A phrase with its kind in front of its parts, signs and keywords left out."""
    match node:
        case nodes.Size(written) | nodes.Number(written):
            return written
        case nodes.Word(name, (), scope=str(scope)):
            return f"{name}({','.join(map(shape, node.in_scope)) or scope})"
        case nodes.Word(kind):
            pass
        case _:
            kind = type(node).__name__.lower()
    return f"{kind}({','.join(map(shape, node.kids))})" if node.kids else kind


@pytest.mark.parametrize(
    ("sentence", "printed"),
    [
        ("((lin))  >>( gelu )", "lin >> gelu"),
        ("x+(lin>>gelu)", "x + (lin >> gelu)"),
        ("(x*a)+b", "x * a + b"),
        ("x*(a+b)", "x * (a + b)"),
        ("(a->b)->c", "a -> b -> c"),
        ("(a -> b)@all", "a -> b@all"),
        ("(lin)^2", "lin^2"),
        ("(lin >> a)^2", "(lin >> a)^2"),
        ("0.5 * x", ".5 * x"),
        ("1e-06 * x", "1e-6 * x"),
        ("2.50 * x", "2.5 * x"),
        ("let a=lin in let b=a in b", "let a = lin, b = a in b"),
        ("[0.25 : a|b]", "[.25: a | b]"),
        ("{ a:3|b }", "{a: 3 | b}"),
        ("{2..6 step 1}", "{2..6}"),
        ("{2..7 step 4}", "{2..7 step 4}"),
        ("lin( 8 , b = 0 )", "lin(8,b=0)"),
        ("a - (b + c)", "a - (b + c)"),
        ("a - (b - c)", "a - (b - c)"),
        ("a ++ (b ++ c)", "a ++ b ++ c"),
        ("a@(h(4))", "a@h(4)"),
    ],
)
def test_printing_has_normal_spacing_and_the_fewest_parentheses(sentence, printed):
    assert str(parse(sentence)) == printed


names = st.sampled_from(["x", "lin", "a", "norm(b=0)", "lin(2C,g=2)", "T", "#3C", "7xW", ".5", "softmax[q]"])
terms = st.recursive(
    names,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" >> ", " + ", " - ", " * ", " ++ ", " & "]), inner).map(
            lambda p: f"({p[0]}{p[1]}{p[2]})"
        ),
        inner.map(lambda a: f"(({a}) -> gelu)"),
        inner.map(lambda a: f"(({a})@h(4))"),
        inner.map(lambda a: f"({a})@(N(3) | all)"),
        inner.map(lambda a: f"({a})^3"),
        inner.map(lambda a: f"(let q = {a} in q + (q))"),
        st.tuples(inner, inner).map(lambda p: f"f({p[0]},k={p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"[.25: {p[0]} | {p[1]}]"),
        st.tuples(inner, inner).map(lambda p: f"{{({p[0]}): 2 | new({p[1]},{p[0]})}}"),
    ),
    max_leaves=12,
)


@given(terms)
def test_any_sentence_reads_back(sentence):
    read = parse(sentence)
    printed = str(read)
    assert parse(printed) == read
    assert printed.count("(") <= sentence.count("(")


ERRORS = [
    # sentence, column of the caret, words of the message
    ("att(lin,lin,lin", 4, ["the bracket ( is not closed", "add )"]),
    ("lin) >> x", 4, ["the bracket ) closes nothing", "take it out"]),
    ("[lin | x", 1, ["the bracket [ is not closed", "add ]"]),
    ("lin >> (gelu]", 13, ["the bracket ] cannot close the ( of column 8", "write )"]),
    ("a@h(4)^2", 7, ["'^' cannot stand here", "expected one of"]),
    ("lin^2^3", 6, ["'^' cannot stand here"]),
    ("lin@N", 5, ["the place is N(3)"]),
    ("lin@N >> lin", 5, ["the place is N(3)"]),
    ("2x", 2, ["'x' cannot stand here"]),
    ("lin(7x)", 6, ["'x' cannot stand here"]),
    ("let x = lin in x", 5, ["x is always the input", "choose another name"]),
    ("lin + {gelu|gelu}", 7, ["the alternative gelu is written twice", "gelu: 2"]),
    ("lin({5..2})", 5, ["the range 5..2 step 1 is empty", "lower end first"]),
    ("lin({2..6 step 0})", 5, ["is empty"]),
    ("lin({C..4})", 5, ["the range end C is not an integer", "{2..6}"]),
    ("{lin: 0 | x}", 1, ["the weight 0 is not a positive number", "leave out"]),
    ("{lin: -1 | x}", 7, ["'-' cannot stand here", "expected one of: a number  a size"]),
    ("lin lin", 5, ["'lin' cannot stand here"]),
    ("lin >>", 7, ["ends too early", "expected one of"]),
    ("", 1, ["ends too early"]),
    ("Lin", 1, ["'L' is no part of the language here"]),
    ("norm ; lin", 6, ["';' is no part of the language here"]),
    ("lin^(2)", 5, ["'(' cannot stand here"]),
    ("let a lin in a", 7, ["'lin' cannot stand here", "expected one of: ="]),
]


@pytest.mark.parametrize(("sentence", "column", "parts"), ERRORS, ids=[sentence for sentence, _, _ in ERRORS])
def test_errors_show_the_place_and_what_to_write(sentence, column, parts):
    with pytest.raises(LanguageError) as told:
        parse(sentence)
    lines = told.value.message.splitlines()
    assert f"column {column}" in lines[0]
    assert lines[1] == f"    {sentence}"
    assert lines[2] == "    " + " " * (column - 1) + "^"
    assert all(part in str(told.value) for part in parts), str(told.value)
    if len(parts) > 1:
        assert told.value.advice


def test_errors_in_long_and_broken_texts_show_the_surroundings():
    sentence = "lin >> " * 40 + "gelu >> )" + " >> lin" * 40
    with pytest.raises(LanguageError) as told:
        parse(sentence)
    head, line, caret = told.value.message.splitlines()
    assert f"column {sentence.index(')') + 1}" in head
    assert len(line) <= 104
    assert line[len(caret) - 1] == ")"
    with pytest.raises(LanguageError) as told:
        parse("lin >>\n  gelu >> ]\n>> lin")
    assert "line 2, column 11" in told.value.message
    assert told.value.message.splitlines()[1:] == ["      gelu >> ]", "              ^"]


def test_the_place_of_a_text_is_part_of_the_message():
    with pytest.raises(LanguageError) as told:
        parse_node("lin(", "my.toml, rule block")
    assert told.value.place == "my.toml, rule block"


def test_equal_phrases_are_one_object():
    node = parse("res(norm >> lin) >> gelu >> res(norm >> lin)").node
    assert node.kids[0] is node.kids[2]
    assert parse("res(norm >> lin)").node is node.kids[0]
    assert [type(phrase) for phrase in walk(node)][:2] == [nodes.Sequence, nodes.Word]
