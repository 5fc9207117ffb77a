"""Contracts of places that depend on the data, and the published systems that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.testing import WordContract


class TestTop(WordContract):
    word = "top"
    examples = (
        ("let q = lin, k = lin in att(q,k,lin)@top(2,dot(pool(2,q),pool(2,k)))@h(2)", 4, (4, 4)),
        ("att(lin,lin,lin)@top(3,dot(lin,lin))", 4, (7,)),
        ("att(lin,lin,lin)@top(3,dot(lin,lin)@h(2))@causal@h(2)", 4, (7,)),
        ("att(lin,lin,lin)@top(2,lin(3))", 4, (2, 3, 2)),
        ("(dot0(lin,lin) -> gelu -> mm(lin))@top(N/4,lin(N))@N(3)", 4, (8,)),
        ("att(lin,lin,lin)@(first(1) | N(3) | top(1,dot(lin,last@blk(4))))@causal@h(2)", 4, (12,)),
        ("att(lin,lin,lin)@(causal | top(2,dot(lin,lin)))", 4, (2, 2, 2)),
        ("cls >> att(lin,lin,lin)@top(4,dot(lin,lin))", 4, (2, 3)),
        ("att(lin,lin,lin)@top(3)@causal@h(2)", 4, (7,)),
        ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@N(3)@top(2)@h(2)", 4, (4, 3)),
    )


class TestAdjacency(WordContract):
    word = "adj"
    examples = (
        ("att(lin,lin,lin)@adj(lin(N))@h(2)", 4, (7,)),
        ("att(lin,lin,lin)@adj(dot(lin,lin)@h(2))@causal@h(2)", 4, (2, 3)),
        ("(dot0(lin,lin) -> gelu -> mm(lin))@(adj(lin(N)) | N(1))", 4, (2, 2, 2)),
        ("cls >> att(lin,lin,lin)@adj(lin(5))", 4, (4,)),
        ("att(lin,lin,lin)@adj@h(2)", 4, (3, 2), (("adj", mm.Field((3, 2, 3, 2), 2)),)),
        ("res(att(lin,lin,lin)@(adj | N(1))@h(2))^2", 4, (5,), (("adj", mm.Field((5, 5), 1)),)),
    )


class TestRandom(WordContract):
    word = "rand"
    examples = (
        ("att(lin,lin,lin)@rand(.25)@h(2)", 4, (5, 4)),
        ("(dot(lin,lin) -> rel -> softmax -> mm(lin))@rand(.5)", 4, (7,)),
        ("(dot0(lin,lin) -> gelu -> mm(lin))@h(2)@rand(.3)", 4, (2, 3, 2)),
    )


class TestClusters(WordContract):
    word = "clus"
    examples = (
        ("let c = lin >> pool(3) in att(lin,lin,lin)@clus(c,3)@h(2)", 4, (9,)),
        ("let c = pool(2), q = lin, k = lin in att(q,k,lin)@clus(c,3,q,k)@causal@h(2)", 4, (4, 2)),
        ("let c = pool(2x1x1) in att(lin,lin,lin)@(clus(c,3) | N(1))", 4, (2, 2, 2)),
    )


class TestSort(WordContract):
    word = "sort"
    examples = (
        ("let c = pool(2), q = lin in att(q,lin,lin)@N(4,s=2)@sort(c)@h(2)", 4, (4, 4)),
        ("let c = pool(3) in dw(3)@sort(c)", 4, (9,)),
        ("let c = pool(2) in att(lin,lin,lin)@win(4)@sort(c,lin)", 4, (2, 2, 2)),
    )


def run(sentence: str, x: Tensor, inputs: Any = None, given: Any = None) -> tuple[Tensor, Mapping[str, list[Any]]]:
    """A sentence's result, and its projections (weight, bias) in the order of evaluation."""
    torch.manual_seed(0)
    net = mm.build(sentence, x.shape[-1], tuple(x.shape[1:-1]), context=inputs).double().eval()
    held = [w for w in net.store.weights.values() if "weight" in w.state_dict()]
    with torch.no_grad():
        for weights in held:
            state = weights.state_dict()
            state["weight"].copy_(torch.randn_like(state["weight"]) / x.shape[-1] ** 0.5)
            if "bias" in state:
                state["bias"].copy_(torch.randn_like(state["bias"]))
        y = net(x) if given is None else net(x, given)
    return y, {"lin": [(w.state_dict()["weight"], w.state_dict().get("bias")) for w in held]}


