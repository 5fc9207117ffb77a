"""Mixers of the catalogue beside their authors' code: its formula written out here, with the same weights, in float64.

Each function is written from the file that it names, of the repository that the entry's `checked` names.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import metamixer as mm
from metamixer import catalog

CLOSE = 1e-10
HEADS, WIDTH = 4, 32
GRIDS = {
    "image": (8, 8), "blocks": (8, 8), "sequence": (64,), "volume": (4, 4, 4), "blocks_volume": (4, 4, 4),
}  # fmt: skip
Held = list[dict[str, Tensor]]


def built(name: str) -> tuple[Any, Tensor, Held]:
    """The entry's mixer with random weights and statistics, an input, and its tensors in reading order."""
    entry = catalog.get(name)
    assert entry.mixer is not None
    net = mm.build(entry.mixer, WIDTH, GRIDS[entry.shell or ""]).double().eval()
    generator = torch.Generator().manual_seed(5)
    held = [weights.state_dict() for weights in net.store.weights.values() if weights.state_dict()]
    for tensors in held:
        for key, tensor in tensors.items():
            value = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
            tensor.copy_(value + 0.5 if key in ("variance", "scale") else (value - 0.5) * 0.6)
    x = torch.randn((2, *GRIDS[entry.shell or ""], WIDTH), generator=generator, dtype=torch.float64)
    return net, x, held


def linear(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    return F.linear(x, w["weight"], w.get("bias"))


def batch_norm(x: Tensor, w: dict[str, Tensor], eps: float) -> Tensor:
    return (x - w["mean"]) / (w["variance"] + eps).sqrt() * w["scale"] + w["shift"]


def layer_norm(x: Tensor, w: dict[str, Tensor], eps: float) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w["scale"], w["shift"], eps)


def convolution(x: Tensor, w: dict[str, Tensor]) -> Tensor:
    return F.conv3d(x.movedim(-1, 1), w["weight"], w["bias"], padding=1).movedim(1, -1)


def heads(x: Tensor) -> Tensor:
    """(B, tokens, C) -> (B, heads, tokens, C / heads)."""
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


