"""What samplers propose on a fixed seed does not change unless somebody means it to.

`proposals.json` holds the first 30 architectures that each sampler proposed on `digits` with seed 7 before the rooms of
the package were rebuilt (commit 2272238), for the accuracies that `toys:fast` makes up.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metamixer import record
from metamixer.search import Study

PROPOSALS = json.loads(Path(__file__).with_name("proposals.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("sampler", PROPOSALS)
def test_a_sampler_proposes_what_it_proposed(sampler: str, tmp_path: Path) -> None:
    overrides = (
        "study.budget=30",
        "study.confirm=1",
        "study.seed=7",
        "training.epochs=1",
        f"search.sampler={sampler}",
        "search.evaluate=toys:fast",
        'search.references=""',
        "baselines.names=[]",
        "search.time_limit=600",
    )
    study = Study(Study.load("digits", overrides).config, tmp_path)
    study.run(dispatcher="inline")
    searched = [trial.sentence for trial in record.read(study.path) if trial.kind == "searched"]
    assert searched == PROPOSALS[sampler]
