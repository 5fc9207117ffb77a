"""Contracts of the Fourier view and of the words that read spectra."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.testing import WordContract

AFF = "x + (x * (clin(g=2) >> crelu >> clin(g=2) >> shrink))@fft"


class TestFrequencies(WordContract):
    word = "fft"
    examples = (
        ("(x * clin)@fft", 4, (6,)),
        (AFF, 4, (4, 6)),
        (AFF, 4, (3, 5)),
        ("(x * x - .5 * x)@fft >> lin", 2, (2, 3, 4)),
        ("lin >> x@fft", 4, (5,)),
        ("let v = lin in (v * (scale(.5) >> crelu))@fft", 4, (4, 3)),
        ("([.5: clin | crelu] ++ x >> clin(6))@fft", 4, (2, 4)),
        ("res(norm >> (res(clin(2C) >> crelu >> clin(D)))@fft@win(2))^2", 4, (4, 2)),
        ("had(x,tie f = clin in f >> f)@fft", 4, (5,)),
        ("clin@fft@roll(1)", 4, (3, 4)),
    )


class TestComplexLinear(WordContract):
    word = "clin"
    examples = (
        ("clin@fft", 4, (5,)),
        ("clin(6,g=2)@fft", 4, (4, 3)),
        ("clin(2C,b=0)@fft", 3, (2, 3, 2)),
        ("(clin(fix=1) >> clin(b=0))@fft", 4, (4,)),
    )


class TestComplexRelu(WordContract):
    word = "crelu"
    examples = (
        ("lin >> crelu@fft", 4, (5,)),
        ("(clin >> crelu)@fft", 4, (4, 3)),
        ("(x * crelu)@fft >> lin", 3, (2, 3, 2)),
    )


def test_adaptive_frequency_filters_are_a_circular_convolution():
    """AFF (arXiv 2307.14008): the gate's inverse transform, made for every input, is the kernel of a convolution."""
    h, w, c, groups = 4, 6, 8, 2
    net = mm.build(AFF, c, (h, w)).double()
    held = [weights.state_dict() for weights in net.store.weights.values() if "real" in weights.state_dict()]
    x = torch.randn(2, h, w, c, dtype=torch.float64)
    spectrum = torch.fft.fft2(x, dim=(1, 2), norm="ortho")
    half = spectrum[:, :, : w // 2 + 1]

    def blocks(z, one):
        matrix = torch.complex(one["real"], one["imaginary"]).unflatten(0, (groups, -1))
        y = torch.stack([z.unflatten(-1, (groups, -1))[..., g, :] @ matrix[g].mT for g in range(groups)], -2)
        return y.flatten(-2) + torch.complex(one["real_bias"], one["imaginary_bias"])

    with torch.no_grad():
        gate = blocks(half, held[0])
        gate = blocks(torch.complex(gate.real.clamp(min=0), gate.imag.clamp(min=0)), held[1])
        part = torch.view_as_real(gate)
        gate = torch.view_as_complex(part.sign() * (part.abs() - 0.01).clamp(min=0))
        kernel = torch.fft.irfft2(gate, s=(h, w), dim=(1, 2), norm="ortho")
        expected = x.clone()
        for i in range(h):
            for j in range(w):  # y[n] = sum_m kernel[m] x[n - m] / sqrt(tokens), indices around the edges
                expected += kernel[:, i : i + 1, j : j + 1] * x.roll((i, j), (1, 2)) / (h * w) ** 0.5
    torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-12)


def test_two_complex_layers_cost_half_a_dense_one():
    """C^2 N / 2 for two layers of 8 blocks on half of the spectrum, which has a column more than half."""
    cost = mm.cost("x + (x * (clin(g=8) >> crelu >> clin(g=8) >> shrink))@fft", 64, (28, 28))
    assert cost.macs == 2 * 4 * 28 * 15 * 64 * 64 // 8
    assert cost.params == 2 * (2 * 64 * 8 + 2 * 64)


def test_halves_go_through_in_single_precision():
    net = mm.build(f"res(norm >> {AFF} >> lin)", 4, (4, 6))
    x = torch.randn(2, 4, 6, 4)
    expected = net(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(net(x).float(), expected, rtol=0.1, atol=0.1)
    made = net.bfloat16()(x.bfloat16())
    assert made.dtype == torch.bfloat16
    torch.testing.assert_close(made.float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("(x * lin)@fft", "lin reads no spectrum.*\n.*\n.*\n.*clin"),
        ("(norm >> clin)@fft", "norm reads no spectrum"),
        ("att(lin,lin,lin)@fft", "reads no spectrum"),
        ("(x * gelu)@fft", "gelu reads no spectrum"),
        ("dw(3)@fft", "conv reads no spectrum"),
        ("(clin@win(2))@fft", "win stands inside @fft"),
        ("(clin@T)@fft", "T stands inside @fft"),
        ("clin", "clin reads a spectrum"),
        ("lin >> crelu", "crelu reads a spectrum"),
        ("cls >> clin@fft", "needs tokens on a grid"),
    ],
)
def test_everything_else_inside_is_refused(sentence, message):
    with pytest.raises(mm.LanguageError, match=message):
        mm.check(sentence, 8, (4, 4))
