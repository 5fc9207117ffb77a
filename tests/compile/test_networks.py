"""What networks run: which kernels, on which memory, with whose weights."""

from __future__ import annotations

import copy
import io
import pickle
from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import metamixer as mm


class Ops(TorchDispatchMode):
    """Counts the operators that reach the kernels, and keeps the inputs of convolutions."""

    def __init__(self):
        super().__init__()
        self.count: Counter[str] = Counter()
        self.convolved: list[torch.Tensor] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        self.count[name] += 1
        if name == "convolution":
            self.convolved.append(args[0])
        return func(*args, **(kwargs or {}))

    def of(self, *parts):
        return sum(n for name, n in self.count.items() if any(part in name for part in parts))


def ops(sentence, channels=8, grid=(4, 4), counted=False):
    net = mm.build(sentence, channels, grid, counted=counted).eval()
    with torch.no_grad(), Ops() as found:
        net(torch.randn(2, *grid, channels))
    return found


PRODUCTS = ("addmm", "mm", "bmm", "baddbmm")


def products(found):
    return sum(found.count[name] for name in PRODUCTS)


@pytest.mark.parametrize(
    "sentence",
    [
        "att(lin,lin,lin)@h(4) >> lin",
        "att(lin(16),lin(16),lin(16))@h(2) >> lin",
        "att(lin(b=0),lin,lin)@h(2) >> lin",
        "att(lin(b=0),lin(b=0),lin(b=0))@h(2) >> lin",
        "(dot(lin,lin) -> softmax -> mm(lin))@h(4) >> lin",
        "dot0(lin,lin) -> softmax -> mm(lin) >> lin",
        "att(lin,lin,lin)@win(2)@h(2) >> lin",
        "att(lin,lin,lin)@grid(2)@h(2) >> lin",
        "att(lin,lin,lin)@N(3)@h(2) >> lin",
        "cls >> att(lin,lin,lin)@h(2) >> lin",
    ],
)
def test_softmax_attention_is_one_kernel_beside_its_projections(sentence):
    found = ops(sentence)
    assert found.of("scaled_dot_product") == 1
    # query, key and value together unless their biases differ, and the projection behind
    assert products(found) == (4 if "lin(b=0),lin,lin" in sentence else 2)
    assert found.of("softmax") == 0


def test_what_reads_different_inputs_is_projected_apart():
    found = ops("let p = pool(2) in att(lin,lin(p),lin(p))@h(2)")
    assert (found.of("scaled_dot_product"), products(found)) == (1, 3)
    found = ops("let k = lin in att(lin,k,k)@h(2)")
    assert (found.of("scaled_dot_product"), products(found)) == (1, 2)
    found = ops("att(x,x,x)@h(2)")
    assert (found.of("scaled_dot_product"), products(found)) == (1, 0)


@pytest.mark.parametrize("activation", ["gelu", "sig", "relu -> softmax"])
def test_scores_that_are_not_softmaxed_at_once_are_formed(activation):
    found = ops(f"(dot(lin,lin) -> {activation} -> mm(lin))@h(2)")
    assert found.of("scaled_dot_product") == 0
    assert found.count["bmm"] == 2


@pytest.mark.parametrize(
    ("tokens", "width", "heads"), [(64, 8, 1), (64, 16, 4), (8, 8, 1), (7, 8, 1), (9, 8, 1), (4, 8, 1), (5, 8, 2)]
)
@pytest.mark.parametrize("stages", ["dot(lin,lin) -> mm(lin)", "dot0(lin >> exp,lin >> exp) -> l1 -> mm(lin)"])
def test_values_are_summed_first_exactly_where_that_is_cheaper(tokens, width, heads, stages):
    net = mm.build(f"({stages})@h({heads})", width, (tokens,)).double()
    kinds = {type(part).__name__ for part in net.modules()}
    cheaper = 2 * tokens * width * width // heads < 2 * tokens * tokens * width
    assert ("ValuesFirst" in kinds) == cheaper
    x = torch.randn(2, tokens, width)
    torch.testing.assert_close(net(x.double()), mm.reference(net, x), rtol=1e-9, atol=1e-10)


def test_windows_are_reshapes():
    for view in ("win(2)", "grid(2)", "T", "seg(2)", "flat"):
        found = ops(f"gelu@{view}")
        assert found.of("index", "gather", "unfold", "cat", "stack", "slice") == 0, (view, found.count)


def test_small_neighbourhoods_run_as_a_mask_and_count_as_slots():
    sentence = "att(lin,lin,lin)@N(3)@h(2)"
    assert ops(sentence).of("scaled_dot_product") == 1
    counted = ops(sentence, counted=True)
    assert counted.of("scaled_dot_product") == 0
    assert counted.of("index") == 2


@pytest.mark.parametrize(
    "sentence",
    [
        "dw(3)",
        "lin >> dw(3)",
        "dw(3x1) >> gelu >> dw(1x3)",
        "fconv(3,6)",
        "norm >> fconv(3,6,s=2)",
        "conv(lin,#3) -> gelu -> conv(#3)",
    ],
)
def test_convolutions_see_channels_last_memory(sentence):
    found = ops(sentence)
    assert found.convolved
    for x in found.convolved:
        assert x.is_contiguous(memory_format=torch.channels_last)
    assert found.of("clone", "contiguous", "_to_copy") == 0


def test_tied_phrases_share_their_weights():
    net = mm.build("tie f = lin(b=0) in f >> f", 3, (2,))
    (weight,) = net.parameters()
    x = torch.randn(2, 2, 3)
    torch.testing.assert_close(net(x), x @ weight.T @ weight.T)
    before = net(x)
    with torch.no_grad():
        weight.mul_(2.0)
    torch.testing.assert_close(net(x), 4 * before)
    net(x).sum().backward()
    assert weight.grad is not None


