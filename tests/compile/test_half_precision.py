"""In half precision a read gives numbers wherever its result is one, however large the sums on the way are."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.testing.checks import deviation

HALF = 1e-2  # float16 has 11 bits

# What is divided by sums that exceed 65,504: in every order of evaluation, by every normaliser that sums.
NORMALISED = [
    "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(4) >> lin",  # values first
    "(dot0(lin >> relu,lin >> relu) -> flow -> mm(lin))@h(4)",
    "(dot0(lin >> relu,lin >> relu) -> center -> mm(lin))@h(4)",
    "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(4)@causal",  # in chunks
    "(dot0(lin >> relu,lin >> relu) -> decay -> l1 -> mm(lin))@h(4)@causal",
    "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(4)@N(7)",  # slots taken out
    "(dot0(lin >> relu,lin >> relu) -> sq -> l1 -> mm(lin))@h(4)",  # scores first
    "dot(lin,lin) -> exp -> l1 -> mm(lin)",
    "dot0(lin >> relu,lin >> relu) -> l1[q] -> mm(lin)",
    "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(4)@win(8)",
]


def network(text: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    net = mm.build(text, 32, (16, 16)).eval()
    x = torch.randn(2, 16, 16, 32) * 12 + 6
    return net, x, mm.reference(net, x)


@pytest.mark.parametrize("text", NORMALISED)
def test_sums_that_float16_cannot_hold_are_taken_in_float32(text):
    net, x, expected = network(text.replace("dot(lin,lin) -> exp", "dot(lin >> scale(.1),lin >> scale(.1)) -> exp"))
    with torch.no_grad():
        y = net.half()(x.half())
    assert y.dtype == torch.float16
    assert deviation(y, expected) < HALF


@pytest.mark.parametrize("text", NORMALISED)
def test_autocast_to_float16_keeps_them_too(text):
    net, x, expected = network(text.replace("dot(lin,lin) -> exp", "dot(lin >> scale(.1),lin >> scale(.1)) -> exp"))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.float16):
        y = net(x)
    assert deviation(y, expected) < HALF


@pytest.mark.parametrize("text", NORMALISED)
def test_gradients_under_autocast_are_numbers(text):
    net, x, _ = network(text.replace("dot(lin,lin) -> exp", "dot(lin >> scale(.1),lin >> scale(.1)) -> exp"))
    with torch.autocast("cpu", dtype=torch.float16):
        y = net(x)
    y.float().mean().backward()
    assert all(bool(p.grad.isfinite().all()) for p in net.parameters())


@pytest.mark.parametrize("channels", [2, 8, 32])
def test_unnormalised_sums_over_many_slots_stay_exact_in_float32(channels):
    for text in ("dot -> sig -> mm", "dot(lin,lin) -> sig -> mm(lin)", "dot0(lin,lin) -> relu -> mm(lin)"):
        torch.manual_seed(channels)
        net = mm.build(text, channels, (16, 8)).eval()
        x = torch.randn(3, 16, 8, channels)
        with torch.no_grad():
            assert deviation(net(x), mm.reference(net, x)) < 1e-5


def test_the_type_of_the_result_is_that_of_the_network():
    for text in (*NORMALISED, "att(lin,lin,lin)@h(2)", "dot(lin,lin) -> top(4) -> softmax -> mm(lin)"):
        net = mm.build(text, 32, (16, 16)).eval()
        for kind in (torch.bfloat16, torch.float16, torch.float64):
            with torch.no_grad():
                assert net.to(kind)(torch.randn(1, 16, 16, 32, dtype=kind)).dtype == kind, text
