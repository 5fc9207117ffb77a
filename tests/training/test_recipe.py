from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

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
