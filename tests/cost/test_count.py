"""Exact counts: blocks against a table worked out layer by layer, formulas of the words, and the counting rules."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import metamixer as mm
from metamixer.errors import LanguageError

# One block at 64 channels on 8 x 8 tokens: sentence, parameters, MACs.
BLOCKS = {
    "ViT": ("res(norm >> att(lin,lin,lin)@h(4) >> lin) >> res(norm >> ffn(4))", 49_984, 3_670_016),
    "MLP-Mixer": ("res(norm >> (lin(32) >> gelu >> lin(D))@T) >> res(norm >> ffn(4))", 37_536, 2_359_296),
    "FF-Only": ("res(norm >> ffn(4)) >> res((norm >> ffn(4))@T)", 66_432, 4_194_304),
    "ResMLP": ("res(aff >> lin@T >> scale(.1)) >> res(aff >> ffn(4) >> scale(.1))", 37_632, 2_359_296),
    "gMLP": ("res(norm >> (lin(3C) >> gelu) * (lin(3C) >> gelu >> norm >> lin@T) >> lin(D))", 41_984, 3_145_728),
    "ViP plain": (
        "res(norm >> lin(b=0)@flat@win(Hx1)@seg(8) + lin(b=0)@flat@win(1xW)@seg(8) + lin(b=0) >> lin)"
        " >> res(norm >> ffn(3))", 41_536, 2_621_440,
    ),
    "ViP weighted": (
        "res(norm >> (let u = lin(b=0)@flat@win(Hx1)@seg(8), v = lin(b=0)@flat@win(1xW)@seg(8), w = lin(b=0) in"
        " ((u + v + w) >> pool(1) >> lin(C/4) >> gelu >> lin(3D)) -> softmax -> mm(u@N(1) & v@N(1) & w@N(1))@h(C))"
        " >> lin) >> res(norm >> ffn(3))", 45_840, 2_625_536,
    ),
    "LocalViT": (
        "res(norm >> att(lin,lin,lin)@h(4) >> lin) >> map(res(lin(4C,b=0) >> bn >> hswish >> dw(3,b=0) >> bn >> hswish"
        " >> se(64,gate=hsig) >> lin(D,b=0) >> bn))", 55_300, 3_819_520,
    ),
    "RepMLPNet": (
        "res(bn >> ((lin(b=0,sets=4)@T >> bn(sets=4)) + (dw(1,b=0,sets=4) >> bn(sets=4)) + (dw(3,b=0,sets=4) >>"
        " bn(sets=4))) * (pool(1) >> lin(C/4) >> relu >> lin(D) >> sig)) >> res(bn >> lin(4C,b=0) >> bn >> gelu >>"
        " lin(D,b=0) >> bn)", 52_240, 2_402_304,
    ),
    "NiNformer": (
        "tie n = norm in res(n >> lin * (res(norm >> (lin(128) >> gelu >> lin(D))@T) >> res(norm >> ffn(2))))"
        " >> res(n >> ffn(2))", 54_272, 3_407_872,
    ),
    "FFNet 7 7": (
        "res(conv(lin(b=0) >> bn,#rep(7,3)) -> gelu -> conv(#rep(7,3))) >> res(conv(x,#rep(7,3)) >> ffn(3))",
        40_960, 2_547_712,
    ),
    "FFNet 7 3": (
        "res(conv(lin(b=0) >> bn,#rep(7,3)) -> gelu -> conv(#rep(7,3))) >> res(conv(x,#rep(3)) >> ffn(3))",
        37_696, 2_347_008,
    ),
    "FFNet 3 3": (
        "res(conv(lin(b=0) >> bn,#3,b=1) -> gelu -> conv(#3,b=1)) >> res(dw(3,b=0) >> bn >> ffn(3))",
        31_040, 1_945_600,
    ),
    "FFNet-SR": ("res(conv(lin,#3,b=1) -> gelu -> conv(#3,b=1)) >> res(dw(3) >> ffn(2))", 22_656, 1_421_312),
    "ConvNeXt": ("res(dw(7) >> norm >> ffn(4) >> scale(1e-6))", 36_480, 2_297_856),
    "PoolFormer": ("res(gn >> avg(3) - x >> scale(1e-5)) >> res(gn >> ffn(4) >> scale(1e-5))", 33_472, 2_097_152),
    "ConvFormer early": (
        "res(norm(b=0) >> lin(2C,b=0) >> starrelu >> dw(7,b=0) >> lin(D,b=0)) >>"
        " res(norm(b=0) >> lin(4C,b=0) >> starrelu >> lin(D,b=0))", 55_556, 3_547_136,
    ),
    "ConvFormer late": (
        "unit(scale + (norm(b=0) >> lin(2C,b=0) >> starrelu >> dw(7,b=0) >> lin(D,b=0))) >>"
        " unit(scale + (norm(b=0) >> lin(4C,b=0) >> starrelu >> lin(D,b=0)))", 55_684, 3_547_136,
    ),
    "CAFormer": (
        "unit(scale + (norm(b=0) >> att(lin(b=0),lin(b=0),lin(b=0))@h(2) >> lin(b=0))) >>"
        " unit(scale + (norm(b=0) >> lin(4C,b=0) >> starrelu >> lin(D,b=0)))", 49_410, 3_670_016,
    ),
    "ConvMixer": ("res(dw(9) >> gelu >> bn) >> lin >> gelu >> bn", 9_664, 593_920),
}  # fmt: skip


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(name):
    sentence, params, macs = BLOCKS[name]
    cost = mm.cost(sentence, 64, (8, 8))
    assert (cost.params, cost.macs) == (params, macs)
    assert cost.flops == 2 * macs


C, N = 8, 15
WORDS = [
    # sentence at 8 channels on 5 x 3 tokens, MACs, parameters
    ("lin", N * C * C, C * C + C),
    ("lin(6,b=0)", N * C * 6, C * 6),
    ("lin(6,g=2)", N * C * 6 // 2, C * 6 // 2 + 6),
    ("lin@T", C * N * N, N * N + N),
    ("lin(4)@seg(2)", 2 * N * 4 * 4, 4 * 4 + 4),
    ("ffn(3)", 2 * N * C * 3 * C, 2 * 3 * C * C + 4 * C),
    ("att(lin,lin,lin)@h(2)", 3 * N * C * C + 2 * N * N * C, 3 * (C * C + C)),
    ("att(x,x,x)", 2 * N * N * C, 0),
    ("att(x,x,x)@win(5x1)", 3 * 2 * 5 * 5 * C, 0),
    ("att(x,x,x)@grid(1x3)", 5 * 2 * 3 * 3 * C, 0),
    ("att(x,x,x)@N(3)", 2 * N * 9 * C, 0),
    ("att(x,x,x)@N(3,mask)", 2 * N * 9 * C, 0),  # absent slots count
    ("att(x,x,x)@T", 2 * C * C * N, 0),
    ("att(x,pool(1x3),pool(1x3))", 2 * 3 * N * C, 0),
    ("dot(x,x) -> mm(x)", min(2 * N * N * C, 2 * N * C * C), 0),
    ("(dot(x,x) -> mm(x))@h(4)", 2 * N * C * C // 4, 0),
    ("(dot(x,x) -> sig -> mm(x))@h(4)", 2 * N * N * C, 0),
    ("dot0(x,#6) -> relu -> mm(#6)", 2 * N * 6 * C, 2 * 6 * C),
    ("conv(x,#3)", N * 9 * C, 9 * C),  # over the zero padding too
    ("conv(x,#3,s=2)", 6 * 9 * C, 9 * C),
    ("dw(3x1,c=2C)", N * 3 * 2 * C, 4 * 2 * C),
    ("conv(x,#rep(3,1))", N * 10 * C, 10 * C + 4 * C),
    ("fconv(3,6)", N * 9 * C * 6, 9 * C * 6 + 6),
    ("fconv(3,6,g=2,s=2,b=0)", 6 * 9 * C * 6 // 2, 9 * C * 6 // 2),
    ("se(4)", C * 2 + 2 * C, C * 2 + 2 + 2 * C + C),
    ("norm", 0, 2 * C), ("bn", 0, 2 * C), ("gn(2)", 0, 2 * C), ("aff(b=0)", 0, C), ("scale", 0, C),
    ("pos", 0, N * C), ("cls(2)", 0, 2 * C), ("starrelu", 0, 2),
    ("gelu", 0, 0), ("pool(1)", 0, 0), ("avg(3)", 0, 0), ("had(x,x)", 0, 0), ("(x * x + x) ++ x", 0, 0),
    ("up(2)", 0, 0), ("shuffle(2)", 0, 0), ("softmax", 0, 0),
    ("lin^3", 3 * N * C * C, 3 * (C * C + C)),
    ("tie f = lin in f^3", 3 * N * C * C, C * C + C),
    ("tie f = lin in f + (f >> f)", 3 * N * C * C, C * C + C),
    ("let k = lin in k + k * k", N * C * C, C * C + C),
    ("[.5: lin | x]", N * 16, 20),
    ("(let k = lin in k * k)@win(5x1)", 3 * 5 * C * C, C * C + C),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "macs", "params"), WORDS, ids=[sentence for sentence, _, _ in WORDS])
def test_words(sentence, macs, params):
    cost = mm.cost(sentence, C, (5, 3))
    assert (cost.macs, cost.params) == (macs, params)


@pytest.mark.parametrize(
    ("sentence", "elementwise"),
    [
        ("gelu", N * C), ("norm", N * C), ("x + x", N * C), ("x + x - x", 2 * N * C), ("x * x", N * C),
        ("had(x,x)", N * C), ("res(gelu)", 2 * N * C), ("pool(1)", N * C), ("lin", 0), ("x", 0), ("id", 0),
        ("att(x,x,x)@h(2)", 2 * N * N), ("gelu^3", 3 * N * C), ("gelu@win(5x1)", N * C),
    ],
)  # fmt: skip
def test_elementwise_work(sentence, elementwise):
    assert mm.cost(sentence, C, (5, 3)).elementwise == elementwise


def test_values_first_is_taken_exactly_where_it_is_cheaper():
    def macs(tokens, width, heads):
        return mm.cost(f"(dot(x,x) -> mm(x))@h({heads})", width, (tokens,)).macs

    for tokens in range(1, 40):
        for width, heads in ((8, 1), (8, 2), (16, 4), (12, 1)):
            first, last = 2 * tokens * tokens * width, 2 * tokens * width * width // heads
            assert macs(tokens, width, heads) == min(first, last)


def test_the_dense_order_forms_scores_first_and_leaves_absent_slots_out():
    linear = "(dot(x,x) -> mm(x))@h(4)"
    assert mm.cost(linear, 8, (64,)).macs == 2 * 64 * 8 * 8 // 4
    assert mm.cost(linear, 8, (64,), order="dense").macs == 2 * 64 * 64 * 8
    masked = "(dot(x,x) -> gelu -> mm(x))@N(3,mask)"
    assert mm.cost(masked, 8, (7,)).macs == 2 * 7 * 3 * 8
    assert mm.cost(masked, 8, (7,), order="dense").macs == 2 * (7 * 3 - 2) * 8
    assert mm.cost("lin", 8, (7,), order="dense") == mm.cost("lin", 8, (7,))


def test_the_breakdown_has_a_row_for_each_stage():
    cost = mm.cost("patch(2,16) >> (res(norm >> lin) >> res(ffn(2)))^2 >> norm", 3, (8, 8))
    assert [row.text for row in cost.breakdown] == [
        "patch(2,16)", "res(norm >> lin)", "res(ffn(2))", "res(norm >> lin)", "res(ffn(2))", "norm",
    ]  # fmt: skip
    for field in ("macs", "params", "elementwise", "activations"):
        assert sum(getattr(row, field) for row in cost.breakdown) == getattr(cost, field)
    assert len({row.path for row in cost.breakdown}) == len(cost.breakdown)
    assert cost.breakdown[0].macs == 16 * 12 * 16
    (row,) = mm.cost("lin", 3, (8, 8)).breakdown
    assert (row.path, row.text, row.params) == ((), "lin", 12)


@pytest.mark.parametrize("grid", [(6,), (4, 6), (2, 4, 3)])
def test_counts_follow_the_grid(grid):
    tokens = prod(grid)
    assert mm.cost("lin", 4, grid).macs == tokens * 16
    assert mm.cost("att(x,x,x)", 4, grid).macs == 2 * tokens * tokens * 4
    assert mm.cost("dw(3,b=0)", 4, grid).macs == tokens * 3 ** len(grid) * 4
    assert mm.cost("cls >> lin", 4, grid).macs == (tokens + 1) * 16


def test_a_cost_is_plain_numbers():
    cost = mm.cost(mm.parse("lin"), channels=4, grid=(3,))
    assert all(type(value) is int for value in cost[:4])
    assert hash(cost) == hash(mm.cost("lin", 4, [3]))
    with pytest.raises(LanguageError, match="unknown word"):
        mm.cost("linn", 4, (3,))


@pytest.mark.parametrize(
    ("sentence", "channels", "grid"),
    [
        ("att(lin,lin,lin)@N(3)@h(2) >> lin", 8, (8, 8)),
        ("res(norm >> att(lin,lin,lin)@N(5,mask)) >> dw(3) >> att(lin,lin,lin)", 4, (12,)),
        ("(att(lin,lin,lin)@N(3))@win(4)", 4, (4, 8, 4)),
        ("tie f = att(lin,lin,lin)@N(3) in f >> f", 4, (9,)),
        ("att(lin,lin,lin)@win(4) >> ffn(2)", 4, (8, 8)),
        ("(dot(lin,lin) -> sig -> mm(lin))@N(3)", 4, (8, 8)),
    ],
)
def test_products_that_run_are_counted_too(sentence, channels, grid):
    """A small neighbourhood as a masked product over all tokens: torch counts what runs in the default module."""
    with FlopCounterMode(display=False) as counter:
        mm.build(sentence, channels, grid).to("meta")(torch.empty(1, *grid, channels, device="meta"))
    executed, planned = mm.cost(sentence, channels, grid, "executed"), mm.cost(sentence, channels, grid)
    assert counter.get_total_flops() == executed.flops
    assert executed._replace(macs=0, breakdown=()) == planned._replace(macs=0, breakdown=())
    assert (executed.macs > planned.macs) == ("@N" in sentence and "sig" not in sentence)


@pytest.mark.parametrize(
    ("sentence", "channels", "tokens", "slots"),
    [
        ("att(lin,lin,lin)@causal", 8, 16, 16 * 17 / 2),
        ("att(lin,lin,lin)@N(3,mask)@h(2)", 8, 16, 3 * 16 - 2),
        ("att(lin,lin,lin)@N(4,causal)", 8, 16, 4 * 16 - 3 - 2 - 1),
        # head i: the tokens j with (j + i) mod 4 = 0, up to the token itself
        (
            "att(lin,lin,lin)@stride(4)@causal@h(4)",
            8,
            16,
            sum((j + i) % 4 == 0 for i in range(4) for token in range(16) for j in range(token + 1)) / 4,
        ),
    ],
)
def test_dense_counts_leave_masked_slots_out(sentence, channels, tokens, slots):
    """Slots of one head, over all tokens; a projection for query, keys and values."""
    projections = 3 * tokens * channels**2
    found = mm.cost(sentence, channels, (tokens,), "dense").macs
    assert found == projections + 2 * slots * channels


def test_products_that_are_not_of_slots_count_in_full_in_the_dense_order():
    """relq multiplies queries with a row for each distance: 2 k - 1 of them under N(k)."""
    with_rows, without = (
        mm.cost(f"(dot(x,x) -> {rows}softmax -> mm(x))@N(3,mask)", 4, (16,), "dense").macs
        for rows in ("relq(x) -> ", "")
    )
    assert with_rows - without == 16 * 4 * 3


@pytest.mark.parametrize("sentence", ["dot0(x,x) -> id -> mm(x)", "dot0(x,x) -> mm(x) -> id", "dot0(x,x) -> mm(x)"])
def test_neutral_stages_do_not_change_the_plan(sentence):
    """Linear attention sums its values first, wherever an `id` stands."""
    assert mm.cost(sentence, 4, (64,)).macs == 2 * 64 * 4 * 4
    with FlopCounterMode(display=False) as counter:
        mm.build(sentence, 4, (64,), counted=True).to("meta")(torch.empty(1, 64, 4, device="meta"))
    assert counter.get_total_flops() == 4 * 64 * 4 * 4


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("let a = lin in gelu", "gelu"),
        ("let a = lin in let b = a >> lin in gelu", "gelu"),
        ("let a = lin in (let b = a >> lin in gelu) >> dw(3)", "gelu >> dw(3)"),
        ("tie t = lin in let a = lin in t >> gelu", "lin >> gelu"),
        ("let a = dw(3) in let a = lin in a >> gelu", "lin >> gelu"),
    ],
)
def test_a_value_that_nothing_uses_costs_nothing_and_is_not_built(written, meant):
    one, other = mm.parse(written), mm.parse(meant)
    assert one.key(channels=8, grid=(4, 4)) == other.key(channels=8, grid=(4, 4))
    found, wanted = (mm.cost(s, channels=8, grid=(4, 4)) for s in (one, other))
    assert (found.macs, found.params, found.elementwise) == (wanted.macs, wanted.params, wanted.elementwise)
    net = mm.build(one, channels=8, grid=(4, 4))
    assert sum(p.numel() for p in net.parameters()) == wanted.params
