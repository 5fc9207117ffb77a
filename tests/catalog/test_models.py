"""The catalogue by timm's conventions."""

from __future__ import annotations

import copy

import pytest
import torch

import metamixer as mm
from metamixer import catalog
from metamixer.compile.model import branches, residuals
from metamixer.errors import LanguageError, UserError
from metamixer.testing.checks import deviation

SMALL = ["vit_digits", "convnext_digits", "gmlp_digits", "shvit"]


def images(model, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, *model.default_cfg["input_size"], generator=generator)


@pytest.mark.parametrize("name", SMALL)
def test_it_is_the_entry_network(name):
    model = mm.create_model(name).eval()
    entry = catalog.get(name)
    assert sum(p.numel() for p in model.parameters()) == entry.cost.params
    plain = mm.build(entry.network, entry.channels, entry.grid).eval()
    tensors = list(model.state_dict().values())
    plain.load_state_dict(dict(zip(plain.state_dict(), tensors, strict=True)))
    x = images(model)
    assert torch.allclose(model(x), plain(x.movedim(1, -1)).flatten(1), atol=1e-6)


def test_features_and_head():
    model = mm.create_model("vit_s16", num_classes=7, img_size=64).eval()
    x = images(model)
    features = model.forward_features(x)
    assert features.shape == (2, 17, 384) == (2, 17, model.num_features)
    assert model.forward_head(features, pre_logits=True).shape == (2, model.head_hidden_size)
    assert torch.equal(model.forward_head(features), model(x))
    assert model(x).shape == (2, 7)


def test_features_lie_before_the_mean():
    model = mm.create_model("convformer_s18", img_size=128).eval()
    features = model.forward_features(images(model))
    assert features.shape == (2, 4, 4, 512)
    assert (model.num_features, model.head_hidden_size) == (512, 2048)
    assert model.forward_head(features).shape == (2, 1000)


def test_one_token_is_a_grid_too():
    model = mm.create_model("mixer_s32", img_size=32).eval()
    assert model.forward_features(images(model)).shape == (2, 1, 1, 512)


def test_the_classifier_is_replaced():
    model = mm.create_model("vit_digits", num_classes=10)
    assert model.get_classifier().out_features == model.num_classes == 10
    model.reset_classifier(3)
    assert model(images(model)).shape == (2, 3)
    model.reset_classifier(0)
    assert model.num_classes == 0
    assert model(images(model)).shape == (2, model.head_hidden_size)
    assert mm.create_model("vit_digits", num_classes=0)(images(model)).shape == (2, 48)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_a_new_classifier_has_the_type_of_the_network(kind):
    model = mm.create_model("vit_digits").to(kind)
    model.reset_classifier(7)
    assert model(images(model).to(kind)).dtype == kind


def test_the_read_out_is_named_as_timm_names_it():
    model = mm.create_model("vit_s16", img_size=32)
    assert model.global_pool == "token"
    model.reset_classifier(10, "token")
    assert mm.create_model("convnext_atto", global_pool="avg").num_classes == 1000
    with pytest.raises(UserError, match="ends in 'token'"):
        model.reset_classifier(10, "avg")


