"""Networks of the catalogue against timm's, with the same random weights: logits of networks, outputs of blocks.

The difference must stay below 1e-4 in float32, absolute, on outputs of size one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from torch import Tensor, nn

import metamixer as mm
from metamixer import catalog

State = Mapping[str, Tensor]
Tensors = dict[str, Tensor]  # name of a weight of a word -> its value


def randomise(net: nn.Module) -> None:
    """Values at which every branch matters and activations stay of size one."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.squeeze().ndim > 1 and not name.endswith(("pos_embed", "cls_token")):
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
            elif re.search(r"bias|beta|pos_embed|cls_token|shift", name):
                parameter.copy_(0.1 * noise)
            else:  # scales of norms and of branches: what a branch adds is smaller than what it reads
                parameter.copy_((1.0 if re.search("stem|downsample", name) else 0.4) + 0.1 * noise)
        for name, buffer in net.named_buffers():
            if "running" in name:
                noise = torch.rand(buffer.shape, generator=generator)
                buffer.copy_(noise + 0.5 if "var" in name else noise - 0.5)


def copied(net: nn.Module, tensors: Iterator[Tensors]) -> nn.Module:
    """Gives each word of a built sentence its tensors, in the order in which the words stand."""
    owners = [(path, weights) for path, weights in net.store.weights.items() if weights.state_dict()]
    for (path, weights), values in zip(owners, tensors, strict=True):
        state = weights.state_dict()
        assert {n: t.shape for n, t in state.items()} == {n: t.shape for n, t in values.items()}, path
        weights.load_state_dict(values)
    return net


def lin(s: State, at: str) -> Tensors:
    return {kind: s[f"{at}.{kind}"].flatten(1) if kind == "weight" else s[f"{at}.{kind}"] for kind in _kinds(s, at)}


def conv(s: State, at: str) -> Tensors:
    return {kind: s[f"{at}.{kind}"] for kind in _kinds(s, at)}


def dw(s: State, at: str) -> Tensors:
    return {"kernel0" if kind == "weight" else kind: s[f"{at}.{kind}"] for kind in _kinds(s, at)}


def norm(s: State, at: str) -> Tensors:
    names = {"weight": "scale", "bias": "shift", "alpha": "scale", "beta": "shift", "scale": "scale"}
    names |= {"running_mean": "mean", "running_var": "variance"}
    return {ours: s[f"{at}.{theirs}"].flatten() for theirs, ours in names.items() if f"{at}.{theirs}" in s}


def ffn(s: State, fc1: str, fc2: str) -> list[Tensors]:
    """The slots of a key-value memory are rows of the first and columns of the second matrix."""
    first, second = lin(s, fc1), lin(s, fc2)
    return [
        {"keys0": first["weight"], "bias": first["bias"]},
        {"values0": second["weight"].T, "bias": second["bias"]},
    ]


def split(s: State, at: str, sizes: int | list[int]) -> list[Tensors]:
    """One projection taken apart into several, along its outputs."""
    parts = {kind: value.split(sizes) for kind, value in lin(s, at).items()}
    return [{kind: values[i] for kind, values in parts.items()} for i in range(len(parts["weight"]))]


def _kinds(s: State, at: str) -> list[str]:
    return [kind for kind in ("weight", "bias") if f"{at}.{kind}" in s]


def blocks(s: State, at: str) -> list[str]:
    """Prefixes ``at.0``, ``at.1``, .. that the state has."""
    found = {int(name[len(at) + 1 :].partition(".")[0]) for name in s if name.startswith(f"{at}.")}
    return [f"{at}.{i}" for i in sorted(found)]


def vit(s: State) -> Iterator[Tensors]:
    c = s["norm.weight"].numel()
    yield conv(s, "patch_embed.proj")
    yield {"tokens": s["cls_token"][0]}
    yield {"table": s["pos_embed"][0]}
    for b in blocks(s, "blocks"):
        yield from (norm(s, f"{b}.norm1"), *split(s, f"{b}.attn.qkv", c), lin(s, f"{b}.attn.proj"))
        yield from (norm(s, f"{b}.norm2"), *ffn(s, f"{b}.mlp.fc1", f"{b}.mlp.fc2"))
    yield from (norm(s, "norm"), lin(s, "head"))


