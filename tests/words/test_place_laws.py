"""Laws of places (docs/algebra.md#neighbourhoods), as numbers: two sentences, one function with the same weights."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.testing.checks import deviation, fill_by_shape

ATT = "att(lin,lin,lin)@h(2)"
SIGNED = "(dot(lin,lin) -> gelu -> mm(lin))@h(2)"


def results(sentences: tuple[str, ...], channels: int, grid: tuple[int, ...]) -> list[torch.Tensor]:
    x = torch.randn(2, *grid, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    found = []
    for sentence in sentences:
        net = mm.build(sentence, channels, grid).double().eval()
        fill_by_shape(net)
        with torch.no_grad():
            found.append(net(x))
    return found


@pytest.mark.parametrize(
    ("a", "b", "grid"),
    [
        # groups of consecutive tokens
        (f"{ATT}@blk(4)", f"{ATT}@win(4)", (12,)),
        (f"{ATT}@blk(6)", f"{ATT}@win(1xW)", (4, 6)),
        (f"{ATT}@blk(12)", f"{ATT}@win(2xW)", (4, 6)),
        ("lin@blk(N)", "lin", (2, 3, 2)),
        ("dw(3)@blk(N)", "dw(3)", (7,)),
        ("first(N)", "x", (5,)),
        ("last(N)", "first(N)", (5,)),
        # supports that leave nothing out
        (f"{ATT}@first(N)", ATT, (4, 3)),
        (f"{ATT}@stride(1)", ATT, (4, 3)),
        (f"{ATT}@(causal | first(N))", ATT, (7,)),
        (f"{ATT}@top(N,lin(N))", ATT, (7,)),
        (f"let c = pool(2) in {ATT}@clus(c,N)", ATT, (4, 2)),
        (f"{ATT}@rand(1.0)", ATT, (4, 3)),
        (f"{ATT}@rand(.5)", ATT, (4, 3)),
        ("(dot(lin,lin) -> softmax[blk(N)] -> mm(lin))@h(2)", ATT, (4, 3)),
        # supports that leave out the same
        (f"{ATT}@N(3,causal)", f"{ATT}@N(5,mask)@causal", (7,)),
        (f"{ATT}@N(3,causal)", f"{ATT}@N(3,causal)@causal", (7,)),
        (f"{ATT}@N(3)@N(3)", f"{ATT}@N(3)", (5, 4)),
        (f"{ATT}@(N(3) | N(3)@causal)", f"{ATT}@N(3)", (5, 4)),
        (f"{ATT}@(N(3) | lag(2) | causal)", f"{ATT}@(N(3) | causal)", (9,)),
        (f"{SIGNED}@(first(2) | N(3))@causal", f"{SIGNED}@(first(2)@causal | N(3)@causal)", (9,)),
        (f"{ATT}@N(3,mask)@win(4)", f"{ATT}@win(4)@N(3,mask)", (8, 4)),
        (f"{ATT}@N(4,s=4,d=1)", f"{ATT}@blk(4)", (12,)),
        # order does not matter to what does not mind it
        (f"let c = pool(2) in {ATT}@sort(c)", ATT, (4, 4)),
        ("let c = pool(2) in (lin >> norm >> gelu)@sort(c)", "lin >> norm >> gelu", (4, 4)),
        (f"{ATT}@N(3,wrap)@roll(2)", f"{ATT}@N(3,wrap)", (5, 4)),
        (f"{ATT}@(N(3,wrap) | N(1))@roll(1)", f"{ATT}@N(3,wrap)", (5, 4)),
        # members of a chosen set, and of those that are left
        (f"{ATT}@(top(2,dot(lin,lin)) | first(N))", ATT, (7,)),
        (f"{ATT}@top(N,lin(N))@N(3)", f"{ATT}@N(3)", (7,)),
    ],
)
def test_equal_with_the_same_weights(a, b, grid):
    one, other = results((a, b), 4, grid)
    assert deviation(one.flatten(1), other.flatten(1)) < 1e-10


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (f"{ATT}@N(3)@causal", f"{ATT}@N(3)"),
        (f"{ATT}@(N(3) | first(1))", f"{ATT}@N(3)"),
        (f"{ATT}@stride(2)", f"{ATT}@stride(2,b=2)"),
        (f"{ATT}@blk(4)", f"{ATT}@grid(4)"),
        (f"{ATT}@lag(1)", f"{ATT}@causal"),
        (f"{ATT}@causal@roll(1)", f"{ATT}@causal"),
        ("let c = pool(2) in dw(3)@sort(c)", "dw(3)"),
        (f"{ATT}@top(2,lin(N))@causal", f"{ATT}@top(2,lin(N))"),
    ],
)
def test_different_with_the_same_weights(a, b):
    assert deviation(*results((a, b), 4, (8,))) > 1e-3