@pytest.mark.parametrize(
    ("name", "widths", "reductions"),
    [("convnext_atto", [40, 80, 160, 320], [4, 8, 16, 32]), ("poolformer_s12", [64, 128, 320, 512], [4, 8, 16, 32])],
)
def test_features_only_gives_a_map_for_each_resolution(name, widths, reductions):
    model = mm.create_model(name, features_only=True, img_size=64).eval()
    maps = model(images(model))
    assert model.feature_info.channels() == widths
    assert model.feature_info.reduction() == reductions
    assert [m.shape for m in maps] == [(2, c, 64 // r, 64 // r) for c, r in zip(widths, reductions, strict=True)]
    last = mm.create_model(name, features_only=True, img_size=64, out_indices=(-1,)).eval()
    last.load_state_dict(model.state_dict())
    assert torch.equal(last(images(model))[0], maps[-1])
    assert last.feature_info.channels() == widths[-1:]


def test_class_tokens_are_left_out_of_maps():
    model = mm.create_model("vit_s16", features_only=True, img_size=64).eval()
    whole = model.model.forward_features(images(model))
    assert torch.equal(model(images(model))[0], whole[:, 1:].unflatten(1, (4, 4)).movedim(-1, 1))


@pytest.mark.parametrize("wrong", [(9,), ("a",), (), 5])
def test_a_resolution_that_is_not_there_is_refused(wrong):
    with pytest.raises(UserError, match="4 resolutions"):
        mm.create_model("convnext_atto", features_only=True, img_size=64, out_indices=wrong)


@pytest.mark.parametrize("name", ["convnext_atto", "ffnet_1", "poolformer_s12", "caformer_s18", "randformer_s12"])
@pytest.mark.parametrize("size", [64, 32])
def test_images_may_be_smaller_than_the_network_was_designed_for(name, size):
    model = mm.create_model(name, img_size=size, num_classes=3).eval()
    x = images(model)
    with torch.no_grad():
        assert model(x).shape == (2, 3)
        expected = mm.reference(model.network, x.movedim(1, -1))
        for net in (model.network, mm.fuse(model.network)):
            assert deviation(net(x.movedim(1, -1)), expected) < 1e-5


def test_a_sentence_without_effect_is_still_refused_where_it_is_searched():
    with pytest.raises(LanguageError, match="touch nothing"):
        mm.check("dw(7)", 8, (2, 2))
    with pytest.raises(LanguageError, match="no effect"):
        mm.build("att(lin,lin,lin)", 8, (1, 1))


@pytest.mark.parametrize("size", ["64", 64.0, (64,), (64, 64, 64), True, 0, -3, (64, 0), None.__class__, [64, "64"]])
def test_a_size_that_is_none_is_one_message(size):
    with pytest.raises(UserError, match=r"img_size=.* is no size of an image for convnext_atto"):
        mm.create_model("convnext_atto", img_size=size)


@pytest.mark.parametrize("wrong", [{"num_classes": "10"}, {"num_classes": 1.5}, {"in_chans": True}, {"in_chans": -1}])
def test_a_number_that_is_none_is_named(wrong):
    with pytest.raises(UserError, match="no whole number"):
        mm.create_model("vit_digits", **wrong)


def test_other_channels():
    model = mm.create_model("ffnet_digits", in_chans=4, num_classes=2)
    assert model(torch.randn(2, 4, 8, 8)).shape == (2, 2)
    entry = catalog.get("ffnet_digits")
    more = sum(p.numel() for p in mm.create_model("ffnet_digits", in_chans=4).parameters())
    assert more - entry.cost.params == 3 * 2 * 2 * 48  # patch(2,48) on three more channels


def test_what_cannot_be():
    with pytest.raises(UserError, match="weights"):
        mm.create_model("vit_digits", pretrained=True)
    with pytest.raises(UserError, match="drop_path_rate"):
        mm.create_model("vit_digits", drop_path_rate=1.0)
    with pytest.raises(UserError, match="in_chans"):
        mm.create_model("vit_digits", in_chans=0)
    with pytest.raises(UserError, match="ffnet_sr_x2 is no classifier"):
        mm.create_model("ffnet_sr_x2", num_classes=10)
    with pytest.raises(LanguageError, match="vit_digit"):
        mm.create_model("vit_digit")


def test_names():
    assert mm.list_models() == sorted(name for name in catalog.names() if catalog.get(name).classes)
    assert not mm.list_models("ffnet_sr_*x2")
    assert mm.list_models("caformer_*36") == ["caformer_b36", "caformer_m36", "caformer_s36"]
    assert mm.list_models("no*such") == []


@pytest.mark.parametrize(
    ("name", "count"), [("vit_s16", 24), ("convnext_atto", 12), ("poolformerv2_s12", 24), ("ninformer_cifar", 8)]
)
def test_the_rate_grows_linearly_over_the_residuals(name, count):
    with torch.device("meta"):
        model = mm.create_model(name, drop_path_rate=0.3)
    found = list(residuals(model.network))
    rates = [rate for part in found for rate in part.drop.values()]
    assert len(rates) == count
    assert rates == pytest.approx([0.3 * i / (count - 1) for i in range(count)])


def test_a_difference_is_no_residual():
    t = mm.parse("res(gn >> avg(3) - x) >> (scale(1) + lin) >> x + lin >> lin + lin").typed(8, (4, 4))
    assert [branches(kid) for kid in t.kids] == [(0,), (1,), (1,), ()]
    assert branches(t.kids[0].kids[0]) == ()


def test_depth_is_stochastic_while_training_only():
    model = mm.create_model("vit_digits", drop_path_rate=0.5)
    whole = mm.create_model("vit_digits")
    whole.load_state_dict(model.state_dict())
    x = images(model, 16)
    assert torch.equal(model.eval()(x), whole.eval()(x))
    model.train()
    assert not torch.equal(model(x), model(x))
    assert not torch.equal(model(x), whole.train()(x))


def test_a_sample_keeps_a_branch_or_leaves_it_out():
    net = mm.build("res(lin)", 4, (2, 2)).train()
    net.body.drop = {0: 0.25}
    x = torch.randn(2000, 2, 2, 4)
    torch.manual_seed(0)
    branch = (net(x) - x).flatten(1)
    left_out = branch.abs().amax(1) == 0
    assert left_out.float().mean() == pytest.approx(0.25, abs=0.04)
    full = (net.eval()(x) - x).flatten(1)
    assert torch.allclose(branch[~left_out], full[~left_out] / 0.75, atol=1e-5)


def test_it_copies_and_trains():
    model = copy.deepcopy(mm.create_model("gmlp_digits", drop_path_rate=0.1))
    model(images(model)).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_timm_knows_the_models(timm):
    from metamixer.catalog.models import register

    assert register() == register() == [f"metamixer_{name}" for name in catalog.names() if catalog.get(name).classes]
    model = timm.create_model("metamixer_vit_digits", num_classes=5, in_chans=2, drop_path_rate=0.1)
    assert model(torch.randn(1, 2, 8, 8)).shape == (1, 5)
    assert "metamixer_ffnet_1" in timm.list_models("metamixer_*")
    assert timm.data.resolve_model_data_config(model)["input_size"] == (2, 8, 8)
    with pytest.raises(UserError, match="weights"):
        timm.create_model("metamixer_vit_digits", pretrained=True)