def mixer(s: State) -> Iterator[Tensors]:
    yield conv(s, "stem.proj")
    for b in blocks(s, "blocks"):
        yield from (norm(s, f"{b}.norm1"), lin(s, f"{b}.mlp_tokens.fc1"), lin(s, f"{b}.mlp_tokens.fc2"))
        yield from (norm(s, f"{b}.norm2"), *ffn(s, f"{b}.mlp_channels.fc1", f"{b}.mlp_channels.fc2"))
    yield from (norm(s, "norm"), lin(s, "head"))


def resmlp(s: State) -> Iterator[Tensors]:
    yield conv(s, "stem.proj")
    for b in blocks(s, "blocks"):
        yield from (norm(s, f"{b}.norm1"), lin(s, f"{b}.linear_tokens"), {"scale": s[f"{b}.ls1"]})
        yield from (norm(s, f"{b}.norm2"), *ffn(s, f"{b}.mlp_channels.fc1", f"{b}.mlp_channels.fc2"))
        yield {"scale": s[f"{b}.ls2"]}
    yield from (norm(s, "norm"), lin(s, "head"))


def gmlp(s: State) -> Iterator[Tensors]:
    yield conv(s, "stem.proj")
    for b in blocks(s, "blocks"):
        channels = f"{b}.mlp_channels"
        half = s[f"{channels}.gate.norm.weight"].numel()
        plain, gated = split(s, f"{channels}.fc1", half)
        yield from (norm(s, f"{b}.norm"), plain, gated)
        yield from (norm(s, f"{channels}.gate.norm"), lin(s, f"{channels}.gate.proj"), lin(s, f"{channels}.fc2"))
    yield from (norm(s, "norm"), lin(s, "head"))


def convnext(s: State) -> Iterator[Tensors]:
    yield from (conv(s, "stem.0"), norm(s, "stem.1"))
    for stage in blocks(s, "stages"):
        if f"{stage}.downsample.0.weight" in s:
            yield from (norm(s, f"{stage}.downsample.0"), conv(s, f"{stage}.downsample.1"))
        for b in blocks(s, f"{stage}.blocks"):
            yield from (dw(s, f"{b}.conv_dw"), norm(s, f"{b}.norm"), *ffn(s, f"{b}.mlp.fc1", f"{b}.mlp.fc2"))
            yield {"scale": s[f"{b}.gamma"]}
    yield from (norm(s, "head.norm"), lin(s, "head.fc"))


def metaformer(s: State) -> Iterator[Tensors]:
    yield from (conv(s, "stem.conv"), norm(s, "stem.norm"))
    for stage in blocks(s, "stages"):
        if f"{stage}.downsample.conv.weight" in s:
            yield from (norm(s, f"{stage}.downsample.norm"), conv(s, f"{stage}.downsample.conv"))
        for b in blocks(s, f"{stage}.blocks"):
            if f"{b}.res_scale1.scale" in s:
                yield norm(s, f"{b}.res_scale1")
            yield norm(s, f"{b}.norm1")
            at = f"{b}.token_mixer"
            if f"{at}.qkv.weight" in s:
                yield from (*split(s, f"{at}.qkv", s[f"{at}.qkv.weight"].shape[1]), lin(s, f"{at}.proj"))
            elif f"{at}.pwconv1.weight" in s:
                yield from (lin(s, f"{at}.pwconv1"), star(s, f"{at}.act1"), dw(s, f"{at}.dwconv"))
                yield lin(s, f"{at}.pwconv2")
            if f"{b}.res_scale2.scale" in s:
                yield norm(s, f"{b}.res_scale2")
            yield from (norm(s, f"{b}.norm2"), lin(s, f"{b}.mlp.fc1"), star(s, f"{b}.mlp.act"), lin(s, f"{b}.mlp.fc2"))
    yield norm(s, "head.norm")
    if "head.fc.fc1.weight" in s:
        yield from (lin(s, "head.fc.fc1"), norm(s, "head.fc.norm"), lin(s, "head.fc.fc2"))
    else:
        yield lin(s, "head.fc")


def star(s: State, at: str) -> Tensors:
    return {"scale": s[f"{at}.scale"], "shift": s[f"{at}.bias"]}


