from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest
from pydantic import ValidationError

from metamixer.training.presets import PRESETS
from metamixer.training.recipe import Recipe


def test_unknown_fields_are_refused():
    with pytest.raises(ValidationError, match=r"epoch\n.*Extra inputs"):
        Recipe(epoch=3)


@pytest.mark.parametrize(
    "field",
    ["epochs", "batch_size", "learning_rate", "weight_decay", "beta1", "beta2", "warmup_share", "gradient_clip"],
)
def test_negative_numbers_are_refused(field):
    with pytest.raises(ValidationError, match=field):
        Recipe(**{field: -1})


def test_every_field_is_described_and_in_the_schema():
    properties = Recipe.model_json_schema()["properties"]
    assert set(properties) == set(Recipe.model_fields)
    assert all(field["description"] and "default" in field for field in properties.values())


def test_it_needs_no_torch():
    code = "import sys, metamixer.training.recipe; assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    "field",
    ["drop_path", "ema", "crop", "cutout", "erasing", "randaugment", "mixup", "cutmix", "momentum", "last_rate"],
)
def test_negative_amounts_of_augmentation_are_refused(field):
    with pytest.raises(ValidationError, match=field):
        Recipe(**{field: -1})


def test_a_recipe_that_asks_for_nothing_new_is_written_as_it_always_was():
    """So that records and tables of older versions are still of the same recipe."""
    written = (
        '{"epochs":9,"batch_size":64,"learning_rate":0.006,"weight_decay":0.05,"beta1":0.9,"beta2":0.99,'
        '"warmup_share":0.25,"label_smoothing":0.05,"gradient_clip":1.0}'
    )
    assert Recipe().model_dump_json() == written
    assert json.loads(Recipe(ema=0.9).model_dump_json()) == {**json.loads(written), "ema": 0.9}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_settings_and_explicit_keys_override_it(name):
    recipe = Recipe(preset=name)
    assert {key: getattr(recipe, key) for key in PRESETS[name]} == PRESETS[name]
    other = Recipe(preset=name, crop=0, learning_rate=0.123)
    assert (other.crop, other.learning_rate) == (0, 0.123)
    assert other.batch_size == PRESETS[name]["batch_size"]


@pytest.mark.parametrize("changes", [{}, {"crop": 0}, {"flip": "none", "gradient_clip": 1.0}, {"ema": 0.0}])
@pytest.mark.parametrize("name", [None, *PRESETS])
def test_what_is_written_is_read_back_the_same(name, changes):
    recipe = Recipe(**({} if name is None else {"preset": name}), **changes)
    assert Recipe(**recipe.model_dump(mode="json")) == recipe
    assert Recipe(**json.loads(recipe.model_dump_json())) == recipe


def test_an_unknown_preset_is_refused_with_those_there_are():
    with pytest.raises(ValidationError, match="'ninformer', 'ffnet' or 'airbench'"):
        Recipe(preset="ninforme")


def test_a_study_takes_a_preset_and_overrides_of_it():
    from metamixer.search import configuration

    config = configuration.load("digits", ["training.preset=airbench", "training.epochs=2"])
    assert (config.training.optimizer, config.training.epochs) == ("sgd", 2)
    # What the study's file says itself is explicit, too.
    assert config.training.learning_rate == 6e-3
    assert configuration.parse(tomllib.loads(configuration.to_toml(config))) == config


def test_the_page_on_training_names_every_key_with_its_default(repository):
    page = (repository / "docs" / "training.md").read_text(encoding="utf-8")
    assert not [name for name in Recipe.model_fields if f"`{name}`" not in page]
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) > 3 and cells[1].startswith("`") and "," not in cells[1] and cells[1].strip("`") != "preset":
            rows[cells[1].strip("`")] = cells[2].strip('`"')
    assert len(rows) > 15
    for name, default in rows.items():
        if name in Recipe.model_fields:
            expected = Recipe.model_fields[name].default
            assert default == str(expected).lower() or float(default) == float(expected), name