def lin(x: Tensor, held: Any) -> Tensor:
    return torch.nn.functional.linear(x, *held)


def heads(x: Tensor, n: int) -> Tensor:
    return x.flatten(1, -2).unflatten(-1, (n, -1)).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor, present: Tensor) -> Tensor:
    scores = (q @ k.mT) * q.shape[-1] ** -0.5
    return (scores.masked_fill(~present, float("-inf")).softmax(-1) @ v).transpose(1, 2).flatten(2)


def test_biformers_routing_is_top_of_region_means():
    """arXiv 2303.08810: each region attends to all tokens of the regions its mean query likes best."""
    x, regions, kept, n = torch.randn(2, 8, 8, 8, dtype=torch.float64), 4, 3, 2
    y, held = run("let q = lin, k = lin, v = lin in att(q,k,v)@top(3,dot(pool(4,q),pool(4,k)))@h(2)", x)
    q, k, v = (lin(x, pair) for pair in held["lin"])
    means = [avg_pool2d(t.movedim(-1, 1), 8 // regions).flatten(2).mT for t in (q, k)]
    best = (means[0] @ means[1].mT).topk(kept, -1).indices
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    region = (rows // 2 * regions + columns // 2).flatten()
    present = torch.zeros(2, 64, 64, dtype=torch.bool)
    for b in range(2):
        for i in range(64):
            for chosen in best[b, region[i]]:
                present[b, i] |= region == chosen
    expected = attend(heads(q, n), heads(k, n), heads(v, n), present[:, None])
    assert torch.allclose(y.flatten(1, 2), expected, atol=1e-12)


def test_longheads_chunks_are_chosen_among_the_past_for_each_head():
    """arXiv 2402.10685: first tokens, near tokens and, by descriptors of chunks, the best chunks that have begun."""
    length, chunk, kept, n = 16, 4, 2, 2
    x = torch.randn(2, length, 8, dtype=torch.float64)
    sentence = (
        "let q = lin, k = lin, v = lin, c = pool(1,k)@blk(4) in "
        "att(q,k,v)@(first(2) | N(3,causal) | top(2,dot(q,c)@h(2)))@causal@h(2)"
    )
    y, held = run(sentence, x)
    q, k, v = (heads(lin(x, pair), n) for pair in held["lin"])
    scores = q @ k.unflatten(2, (-1, chunk)).mean(3).mT
    present = torch.zeros(2, n, length, length, dtype=torch.bool)
    for b in range(2):
        for h in range(n):
            for i in range(length):
                begun = [c for c in range(length // chunk) if c * chunk <= i]
                best = sorted(begun, key=lambda c, b=b, h=h, i=i: -float(scores[b, h, i, c]))[:kept]
                for j in range(i + 1):
                    present[b, h, i, j] = j < 2 or i - j < 3 or j // chunk in best
    assert torch.allclose(y, attend(q, k, v, present), atol=1e-12)


def test_routing_clusters_are_those_of_the_routing_transformer():
    """arXiv 2003.05997 where every centre has exactly its w queries: centres take their w best queries and keys."""
    centre, w, n = 3, 4, 2
    basis = torch.eye(8, dtype=torch.float64)[:centre] * 6
    noise = 0.3 * torch.randn(2, centre * w, 8, dtype=torch.float64)
    x = (basis.repeat_interleave(w, 0) + noise)[:, torch.randperm(centre * w)]
    sentence = "let c = pool(3), q = lin in att(q,lin,lin)@clus(c,4)@h(2)"
    y, held = run(sentence, x)
    q, k, v = (heads(lin(x, pair), n) for pair in held["lin"])
    middle = x.unflatten(1, (centre, -1)).mean(2)
    likeness = normalize(x, dim=-1) @ normalize(middle, dim=-1).mT
    expected = torch.zeros(2, 12, 8, dtype=torch.float64)
    for b in range(2):
        nearest = likeness[b].argmax(-1)
        for c in range(centre):
            asks = (nearest == c).nonzero().flatten()
            keys = likeness[b, :, c].topk(w).indices
            if len(asks):
                one = (slice(b, b + 1), slice(None))
                rows = attend(q[one][:, :, asks], k[one][:, :, keys], v[one][:, :, keys], torch.tensor(True))
                expected[b, asks] = rows[0]
    assert torch.allclose(y, expected, atol=1e-12)


def test_catanets_groups_are_runs_of_tokens_sorted_by_centre():
    """arXiv 2503.06896: tokens sorted by their likest centre, attention within groups of the sorted order, put back."""
    x, size, n = torch.randn(2, 4, 4, 8, dtype=torch.float64), 4, 2
    y, held = run("let c = pool(2), q = lin, k = lin, v = lin in att(q,k,v)@win(4)@sort(c)@h(2)", x)
    q, k, v = (lin(x, pair).flatten(1, 2) for pair in held["lin"])
    middle = avg_pool2d(x.movedim(-1, 1), 2).flatten(2).mT
    belongs = (normalize(x.flatten(1, 2), dim=-1) @ normalize(middle, dim=-1).mT).argmax(-1)
    expected = torch.zeros(2, 16, 8, dtype=torch.float64)
    for b in range(2):
        order = sorted(range(16), key=lambda i, b=b: (int(belongs[b, i]), i))
        for start in range(0, 16, size):
            group = order[start : start + size]
            parts = (heads(t[b : b + 1, group], n) for t in (q, k, v))
            expected[b, group] = attend(*parts, torch.tensor(True))[0]
    assert torch.allclose(y.flatten(1, 2), expected, atol=1e-12)


def test_a_graph_transformer_reads_along_edges():
    """arXiv 2012.09699, a factor for each edge and head: softmax over the neighbours of a node."""
    nodes, n = 6, 2
    x, edges = torch.randn(2, nodes, 8, dtype=torch.float64), torch.randn(2, nodes, nodes, n, dtype=torch.float64)
    graph = torch.rand(2, nodes, nodes, 1) < 0.4
    graph[:, 0] = False  # a node without neighbours
    inputs = {"adj": mm.Field((nodes, nodes), 1), "e": mm.Field((nodes, nodes), n)}
    sentence = "(dot(lin,lin) -> times(ctx(e)) -> softmax -> mm(lin))@adj@h(2)"
    y, held = run(sentence, x, inputs, {"adj": graph.double(), "e": edges})
    q, k, v = (heads(lin(x, pair), n) for pair in held["lin"])
    scores = q @ k.mT * q.shape[-1] ** -0.5 * edges.permute(0, 3, 1, 2)
    weights = scores.masked_fill(~graph.permute(0, 3, 1, 2), float("-inf")).softmax(-1).nan_to_num(0.0)
    assert torch.allclose(y, (weights @ v).transpose(1, 2).flatten(2), atol=1e-12)


def test_without_a_score_top_is_the_stage_behind_the_match():
    """The slots that the read itself likes best, of those that its supports leave: one architecture, two spellings."""
    x = torch.randn(2, 7, 4, dtype=torch.float64)
    one, _ = run("att(lin,lin,lin)@top(2)@causal", x)
    other, _ = run("(dot(lin,lin) -> top(2) -> softmax -> mm(lin))@causal", x)
    assert torch.equal(one, other)
    places = ("att(lin,lin,lin)@top(2)@causal", "att(lin,lin,lin)@causal@top(2)")
    stage = "(dot(lin,lin) -> top(2) -> softmax -> mm(lin))@causal"
    keys = {mm.parse(sentence).key(4, (7,)) for sentence in (*places, stage)}
    assert len(keys) == 1
    assert mm.parse("att(lin,lin,lin)@top(7)").key(4, (7,)) == mm.parse("att(lin,lin,lin)").key(4, (7,))


def test_a_place_of_all_slots_is_no_place():
    """The law top(|J|) = id, for whatever score."""
    x = torch.randn(2, 6, 8, dtype=torch.float64)
    one, _ = run("let q = lin, k = lin, v = lin in att(q,k,v)@h(2)", x)
    other, _ = run("let q = lin, k = lin, v = lin in att(q,k,v)@top(6,dot(v,q))@h(2)", x)
    assert torch.allclose(one, other, atol=1e-12)


def test_the_choice_sees_nothing_that_its_supports_leave_out():
    """Behind causal, what a token reads does not depend on later tokens, not even by what is chosen."""
    x = torch.randn(1, 12, 8, dtype=torch.float64, requires_grad=True)
    y, _ = run("let q = lin, k = lin in att(q,k,lin)@top(3,dot(q,k))@causal", x.detach())
    changed = x.detach().clone()
    changed[:, 8:] = torch.randn(1, 4, 8, dtype=torch.float64)
    z, _ = run("let q = lin, k = lin in att(q,k,lin)@top(3,dot(q,k))@causal", changed)
    assert torch.equal(y[:, :8], z[:, :8])
    assert not torch.allclose(y[:, 8:], z[:, 8:])


@pytest.mark.parametrize("sentence", ["att(lin,lin,x)@rand(.25)", "(dot0(lin,lin) -> elu1 -> l1 -> mm(x))@rand(.25)"])
def test_random_keys_are_drawn_for_each_sample_while_training(sentence):
    """Of unit values each token's result tells which keys it read: the same for all tokens of a sample."""
    net = mm.build(sentence, 16, (16,)).train()
    x = torch.eye(16).expand(8, -1, -1)
    torch.manual_seed(0)
    read = net(x) != 0
    assert bool((read.sum(-1) == 4).all())
    assert bool((read == read[:, :1]).all())
    assert len({tuple(row.tolist()) for row in read[:, 0]}) > 1
    assert bool((net.eval()(x) != 0).all())


def test_in_types_and_costs_random_keys_are_all_keys():
    one, other = mm.parse("att(lin,lin,lin)@rand(.25)@h(2) >> lin"), mm.parse("att(lin,lin,lin)@h(2) >> lin")
    assert mm.cost(one, 8, (4, 4))[:4] == mm.cost(other, 8, (4, 4))[:4]
    assert one.key(8, (4, 4)) != other.key(8, (4, 4))


def test_costs_of_routing_follow_the_published_formula():
    """BiFormer without its convolution: 4 N C^2 + S^4 C + 2 N C k N / S^2."""
    tokens, channels, regions, kept = 28 * 28, 64, 7, 4
    sentence = "let q = lin, k = lin, v = lin in att(q,k,v)@top(4,dot(pool(7,q),pool(7,k)))@h(4) >> lin"
    expected = 4 * tokens * channels**2 + regions**4 * channels + 2 * tokens * channels * kept * tokens // regions**2
    assert mm.cost(sentence, channels, (28, 28)).macs == expected


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("att(lin,lin,lin)@N(3)@top(2,dot(lin,lin))", "stands inside of a support"),
        ("att(lin,lin,lin)@win(4)@top(2,dot(lin,lin))", "stands between a read and slots"),
        ("att(lin,lin,lin)@top(2,dot(lin,lin)@h(2))@h(4)", "made for 2 heads"),
        ("att(lin,lin,lin)@top(9,dot(lin,lin))", "top(9) of 8 slots"),
        ("att(lin,lin,lin)@top(2,lin(3))", "equal parts"),
        ("att(lin,lin,lin)@(top(2,dot(lin,lin)) | stride(2))", "differs by head"),
        ("let s = dot(lin,lin)@top(2,dot(lin,lin)) in s -> softmax -> mm(lin)", "end at the @"),
        (
            "(dot(lin, lin@top(2,dot(lin,lin)) & lin) -> softmax -> mm(lin & lin))",
            "no support that depends on the data",
        ),
        ("att(lin,lin,lin)@rand(2)", "a share of the keys"),
        ("att(lin,lin,lin)@(top(2) | N(3))", "cannot be part of a union"),
        ("let s = dot(lin,lin)@top(2) in s -> softmax -> mm(lin)", "end at the @"),
        ("att(lin,lin,lin)@adj", "the input adj is not given"),
        ("att(lin,lin,lin)@adj(lin(3))", "a number for each of 8 slots"),
        ("att(lin,lin,lin)@rand(.5)@N(3)", "rand stands alone"),
        ("lin@rand(.5)", "binds a read"),
        ("att(lin,lin,lin)@sort(#4)", "bind them"),
        ("let c = pool(2) in att(lin,lin,lin)@clus(c,9)", "out of 8"),
        ("let c = lin(2) >> pool(2) in att(lin,lin,lin)@clus(c,2)", "centres of 2"),
    ],
)
def test_places_that_do_not_fit_say_so(sentence, message):
    with pytest.raises(LanguageError) as error:
        mm.check(sentence, 4, (8,))
    assert message in str(error.value)
