"""Every parameter of every catalogue entry gets a gradient, which DistributedDataParallel takes for granted."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer import catalog
from metamixer.testing import Piece, pieces

KNOWN: dict[Piece, list[str]] = {}


def without_gradient(piece: Piece) -> list[str]:
    """Names of a piece's parameters that a step in training leaves untouched."""
    if piece not in KNOWN:
        torch.manual_seed(0)
        net = mm.build(piece.sentence, piece.channels, piece.grid, context=dict(piece.context)).train()
        y = net(torch.randn(2, *piece.grid, piece.channels))
        if any(parameter.requires_grad for parameter in net.parameters()):
            y.square().mean().backward()
        KNOWN[piece] = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    return KNOWN[piece]


@pytest.mark.parametrize("name", catalog.names())
def test_every_parameter_gets_a_gradient(name):
    entry = catalog.get(name)
    silent = {
        str(p): names for p in pieces(entry.network, entry.channels, entry.grid) if (names := without_gradient(p))
    }
    assert not silent


def test_a_parameter_that_only_chooses_is_seen():
    """What slots are chosen by has no gradient; that is what the test above looks for."""
    piece = Piece(mm.parse("att(lin,lin,lin)@top(2,dot(lin,lin))"), 4, (6,))
    assert len(without_gradient(piece)) == 4
