"""Re-parameterised networks compute what the trained ones compute in evaluation, at the published counts."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
import torch

import metamixer as mm
from metamixer import catalog
from metamixer.compile import fused_sentence
from metamixer.errors import UserError
from metamixer.language.syntax.nodes import word_name
from metamixer.testing.checks import deviation, randomise

KEY_3 = "conv(lin(b=0) >> bn,#3,b=1) -> gelu -> conv(#3,b=1)"
KEY_7 = "conv(lin(b=0) >> bn,#rep(7,3)) -> gelu -> conv(#rep(7,3))"
DOWN = "conv(x,#rep(7,3),s=2,c=2C) >> res(bn >> lin(b=0))"
PERCEPTRON = (
    "res(bn >> ((lin(b=0,sets=4)@T >> bn(sets=4)) + (dw(1,b=0,sets=4) >> bn(sets=4)) "
    "+ (dw(3,b=0,sets=4) >> bn(sets=4)))@win(8) * (pool(1) >> lin(C/4) >> relu >> lin(D) >> sig))"
)
REPMLP_FFN = "res(bn >> lin(4C,b=0) >> bn >> gelu >> lin(D,b=0) >> bn)"
LOCALVIT = "res(lin(4C,b=0) >> bn >> hswish >> dw(3,b=0) >> bn >> hswish >> se(16,gate=hsig) >> lin(D,b=0) >> bn)"
SHARED = "unit(x + (pool(2) >> bn >> (lin >> relu >> lin)@flat >> up))"
REPVGG = "(fconv(3,16,b=0) >> bn) + (lin(16,b=0) >> bn) + bn"
CONVMIXER = "patch(2,8) >> relu >> bn >> (res(dw(7) >> relu >> bn) >> lin >> relu >> bn)^2"


def block(key: str, channel: str) -> str:
    return f"res({key}) >> res(conv(x,#rep({channel})) >> ffn(3))"


# A sentence with its input, and what its fused form is.
FUSED = [
    (block(KEY_3, "3"), 64, (8, 8), "res(conv(lin,#3,b=1) -> gelu -> conv(#3,b=1)) >> res(dw(3) >> ffn(3))"),
    (block(KEY_7, "3"), 64, (8, 8), "res(conv(lin,#7,b=1) -> gelu -> conv(#7,b=1)) >> res(dw(3) >> ffn(3))"),
    (block(KEY_7, "7,3"), 64, (8, 8), "res(conv(lin,#7,b=1) -> gelu -> conv(#7,b=1)) >> res(dw(7) >> ffn(3))"),
    (DOWN, 8, (8, 8), "dw(7,s=2,c=16) >> lin"),
    (DOWN, 8, (7, 9), "dw(7,s=2,c=16) >> lin"),
    (
        PERCEPTRON,
        8,
        (8, 8),
        "res(bn >> lin(sets=4)@T@win(8) * (pool(1) >> lin(C/4) >> relu >> lin(D) >> sig))",
    ),
    (REPMLP_FFN, 8, (4, 4), "res(lin(32) >> gelu >> lin(8))"),
    (
        f"cls >> map({LOCALVIT})",
        16,
        (4, 4),
        "cls >> map(res(lin(64) >> hswish >> dw(3) >> hswish >> se(16,gate=hsig) >> lin(16)))",
    ),
    # RepMLP of 2021: its groups of channels differ from those of its convolution, which stays beside them
    (
        f"lin(C/8,b=0) >> bn >> relu >> {SHARED} >> ((lin(g=8,b=0) >> bn)@flat + (fconv(3,C,b=0) >> bn))@win(4) >> relu"
        " >> lin(D,b=0) >> bn",
        64,
        (8, 8),
        f"lin(8) >> relu >> {SHARED} >> (lin(g=8)@flat + fconv(3,8))@win(4) >> relu >> lin(64)",
    ),
    (CONVMIXER, 3, (16, 16), CONVMIXER),
    # projections of one input and the input itself are one matrix
    ("x - lin + (bn >> lin(b=0)) >> gelu", 6, (4,), "lin >> gelu"),
    ("lin * (lin + gelu + lin(b=0))", 6, (4,), "lin * (lin + gelu)"),
    ("lin(g=2) + x >> gelu >> lin + lin(g=2)", 6, (4, 4), "lin(g=2) >> gelu >> lin + lin(g=2)"),
    # kernels add where that does not cost more
    ("dw(3,c=2C) + dw(5,c=2C) >> res(fconv(3,C,g=2) + fconv(1,C,g=2))", 4, (5, 4), "dw(5,c=8) >> fconv(3,8,g=2)"),
    ("dw(5x1) + dw(1x5)", 4, (5, 4), "dw(5x1) + dw(1x5)"),
    ("fconv(4,6,s=4) - fconv(4,6,s=4,b=0) >> bn", 4, (8, 4), "fconv(4,6,s=4)"),
    ("dw(2) + dw(4) >> bn", 4, (5, 4), "dw(4)"),
    # a norm in front: not where zeros are read behind it
    ("bn >> fconv(2,6,s=2) >> gelu", 4, (8, 8), "fconv(2,6,s=2) >> gelu"),
    ("bn >> fconv(3,6,s=2) >> gelu", 4, (8, 8), "bn >> fconv(3,6,s=2) >> gelu"),
    ("bn >> dw(1) >> gelu >> bn >> dw(3)", 4, (4, 4), "dw(1) >> gelu >> bn >> dw(3)"),
    ("bn >> ffn(2) >> bn >> lin(4,gelu)", 4, (4, 4), "ffn(2) >> bn >> lin(4,gelu)"),
    ("bn(sets=2) >> lin(g=2) >> bn(sets=2)", 4, (4,), "lin(g=2)"),
    # RepVGG and MobileOne: an identity branch is a norm, a 1x1 branch is written as a projection or a convolution
    (f"{REPVGG} >> relu", 16, (8, 8), "fconv(3,16) >> relu"),
    ("lin(16,b=0) + (fconv(3,16,b=0) >> bn) + (fconv(1,16,b=0) >> bn) >> relu", 8, (8, 8), "fconv(3,16) >> relu"),
    ("(dw(3,b=0) >> bn) + (dw(1,b=0) >> bn) + bn >> relu", 8, (8, 8), "dw(3) >> relu"),
    ("(fconv(3,8,g=2,b=0) >> bn) - (lin(g=2,b=0) >> bn) - bn >> relu", 8, (8,), "fconv(3,8,g=2) >> relu"),
    ("fconv(3,8) + lin(g=2) >> gelu", 8, (4, 4), "fconv(3,8) + lin(g=2) >> gelu"),
    ("fconv(3,16,s=2,b=0) + fconv(1,16,s=2,b=0) >> gelu", 8, (8, 8), "fconv(3,16,s=2,b=0) >> gelu"),
    ("res(fconv(3,8,b=0) >> bn) >> bn", 8, (4, 4), "fconv(3,8)"),
    ("lin + bn >> relu", 8, (4,), "lin >> relu"),
    # scalings are terms and factors like any other
    ("bn >> bn >> relu", 8, (4,), "aff >> relu"),
    ("relu >> bn >> bn >> lin", 8, (4,), "relu >> lin"),
    ("relu >> bn >> aff >> scale(.1)", 8, (4,), "relu >> aff"),
    ("scale(2) >> scale(3) >> relu", 8, (4,), "scale >> relu"),
    ("res(bn) >> relu", 8, (4,), "aff >> relu"),
    ("relu >> scale + x - bn", 8, (4,), "relu >> aff"),
    ("fconv(3,8,b=0) + scale >> relu", 8, (4, 4), "fconv(3,8,b=0) >> relu"),
    ("lin(b=0) >> scale(.1) >> relu", 8, (4,), "lin(b=0) >> relu"),
    ("scale(.1) >> dw(3,b=0) >> aff", 8, (4, 4), "dw(3)"),
    ("aff >> dw(3)", 8, (4, 4), "aff >> dw(3)"),
    ("aff >> ffn(2)", 8, (4, 4), "ffn(2)"),
    ("bn(sets=2) >> bn(sets=2) >> relu", 8, (4,), "bn(sets=2) >> bn(sets=2) >> relu"),
    ("lin@T + scale >> relu", 3, (4,), "lin@T + scale >> relu"),
    # what several places share stays
    ("tie n = lin >> bn in n >> gelu >> n >> bn >> lin", 6, (4,), "tie n = lin >> bn in n >> gelu >> n >> lin"),
    ("let a = lin >> bn in a * (lin >> bn) + a", 6, (4,), "let a = lin in a * lin + a"),
    # parts of a network keep their scopes
    ("lin(8) >> unit(bn >> lin(2D) >> gelu >> lin(D) >> bn)", 4, (4,), "lin(8) >> unit(lin(16) >> gelu >> lin(8))"),
    ("[.5: bn >> lin | x] >> att(lin >> bn,lin,lin)@h(2)", 4, (4,), "[.5: lin | x] >> att(lin,lin,lin)@h(2)"),
    ("lin(b=0)@T + dw(3,sets=1) + x >> bn(sets=1)", 3, (4, 3), "lin@T"),
    ("lin(b=0)@T >> bn", 3, (4, 3), "lin(b=0)@T >> bn"),
    ("lin(sets=2) + lin(sets=2) >> bn", 3, (4,), "lin(sets=2) + lin(sets=2) >> bn"),
]  # fmt: skip


def randomised(sentence: str, channels: int, grid: tuple[int, ...]) -> torch.nn.Module:
    """A network in evaluation form, its norms away from the neutral statistics."""
    torch.manual_seed(0)
    net = mm.build(sentence, channels, grid)
    randomise(net)
    return net.eval()


def same_function(net: torch.nn.Module, fused: torch.nn.Module, channels: int, grid: tuple[int, ...]) -> None:
    x = torch.randn(2, *grid, channels, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert deviation(fused(x), net(x)) < 1e-5
        assert deviation(fused(x), mm.reference(fused, x)) < 1e-5  # weights lie where the dense reference finds them


@pytest.mark.parametrize(("sentence", "channels", "grid", "expected"), FUSED, ids=[row[0] for row in FUSED])
def test_the_fused_network_is_the_trained_one(sentence, channels, grid, expected):
    net = randomised(sentence, channels, grid)
    fused = mm.fuse(net)
    form = fused_sentence(sentence, channels, grid)
    # `att` is written out where its sources change
    assert form.key(channels, grid) == mm.parse(expected).key(channels, grid)
    assert fused.typed is form.typed(channels, grid)
    assert not fused.training
    same_function(net, fused, channels, grid)
    before, after = mm.cost(sentence, channels, grid), mm.cost(form, channels, grid)
    assert sum(p.numel() for p in fused.parameters()) == after.params
    assert after.macs <= before.macs


def test_nothing_to_fuse_leaves_the_sentence_as_written():
    for text in (CONVMIXER, "res(norm >> att(lin,lin,lin)@h(2) >> lin) >> res(norm >> ffn(4))^2"):
        assert str(fused_sentence(text, 4, (16, 16))) == text


def test_a_fused_network_has_nothing_left_to_fuse():
    text = f"fconv(3,8,s=2,b=0) >> bn >> ({block(KEY_7, '7,3')})^2 >> {DOWN} >> {REPMLP_FFN}"
    form = fused_sentence(text, 3, (16, 16))
    assert fused_sentence(form, 3, (16, 16)) == form


def test_fusing_in_training_form_uses_the_running_statistics():
    """Evaluation is what fusion keeps, whatever mode the network is in; the network itself is left alone."""
    net = randomised(DOWN, 4, (8, 8)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fused = mm.fuse(net)
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    same_function(net.eval(), fused, 4, (8, 8))


def test_another_module_is_refused():
    with pytest.raises(UserError, match="not a Linear"):
        mm.fuse(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("key", "channel", "train", "fused"),
    [
        (KEY_7, "7,3", (40_960, 2_547_712), (38_592, 2_437_120)),
        (KEY_7, "3", (37_696, 2_347_008), (36_032, 2_273_280)),
        (KEY_3, "3", (31_040, 1_945_600), (30_912, 1_945_600)),
    ],
)
def test_counts_of_ffnet_blocks(key, channel, train, fused):
    text = block(key, channel)
    for sentence, counts in ((text, train), (fused_sentence(text, 64, (8, 8)), fused)):
        cost = mm.cost(sentence, 64, (8, 8))
        assert (cost.params, cost.macs) == counts


def test_counts_of_the_repmlp_block():
    """The released deploy form keeps the norms of the channel mixer; ours folds them too, three of 64 + 4 * 64."""
    token = mm.cost(fused_sentence(PERCEPTRON, 64, (8, 8)), 64, (8, 8))
    channel = mm.cost(REPMLP_FFN, 64, (8, 8))
    assert (token.params + channel.params, token.macs + channel.macs) == (52_432, 2_361_344)
    whole = mm.cost(fused_sentence(f"{PERCEPTRON} >> {REPMLP_FFN}", 64, (8, 8)), 64, (8, 8))
    assert whole.params == 52_432 - (2 * 64 + 256 + 64)  # a norm in front; one of two vectors of those behind
    assert whole.macs == 2_361_344


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("ffnet_1", 13_660_152, "2.985"),
        ("ffnet_2", 26_908_440, "6.003"),
        ("ffnet_3", 48_330_632, "10.146"),
        ("ffnet_4", 79_200_360, None),  # its published MACs are at 384
    ],
)
def test_fused_totals_of_ffnet(name, params, macs):
    entry = catalog.get(name)
    cost = mm.cost(fused_sentence(entry.network, entry.channels, entry.grid), entry.channels, entry.grid)
    assert cost.params == params
    assert macs is None or f"{cost.macs / 1e9:.3f}" == macs


@pytest.mark.parametrize(
    ("name", "widths", "depths", "published", "macs"),
    [
        ("repmlpnet_t224", (64, 128, 256, 512), (2, 2, 6, 2), 38_331_656, "2.8"),
        ("repmlpnet_t256", (64, 128, 256, 512), (2, 2, 6, 2), 58_739_336, "4.2"),
        ("repmlpnet_b224", (96, 192, 384, 768), (2, 2, 12, 2), 68_332_568, "6.7"),
        ("repmlpnet_b256", (96, 192, 384, 768), (2, 2, 12, 2), 96_568_088, "9.6"),
        ("repmlpnet_d256", (80, 160, 320, 640), (2, 2, 18, 2), 86_985_200, "8.6"),
        ("repmlpnet_l256", (96, 192, 384, 768), (2, 2, 18, 2), 117_820_504, "11.6"),
    ],
)
def test_fused_totals_of_repmlpnet(name, widths, depths, published, macs):
    """The released form keeps the norms of the channel mixers, 7 vectors a unit, and those between stages."""
    entry = mm.catalog.get(name)
    fused = mm.cost(fused_sentence(entry.network, entry.channels, entry.grid), entry.channels, entry.grid)
    kept = 7 * sum(width * depth for width, depth in zip(widths, depths, strict=True)) + sum(widths[1:])
    assert (fused.params + kept, f"{fused.macs / 1e9:.1f}") == (published, macs)


@pytest.mark.parametrize("name", ["ffnet_1", "ffnet_3"])
def test_whole_ffnets_at_reduced_width(name):
    """All four stages; 128 x 128 is the smallest image on which every weight has an effect."""
    entry = catalog.get(name)
    text = entry.text.replace("fconv(3,64", "fconv(3,4").replace("fconv(3,80", "fconv(3,8").replace("(3,96", "(3,8")
    text = text.replace(")^22", ")^2").replace(")^8", ")^2") + " >> mean >> lin(10)"
    net = randomised(text, 3, (128, 128))
    fused = mm.fuse(net)
    same_function(net, fused, 3, (128, 128))
    assert word_name(fused.typed.node.kids[-3]) == "bn"  # the last norm meets a pool, and stays
    assert str(fused_sentence(text, 3, (128, 128))).count("scale(1e-6)") == text.count("scale(1e-6)")


def test_the_sentence_alone_needs_no_torch():
    program = (
        "import sys\nfrom metamixer.compile import fused_sentence\n"
        "print(fused_sentence('lin(b=0) >> bn', 4, (4,)), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["lin", "False"]


SPACE = """
name = "linear"
start = "network"

