"""Wide depthwise kernels: channels in portions compute what one convolution computes, gradients too."""

from __future__ import annotations

from itertools import product
from math import prod

import pytest
import torch

import metamixer as mm
from metamixer.words import convolutions
from metamixer.words.convolutions import BLOCK, portion


@pytest.mark.parametrize(
    ("kernel", "channels"), [*product([(7, 7), (5, 5), (1, 11), (31,), (5, 5, 5)], [96, 700, 768, 3000])]
)
def test_portions_are_small_and_even(kernel, channels):
    width = portion(kernel, channels)
    if channels * prod(kernel) < BLOCK:
        assert width == channels
        return
    number = -(-channels // width)
    assert width % 16 == 0
    assert number > 1
    assert width * prod(kernel) < BLOCK
    assert channels / number > width - 16  # no portion is left with hardly a channel


def test_narrow_kernels_stay_whole():
    assert portion((3, 3), 100_000) == 100_000
    assert portion((11, 1), 100_000) == 100_000


@pytest.mark.parametrize(
    "sentence", ["dw(7)", "dw(5,b=0)", "conv(x,#rep(7,3))", "dw(5,s=2)", "dw(5,sets=8)", "dw(5,c=80)"]
)
def test_portions_change_nothing(sentence, monkeypatch):
    torch.manual_seed(0)
    net, x = mm.build(sentence, 40, (9, 9)).double(), torch.randn(2, 9, 9, 40, dtype=torch.float64, requires_grad=True)

    def results():
        y = net(x)
        return [y, *torch.autograd.grad(y.square().sum(), [x, *net.parameters()])]

    whole, calls = results(), []
    monkeypatch.setattr(convolutions, "BLOCK", 500)
    alone = convolutions.convolve_same
    monkeypatch.setattr(convolutions, "convolve_same", lambda *given: calls.append(given) or alone(*given))
    for one, other in zip(whole, results(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
    assert len(calls) == {"dw(5,c=80)": 1, "conv(x,#rep(7,3))": 4}.get(sentence, 3)
