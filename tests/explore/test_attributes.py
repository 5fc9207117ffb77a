"""Attributes against what networks do: Jacobians, permuted and shifted inputs, other grids, counted products."""

from __future__ import annotations

import random
from math import log, prod

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.explore import attributes
from metamixer.explore.attributes import GROWTH, grown, slope
from metamixer.language import Field
from metamixer.testing.checks import deviation, randomise

MIXER = "res(norm >> (lin(8) >> gelu >> lin(D))@T) >> res(norm >> ffn(2))"
FFNET = "res(conv(lin(b=0) >> bn,#3,b=1) -> gelu -> conv(#3,b=1)) >> res(dw(3,b=0) >> bn >> ffn(2))"
CHANNELS_ATTEND = "let q = lin, k = lin, v = lin in att(q,k,v)@T"
LINEAR = "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(2)"
POOLED = "let p = pool(2) in (dot(lin,lin@N(3) & lin(p)) -> softmax -> mm(lin & lin(p)))@h(2)"

# Sentences of one grid in and out: (sentence, channels, grid, radius, permutation, translation).
CASES = [
    ("lin >> gelu >> norm", 4, (6, 6), (0, 0), True, (1, 1)),
    ("ffn(2) * (norm >> lin)", 4, (7,), (0,), True, (1,)),
    ("x >> gelu@T", 4, (6, 6), (0, 0), True, (1, 1)),
    ("dw(3)", 4, (9, 9), (1, 1), False, (1, 1)),
    ("dw(3) >> gelu >> dw(5x1)", 4, (9, 11), (3, 1), False, (1, 1)),
    ("dw(4) >> gelu", 4, (11,), (2,), False, (1,)),
    ("fconv(3,C) + dw(5)", 4, (3, 9, 5), (None, 2, 2), False, (1, 1, 1)),
    (FFNET, 4, (11, 11), (3, 3), False, (1, 1)),
    ("avg(3) - x", 4, (8, 8), (1, 1), False, (1, 1)),
    ("conv(x,#rep(5,3))", 4, (9, 9), (2, 2), False, (1, 1)),
    ("att(lin,lin,lin)@h(2) >> lin", 4, (5, 4), (None, None), True, (1, 1)),
    (LINEAR, 4, (5, 4), (None, None), True, (1, 1)),
    (CHANNELS_ATTEND, 4, (5, 4), (None, None), True, (1, 1)),
    ("se(2)", 4, (5, 4), (None, None), True, (1, 1)),
    ("gn >> lin", 4, (6,), (None,), True, (1,)),
    ("x * mean", 4, (6,), (None,), True, (1,)),
    ("att(lin,lin,lin)@N(3)", 4, (9, 9), (2, 2), False, (1, 1)),
    ("att(lin,lin,lin)@N(3,mask)", 4, (9, 9), (1, 1), False, (1, 1)),
    ("att(lin,lin,lin)@N(3,d=2,mask)", 4, (13,), (2,), False, (1,)),
    ("att(lin,lin,lin)@N(4,s=2,mask)", 4, (12,), (2,), False, (2,)),
    ("att(lin,lin,lin)@win(4)", 4, (8, 8), (3, 3), False, (4, 4)),
    ("(dw(3) >> gelu)@win(4x2)", 4, (8, 8), (1, 1), False, (4, 2)),
    ("att(lin,lin,lin)@grid(4)", 4, (8, 8), (6, 6), False, (1, 1)),
    ("(lin >> norm)@grid(4) >> gelu@win(2)", 4, (8, 8), (0, 0), True, (1, 1)),
    ("lin@flat@win(Hx1)", 2, (4, 6), (None, 0), False, (None, 1)),
    ("att(lin,lin,lin)@causal", 4, (6,), (5,), False, None),
    (MIXER, 4, (6, 2), (None, None), False, None),
    ("pos >> gelu", 4, (6,), (0,), False, None),
    ("x + (pool(/2) >> lin >> up(2))", 4, (8, 8), (1, 1), False, (2, 2)),
    ("fconv(3,8,s=2) >> shuffle(2) >> lin(4)", 4, (8, 8), (2, 2), False, (2, 2)),
    ("[.5: dw(3) | att(lin,lin,lin)@win(2)]", 4, (8, 8), (1, 1), False, (2, 2)),
    ("let k = dw(5) >> lin in res(dw(3)) * k", 4, (9, 9), (2, 2), False, (1, 1)),
    ("(let k = dw(3) in att(k,k,lin))@win(4)", 4, (8, 8), (3, 3), False, (4, 4)),
    ("let k = dw(3) in att(lin,k,lin)@win(4)", 4, (8, 8), (4, 4), False, (4, 4)),
    ("tie f = dw(3) >> gelu in f >> lin >> f", 4, (9, 9), (2, 2), False, (1, 1)),
    (POOLED, 4, (8, 8), (None, None), False, (4, 4)),
    ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@N(3,mask)", 4, (9, 9), (1, 1), False, (1, 1)),
    ("(dw(3) >> gelu)^3", 4, (12, 12), (3, 3), False, (1, 1)),
]  # fmt: skip
IDS = [case[0] for case in CASES]


