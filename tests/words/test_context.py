"""Contracts of further inputs: cross-attention, gates between two fields, edges."""

from __future__ import annotations

import json
import random

import pytest
import torch

import metamixer as mm
from metamixer.cli import app
from metamixer.compile import fused_sentence
from metamixer.errors import SpaceError
from metamixer.explore import attributes
from metamixer.testing import WordContract


def ctx(grid, channels):
    return (("ctx", mm.Field(grid, channels)),)


class TestContext(WordContract):
    word = "ctx"
    examples = (
        ("att(lin,lin(ctx),lin(ctx))@h(2) >> lin", 4, (5,), ctx((7,), 4)),
        ("att(lin,lin(4,ctx),lin(ctx))@h(2) >> lin(D)", 4, (3, 2), ctx((5,), 6)),
        ("x * ((x ++ ctx) >> dw(3) >> lin(D) >> sig)", 4, (4, 3), ctx((4, 3), 2)),
        ("x * ((lin(C/2,ctx) ++ lin(C/2)) >> relu >> lin(1) >> sig)", 4, (2, 3, 2), ctx((2, 3, 2), 6)),
        ("att(lin,lin(ctx),lin(ctx))@win(2)@h(2)", 4, (4, 2), ctx((4, 2), 4)),
        ("let k = lin(ctx) in att(lin,k,k) >> att(lin,k,lin(ctx))@h(2)", 4, (5,), ctx((3,), 4)),
        ("[.5: x * ctx | x] >> res(norm >> att(lin,lin(ctx),lin(ctx)))^2", 4, (3,), ctx((3,), 4)),
        ("cls >> att(lin,lin(ctx),lin(ctx))", 4, (3, 2), ctx((3, 2), 4)),
        ("tie a = att(lin,lin(ctx),lin(ctx)) in a >> a", 4, (3,), ctx((4,), 4)),
        ("(dot(lin,lin) -> times(ctx(e)) -> softmax -> mm(lin))@h(2)", 4, (3, 2), (("e", mm.Field((3, 2, 3, 2), 2)),)),
        (
            "(dot(lin,lin) -> times(lin(2,ctx(e))) -> softmax -> mm(lin + ctx))@N(3)@h(2)",
            4, (5,), (("ctx", mm.Field((5,), 4)), ("e", mm.Field((5, 5), 3))),
        ),
    )  # fmt: skip


def test_cross_attention_is_that_of_torch():
    """Query from x, keys and values from the second input: torch.nn.MultiheadAttention with the same weights."""
    net = mm.build("att(lin,lin(ctx),lin(ctx))@h(4) >> lin", 16, (9,), context=mm.Field((5,), 16)).double()
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True, dtype=torch.float64)
    held = [weights.state_dict() for weights in net.store.weights.values() if "weight" in weights.state_dict()]
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([one["weight"] for one in held[:3]]))
        theirs.in_proj_bias.copy_(torch.cat([one["bias"] for one in held[:3]]))
        theirs.out_proj.weight.copy_(held[3]["weight"])
        theirs.out_proj.bias.copy_(held[3]["bias"])
    x, other = torch.randn(2, 9, 16, dtype=torch.float64), torch.randn(2, 5, 16, dtype=torch.float64)
    torch.testing.assert_close(net(x, other), theirs(x, other, other)[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(mm.reference(net, x, other), net(x, other), rtol=1e-10, atol=1e-12)


def test_a_key_depends_on_an_input_that_is_used_only():
    one, other = mm.Field((4,), 8), mm.Field((6,), 8)
    cross, own = mm.parse("att(lin,lin(ctx),lin(ctx))"), mm.parse("att(lin,lin,lin)")
    assert cross.key(8, (4,), one) != cross.key(8, (4,), other)
    assert own.key(8, (4,), one) == own.key(8, (4,))


def test_rules_see_further_inputs():
    rules = {
        "network": "cross^2 >> norm",
        "cross": "res(norm >> att(lin(C),lin({8|16},ctx),lin(ctx))@h({1|2}) >> lin(8))",
    }
    space = mm.Space(rules, "network")
    other = mm.Field((6,), 12)
    with pytest.raises(SpaceError, match="the input ctx is not given"):
        space.draw(random.Random(0), 8, (4,))
    assert space.size(8, (4,), other) == 2  # keys have the width of queries
    drawn = space.draw(random.Random(0), 8, (4,), context=other)
    assert mm.check(drawn.sentence, 8, (4,), other) == mm.Field((4,), 8)
    assert "lin(8,ctx)" in str(drawn.sentence)


@pytest.mark.parametrize(
    ("sentence", "context", "message"),
    [
        ("att(lin,lin(ctx),lin(ctx))", None, r"the input ctx is not given.*\n.*\n.*\n.*context=Field"),
        ("x * ctx(e)", mm.Field((4,), 8), "the input e is not given"),
        ("let ctx = lin in x", mm.Field((4,), 8), "has the name of"),
        ("let e = lin in x * e", {"e": mm.Field((4,), 8)}, "has the name of an input"),
        ("x + ctx", mm.Field((5,), 8), "the terms of a sum differ"),
        ("let k = lin in x * ctx(k)", mm.Field((4,), 8), "the input k is not given"),
    ],
)
def test_what_does_not_fit_is_said(sentence, context, message):
    with pytest.raises(mm.LanguageError, match=message):
        mm.check(sentence, 8, (4,), context)


def test_attributes_of_what_reads_another_input():
    other = mm.Field((6,), 8)
    cross = attributes("att(lin,lin(ctx),lin(ctx))@h(2) >> lin", 8, (4,), other)
    assert cross.cross
    assert cross.receptive_field == (0,)  # of x each token reads itself alone
    assert round(cross.growth, 1) == 1.9
    assert fused_sentence("lin(b=0) >> bn >> x * lin(8,ctx)", 8, (6,), other) == mm.parse("lin >> x * lin(8,ctx)")


def run(arguments):
    """The exit code of the program."""
    with pytest.raises(SystemExit) as ended:
        app(arguments)
    return ended.value.code


def test_a_sentence_with_further_inputs_is_shown(capsys, tmp_path):
    drawing = tmp_path / "cross.svg"
    arguments = ["show", "att(lin,lin(ctx),lin(ctx)) + ctx(e)", "--grid", "4", "--channels", "8"]
    given = ["--context", "8:6", "--context", "e=8:4", "--svg", str(drawing), "--json"]
    assert run([*arguments, *given]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["cost"]["macs"] == 8 * 8 * (4 + 6 + 6) + 2 * 4 * 6 * 8
    assert "ctx" in drawing.read_text(encoding="utf-8")
    assert run(arguments) == 2
    assert "--context 64:8x8" in capsys.readouterr().err
    assert run([*arguments, "--context", "8"]) == 2
