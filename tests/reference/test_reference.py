"""The reference is an oracle: none of the fast kernels, double precision, evaluation mode, and it changes nothing."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

import metamixer as mm

FAST = ("scaled_dot_product", "convolution", "layer_norm", "group_norm", "batch_norm", "avg_pool", "addmm")


class Names(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


SENTENCE = (
    "fconv(3,8,s=2) >> bn >> res(norm >> att(lin,lin,lin)@h(2)@win(2) >> lin) >> res(gn >> dw(3) >> ffn(2))"
    " >> avg(3) - x >> conv(x,#rep(3,1)) >> (dot0(lin >> exp,lin >> exp) -> l1 -> mm(lin)) >> mean"
)


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = mm.build(SENTENCE, 3, (8, 8))
    net.train()(torch.randn(5, 8, 8, 3))
    return net


def test_none_of_the_fast_kernels_runs(net):
    x = torch.randn(2, 8, 8, 3)
    with Names() as fast:
        net(x)
    with Names() as slow:
        mm.reference(net, x)
    assert all(any(kernel in name for name in fast.seen) for kernel in FAST[:5])
    assert not [name for name in slow.seen if any(kernel in name for kernel in FAST)]


def test_it_is_double_precision_in_evaluation_mode_and_changes_nothing(net):
    x = torch.randn(2, 8, 8, 3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert net.training
    y = mm.reference(net, x)
    assert (y.dtype, y.requires_grad, net.training) == (torch.float64, False, True)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    torch.testing.assert_close(mm.reference(net.eval(), x), y, rtol=0, atol=0)
    torch.testing.assert_close(net.double()(x.double()), y, rtol=1e-10, atol=1e-12)


def built(sentence, channels, grid):
    torch.manual_seed(1)
    net = mm.build(sentence, channels, grid).double().eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(2, *grid, channels, dtype=torch.float64)
    owned = [tensor for _, weights in sorted(net.store.weights.items()) for _, tensor in weights.named_parameters()]
    return net, x, [tensor.detach() for tensor in owned]


# Formulas written once more, with loops or by torch, from the definition and not from the words.


def test_attention_by_loops():
    net, x, w = built("att(lin(4,b=0),lin(4,b=0),lin(6,b=0))@h(2)", 3, (5,))
    q, k, v = x @ w[0].T, x @ w[1].T, x @ w[2].T
    expected = torch.zeros(2, 5, 6, dtype=torch.float64)
    for b, head, i in itertools.product(range(2), range(2), range(5)):
        own, other = slice(2 * head, 2 * head + 2), slice(3 * head, 3 * head + 3)
        scores = torch.stack([(q[b, i, own] * k[b, j, own]).sum() / 2**0.5 for j in range(5)])
        weights = scores.exp() / scores.exp().sum()
        expected[b, i, other] = sum(weights[j] * v[b, j, other] for j in range(5))
    torch.testing.assert_close(mm.reference(net, x), expected)


def slots(length, k, s, d, position):
    """Candidates of one position: the window of its group of s, centred on the group's leader, moved inwards."""
    own = [p for p in range(length) if p % d == position % d]
    rank = own.index(position)
    leader = min(rank // s * s + s // 2, len(own) - 1)
    first = min(max(leader - k // 2, 0), len(own) - k)
    return own[first : first + k]


@pytest.mark.parametrize(("k", "s", "d"), [(3, 1, 1), (5, 1, 1), (3, 2, 1), (3, 1, 2), (2, 1, 1), (3, 3, 2), (7, 1, 1)])
def test_neighbourhood_attention_by_loops(k, s, d):
    net, x, w = built(f"att(lin(4,b=0),lin(4,b=0),lin(4,b=0))@N({k},s={s},d={d})", 4, (8, 7))
    q, keys, v = x @ w[0].T, x @ w[1].T, x @ w[2].T
    expected = torch.zeros_like(q)
    for row, column in itertools.product(range(8), range(7)):
        near = list(itertools.product(slots(8, k, s, d, row), slots(7, k, s, d, column)))
        scores = torch.stack([(q[:, row, column] * keys[:, i, j]).sum(-1) / 2 for i, j in near], -1)
        weights = scores.softmax(-1)
        expected[:, row, column] = sum(weights[:, n, None] * v[:, i, j] for n, (i, j) in enumerate(near))
    torch.testing.assert_close(mm.reference(net, x), expected)


@pytest.mark.parametrize("edge", ["mask", "zero", "wrap"])
def test_edges_of_neighbourhoods_by_loops(edge):
    net, x, w = built(f"(dot(lin(4,b=0),lin(4,b=0)) -> softmax -> mm(lin(4,b=0)))@N(3,{edge})", 4, (6,))
    q, keys, v = x @ w[0].T, x @ w[1].T, x @ w[2].T
    expected = torch.zeros_like(q)
    for i in range(6):
        scores, values = [], []
        for j in (i - 1, i, i + 1):
            if edge == "mask" and not 0 <= j < 6:
                continue
            there = edge == "wrap" or 0 <= j < 6
            key = keys[:, j % 6] if there else torch.zeros_like(keys[:, 0])
            scores.append((q[:, i] * key).sum(-1) / 2)
            values.append(v[:, j % 6] if there else torch.zeros_like(v[:, 0]))
        weights = torch.stack(scores, -1).softmax(-1)
        expected[:, i] = sum(weights[:, n, None] * value for n, value in enumerate(values))
    torch.testing.assert_close(mm.reference(net, x), expected)


@pytest.mark.parametrize(("sentence", "options"), [
    ("dw(3,b=0)", {"padding": 1, "groups": 4}),
    ("dw(5,b=0,s=2)", {"padding": 2, "groups": 4, "stride": 2}),
    ("dw(3,b=0,c=2C)", {"padding": 1, "groups": 4}),
    ("fconv(3,6,b=0)", {"padding": 1}),
    ("fconv(3,6,b=0,g=2,s=2)", {"padding": 1, "groups": 2, "stride": 2}),
    ("patch(2,6,b=0)", {"stride": 2}),
    ("fconv(5,6,b=0,pad=1)", {"padding": 1}),
])  # fmt: skip
def test_convolutions_by_torch(sentence, options):
    net, x, w = built(sentence, 4, (6, 8))
    expected = functional.conv2d(x.movedim(-1, 1), w[0], **options).movedim(1, -1)
    torch.testing.assert_close(mm.reference(net, x), expected)


def test_even_kernels_have_less_padding_in_front():
    net, x, w = built("dw(2,b=0)", 1, (4,))
    padded = functional.pad(x[..., 0], (0, 1))
    expected = padded[:, :4] * w[0][0, 0, 0] + padded[:, 1:] * w[0][0, 0, 1]
    torch.testing.assert_close(mm.reference(net, x)[..., 0], expected)


def test_norms_by_torch():
    net, x, w = built("norm", 4, (3, 5))
    torch.testing.assert_close(mm.reference(net, x), functional.layer_norm(x, (4,), w[0], w[1], 1e-6))
    net, x, w = built("gn(2)", 4, (3, 5))
    expected = functional.group_norm(x.movedim(-1, 1), 2, w[0], w[1], 1e-5).movedim(1, -1)
    torch.testing.assert_close(mm.reference(net, x), expected)
    net, x, w = built("bn", 4, (3, 5))
    torch.testing.assert_close(mm.reference(net, x), x / (1 + 1e-5) ** 0.5 * w[0] + w[1])


def test_views_by_indexing():
    x = torch.randn(1, 4, 6, 2, dtype=torch.float64)
    by_window = mm.reference(mm.build("pool(1)@win(2x3) >> up(2x3)", 2, (4, 6)), x)
    by_grid = mm.reference(mm.build("pool(1)@grid(2x3)", 2, (4, 6)), x)
    for i, j in itertools.product(range(4), range(6)):
        window = x[:, i // 2 * 2 : i // 2 * 2 + 2, j // 3 * 3 : j // 3 * 3 + 3]
        torch.testing.assert_close(by_window[:, i, j], window.mean((1, 2)))
    for i, j in itertools.product(range(2), range(2)):
        torch.testing.assert_close(by_grid[:, i, j], x[:, i::2, j::2].mean((1, 2)))
    net, x, w = built("lin(b=0)@T", 2, (2, 3))
    expected = torch.einsum("bnc,mn->bmc", x.reshape(2, 6, 2), w[0]).reshape(2, 2, 3, 2)
    torch.testing.assert_close(mm.reference(net, x), expected)
    net, x, w = built("lin(3,b=0)@seg(2)", 4, (5,))
    torch.testing.assert_close(mm.reference(net, x), torch.cat([x[..., :2] @ w[0].T, x[..., 2:] @ w[0].T], -1))
    net, x, w = built("lin(b=0)@flat", 2, (3,))
    expected = (x.mT.reshape(2, 6) @ w[0].T).reshape(2, 2, 3).mT  # channel-major
    torch.testing.assert_close(mm.reference(net, x), expected)


def test_resampling_by_indexing():
    x = torch.randn(2, 2, 3, 8, dtype=torch.float64)
    shuffled = mm.reference(mm.build("shuffle(2)", 8, (2, 3)), x)
    for i, j, c in itertools.product(range(4), range(6), range(2)):
        sub_pixel = i % 2 * 2 + j % 2
        assert torch.equal(shuffled[:, i, j, c], x[:, i // 2, j // 2, sub_pixel * 2 + c])
    doubled = mm.reference(mm.build("up(2)", 8, (2, 3)), x)
    assert all(torch.equal(doubled[:, i, j], x[:, i // 2, j // 2]) for i in range(4) for j in range(6))
    pooled = mm.reference(mm.build("pool(2)", 8, (2, 3)), x)
    expected = functional.adaptive_avg_pool2d(x.movedim(-1, 1), 2).movedim(1, -1)
    torch.testing.assert_close(pooled, expected)
    smooth = mm.reference(mm.build("avg(3)", 8, (2, 3)), x)
    expected = functional.avg_pool2d(x.movedim(-1, 1), 3, 1, 1, count_include_pad=False).movedim(1, -1)
    torch.testing.assert_close(smooth, expected)