def convmixer(s: State) -> Iterator[Tensors]:
    yield from (conv(s, "stem.0"), norm(s, "stem.2"))
    for b in blocks(s, "blocks"):
        yield from (dw(s, f"{b}.0.fn.0"), norm(s, f"{b}.0.fn.2"), lin(s, f"{b}.1"), norm(s, f"{b}.3"))
    yield lin(s, "head")


def davit_tiny(s: State) -> Iterator[Tensors]:
    yield from (conv(s, "stem.conv"), norm(s, "stem.norm"))
    for stage in blocks(s, "stages"):
        if f"{stage}.downsample.conv.weight" in s:
            yield from (norm(s, f"{stage}.downsample.norm"), conv(s, f"{stage}.downsample.conv"))
        for pair in blocks(s, f"{stage}.blocks"):
            for b in blocks(s, pair):
                yield from davit(s, f"{b}.")
    yield from (norm(s, "head.norm"), lin(s, "head.fc"))


def ghostnetv2(s: State) -> Iterator[Tensors]:
    yield from (conv(s, "conv_stem"), norm(s, "bn1"))
    *stages, last = blocks(s, "blocks")
    for b in (b for stage in stages for b in blocks(s, stage)):
        yield from ghost_module(s, f"{b}.ghost1")
        if f"{b}.conv_dw.weight" in s:
            yield from (dw(s, f"{b}.conv_dw"), norm(s, f"{b}.bn_dw"))
        if f"{b}.se.conv_reduce.weight" in s:
            yield from (lin(s, f"{b}.se.conv_reduce"), lin(s, f"{b}.se.conv_expand"))
        yield from ghost_module(s, f"{b}.ghost2")
        if f"{b}.shortcut.0.weight" in s:
            yield from (dw(s, f"{b}.shortcut.0"), norm(s, f"{b}.shortcut.1"))
            yield from (lin(s, f"{b}.shortcut.2"), norm(s, f"{b}.shortcut.3"))
    yield from (lin(s, f"{last}.0.conv"), norm(s, f"{last}.0.bn1"), lin(s, "conv_head"), lin(s, "classifier"))