[rules]
network = "each(part, {2..4}) >> {bn | x}"
part = "{chain: 3 | total: 3 | res(total) | res(chain) | chain@win(2) | [.5: chain | x] | let k = chain in k * x}"
chain = "each(word, {1..3})"
total = "{word + word | x + word - word | norm + word + x | (token + shared + x)@win(4) | chain - x}"
word = "{lin(b={0|1}) | lin(b=0,g=2) | conv(x,#{3|2|3x1}) | dw({1|3|5},b={0|1}) | conv(x,#rep(3,1x3)) | other | bn}"
other = "{fconv({1|2|3},C,b={0|1},g={1|2}) | bn(b=0) | conv(lin >> bn,#3) | token | shared | ffn(2)}"
token = "lin(b=0,sets={2|4})@T >> bn(sets={1|2})"
shared = "dw(3,b={0|1},sets={2|4}) >> bn(sets=2)"
"""


def test_any_draw_of_linear_words_fuses(tmp_path):
    (tmp_path / "linear.toml").write_text(SPACE)
    space, rng = mm.Space.load(tmp_path / "linear.toml"), random.Random(0)
    smaller = 0
    for _ in range(80):
        sentence = space.draw(rng, channels=4, grid=(4, 4)).sentence
        form = fused_sentence(sentence, 4, (4, 4))
        before, after = mm.cost(sentence, 4, (4, 4)), mm.cost(form, 4, (4, 4))
        assert after.macs <= before.macs, str(sentence)
        smaller += after.params < before.params
        net = randomised(sentence, 4, (4, 4)).double()
        x = torch.randn(2, 4, 4, 4, dtype=torch.float64)
        with torch.no_grad():
            assert deviation(mm.fuse(net)(x), net(x)) < 1e-9, str(sentence)
    assert smaller > 40


def test_every_entry_of_the_catalogue_has_a_fused_form():
    for name in catalog.names():
        entry = catalog.get(name)
        form = fused_sentence(entry.network, entry.channels, entry.grid)
        assert mm.check(form, entry.channels, entry.grid) == mm.check(entry.network, entry.channels, entry.grid)
        after = mm.cost(form, entry.channels, entry.grid)
        assert after.macs <= entry.cost.macs
        normed = any(part in entry.text for part in ("bn", "rep(", "aff >>"))
        assert normed or "x + dw" in entry.text or "res(dw" in entry.text or str(form) == str(entry.network), name