def network(sentence: str, channels: int, grid: tuple[int, ...]) -> torch.nn.Module:
    torch.manual_seed(0)
    net = mm.build(sentence, channels, grid)
    randomise(net)
    return net.eval().double()


@pytest.mark.parametrize(("sentence", "channels", "grid", "radius", "permutation", "translation"), CASES, ids=IDS)
def test_declared(sentence, channels, grid, radius, permutation, translation):
    found = attributes(sentence, channels, grid)
    assert (found.receptive_field, found.permutation, found.translation) == (radius, permutation, translation)


@pytest.mark.parametrize(("sentence", "channels", "grid"), [case[:3] for case in CASES], ids=IDS)
def test_the_receptive_field_is_the_support_of_the_jacobian(sentence, channels, grid):
    net = network(sentence, channels, grid)
    found = attributes(sentence, channels, grid).receptive_field
    x = torch.randn(1, *grid, channels, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(net, x).abs()
    n = prod(grid)
    touched = jacobian.reshape(n, -1, n, channels).amax((1, 3)) > 1e-12
    to, source = (np.stack(np.unravel_index(i, grid)) for i in np.nonzero(touched.numpy()))
    far = np.abs(to - source).max(1)
    for axis, length in enumerate(grid):
        assert far[axis] == (length - 1 if found[axis] is None else found[axis])


@pytest.mark.parametrize(("sentence", "channels", "grid"), [case[:3] for case in CASES], ids=IDS)
def test_permutation_equivariance(sentence, channels, grid):
    net, n = network(sentence, channels, grid), prod(grid)
    x = torch.randn(2, n, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        moved = net(x[:, order].reshape(2, *grid, channels)).reshape(2, n, -1)
        y = net(x.reshape(2, *grid, channels)).reshape(2, n, -1)[:, order]
    assert (deviation(moved, y) < 1e-9) == attributes(sentence, channels, grid).permutation


def local(case: tuple) -> bool:
    return all(radius is not None and 2 * radius + 2 < n for radius, n in zip(case[3], case[2], strict=True))


@pytest.mark.parametrize(("sentence", "channels", "grid"), [case[:3] for case in CASES if local(case)])
def test_shifts_of_the_interior(sentence, channels, grid):
    """A pattern far from all borders, shifted: by the declared steps the result shifts with it, by no smaller one."""
    found = attributes(sentence, channels, grid)
    wide = tuple(3 * length for length in grid) if not found.locked else grid
    net = network(sentence, channels, wide)
    x = torch.zeros(1, *wide, channels, dtype=torch.float64)
    middle = tuple(slice(length // 2 - 1, length // 2 + 1) for length in wide)
    x[(0, *middle)] = torch.randn(*[2] * len(wide), channels, dtype=torch.float64)
    with torch.no_grad():
        background, y = net(torch.zeros_like(x)), net(x)
        for axis in range(len(wide)):
            for step in range(1, (found.translation[axis] if found.translation else 1) + 1):
                moved = net(x.roll(step, axis + 1)) - background
                shifted = (y - background).roll(step, axis + 1)
                whole = found.translation is not None and step % found.translation[axis] == 0
                assert (deviation(moved, shifted) < 1e-9) == whole


@pytest.mark.parametrize(
    ("sentence", "held"),
    [
        ("lin >> att(lin,lin,lin)", False),
        (MIXER, True),
        ("pos", True),
        ("tok(4) >> lin", True),
        ("lin(N)", True),
        (CHANNELS_ATTEND, False),
        ("lin@flat@win(2)", False),
        ("lin@flat@win(H)", True),
        ("dw(3) >> pool(2) >> lin", False),
        ("dot(lin,lin) -> rel -> softmax -> mm(lin)", True),
        ("lin(sets=4)", False),
        ("norm@T", True),
    ],
)
def test_locked_to_its_grid(sentence, held):
    """What is not locked runs on a larger grid with the same weights; what is locked has other weights there."""
    assert attributes(sentence, 4, (4, 4)).locked == held
    net = network(sentence, 4, (4, 4))
    larger = [mm.build(sentence, 4, grid).double() for grid in ((8, 8), (12, 12))]
    states = [{name: value.shape for name, value in one.state_dict().items()} for one in (net, *larger)]
    assert (states[0] not in states[1:]) == held
    if not held:
        larger[0].load_state_dict(net.state_dict())
        assert larger[0](torch.randn(1, 8, 8, 4, dtype=torch.float64)).isfinite().all()


def test_a_sentence_that_fits_one_grid_only_is_locked():
    sentence = "lin(16)@T >> lin"  # 16 mixtures of 16 tokens
    assert attributes(sentence, 4, (4, 4)).locked
    with pytest.raises(LanguageError):
        mm.check(f"res({sentence})", 4, (8, 8))


@pytest.mark.parametrize(
    ("sentence", "low", "high"),
    [
        ("dw(3) >> lin", 1.0, 1.0),
        ("att(lin,lin,lin)@h(2) >> lin", 1.9, 2.0),
        (LINEAR, 1.0, 1.0),
        ("att(lin,lin,lin)@win(4)", 1.0, 1.0),
        ("att(lin,lin,lin)@N(3)", 1.0, 1.0),
        ("se(2) >> dw(3)", 0.98, 1.0),
        (CHANNELS_ATTEND, 1.0, 1.0),
        ("down(2,C) >> att(lin,lin,lin) >> up(2)", 1.2, 2.0),
    ],
)
def test_growth_is_that_of_counted_products(sentence, low, high):
    grid, points = (4, 4), []
    for factor in GROWTH[:3]:
        larger = grown(grid, factor)
        net = mm.build(sentence, 4, larger, counted=True).to("meta")
        with FlopCounterMode(display=False) as counter:
            net(torch.empty(1, *larger, 4, device="meta"))
        points.append((log(prod(larger)), log(counter.get_total_flops())))
    found = attributes(sentence, 4, grid).growth
    assert low - 1e-6 <= found <= high + 1e-6
    assert abs(found - slope(points)) < 0.15  # the table's range is larger by a factor of four


@pytest.mark.parametrize(
    ("sentence", "coefficients", "weights", "linear"),
    [
        ("lin >> gelu >> norm", (), (), None),
        ("dw(3)", ("static",), ("signed",), None),
        ("avg(3)", ("static",), ("convex",), None),
        ("att(lin,lin,lin)", ("dynamic",), ("convex",), False),
        (LINEAR, ("dynamic",), ("convex",), True),
        ("dot0(lin,lin) -> l1 -> mm(lin)", ("dynamic",), ("signed",), True),
        ("dot0(lin,lin) -> mm(lin)", ("dynamic",), ("signed",), True),
        ("dot(lin,lin) -> sig -> mm(lin)", ("dynamic",), ("positive",), False),
        ("dot(lin,lin) -> softmax[q] -> mm(lin)", ("dynamic",), ("positive",), False),
        ("dot(lin,lin) -> center -> mm(lin)", ("dynamic",), ("signed",), True),
        ("dot(lin,lin) -> exp -> l1 -> mm(lin)", ("dynamic",), ("convex",), False),
        ("dot0(lin >> sq,pool(2) >> elu1) -> l1 -> mm(pool(2))", ("dynamic", "static"), ("convex",), True),
        ("att(lin,lin,lin)@N(3)", ("dynamic",), ("convex",), None),
        (MIXER, ("static",), ("signed",), None),
        ("dw(3) >> att(lin,lin,lin)", ("dynamic", "static"), ("convex", "signed"), False),
        ("(pool(1) >> lin(9C)) -> mm(lin)@N(3,zero)@h(C)", ("dynamic", "static"), ("convex", "signed"), None),
    ],
)  # fmt: skip
def test_coefficients_and_their_values(sentence, coefficients, weights, linear):
    found = attributes(sentence, 4, (4, 4))
    assert (found.coefficients, found.weights, found.linear) == (coefficients, weights, linear)


@pytest.mark.parametrize("text", ["softmax", "sig", "l1", "center"])
def test_convex_weights_keep_a_constant_and_positive_ones_its_sign(text):
    """Values of all ones: convex weights return ones, positive ones something positive."""
    sentence = f"dot0(lin >> relu,lin >> relu) -> {text} -> mm(x)"
    net, found = network(sentence, 4, (4, 4)), attributes(sentence, 4, (4, 4)).weights
    rows = mm.reference(net, torch.rand(1, 4, 4, 4) + 0.5)
    inputs = torch.rand(1, 4, 4, 4).add(0.5).double()
    low, high = inputs.amin((1, 2)), inputs.amax((1, 2))
    y = net(inputs)
    inside = bool(((y >= low[:, None, None] - 1e-9) & (y <= high[:, None, None] + 1e-9)).all())
    assert rows.isfinite().all()
    if found == ("convex",):
        assert inside
    if found == ("positive",):
        assert bool((y >= 0).all())
    assert found in (("convex",), ("positive",), ("signed",))


@pytest.mark.parametrize(
    ("sentence", "causal", "cross"),
    [
        ("norm >> ffn(2)", True, False),
        ("att(lin,lin,lin)@h(2) >> lin", True, True),
        ("let a = lin in att(a,a,lin)", True, False),
        ("let k = lin in att(lin,k,k)", True, True),
        ("dw(3) >> att(lin,lin,lin)", True, True),
        ("att(lin,lin,lin)@N(3)", True, False),
        ("att(lin,lin,lin)@win(2)", True, False),
        (MIXER, False, False),
        (CHANNELS_ATTEND, False, False),
        ("att(lin,lin,lin) >> mean", False, True),
        ("att(lin,pool(2),pool(2)) >> gn", False, True),
        ("dot(lin,lin) -> softmax[q] -> mm(lin)", False, True),
    ],
)
def test_causal_and_cross_forms(sentence, causal, cross):
    found = attributes(sentence, 4, (4, 4))
    assert (found.causal, found.cross) == (causal, cross)


def test_causal_reads_reach_back_only():
    """The span of a causal place has no future, which the Jacobian shows."""
    net = network("att(lin,lin,lin)@causal", 4, (6,))
    x = torch.randn(1, 6, 4, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(net, x)[0, :, :, 0].abs().amax((1, 3))
    assert bool((jacobian.triu(1) == 0).all())
    assert bool((jacobian.diagonal() > 0).all())


SPACE = """
name = "local"
start = "network"

[rules]
network = "{norm | bn | lin} >> each(block, {1..3})"
block = "{res(mixer) | mixer >> lin | lin * (mixer >> gelu) | [.5: mixer | x] | let k = mixer in k + (k >> view)}"
mixer = "{dw({3|3x1|2}) | avg(3) | read | (lin >> gelu)@win(2) | dw(3)@grid(3) | down(2,C) >> up(2) | lin | ffn(2)}"
read = "att(lin,lin,lin)@{N(3) | N(3,mask) | win(3) | win(2) | N(3,s=3) | N(2,d=2,mask) | grid(2)}"
view = "{gelu@T | (dw(3) >> relu)@win(3x2) | lin@seg(2) | read@win(3) | norm}"
"""


def test_draws_of_a_space_do_what_their_attributes_say(tmp_path):
    """Who is not within the declared distance does not matter; what is declared equivariant is."""
    rng, n = random.Random(0), 36
    (tmp_path / "local.toml").write_text(SPACE)
    space = mm.Space.load(tmp_path / "local.toml")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    bounded = 0
    for _ in range(60):
        sentence = space.draw(rng, channels=4, grid=(6, 6)).sentence
        found, net = attributes(sentence, 4, (6, 6)), network(sentence, 4, (6, 6))
        x = torch.randn(1, n, 4, dtype=torch.float64)
        with torch.no_grad():
            y = net(x.reshape(1, 6, 6, 4))
            if found.permutation and y.shape[1:-1].numel() == n:
                moved = net(x[:, order].reshape(1, 6, 6, 4)).reshape(1, n, -1)
                assert deviation(moved, y.reshape(1, n, -1)[:, order]) < 1e-9
            if y.shape[1:3] != (6, 6) or None in found.receptive_field:
                continue
            bounded += 1
            for token in (0, 14, 35):
                other = x.clone()
                other[:, token] += 1
                changed = ((net(other.reshape(1, 6, 6, 4)) - y).abs().amax(-1)[0] > 1e-10).nonzero()
                far = (
                    (changed - torch.tensor([token // 6, token % 6])).abs().amax(0) if len(changed) else torch.zeros(2)
                )
                assert all(a <= b for a, b in zip(far.tolist(), found.receptive_field, strict=True)), str(sentence)
    assert bounded > 30


def test_every_entry_of_the_catalogue_has_attributes():
    for name in mm.catalog.names():
        entry = mm.catalog.get(name)
        found = attributes(entry.network, entry.channels, entry.grid)
        assert found.locked == (found.growth is None)
        assert found.receptive_field == (None,) * len(entry.grid)  # heads see all tokens
        assert found.rows()


def test_a_read_of_a_further_input():
    """It sums over tokens, none of which is the input's; what comes later there is not the input's either."""
    found = attributes("att(lin,lin(4,ctx),lin(4,ctx))@h(2)", 4, (4, 4), Field((2, 3), 6))
    assert (found.coefficients, found.weights, found.linear) == (("dynamic",), ("convex",), False)
    assert (found.receptive_field, found.permutation, found.cross, found.causal) == ((0, 0), True, True, True)
    banks = attributes("att(lin,#6,#6)@h(2)", 4, (4, 4))
    assert (banks.coefficients, banks.weights) == ((), ())
