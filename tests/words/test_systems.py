"""Published mixers against transcriptions of their formulas, with the weights of our networks."""

from __future__ import annotations

import random

import pytest
import torch
from torch.nn.functional import layer_norm, linear, silu

import metamixer as mm


def weights(net):
    """Tensors of each occurrence in the order of the sentence; projections of one input are cut apart."""
    return [held.state_dict() for _, held in sorted(net.store.weights.items()) if held.state_dict()]


def made(sentence, channels, grid, context=None):
    net = mm.build(sentence, channels, grid, context=context).double().eval()
    with torch.no_grad():
        for held in weights(net):
            for tensor in held.values():
                tensor.copy_(torch.randn_like(tensor) / max(1, tensor[0].numel()) ** 0.5)
    return net, torch.randn(2, *grid, channels, dtype=torch.float64)


def heads(x, n):
    """(B, tokens, C) -> (B, n, tokens, C / n)."""
    return x.flatten(1, -2).unflatten(-1, (n, -1)).transpose(1, 2)


def side_by_side(x):
    return x.transpose(1, 2).flatten(-2)


def close(y, expected):
    torch.testing.assert_close(y.reshape(expected.shape), expected, rtol=1e-10, atol=1e-11)


def test_hopfield_pooling():
    """One state pattern learned, the tokens stored (arXiv 2008.02217): torch's attention with a parameter as query."""
    net, x = made("att(#1,lin,lin)@h(4) >> lin", 16, (9,))
    match, key, value, out = weights(net)
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True, dtype=torch.float64)
    with torch.no_grad():  # the query is stored projected
        theirs.in_proj_weight.copy_(torch.cat([torch.eye(16), key["weight"], value["weight"]]))
        theirs.in_proj_bias.copy_(torch.cat([torch.zeros(16), key["bias"], value["bias"]]))
        theirs.out_proj.weight.copy_(out["weight"])
        theirs.out_proj.bias.copy_(out["bias"])
        close(net(x), theirs(match["queries"].expand(2, 1, 16), x, x)[0])


def test_graph_isomorphism_attention():
    """Per head ``MLP(eps x + A x)`` (arXiv 2501.02393), A softmax attention and eps .5; a norm over all heads."""
    net, x = made(".5 * x + att(lin,lin,x)@h(2) >> lin(2C,g=2) >> norm >> silu >> lin(D,g=2)", 8, (7,))
    q, k, up, norm, down = weights(net)
    with torch.no_grad():
        a = (heads(linear(x, *q.values()), 2) @ heads(linear(x, *k.values()), 2).mT / 2).softmax(-1)
        z = side_by_side(0.5 * heads(x, 2) + a @ heads(x, 2))

        def grouped(z, one):
            parts = zip(z.chunk(2, -1), one["weight"].chunk(2), one["bias"].chunk(2), strict=True)
            return torch.cat([linear(*part) for part in parts], -1)

        z = layer_norm(grouped(z, up), (16,), norm["scale"], norm["shift"], 1e-6)
        close(net(x), grouped(silu(z), down))


def test_principal_neighbourhood_attention():
    """Mean, largest and variance of the values that causal attention weighs (arXiv 2501.02393)."""
    net, x = made(
        "let s = (dot(lin,lin) -> softmax)@causal@h(2), v = lin, m = s -> mm(v) in "
        "m ++ (s -> max(v)) ++ ((s -> mm(sq(v))) - sq(m)) >> lin(2D) >> silu >> lin(D)",
        8, (6,),
    )  # fmt: skip
    q, k, v, up, down = weights(net)
    with torch.no_grad():
        future = torch.ones(6, 6, dtype=torch.bool).triu(1)
        scores = heads(linear(x, *q.values()), 2) @ heads(linear(x, *k.values()), 2).mT / 2
        a, values = scores.masked_fill(future, float("-inf")).softmax(-1), heads(linear(x, *v.values()), 2)
        mean = side_by_side(a @ values)
        largest = torch.stack([linear(x, *v.values())[:, : i + 1].amax(1) for i in range(6)], 1)
        variance = side_by_side(a @ values**2) - mean**2
        close(net(x), linear(silu(linear(torch.cat([mean, largest, variance], -1), *up.values())), *down.values()))


def test_mixture_of_heads():
    """Heads gated by the two largest of a softmax over routers, renormalised (arXiv 2410.11842)."""
    net, x = made("(lin(4) >> softmax >> top(2) >> l1) * att(lin,lin,lin)@h(4) >> lin", 8, (7,))
    router, q, k, v, out = weights(net)
    with torch.no_grad():
        gates = linear(x, *router.values()).softmax(-1)
        chosen, which = gates.topk(2, -1)
        gates = torch.zeros_like(gates).scatter(-1, which, chosen / chosen.sum(-1, keepdim=True))
        a = (heads(linear(x, *q.values()), 4) @ heads(linear(x, *k.values()), 4).mT / 2**0.5).softmax(-1)
        each = a @ heads(linear(x, *v.values()), 4)
        expected = sum(  # the sum over heads of gated results, each through its part of the projection
            (gates[..., h : h + 1] * each[:, h]) @ out["weight"][:, 2 * h : 2 * h + 2].mT for h in range(4)
        )
        close(net(x), expected + out["bias"])


