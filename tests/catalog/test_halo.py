"""HaloNet's attention against timm's, with the same weights."""

from __future__ import annotations

import torch

import metamixer as mm


def test_halo_attention(timm):
    from timm.layers.halo_attn import HaloAttn

    heads, width, block, halo = 4, 32, 8, 3
    theirs = HaloAttn(width, num_heads=heads, block_size=block, halo_size=halo).eval()
    ours = mm.build(
        f"let q = lin(b=0) in (dot(q,lin(b=0)) -> relq(q) -> softmax -> mm(lin(b=0)))"
        f"@N({block + 2 * halo},s={block},zero)@h({heads})", width, (16, 24)
    ).eval()  # fmt: skip
    held = [weights for weights in ours.store.weights.values() if weights.state_dict()]
    tables = next(weights for weights in held if "axis0" in weights.state_dict())
    q, k, v = (weights for weights in held if weights is not tables)
    with torch.no_grad():
        memory = theirs.kv.weight[:, :, 0, 0].unflatten(0, (heads, -1))
        q.load_state_dict({"weight": theirs.q.weight[:, :, 0, 0]})
        k.load_state_dict({"weight": memory[:, : width // heads].flatten(0, 1)})
        v.load_state_dict({"weight": memory[:, width // heads :].flatten(0, 1)})
        # timm's tables count from the edge of the window and have rows in front that no distance reaches
        rows = {"axis0": theirs.pos_embed.height_rel[2 * halo :], "axis1": theirs.pos_embed.width_rel[2 * halo :]}
        tables.load_state_dict(rows)
        x = torch.randn(2, 16, 24, width)
        y, expected = ours(x), theirs(x.movedim(-1, 1)).movedim(1, -1)
    assert float((y - expected).abs().max()) < 1e-4 * float(expected.abs().max())
