"""The catalogue as data: every entry reads, fits, counts as printed, and the small ones pass every check."""

from __future__ import annotations

import json
import random
import re

import pytest

from metamixer import catalog
from metamixer.catalog import entries as reading
from metamixer.catalog.entries import shells, unsaid
from metamixer.cli.output.catalog import described
from metamixer.errors import LanguageError
from metamixer.language import Space, parse
from metamixer.tasks import get as task

# Figures of FFNet are printed for the fused network: tests/compile compares those.
AS_TRAINED = [name for name in catalog.names() if catalog.get(name).family != "FFNet"]
IN_SHELLS = [name for name in catalog.names() if catalog.get(name).shell]


@pytest.mark.parametrize("name", catalog.names())
def test_an_entry_reads_fits_and_says_where_it_is_from(name):
    entry = catalog.get(name)
    assert entry.name == name
    assert parse(str(entry.sentence)) == entry.sentence
    out = entry.network.typed(entry.channels, entry.grid).out
    assert (out.tokens, out.channels) == (1, entry.classes) or not entry.classes
    assert re.search(r"(19|20)\d\d|arXiv", entry.source)
    assert entry.counting  # what the figures count and where they stand, or that there are none
    assert not any(text == "" for text in (*entry.published.values(), *entry.peculiarities))
    assert len(entry.network.key(entry.channels, entry.grid)) == 16
    json.dumps(described(entry))


@pytest.mark.parametrize("name", [name for name in AS_TRAINED if "params" in catalog.get(name).published])
def test_published_parameters(name):
    entry = catalog.get(name)
    printed = re.match(r"([\d.]+)M", entry.published["params"])
    assert printed
    unit = 0.1 ** len(printed.group(1).partition(".")[2])
    assert abs(entry.cost.params / 1e6 - float(printed.group(1))) < unit


@pytest.mark.parametrize("name", [name for name in AS_TRAINED if "macs" in catalog.get(name).published])
def test_published_macs(name):
    entry = catalog.get(name)
    printed = re.match(r"([\d.]+)([GM])", entry.published["macs"])
    assert printed
    unit = 0.1 ** len(printed.group(1).partition(".")[2])
    found = entry.cost.macs / {"G": 1e9, "M": 1e6}[printed.group(2)]
    # timm counts a little more (norms, positions); authors cut or round the last digit
    assert abs(found - float(printed.group(1))) < max(unit, 0.015 * found)


@pytest.mark.parametrize("name", IN_SHELLS)
def test_a_mixer_stands_in_its_shell(name):
    """The shell with the mixer as a rule of a space is the entry's network."""
    entry = catalog.get(name)
    shell = shells()[entry.shell]
    space = Space({"network": shell["sentence"], "mixer": entry.mixer}, "network")
    drawn = space.draw(random.Random(0), entry.channels, entry.grid).sentence
    assert drawn.key(entry.channels, entry.grid) == entry.sentence.key(entry.channels, entry.grid)
    assert not entry.published  # those of a whole network are not the mixer's


def test_what_cannot_be_said_has_a_reason_and_points_at_entries():
    assert len(unsaid()) >= 9
    for item in unsaid():
        assert item.missing
        assert item.reason
    said = " ".join(item.instead for item in unsaid())
    assert {"tnl", "landmark", "catanet", "ffnet_forecast", "att_swin_unet"} <= set(re.findall(r"\w+", said))


def test_a_file_with_a_mistake_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "FOLDER", tmp_path)
    for line, wanted in {
        "sentence = 'lin'\nclases = 3": "clases",
        "channels = 3": "sentence",
        "mixer = 'lin'\nshell = 'nowhere'": "shell",
        "sentence = 'lin'\nchannels = 1\ngrid = [2]\nclasses = 2\npublished = { tpo1 = '3' }": "tpo1",
    }.items():
        (tmp_path / "shells.toml").write_text("")
        (tmp_path / "one.toml").write_text(f"family = 'f'\nsource = '2020'\n[entry]\n{line}\n")
        reading.shells.cache_clear()
        with pytest.raises(LanguageError, match=wanted):
            reading.entries.__wrapped__()
    reading.shells.cache_clear()


def test_the_baselines_of_the_digits_are_comparable():
    digits = task("digits-hard")
    names = catalog.names("digits-hard")
    families = {catalog.get(name).family for name in names}
    assert {"ViT", "MLP-Mixer", "ResMLP", "gMLP", "ConvNeXt", "PoolFormer", "FFNet", "NiNformer"} <= families
    for name in names:
        entry = catalog.get(name)
        assert (entry.channels, entry.grid, entry.classes) == (digits.channels, digits.grid, digits.classes)
        assert digits.network(entry.sentence) == entry.network
        assert entry.cost.macs < 6_000_000
        assert "48" in entry.text


def test_no_two_entries_are_one_network():
    keys = {}
    for name in catalog.names():
        entry = catalog.get(name)
        keys.setdefault(entry.network.key(entry.channels, entry.grid), []).append(name)
    assert not [names for names in keys.values() if len(names) > 1]


def test_an_unknown_entry():
    with pytest.raises(LanguageError, match=r"the catalogue has no vit_ti61[^~]*did you mean vit_ti16"):
        catalog.get("vit_ti61")
