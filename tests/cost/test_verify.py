"""Counts can be verified against torch's own counter by whoever has a network, on any device."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import metamixer as mm
from metamixer.cost import cost, verify
from metamixer.errors import UserError

SENTENCES = [
    "res(norm >> att(lin,lin,lin)@h(4) >> lin) >> res(norm >> ffn(4))",  # no rule for the CPU kernel
    "att(lin,lin,lin)@N(3)@h(2)",
    "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(2)",
    "tie n = lin in n >> gelu >> n",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_a_network_on_the_cpu_is_verified_exactly(text):
    net = mm.build(text, 16, (4, 4)).train()
    found = verify(net)
    assert found.equal
    assert (found.macs, found.params) == cost(text, 16, (4, 4))[:2]
    assert net.training
    assert {p.device.type for p in net.parameters()} == {"cpu"}


def test_classifiers_fused_ones_and_ones_with_further_inputs_are_verified():
    model = mm.create_model("convnext_atto", img_size=64, num_classes=10)
    assert verify(model).equal
    assert verify(model).macs - verify(model.network).macs == 320 * 10
    assert verify(mm.create_model("vit_digits", num_classes=0)).equal
    assert verify(mm.fuse(mm.build("fconv(3,8,b=0) >> bn", 8, (4, 4)))).equal
    assert verify(mm.build("att(lin,lin(ctx),lin(ctx))@h(2)", 8, (4,), context=mm.Field((6,), 8))).equal


def test_it_is_found_where_the_function_is():
    """`metamixer.cost` is a function, although a room has this name."""
    net = mm.build("att(lin,lin,lin)@h(2)", 8, (4, 4))
    assert mm.cost.verify(net) == verify(net)


def test_a_wrong_count_is_seen():
    net = mm.build("lin", 4, (4,))
    net.register_parameter("extra", torch.nn.Parameter(torch.zeros(1)))
    assert not verify(net).equal


def test_another_module_is_refused():
    with pytest.raises(UserError, match="not a Linear"):
        verify(torch.nn.Linear(2, 2))


def test_counting_alone_loads_no_torch():
    program = "import sys, metamixer.cost; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("place", ["@causal", "@causal@h(2)", "@lag(1)"])
@pytest.mark.parametrize("grid", [(1,), (1, 1), (2,), (3,)])
def test_masked_reads_on_few_tokens_are_counted_as_they_run(place, grid):
    """On one token the only slot is read by a product, not taken out."""
    if place == "@lag(1)" and grid in ((1,), (1, 1)):
        pytest.skip("lag(1) leaves nothing of one token")
    assert verify(mm.build(f"(dot0(x,x) -> mm(x)){place}", 8, grid)).equal