def merged(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Of (B, heads, tokens, channels); where the mask is False nothing is seen."""
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(-1) @ v


def biformer(x: Tensor, w: Held) -> Tensor:
    """models/../bra_legacy.py: routed regions; scores by the full width; `lepe` before the projection."""
    side, top = 4, 4
    q, k, v = (linear(x, one) for one in w[:3])

    def regions(y: Tensor) -> Tensor:  # (B, regions, tokens of one, C)
        y = y.reshape(len(y), side, 8 // side, side, 8 // side, WIDTH)
        return y.permute(0, 1, 3, 2, 4, 5).reshape(len(y), side * side, -1, WIDTH)

    qr, kr, vr = regions(q), regions(k), regions(v)
    chosen = (qr.mean(2) @ kr.mean(2).transpose(1, 2)).topk(top, -1).indices  # (B, regions, top)
    batch = torch.arange(len(x))[:, None, None]
    memory = [y[batch, chosen].flatten(2, 3) for y in (kr, vr)]  # (B, regions, top * tokens, C)
    split = [y.unflatten(-1, (HEADS, -1)).transpose(2, 3) for y in (qr, *memory)]
    scores = split[0] @ split[1].transpose(-1, -2) * WIDTH**-0.5
    y = (scores.softmax(-1) @ split[2]).transpose(2, 3).flatten(3)
    y = y.reshape(len(x), side, side, 8 // side, 8 // side, WIDTH).permute(0, 1, 3, 2, 4, 5).reshape(x.shape)
    lepe = F.conv2d(v.movedim(-1, 1), w[3]["kernel0"], w[3]["bias"], padding=2, groups=WIDTH).movedim(1, -1)
    return linear(y + lepe, w[4])


def davit_channels(x: Tensor, w: Held) -> Tensor:
    """timm/models/davit.py, ChannelAttention: `k^T v` is the score, q the value."""
    q, k, v = (heads(linear(x, one).flatten(1, 2)) for one in w[:3])
    scores = ((k * (WIDTH // HEADS) ** -0.5).transpose(-1, -2) @ v).softmax(-1)
    return linear(merged((scores @ q.transpose(-1, -2)).transpose(-1, -2)), w[3]).reshape(x.shape)


def davit_channels_v2(x: Tensor, w: Held) -> Tensor:
    """timm/models/davit.py, ChannelAttentionV2: scaled by the number of tokens."""
    q, k, v = (heads(linear(x, one).flatten(1, 2)) for one in w[:3])
    scores = (q.transpose(-1, -2) @ k * q.shape[-2] ** -0.5).softmax(-1)
    return linear(merged((scores @ v.transpose(-1, -2)).transpose(-1, -2)), w[3]).reshape(x.shape)


def dual_attention(x: Tensor, w: Held) -> Tensor:
    """DualAttentionUNet.py: both attentions read the same map, side by side."""
    flat = x.flatten(1, 3)
    position = (linear(flat, w[0]) @ linear(flat, w[1]).transpose(1, 2)).softmax(-1) @ linear(flat, w[2])
    affinity = (flat.transpose(1, 2) @ flat).softmax(1)
    channel = flat @ affinity.transpose(1, 2)

    def branch(y: Tensor, a: dict[str, Tensor], norm: dict[str, Tensor], b: dict[str, Tensor]) -> Tensor:
        return convolution(batch_norm(convolution(y, a), norm, 1e-3).relu(), b)

    left = branch(x + position.reshape(x.shape), *w[3:6])
    right = branch(x + channel.reshape(x.shape), *w[6:9])
    return batch_norm(linear(left + right, w[9]), w[10], 1e-3)


def baseconv(x: Tensor, w: Held) -> Tensor:
    """zoology/mixers/base_conv.py: a projection times a causal convolution, and the input."""
    kernel = w[0]["scores"].reshape(WIDTH, 1, 3)
    short = F.conv1d(F.pad(x.transpose(1, 2), (2, 0)), kernel, w[1]["shift"], groups=WIDTH).transpose(1, 2)
    return x + short * linear(x, w[2])


def ela(x: Tensor, w: Held) -> Tensor:
    """MbV2/models/mbv2_ela72.py: one convolution and one norm for both axes."""
    y = x.movedim(-1, 1)

    def gate(strip: Tensor) -> Tensor:
        seen = F.conv1d(strip, w[0]["weight"], padding=3, groups=WIDTH // 8)
        return F.group_norm(seen, 16, w[1]["scale"], w[1]["shift"]).sigmoid()

    return (y * gate(y.mean(3))[..., None] * gate(y.mean(2))[:, :, None]).movedim(1, -1)


def sharded(x: Tensor, w: Held) -> Tensor:
    """dkernel/utils.py, get_sparse_attn_mask: three local blocks of 4, and every eighth from a start by head."""
    q, k, v = (heads(linear(x, one)) for one in w[:3])
    block = torch.arange(64) // 4
    behind = block[:, None] - block[None]
    far = (block[None] + (8 // HEADS) * torch.arange(HEADS)[:, None]) % 8 == 0
    mask = ((behind < 3) | far[:, None]) & (torch.arange(64)[:, None] >= torch.arange(64))
    return linear(merged(attention(q, k, v, mask)), w[3])


def shifted_groups(x: Tensor, w: Held) -> Tensor:
    """llama_attn_replace.py: causal groups of 16, of half the heads moved by half a group."""
    q, k, v = (heads(linear(x, one)) for one in w[:3])
    half = HEADS // 2

    def shifted(y: Tensor, by: int) -> Tensor:
        return torch.cat([y[:, :half], y[:, half:].roll(by, 2)], 1)

    q, k, v = (shifted(y, -8).unflatten(2, (4, 16)) for y in (q, k, v))
    y = attention(q, k, v, torch.ones(16, 16).tril().bool()).flatten(2, 3)
    return linear(merged(shifted(y, 8)), w[3])


def memory_layer(x: Tensor, w: Held) -> Tensor:
    """MemoryLayer of C0-Design/MemoryFormer: a table for each eight channels, read at their signs."""
    z = x.unflatten(-1, (WIDTH // 8, 8))
    corners = torch.tensor([[(i >> bit) % 2 * 2 - 1 for bit in range(8)] for i in range(256)], dtype=x.dtype)
    scores = z @ corners.T
    best = scores.argmax(-1)
    weight = z.abs().sum(-1) * scores.softmax(-1).gather(-1, best[..., None])[..., 0]
    tables = w[0]["values0"]
    rows = tables[torch.arange(len(tables)), best]
    return (weight[..., None] * rows).sum(-2) + w[0]["bias"]


def lightning(x: Tensor, w: Held) -> Tensor:
    """tnl_attn.py of lightning-attention: SiLU on queries, keys and values, decay by head, a norm, a low-rank gate."""
    q, k, v = (heads(F.silu(linear(x, one))) for one in w[:3])
    slopes = torch.tensor([2 ** (-8 / HEADS * (h + 1)) for h in range(HEADS)], dtype=x.dtype)
    distance = (torch.arange(64)[:, None] - torch.arange(64)).to(x.dtype)
    decay = (-slopes[:, None, None] * distance).exp().tril()
    y = merged((q @ k.transpose(-1, -2) * decay) @ v)
    return linear(layer_norm(y, w[3], 1e-5) * linear(linear(x, w[4]), w[5]).sigmoid(), w[6])


def volume_block(x: Tensor, w: Held) -> Tensor:
    """3d_sem_segmentation/../ffnet.py, FFBlock, on a volume that is full."""
    y = linear(layer_norm(x, w[0], 1e-5), w[1])
    y = F.gelu(batch_norm(convolution(y, w[2]), w[3], 1e-3))
    x = x + batch_norm(convolution(y, w[4]), w[5], 1e-3)
    y = batch_norm(convolution(layer_norm(x, w[6], 1e-5), w[7]), w[8], 1e-3)
    return x + F.gelu(y @ w[9]["keys0"].T + w[9]["bias"]) @ w[10]["values0"] + w[10]["bias"]


OFFICIAL: dict[str, Callable[[Tensor, Held], Tensor]] = {
    "biformer": biformer,
    "davit_channels": davit_channels,
    "davit_channels_v2": davit_channels_v2,
    "dual_attention": dual_attention,
    "baseconv": baseconv,
    "ela": ela,
    "s2_sharded": sharded,
    "s2_attention": shifted_groups,
    "memoryformer_code": memory_layer,
    "tnl": lightning,
    "ffnet_volume": volume_block,
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_entry_is_its_authors_code(name: str) -> None:
    net, x, held = built(name)
    x.requires_grad_()
    ours, theirs = net(x), OFFICIAL[name](x, held)
    assert float((ours - theirs).detach().abs().max()) < CLOSE * float(theirs.detach().abs().max())
    direction = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1), dtype=ours.dtype)
    one, other = (torch.autograd.grad((y * direction).sum(), x)[0] for y in (ours, theirs))
    assert float((one - other).abs().max()) < CLOSE * float(other.abs().max())