def test_a_shared_norm_changes_both_of_its_uses():
    net = mm.build("tie n = norm in res(n >> lin) >> res(n >> ffn(2))", 4, (3,)).eval()
    apart = mm.build("res(norm >> lin) >> res(norm >> ffn(2))", 4, (3,))
    assert sum(p.numel() for p in apart.parameters()) - sum(p.numel() for p in net.parameters()) == 2 * 4
    seen = []
    parts = [part for part in net.modules() if type(part).__name__ == "Part" and part.t.word.name == "norm"]
    assert len(parts) == 2
    assert parts[0].weights is parts[1].weights
    for part in parts:
        part.register_forward_hook(lambda module, inputs, out: seen.append(out.detach()))
    x = torch.randn(1, 3, 4)
    net(x)
    with torch.no_grad():
        parts[0].weights.shift.add_(1.0)
    net(x)
    assert len(seen) == 4
    assert all(float((after - before).abs().max()) > 0.1 for before, after in zip(seen[:2], seen[2:], strict=True))


def test_batch_norm_statistics_are_tied_too():
    net = mm.build("tie f = bn in f >> lin >> f", 4, (3,)).train()
    net(torch.randn(5, 3, 4))
    assert len(list(net.buffers())) == 2


def test_values_are_computed_once():
    found = ops("let k = lin in k + k * gelu(k)")
    assert products(found) == 1
    found = ops("let k = lin in (gelu + k)^3")
    assert products(found) == 1
    found = ops("tie k = lin in k + k")
    assert products(found) == 2


def test_every_occurrence_and_every_repetition_has_weights_of_its_own():
    net = mm.build("lin(b=0)^3 >> lin(b=0) + lin(b=0)", 4, (3,))
    weights = list(net.parameters())
    assert len(weights) == 5
    assert len({tuple(weight.flatten().tolist()) for weight in weights}) == 5
    x = torch.randn(1, 3, 4)
    before = net(x)
    for weight in weights:
        with torch.no_grad():
            kept = weight.clone()
            weight.zero_()
            assert float((net(x) - before).abs().max()) > 1e-4
            weight.copy_(kept)


SENTENCE = (
    "patch(2,8) >> pos >> (tie n = norm in res(n >> att(lin,lin,lin)@h(2) >> lin) >> res(n >> ffn(2)))^2"
    " >> (let k = lin in att(lin,k,k)@N(3)@h(2)) >> dw(3) >> bn >> mean"
)


@pytest.fixture
def net():
    torch.manual_seed(3)
    net = mm.build(SENTENCE, 3, (6, 8))
    net.train()(torch.randn(4, 6, 8, 3))  # running statistics away from their start
    return net.eval()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))], ids=["copy", "pickle"])
def test_networks_are_copied_with_their_ties(net, again):
    other = again(net)
    x = torch.randn(2, 6, 8, 3)
    torch.testing.assert_close(other(x), net(x), rtol=0, atol=0)
    torch.testing.assert_close(mm.reference(other, x), mm.reference(net, x), rtol=0, atol=0)
    assert len(list(other.parameters())) == len(list(net.parameters()))
    before = net(x)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    torch.testing.assert_close(net(x), before, rtol=0, atol=0)  # nothing is shared with the copy
    assert not torch.equal(other(x), before)
    assert torch.isfinite(mm.reference(other, x)).all()
    assert not torch.equal(mm.reference(other, x), mm.reference(net, x))


def test_weights_are_saved_and_loaded(net):
    memory = io.BytesIO()
    torch.save(net.state_dict(), memory)
    memory.seek(0)
    other = mm.build(SENTENCE, 3, (6, 8)).eval()
    x = torch.randn(2, 6, 8, 3)
    assert not torch.equal(other(x), net(x))
    other.load_state_dict(torch.load(memory, weights_only=True), strict=True)
    torch.testing.assert_close(other(x), net(x), rtol=0, atol=0)
    assert not [name for name in net.state_dict() if ("table" in name and "weights.table0" in name) or "mask" in name]


def test_equal_seeds_give_equal_weights():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in mm.build(SENTENCE, 3, (6, 8)).parameters()])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_initial_values():
    net = mm.build("lin(512) >> scale(.1) >> norm >> bn >> pos", 64, (3,))
    named = {name.rpartition(".")[2]: value for name, value in net.state_dict().items()}
    assert float(named["weight"].std()) == pytest.approx(64**-0.5 * 0.88, rel=0.03)  # truncated at two deviations
    assert float(named["weight"].abs().max()) <= 2 * 64**-0.5
    assert not named["bias"].any()
    assert float(named["variance"].min()) == float(named["variance"].max()) == 1.0
    assert not named["mean"].any()
    assert float(named["table"].std()) == pytest.approx(0.02 * 0.88, rel=0.1)
    scales = [value for name, value in net.state_dict().items() if name.endswith("scale")]
    assert [float(value.mean()) for value in scales] == pytest.approx([0.1, 1.0, 1.0])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_number_formats(net, dtype):
    y = net.to(dtype)(torch.randn(2, 6, 8, 3, dtype=dtype))
    assert y.dtype == dtype
    assert torch.isfinite(y).all()


def test_the_batch_may_have_any_size(net):
    exported = torch.export.export(
        net, (torch.randn(2, 6, 8, 3),), dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64)},)
    ).module()
    for size in (1, 2, 7):
        x = torch.randn(size, 6, 8, 3)
        torch.testing.assert_close(exported(x), net(x), rtol=1e-4, atol=1e-5)
