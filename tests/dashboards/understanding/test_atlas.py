"""The atlas: where catalogue mixers stand, by their checked sentences."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree

import pytest

from metamixer import catalog
from metamixer.dashboards.understanding.atlas import AXES, atlas, drawing, typed
from metamixer.errors import LanguageError
from metamixer.explore import attributes

# What the systems' own papers say, on each axis.
KNOWN = {
    "self_attention": ("content", "softmax", "field", "all tokens"),
    "linear_attention": ("content", "l1", "field", "all tokens"),
    "linear_causal": ("content", "l1", "field", "past"),
    "flowformer": ("content", "flow", "field", "all tokens"),
    "inline": ("content", "center", "field", "all tokens"),
    "sigmoid_attention": ("content", "none", "field", "all tokens"),
    "davit_channels": ("content", "softmax", "field", "channels"),
    "hopfield_lookup": ("bank", "softmax", "bank", "slots"),
    "ffnet_attention": ("position", "none", "bank", "neighbourhood"),
    "convmixer_block": ("position", "none", "field", "neighbourhood"),
    "resmlp_block": ("position", "none", "field", "all tokens"),
    "poolformer_block": ("constant", "none", "field", "neighbourhood"),
    "ninformer_block": ("prediction", "none", "field", "itself"),
    "neighbourhood": ("content", "softmax", "field", "neighbourhood"),
    "maxvit": ("content", "softmax", "field", "window"),
    "biformer": ("content", "softmax", "field", "selected"),
    "agent": ("content", "softmax", "read", "all tokens"),
    "overlock": ("prediction", "softmax", "field", "neighbourhood"),
    "affnet": ("prediction", "none", "field", "spectrum"),
    "randformer_block": ("position", "softmax", "field", "all tokens"),
}


@pytest.fixture(scope="module")
def mixers() -> dict:
    return {mixer["name"]: mixer for mixer in atlas()["mixers"]}


def test_every_mixer_of_the_catalogue_stands_in_the_atlas(mixers):
    assert sorted(mixers) == sorted(name for name in catalog.names() if catalog.get(name).mixer)


@pytest.mark.parametrize("name", KNOWN)
def test_known_systems_stand_where_their_papers_put_them(mixers, name):
    assert tuple(mixers[name]["cell"][axis] for axis in AXES) == KNOWN[name]


def test_cells_hold_every_mixer_once_and_axes_list_every_value(mixers):
    found = atlas()
    names = [name for cell in found["cells"] for name in cell["names"]]
    assert sorted(names) == sorted(mixers)
    for cell in found["cells"]:
        for name in cell["names"]:
            assert mixers[name]["cell"] == {axis: cell[axis] for axis in AXES}
        for axis in AXES:
            assert cell[axis] in found["axes"][axis]


def test_growth_is_that_of_the_derived_attributes(mixers):
    for name in ("self_attention", "linear_attention", "ffnet_attention", "mixer_block"):
        t = typed(catalog.get(name))
        found = attributes(mixers[name]["sentence"], t.x.channels, t.x.grid)
        assert mixers[name]["growth"] == found.growth
        assert mixers[name]["locked"] == found.locked
    assert mixers["self_attention"]["growth"] > 1.8
    assert mixers["linear_attention"]["growth"] == pytest.approx(1.0)
    assert mixers["mixer_block"]["locked"]


def test_a_block_behind_a_class_token_is_looked_at_with_it(mixers):
    assert mixers["localvit_block"]["input"] == {"channels": 32, "grid": [8, 8], "extra": 1}
    assert mixers["localvit_block"]["growth"] is None


def test_texts_are_coloured_whole(mixers):
    for mixer in mixers.values():
        assert "".join(span["text"] for span in mixer["roles"]) == mixer["sentence"]


def test_drawings_are_svg_of_the_mixer_alone():
    root = ElementTree.fromstring(drawing("ninformer_block"))
    assert root.tag.endswith("svg")
    labels = {text.text for text in root.iter() if text.tag.endswith("text")}
    assert any("ffn" in (label or "") for label in labels)
    assert not any("patch" in (label or "") for label in labels)
    with pytest.raises(LanguageError, match="no nothing_such"):
        drawing("nothing_such")


def test_the_atlas_is_plain_values():
    json.dumps(atlas(), allow_nan=False)
