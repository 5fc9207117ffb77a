"""Contract of relative logits, and HaloNet's attention transcribed."""

from __future__ import annotations

import torch
from torch.nn.functional import pad

import metamixer as mm
from metamixer.compile.groups import Grouped
from metamixer.testing import WordContract, check_sentence, checks


class TestQueryPositions(WordContract):
    word = "relq"
    examples = (
        ("let q = lin in (dot(q,lin) -> relq(q) -> softmax -> mm(lin))@h(2)", 8, (7,)),
        ("let q = lin in (dot(q,lin) -> relq(q) -> softmax -> mm(lin))@N(4,s=2,zero)@h(2)", 8, (4, 6)),
        ("let q = lin in (dot(q,lin) -> relq(q) -> softmax -> mm(lin))@N(3,wrap)", 4, (3, 4)),
        ("let q = lin in (dot(q,lin) -> relq(q) -> softmax -> mm(lin))@N(3,d=2)@causal", 4, (7,)),
        ("(dot(lin,lin) -> relq(lin(4)) -> softmax -> mm(lin))@causal@h(2)", 8, (2, 2, 2)),
    )


def test_blocks_with_a_halo_of_zeros_are_those_of_halonet():
    """arXiv 2103.12731 as timm has it: windows of b + 2r around blocks of b, zero keys that enter the softmax."""
    b, r, n, width = 4, 2, 2, 8
    net = mm.build(
        f"let q = lin in (dot(q,lin) -> relq(q) -> softmax -> mm(lin))@N({b + 2 * r},s={b},zero)@h({n})", 8, (8, 12)
    )
    net = net.double()
    held = list(net.store.weights.values())
    x = torch.randn(2, 8, 12, width, dtype=torch.float64)
    with torch.no_grad():
        q, k, v = (
            torch.nn.functional.linear(x, *pair)
            for pair in ((w.state_dict()["weight"], w.state_dict()["bias"]) for w in held if "weight" in w.state_dict())
        )
        rows, columns = (next(w for w in held if "axis0" in w.state_dict()).state_dict()[f"axis{i}"] for i in (0, 1))
        expected = torch.zeros_like(x)
        k, v = (pad(t, (0, 0, r, r, r, r)) for t in (k, v))
        for top in range(0, 8, b):
            for left in range(0, 12, b):
                window = (slice(None), slice(top, top + b + 2 * r), slice(left, left + b + 2 * r))
                for i in range(b):
                    for j in range(b):
                        asks = q[:, top + i, left + j].unflatten(-1, (n, -1))
                        scores = (
                            torch.einsum("bhd,byxhd->bhyx", asks, k[window].unflatten(-1, (n, -1)))
                            * (width // n) ** -0.5
                        )
                        far = b + r - 1  # distances -far .. far have a row
                        at_y, at_x = (torch.arange(b + 2 * r) - r - at + far for at in (i, j))
                        scores = scores + (asks @ rows[at_y].mT).unsqueeze(-1) + (asks @ columns[at_x].mT).unsqueeze(-2)
                        weights = scores.flatten(2).softmax(-1).unflatten(2, (b + 2 * r, -1))
                        read = torch.einsum("bhyx,byxhd->bhd", weights, v[window].unflatten(-1, (n, -1)))
                        expected[:, top + i, left + j] = read.flatten(1)
        assert torch.allclose(net(x), expected, atol=1e-12)


def test_groups_of_tokens_with_the_same_slots_are_read_together():
    for sentence, grid in (
        ("att(lin,lin,lin)@N(4,s=2,zero)@h(2)", (8, 4)),
        ("att(lin,lin,lin)@N(3x2,s=3x1,mask)@h(2)", (6, 4)),
        ("att(lin,lin,lin)@N(4,s=2,d=2,wrap)@h(2)", (8,)),
        ("att(lin,lin,lin)@N(2,s=2)@h(2)", (4, 2, 2)),
    ):
        subject = check_sentence(sentence, 4, grid)
        assert sum(isinstance(part, Grouped) for part in subject.net.modules()) == 1
        checks.trains(subject)
        checks.exports(subject)
    for sentence in (
        "att(lin,lin,lin)@N(4,s=3)",
        "att(lin,lin,lin)@N(4,s=2,causal)",
        "att(lin,lin,lin)@N(4,s=2)@causal",
        "att(lin,lin,lin)@N(7,s=2)",  # the first two windows are one
    ):
        assert not any(isinstance(part, Grouped) for part in mm.build(sentence, 4, (8,)).modules())