# timm's name: (entry of the catalogue, reading of its state, side of the image)
NETWORKS: dict[str, tuple[str, Callable[[State], Iterator[Tensors]], int]] = {
    "vit_small_patch16_224": ("vit_s16", vit, 224),
    "mixer_s16_224": ("mixer_s16", mixer, 224),
    "resmlp_12_224": ("resmlp_s12", resmlp, 224),
    "gmlp_ti16_224": ("gmlp_ti16", gmlp, 224),
    "convnext_atto": ("convnext_atto", convnext, 128),
    "poolformerv2_s12": ("poolformerv2_s12", metaformer, 96),
    "convformer_s18": ("convformer_s18", metaformer, 128),
    "caformer_s18": ("caformer_s18", metaformer, 128),
    "convmixer_768_32": ("convmixer_768_32", convmixer, 56),
    "davit_tiny": ("davit_tiny", davit_tiny, 224),
    "ghostnetv2_100": ("ghostnetv2_100", ghostnetv2, 256),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_logits(timm, name):
    entry, read, side = NETWORKS[name]
    theirs = timm.create_model(name).eval()
    randomise(theirs)
    sentence = catalog.get(entry).network
    assert catalog.get(entry).cost.params == sum(p.numel() for p in theirs.parameters())
    ours = copied(mm.build(sentence, 3, (side, side)), read(theirs.state_dict())).eval()
    images = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = theirs(images)
        found = ours(images.movedim(1, -1)).flatten(1)
    assert wanted.std() > 0.1  # weights of some effect
    assert (found - wanted).abs().max() < 1e-4


def test_the_eps_of_every_norm(timm):
    """In float64 norms with another eps show: one part in a million of a variance of size one."""
    entry, read, _ = NETWORKS["poolformerv2_s12"]
    theirs = timm.create_model("poolformerv2_s12").double().eval()
    randomise(theirs)
    ours = copied(mm.build(catalog.get(entry).network, 3, (64, 64)).double(), read(theirs.state_dict())).eval()
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        assert (ours(images.movedim(1, -1)).flatten(1) - theirs(images)).abs().max() < 1e-9


@pytest.mark.parametrize("name", ["convnext_femto", "convnext_pico", "convnext_nano"])
def test_parameters(timm, name):
    theirs = timm.create_model(name)
    assert mm.cost(catalog.get(name).network, 3, (224, 224)).params == sum(p.numel() for p in theirs.parameters())


def by_head(s: State, at: str, heads: int) -> list[Tensors]:
    """q, k and v of a projection that holds them head by head."""
    return [
        {
            kind: value.unflatten(0, (heads, 3, -1))[:, i].flatten(0, 1).contiguous()
            for kind, value in lin(s, at).items()
        }
        for i in range(3)
    ]


def maxvit(s: State, at: str = "") -> Iterator[Tensors]:
    table = s[f"{at}attn.rel_pos.relative_position_bias_table"]
    q, k, v = by_head(s, f"{at}attn.qkv", table.shape[1])
    # timm counts query minus key, `rel` key minus query
    yield from (norm(s, f"{at}norm1"), q, k, v, {"offsets": table.flip(0).T.contiguous()}, lin(s, f"{at}attn.proj"))
    yield from (norm(s, f"{at}norm2"), *ffn(s, f"{at}mlp.fc1", f"{at}mlp.fc2"))


def maxvit_block(s: State) -> Iterator[Tensors]:
    yield from (norm(s, "conv.pre_norm"), lin(s, "conv.conv1_1x1"), norm(s, "conv.norm1"))
    yield from (dw(s, "conv.conv2_kxk"), norm(s, "conv.norm2"), lin(s, "conv.se.fc1"), lin(s, "conv.se.fc2"))
    yield from (lin(s, "conv.conv3_1x1"), *maxvit(s, "attn_block."), *maxvit(s, "attn_grid."))


def davit(s: State, at: str = "") -> Iterator[Tensors]:
    width = s[f"{at}norm1.weight"].numel()
    yield from (dw(s, f"{at}cpe1.proj"), norm(s, f"{at}norm1"), *split(s, f"{at}attn.qkv", width))
    yield from (lin(s, f"{at}attn.proj"), dw(s, f"{at}cpe2.proj"), norm(s, f"{at}norm2"))
    yield from ffn(s, f"{at}mlp.fc1", f"{at}mlp.fc2")


def shvit(s: State) -> Iterator[Tensors]:
    yield from (dw(s, "conv.m.c"), norm(s, "conv.m.bn"), norm(s, "mixer.m.pre_norm"))
    normed = {name: value.split([16, 16, 32]) for name, value in norm(s, "mixer.m.qkv.bn").items()}
    for i, projection in enumerate(split(s, "mixer.m.qkv.c", [16, 16, 32])):
        yield from (projection, {name: values[i] for name, values in normed.items()})
    for at in ("mixer.m.proj.1", "ffn.m.pw1", "ffn.m.pw2"):
        yield from (lin(s, f"{at}.c"), norm(s, f"{at}.bn"))


def ghost_module(s: State, at: str) -> Iterator[Tensors]:
    """A Ghost module, with its attention where it has one."""
    yield from (lin(s, f"{at}.primary_conv.0"), norm(s, f"{at}.primary_conv.1"))
    yield from (dw(s, f"{at}.cheap_operation.0"), norm(s, f"{at}.cheap_operation.1"))
    if f"{at}.short_conv.0.weight" in s:
        yield from (lin(s, f"{at}.short_conv.0"), norm(s, f"{at}.short_conv.1"))
        for i in (2, 4):
            yield from (dw(s, f"{at}.short_conv.{i}"), norm(s, f"{at}.short_conv.{i + 1}"))


def ghost(s: State) -> Iterator[Tensors]:
    yield from (*ghost_module(s, "ghost1"), *ghost_module(s, "ghost2"))


def halonet(s: State) -> Iterator[Tensors]:
    """Keys and values lie head by head; of its tables timm has rows for distances that no slot has."""
    heads, block, window = 8, 8, 12
    k, v = (part.flatten(0, 1) for part in s["self_attn.kv.weight"].flatten(1).unflatten(0, (heads, 2, -1)).unbind(1))
    tables = (s[f"self_attn.pos_embed.{axis}_rel"][window - block :] for axis in ("height", "width"))
    yield from (lin(s, "conv1_1x1.conv"), norm(s, "conv1_1x1.bn"))
    yield from (lin(s, "self_attn.q"), {"weight": k}, dict(zip(("axis0", "axis1"), tables, strict=True)), {"weight": v})
    yield from (norm(s, "post_attn"), lin(s, "conv3_1x1.conv"), norm(s, "conv3_1x1.bn"))


def _ghost_block() -> nn.Module:
    from timm.models.ghostnet import GhostBottleneck

    return GhostBottleneck(32, 64, 32, mode="attn")


def _halonet_block() -> nn.Module:
    import timm

    return timm.create_model("halonet26t").stages[2][1]


def _maxvit_block() -> nn.Module:
    from timm.models.maxxvit import MaxxVitBlock, MaxxVitConvCfg, MaxxVitTransformerCfg

    kind = MaxxVitTransformerCfg(dim_head=8, window_size=(4, 4), grid_size=(4, 4))
    return MaxxVitBlock(32, 32, conv_cfg=MaxxVitConvCfg(), transformer_cfg=kind)


def _davit_block(kind: str) -> nn.Module:
    from timm.models import davit as theirs

    if kind == "window":
        return theirs.SpatialBlock(64, num_heads=4, window_size=4)
    return theirs.ChannelBlock(64, num_heads=4, qkv_bias=True, v2=True)


def _shvit_block() -> nn.Module:
    from timm.models.shvit import BasicBlock

    return BasicBlock(128, qk_dim=16, pdim=32, type="s")


ATTEND = "res(norm >> {} >> lin)"
BLOCKS: dict[str, tuple[Callable[[], nn.Module], str, int, Callable[[State], Iterator[Tensors]], bool]] = {
    # a module of timm, our sentence, channels, reading of its state, whether it takes channels last
    "MaxViT": (_maxvit_block, str(catalog.get("maxvit").mixer), 32, maxvit_block, False),
    "DaViT, windows": (
        lambda: _davit_block("window"),
        f"res(dw(3)) >> {ATTEND.format('att(lin,lin,lin)@win(4)@h(4)')} >> res(dw(3)) >> res(norm >> ffn(4))",
        64, davit, False,
    ),
    "DaViT, channels": (
        lambda: _davit_block("channel"),
        f"res(dw(3)) >> {ATTEND.format('(let q = lin, k = lin, v = lin in att(q,k,v)@T@h(4))')}"
        " >> res(dw(3)) >> res(norm >> ffn(4))",
        64, davit, False,
    ),
    "SHViT": (
        _shvit_block,
        "res(dw(3,b=0) >> bn) >> res([.25: gn >> att(lin(16,b=0) >> bn, lin(16,b=0) >> bn, lin(b=0) >> bn) | x]"
        " >> relu >> lin(b=0) >> bn) >> res(lin(2C,b=0) >> bn >> relu >> lin(D,b=0) >> bn)",
        128, shvit, False,
    ),
    "GhostNetV2": (
        _ghost_block,
        "res((let y = lin(C,b=0) >> bn >> relu in (y ++ (dw(3,y,b=0) >> bn >> relu)) * (pool(/2) >> lin(2C,b=0) >> bn"
        " >> dw(1x5,b=0) >> bn >> dw(5x1,b=0) >> bn >> sig >> up))"
        " >> (let z = lin(D/2,b=0) >> bn in z ++ (dw(3,z,b=0) >> bn)))",
        32, ghost, False,
    ),
    "HaloNet": (
        _halonet_block,
        "res(lin(C/4,b=0) >> bn >> relu >> (let q = lin(b=0) in (dot(q,lin(b=0)) -> relq(q) -> softmax -> "
        "mm(lin(b=0)))@N(12,s=8,zero)@h(8)) >> bn >> relu >> lin(D,b=0) >> bn) >> relu",
        1024, halonet, False,
    ),
}  # fmt: skip
SIDES = {"HaloNet": 16}  # two blocks of 8 tokens an axis


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks(timm, name):
    make, sentence, channels, read, last = BLOCKS[name]
    theirs = make().eval()
    randomise(theirs)
    side = SIDES.get(name, 8)
    ours = copied(mm.build(sentence, channels, (side, side)), read(theirs.state_dict())).eval()
    x = torch.randn(2, side, side, channels, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = theirs(x) if last else theirs(x.movedim(-1, 1)).movedim(1, -1)
        assert (ours(x) - wanted).abs().max() < 1e-4
        assert (wanted - x).std() > 0.1
