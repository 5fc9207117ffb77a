"""Whole networks, head included, against totals that are published or follow from published configurations."""

from __future__ import annotations

import pytest

from metamixer import catalog

# name: (parameters, exact; MACs in units of 10^9 to the printed digits)
TOTALS = {
    "vit_ti16": (5_717_416, "1.25"), "vit_s16": (22_050_664, "4.60"), "vit_b16": (86_567_656, "17.56"),
    "mixer_s32": (19_104_624, "1.00"), "mixer_s16": (18_528_264, "3.78"), "mixer_b32": (60_293_428, "3.24"),
    "mixer_b16": (59_880_472, "12.60"), "mixer_l32": (206_939_264, "11.25"), "mixer_l16": (208_196_168, "44.55"),
    "mixer_h14": (432_350_952, "120.99"),
    "ff_only_tiny": (7_676_332, "1.44"), "ff_only_base": (61_943_020, "14.13"),
    # the published total has a table of positions of another size, see the entry: 147 x 1024 more
    "ff_only_large": (206_363_576 - 147 * 1024, "10.71"),
    "resmlp_s12": (15_350_872, "3.01"), "resmlp_s24": (30_020_680, "5.96"), "resmlp_s36": (44_690_488, "8.91"),
    "resmlp_b24": (129_138_280, "100.23"),
    "repmlpnet_t224": (38_293_608, "2.81"), "repmlpnet_t256": (58_687_848, "4.26"),
    "repmlpnet_b224": (68_242_712, "6.68"), "repmlpnet_b256": (96_447_512, "9.64"),
    "repmlpnet_d256": (86_887_648, "8.64"), "repmlpnet_l256": (117_641_560, "11.61"),
    "gmlp_ti16": (5_867_328, "1.33"), "gmlp_s16": (19_422_656, "4.39"), "gmlp_b16": (73_075_392, "15.72"),
    "vip_s14": (29_892_904, "6.86"), "vip_s7": (25_114_984, "6.90"), "vip_m7": (55_272_488, "16.28"),
    "vip_l7": (87_784_936, "24.34"),
    "localvit_t": (5_908_696, "1.27"), "localvit_t_se4": (9_376_168, "1.27"), "localvit_s": (22_433_176, "4.62"),
    "ninformer_cifar": (2_652_170, "0.2189"),
    "ffnet_1": (13_775_656, None), "ffnet_2": (27_208_408, None), "ffnet_3": (48_817_896, None),
    "ffnet_4": (79_868_968, None), "ffnet_seg": (68_476_566, "74.6"), "ffnet_sr_x2": (2_381_580, None),
    "ffnet_sr_light_x2": (1_789_452, None),
    "convnext_t": (28_589_128, "4.46"), "convnext_s": (50_223_688, "8.68"), "convnext_b": (88_591_464, "15.35"),
    "convnext_l": (197_767_336, "34.36"), "convnext_atto": (3_695_520, "0.55"), "convnext_femto": (5_217_784, "0.78"),
    "convnext_pico": (9_045_672, "1.37"), "convnext_nano": (15_593_560, "2.45"),
    "poolformer_s12": (11_915_176, "1.81"), "poolformer_s24": (21_388_968, "3.39"),
    "poolformer_s36": (30_862_760, "4.97"), "poolformer_m36": (56_172_520, "8.76"),
    "poolformer_m48": (73_473_448, "11.53"),
    "poolformerv2_s12": (11_891_712, "1.81"), "poolformerv2_s24": (21_341_464, "3.39"),
    "poolformerv2_s36": (30_791_216, "4.97"), "poolformerv2_m36": (56_077_168, "8.76"),
    "poolformerv2_m48": (73_346_056, "11.53"),
    "convformer_s18": (26_774_448, "3.94"), "convformer_s36": (40_012_152, "7.64"),
    "convformer_m36": (57_051_640, "12.84"), "convformer_b36": (99_882_616, "22.63"),
    "caformer_s18": (26_341_656, "4.11"), "caformer_s36": (39_297_102, "7.97"),
    "caformer_m36": (56_204_878, "13.24"), "caformer_b36": (98_753_614, "23.16"),
    "convmixer_1536_20": (51_625_960, "51.10"), "convmixer_768_32": (21_110_248, "20.68"),
    "convmixer_1024_20": (24_383_464, "5.95"), "convmixer_256_8": (594_186, "0.148"),
    "davit_tiny": (28_360_168, "4.52"), "ghostnetv2_100": (6_156_908, "0.220"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOTALS)
def test_totals(name):
    params, macs = TOTALS[name]
    cost = catalog.get(name).cost
    assert cost.params == params
    if macs is not None:
        digits = len(macs.partition(".")[2])
        assert f"{cost.macs / 1e9:.{digits}f}" == macs


# Networks of which no total is published, nor a configuration that a total follows from.
WITHOUT = {
    "amlp_ti16", "fourier_ninformer_cifar", "ffnet_hybrid", "ffnet_forecast", "identityformer_s12",
    "identityformer_s36", "identityformer_m48", "randformer_s12", "randformer_s36", "randformer_m48",
}  # fmt: skip


def test_every_published_network_has_a_total():
    # Small twins that searches compare with are ours: nobody has published a total of them.
    entries = {name: catalog.get(name) for name in catalog.names()}
    networks = {name for name, entry in entries.items() if entry.grid[0] >= 32 and not entry.shell and not entry.task}
    assert networks == set(TOTALS) | WITHOUT
    assert len(TOTALS) >= 45


@pytest.mark.parametrize(("name", "macs"), [("ffnet_sr_x2", "2.35"), ("ffnet_sr_light_x2", "1.77")])
def test_super_resolution_by_the_pixel(name, macs):
    entry = catalog.get(name)
    assert f"{entry.cost.macs / 64**2 / 1e6:.2f}" == macs


def test_the_block_of_forecasting():
    """ETTh1: a token mixer of 111,680 and a channel mixer of 91,968 parameters."""
    rows = catalog.get("ffnet_forecast").cost.breakdown
    assert [row.params for row in rows if row.text.startswith("res(")] == [111_680, 91_968]


@pytest.mark.parametrize("size", ["s12", "s36", "m48"])
def test_identityformer_costs_what_the_pooling_network_costs(size):
    ours, pooling = (catalog.get(f"{kind}_{size}").cost for kind in ("identityformer", "poolformerv2"))
    assert (ours.params, ours.macs) == (pooling.params, pooling.macs)


@pytest.mark.parametrize(
    ("size", "depths", "widths"),
    [("s12", (6, 2), (320, 512)), ("s36", (18, 6), (320, 512)), ("m48", (24, 8), (384, 768))],
)
def test_randformer_adds_frozen_products_only(size, depths, widths):
    """Matrices of 196 and 49 tokens in stages 3 and 4; no gradient, no parameter."""
    ours, without = (catalog.get(f"{kind}_{size}").cost for kind in ("randformer", "identityformer"))
    added = sum(n * n * width * depth for n, width, depth in zip((196, 49), widths, depths, strict=True))
    assert (ours.params, ours.macs) == (without.params, without.macs + added)
