"""A network says what is wrong with a tensor instead of computing something else from it."""

from __future__ import annotations

import pytest
import torch

import metamixer as mm
from metamixer.errors import InputError
from metamixer.testing.checks import deviation

WINDOWS = "att(lin,lin,lin)@win(4)@h(2) >> lin"


@pytest.fixture(scope="module")
def net():
    return mm.build(WINDOWS, 8, (16, 32)).eval()


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 32, 16, 8), r"has the shape \(2, 32, 16, 8\), the network was built for \(B, 16, 32, 8\)"),
        ((2, 8, 16, 32), r"channels last: x\.movedim\(1, -1\)"),
        ((16, 32, 8), r"the batch comes first: x\.unsqueeze\(0\)"),
        ((2, 16, 32, 9), r"built for \(B, 16, 32, 8\)"),
        ((2, 512, 8), r"built for \(B, 16, 32, 8\)"),
        ((2, 1, 16, 32, 8), r"built for \(B, 16, 32, 8\)"),
        ((0, 16, 32, 8), "is empty"),
        ((), "built for"),
    ],
)
def test_a_tensor_of_another_shape_is_refused_and_both_shapes_are_named(net, shape, said):
    for run in (net, lambda x: mm.reference(net, x)):
        with pytest.raises(InputError, match=said):
            run(torch.zeros(shape))


def test_what_is_no_tensor_is_refused(net):
    with pytest.raises(InputError, match="is a list, not a tensor"):
        net([1.0])


@pytest.mark.parametrize(
    "text",
    [WINDOWS, "lin@T", "avg(3) >> gelu", "lin(sets=4)", "gn >> lin", "tok(4)", "att(lin,lin,lin)@N(3) >> pool(2)"],
)
def test_no_sentence_computes_on_a_transposed_grid(text):
    net = mm.build(text, 8, (4, 8))
    net(torch.zeros(1, 4, 8, 8))
    with pytest.raises(InputError):
        net(torch.zeros(1, 8, 4, 8))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "the input ctx is missing"),
        (torch.zeros(2, 2, 4, 8), r"ctx has the shape \(2, 2, 4, 8\), the network was built for \(B, 4, 2, 8\)"),
        (torch.zeros(3, 4, 2, 8), "batch of 3, x one of 2"),
        ({"other": torch.zeros(2, 4, 2, 8)}, "no input other"),
    ],
)
def test_further_inputs_are_compared_too(given, said):
    net = mm.build("att(lin,lin(ctx),lin(ctx))@h(2)", 8, (4, 4), context=mm.Field((4, 2), 8))
    x = torch.zeros(2, 4, 4, 8)
    net(x, torch.zeros(2, 4, 2, 8))
    with pytest.raises(InputError, match=said):
        net(x, given)


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((2, 3, 64, 32), r"the batch of images has the shape \(2, 3, 64, 32\)"),
        ((2, 64, 64, 3), r"channels first: x\.movedim\(-1, 1\)"),
        ((0, 3, 64, 64), "empty"),
        ((3, 64, 64), "unsqueeze"),
    ],
)
def test_a_classifier_refuses_images_of_another_shape(shape, said):
    model = mm.create_model("convnext_atto", img_size=64)
    for run in (model, model.forward_features):
        with pytest.raises(InputError, match=said):
            run(torch.zeros(shape))
    with pytest.raises(InputError, match="features"):
        model.forward_head(torch.zeros(2, 320, 2, 2))


def test_exported_compiled_and_traced_programs_are_as_before(net):
    x = torch.randn(3, 16, 32, 8)
    batch = {"x": {0: torch.export.Dim("batch")}}
    exported = torch.export.export(net, (x,), dynamic_shapes=batch).module()
    with torch.no_grad():
        for run in (exported, torch.jit.trace(net, x)):
            assert deviation(run(x[:2]), net(x[:2])) < 1e-6
    with pytest.raises(InputError, match="built for"):
        torch.export.export(net, (x.transpose(1, 2),))