def test_context_mixing():
    """The affinity of a pixel to a pooled grid becomes its own kernel (OverLoCK's ContMix, arXiv 2502.20087)."""
    net, x = made(
        "let s = dot(lin(4),pool(2) >> lin(4))@h(2) in "
        "(s -> mm(#4,c=9)) -> rel -> softmax -> mm(lin)@N(3)@h(2)",
        8, (5, 4),
    )  # fmt: skip
    q, k, static, bias, v = weights(net)
    with torch.no_grad():
        pooled = torch.nn.functional.adaptive_avg_pool2d(x.movedim(-1, 1), 2).movedim(1, -1)
        scores = heads(linear(x, *q.values()), 2) @ heads(linear(pooled, *k.values()), 2).mT / 2**0.5
        kernels = (scores @ static["values0"]).unflatten(2, (5, 4))  # (B, heads, 5, 4, 9)
        table, values = bias["offsets"].unflatten(-1, (5, 5)), linear(x, *v.values()).unflatten(-1, (2, 4))
        expected = torch.zeros(2, 5, 4, 2, 4, dtype=torch.float64)
        for i in range(5):
            for j in range(4):  # windows are moved inwards at the border
                top, left = min(max(i - 1, 0), 2), min(max(j - 1, 0), 1)
                own = table[:, top - i + 2 : top - i + 5, left - j + 2 : left - j + 5].flatten(1)
                weight = (kernels[:, :, i, j] + own).softmax(-1)
                window = values[:, top : top + 3, left : left + 3].flatten(1, 2)
                expected[:, i, j] = torch.einsum("bhs,bshd->bhd", weight, window)
        close(net(x), expected.flatten(-2))


def test_random_mixing():
    """A softmax of frozen random numbers weighs the tokens (RandFormer, arXiv 2210.13452)."""
    net = mm.build("#fix(N) -> softmax -> mm(x)", 6, (4, 3)).double()
    (held,) = weights(net)
    x = torch.randn(2, 4, 3, 6, dtype=torch.float64)
    mixed = held["scores"].reshape(12, 12).softmax(-1)
    assert not list(net.parameters())
    assert 0.5 < float(held["scores"].std()) < 1.2
    close(net(x), torch.einsum("mn,bnc->bmc", mixed, x.flatten(1, 2)).unflatten(1, (4, 3)))


def test_edges_of_a_graph_multiply_scores():
    """w = (q k^T) / sqrt(d) times a factor of the edge, before softmax (graph transformer, arXiv 2012.09699)."""
    net, x = made(
        "(dot(lin,lin) -> times(lin(2,ctx(e))) -> softmax -> mm(lin))@h(2) >> lin",
        8, (5,), {"e": mm.Field((5, 5), 3)},
    )  # fmt: skip
    q, k, edge, v, out = weights(net)
    e = torch.randn(2, 5, 5, 3, dtype=torch.float64)
    with torch.no_grad():
        scores = heads(linear(x, *q.values()), 2) @ heads(linear(x, *k.values()), 2).mT / 2
        a = (scores * linear(e, *edge.values()).movedim(-1, 1)).softmax(-1)
        close(net(x, {"e": e}), linear(side_by_side(a @ heads(linear(x, *v.values()), 2)), *out.values()))


def test_values_of_another_domain_serve_every_window():
    for sentence in (
        "let p = pool(2) in att(lin,p,p)@win(2)",
        "let c = #3 in att(lin,c,lin(c))@win(2)",
        "let p = pool(2) in tie a = att(lin,p,p) in a@win(2) >> a@grid(2)",
    ):
        net, x = made(sentence, 4, (4, 4))
        with torch.no_grad():
            close(net(x), mm.reference(net, x))
    net, x = made("let p = pool(2) in att(x,p,p)@win(2)", 4, (4, 4))
    whole = mm.build("let p = pool(2) in att(x,p,p)", 4, (4, 4)).double()
    close(net(x), whole(x))  # each token reads all of p, whatever its window


@pytest.mark.parametrize(
    ("body", "ways"),
    [
        ("#{fix(N)|N} -> softmax -> mm(x)", 2),
        ("let c = #{8|16} in att(lin,lin(c),lin(c))@h({2|4})", 4),
        ("att(#{1|4},lin,lin)@h(4)", 2),
        ("dot0(x,#cube({2|4})) -> softmax -> top(1) -> mm(#{4|16})@hsum({C/2|C/4})", 2),
        ("(dot(lin,lin) -> top({2|4}) -> softmax -> mm(lin))@{h(2)|hsum(2)}", 4),
        ("dot(lin,lin) -> {rel -> softmax | times(dot(lin,lin) -> sig)} -> {mm(lin)|max(lin)}", 4),
        ("x + (x * (clin(g={2|4}) >> {crelu|shrink} >> clin))@fft", 4),
        ("conv(x,#{3|rep(3,1)|fix(3)})", 3),
    ],
)
def test_spaces_draw_them(body, ways):
    space = mm.Space({"network": body}, "network")
    assert space.size(8, (4,)) == ways
    drawn = {str(space.draw(random.Random(seed), 8, (4,)).sentence) for seed in range(60)}
    assert len(drawn) == ways
    for text in drawn:
        mm.build(text, 8, (4,))(torch.randn(1, 4, 8))
