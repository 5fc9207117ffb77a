"""A trial that was killed goes on where it was: the driver says where it is kept, and clears it away."""

from __future__ import annotations

from pathlib import Path

import pytest

from metamixer import record
from metamixer.search import driver
from metamixer.search.study import Study
from metamixer.training import loop
from metamixer.training.evaluate import evaluate

KILLED = "killed"


class KilledError(BaseException):
    pass


def dying(job, report):
    """Dies once, after two epochs of the first trial, as a killed process does: nothing is caught."""
    flag = Path(job["checkpoint"]["path"]).parents[1] / KILLED

    def reported(row):
        if row["epoch"] == 2 and not flag.exists():
            flag.touch()
            raise KilledError
        return report(row)

    return evaluate(job, reported)


def study(runs: Path, name: str) -> Study:
    overrides = [
        "study.task=digits",
        "study.budget=2",
        "training.batch_size=250",
        "study.confirm=1",
        "training.epochs=3",
        "baselines.names=[]",
        "search.references=''",
    ]
    return Study.load("digits", overrides, runs).renamed(name)


def test_a_killed_trial_goes_on_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("metamixer.search.execution.inline.resolve", lambda name: dying)
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / KILLED).touch()
    study(tmp_path, "whole").run(dispatcher="inline")
    with pytest.raises(KilledError):
        study(tmp_path, "killed").run(dispatcher="inline")
    assert len(list((tmp_path / "killed" / "checkpoints").iterdir())) == 1

    trained = []
    original = loop._epoch
    monkeypatch.setattr(loop, "_epoch", lambda *a, **k: (trained.append(a[5]), original(*a, **k))[1])
    study(tmp_path, "killed").run(dispatcher="inline")
    assert trained == [3, 1, 2, 3]
    assert not list((tmp_path / "killed" / "checkpoints").iterdir())

    def curves(name):
        return [[row["validation_loss"] for row in trial.curve] for trial in record.read(tmp_path / name)]

    assert curves("killed") == curves("whole")
