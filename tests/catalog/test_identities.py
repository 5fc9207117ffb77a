"""Identities between published mixers that tests/words/test_laws.py does not have, and what their outputs depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import metamixer as mm
from metamixer import catalog
from metamixer.testing.checks import deviation, randomise

C = 8


def network(sentence: str, channels: int = C, grid: tuple[int, ...] = (4, 4)) -> nn.Module:
    torch.manual_seed(0)
    net = mm.build(sentence, channels, grid).double()
    randomise(net)
    return net.eval()


def owners(net: nn.Module) -> list[nn.Module]:
    """The words of a network that have tensors, in reading order."""
    return [weights for weights in net.store.weights.values() if weights.state_dict()]


def inputs(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_the_transform_of_fourier_ninformer_is_that_of_fnet():
    """Arxiv 2105.03824: the real part of a two-dimensional FFT over tokens and channels."""
    x = inputs(2, 12, C)
    found = network("fourier", C, (12,))(x)
    assert np.allclose(found.numpy(), np.fft.fft2(x.numpy()).real)
    plain = network("lin * fourier", C, (12,))
    value = owners(plain)[0].state_dict()
    projected = torch.nn.functional.linear(x, value["weight"], value["bias"])
    assert torch.allclose(plain(x), projected * found)


def test_a_token_projection_as_ninformers_gate_is_that_of_gmlp():
    """Values from one half of the channels, the gate from the projection over tokens of the other: z1 * (W z2 + b)."""
    net = network("(lin(4,b=0) >> lin@T) * lin(4,b=0)", C, (6,))
    first, token, second = (dict(part.state_dict()) for part in owners(net))
    x = inputs(2, 6, C)
    gate = torch.einsum("nm,bmc->bnc", token["weight"], x @ first["weight"].mT) + token["bias"][:, None]
    assert torch.allclose(net(x), gate * (x @ second["weight"].mT))


def test_the_channel_branch_of_vip_alone_is_a_projection():
    net = network("lin(b=0)@flat@win(Hx1)@seg(4) + lin(b=0)@flat@win(1xW)@seg(4) + lin(b=0) >> lin")
    plain = network("lin(b=0) >> lin")
    with torch.no_grad():
        for branch in owners(net)[:2]:
            branch.weight.zero_()
    for mine, theirs in zip(owners(net)[2:], owners(plain), strict=True):
        theirs.load_state_dict(mine.state_dict())
    x = inputs(2, 4, 4, C)
    assert deviation(net(x), plain(x)) < 1e-10


def test_ffnified_attention_around_the_edge_is_circulant():
    """With kernels that cover the map and continue on the other side, the mixer is global and rolls with its input."""
    kernel = "((pool(1) >> lin(25C)) -> mm({}))@N(5,wrap)@h(C)"
    net = network(f"({kernel.format('lin')}) >> gelu >> {kernel.format('x')}", 3, (5, 5))
    x = inputs(1, 5, 5, 3)
    assert deviation(net(x.roll((2, 1), (1, 2))), net(x).roll((2, 1), (1, 2))) < 1e-10
    moved = x.clone()
    moved[0, 0, 0, 0] += 1
    assert ((net(moved) - net(x)).abs().amax(-1) > 1e-9).all()


@pytest.mark.parametrize(("h", "w", "s"), [(1, 1, 1), (2, 2, 1), (2, 3, 2), (4, 2, 4), (4, 6, 8), (1, 3, 2)])
def test_cutting_and_putting_together_changes_nothing(h, w, s):
    x = inputs(2, 4, 6, C)
    identity = network(f"(x >> gelu)@win({h}x{w})@seg({s})", C, (4, 6))
    assert torch.equal(identity(x), torch.nn.functional.gelu(x))
    # sets of weights: window by window what the projection of that set does
    net = network(f"lin(b=0,sets={s})@T@win({h}x{w})", C, (4, 6))
    weight = owners(net)[0].weight.reshape(s, h * w, h * w)
    windows = x.unflatten(1, (-1, h)).unflatten(3, (-1, w)).permute(0, 1, 3, 2, 4, 5).flatten(3, 4)
    mixed = torch.stack([windows[..., c].matmul(weight[c % s].mT) for c in range(C)], -1)
    back = mixed.unflatten(3, (h, w)).permute(0, 1, 3, 2, 4, 5).reshape(x.shape)
    assert deviation(net(x), back) < 1e-10


def shuffled(sentence: str) -> float:
    """How far a mixer is from treating all orders of the tokens alike."""
    net, x = network(sentence, 32, (8, 8)), inputs(1, 8, 8, 32)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(2))

    def permuted(field: Tensor) -> Tensor:
        return field.flatten(1, 2)[:, order].unflatten(1, (8, 8))

    return deviation(net(permuted(x)), permuted(net(x)))


@pytest.mark.parametrize(
    "sentence",
    ["att(lin,lin,lin)@h(4) >> lin", "res(norm >> ffn(4))", "let q = lin, k = lin, v = lin in att(q,k,v)@T@h(4)"],
)
def test_attention_and_perceptrons_know_no_order(sentence):
    assert shuffled(sentence) < 1e-10


@pytest.mark.parametrize(
    "name",
    [
        "mixer_block", "resmlp_block", "gmlp_block", "vip_block", "repmlpnet_block", "repmlp_light", "ninformer_block",
        "fourier_ninformer_block", "ffnet_block_3", "ffnet_block_7", "convnext_block", "convmixer_block",
        "poolformer_block", "convformer_block",
    ],
)  # fmt: skip
def test_token_mixers_with_weights_for_places_know_the_order(name):
    assert shuffled(f"unit({catalog.get(name).mixer})") > 1e-6


def test_a_class_token_is_mixed_like_any_other_in_ff_only():
    net = network("cls >> res(norm >> ffn(4)) >> res((norm >> ffn(4))@T)", C, (3, 3))
    x = inputs(1, 3, 3, C)
    moved = x.clone()
    moved[0, 2, 2] += 1
    assert ((net(x) - net(moved)).abs().amax(-1) > 1e-9).all()


def touched(sentence: str, grid: tuple[int, int], at: tuple[int, int]) -> set[tuple[int, int]]:
    """Tokens of the result that feel one token of the input."""
    net, x = network(sentence, C, grid), inputs(1, *grid, C)
    moved = x.clone()
    moved[0, *at] += 1
    felt = (net(x) - net(moved)).abs().amax(-1)[0] > 1e-9
    return {(int(i), int(j)) for i, j in felt.nonzero()}


def test_what_a_token_reaches():
    column = {(i, 3) for i in range(6)}
    assert touched("lin(b=0)@flat@win(Hx1)@seg(2)", (6, 6), (1, 3)) == column
    assert touched("lin(b=0)@flat@win(1xW)@seg(2)", (6, 6), (1, 3)) == {(1, j) for j in range(6)}
    window = {(i, j) for i in (2, 3) for j in (4, 5)}
    spatial = "((lin(b=0,sets=4)@T >> bn(sets=4)) + (dw(3,b=0,sets=4) >> bn(sets=4)))@win(2)"
    assert touched(spatial, (6, 6), (3, 5)) == window
    gated = f"bn >> {spatial} * (pool(1) >> lin(C/4) >> relu >> lin(D) >> sig)"
    assert len(touched(gated, (6, 6), (3, 5))) == 36  # through the global gate
    cross = {(i, j) for i in range(6) for j in range(6) if abs(i - 1) <= 3 and abs(j - 3) <= 3}
    assert touched("conv(lin,#3,b=1) -> gelu -> conv(#5,b=1)", (6, 6), (1, 3)) == cross
