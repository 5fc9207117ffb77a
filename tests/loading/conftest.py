"""A run with two trained trials: one of the space, and one whose weights were not kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from metamixer.tasks import get
from metamixer.training.evaluate import evaluate

SENTENCE = "patch(2,8) >> res(bn >> att(lin,lin,lin)@h(2) >> lin)^2"


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A file of weights of one epoch on digits, and its validation accuracy."""
    file = tmp_path_factory.mktemp("weights") / "model.safetensors"
    job = {"sentence": SENTENCE, "task": get("digits").document(), "training": {"epochs": 1}, "seed": 3}
    result = evaluate({**job, "weights": str(file)}, lambda row: True)
    assert result["state"] == "finished", result
    return file, result["accuracy"]
