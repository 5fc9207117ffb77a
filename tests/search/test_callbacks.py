"""Callbacks show a search elsewhere: what TensorBoard, MLflow and Weights & Biases themselves read back."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from metamixer import record
from metamixer.errors import ResourceError, StudyError
from metamixer.record import Trial
from metamixer.search import callbacks, plugins
from metamixer.search.callbacks import Feed
from metamixer.search.progress import Lines
from metamixer.search.study import Study

Load = Callable[..., Study]


class Kept:
    """Keeps what it is told."""

    made: list[Kept] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.rows: list[Trial] = []
        self.begun: list[tuple[Path, Mapping[str, Any]]] = []
        self.closed = 0
        self.made.append(self)

    def start(self, run: Path, settings: Mapping[str, Any]) -> None:
        self.begun.append((run, settings))

    def ended(self, row: Trial) -> None:
        self.rows.append(row)

    def close(self) -> None:
        self.closed += 1


class Broken(Kept):
    def ended(self, row: Trial) -> None:
        raise ZeroDivisionError("by design")


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plug-in's callbacks, as entry points of an installed package."""
    group = callbacks.PLUGINS.group
    points = [EntryPoint(name, f"{__name__}:{kind}", group) for name, kind in OFFERED.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [p for p in points if p.group == group])
    monkeypatch.setattr(Kept, "made", [])


OFFERED = {"kept": "Kept", "broken": "Broken"}


@pytest.mark.usefixtures("offered")
def test_every_row_is_told_once_in_a_drivers_life_and_earlier_ones_too(load: Load) -> None:
    study = load('search.callbacks=["kept"]', "study.budget=4", "study.confirm=1")
    study.run("inline")
    (first,) = Kept.made
    assert [replace(row, weights=None) for row in first.rows] == without_weights(study)
    assert first.begun[0][0] == study.path
    assert first.begun[0][1]["study"]["budget"] == 4
    assert first.closed == 1
    load('search.callbacks=["kept"]', "study.budget=6", "study.confirm=1").run("inline")
    assert [replace(row, weights=None) for row in Kept.made[1].rows] == without_weights(study)


def without_weights(study: Study) -> list[Trial]:
    """Rows as they were when they ended, but for the weights: some are deleted later."""
    return [replace(row, weights=None) for row in record.read(study.path)]


@pytest.mark.usefixtures("offered")
def test_one_that_fails_is_left_out_and_the_search_goes_on(load: Load) -> None:
    lines: list[str] = []
    study = load('search.callbacks=["broken", "kept"]', "study.budget=3", "study.confirm=1")
    assert study.run("inline", view=Lines(lines.append)).trained == 3
    assert sum("callback broken failed and is left out: ZeroDivisionError: by design" in line for line in lines) == 1
    broken, kept = Kept.made
    assert (broken.closed, kept.closed) == (0, 1)
    assert len(kept.rows) == len(record.read(study.path))


def test_rows_are_handed_over_when_they_end() -> None:
    kept = Kept()
    feed = Feed({"kept": kept}, print)
    rows = [Trial(0, "running", "searched"), Trial(1, "pruned", "rejected"), Trial(2, "running", "searched")]
    feed.show(rows)
    feed.show(rows)
    rows[2] = Trial(2, "complete", "searched")
    rows.append(Trial(3, "failed", "searched"))
    feed.show(rows)
    rows[0] = Trial(0, "complete", "searched")
    feed.show(rows)
    feed.show(rows)
    assert [row.number for row in kept.rows] == [1, 2, 3, 0]


def test_unknown_and_uninstalled_ones_are_one_message(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyError, match="unknown callback 'tensorbord'") as error:
        load('search.callbacks=["tensorbord"]').run("inline")
    assert "did you mean tensorboard? one of: tensorboard, mlflow, wandb, or your own" in (error.value.advice or "")

    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not there
    with pytest.raises(ResourceError, match="needs a package that is not installed: wandb") as lacking:
        load('search.callbacks=["wandb"]').run("inline")
    assert "metamixer[wandb]" in str(lacking.value)
    assert not load().path.exists()


def twice(load: Load, name: str) -> tuple[Study, list[Trial]]:
    """A study with a callback, continued with a larger budget; its rows but proposals."""
    for budget in (3, 4):
        study = load(f'search.callbacks=["{name}"]', f"study.budget={budget}", "study.confirm=1")
        lines: list[str] = []
        study.run("inline", view=Lines(lines.append))
        assert not any("callback" in line for line in lines), lines
    return study, [row for row in record.read(study.path) if row.kind != "rejected"]


def test_tensorboard_reads_curves_and_trials(load: Load) -> None:
    pytest.importorskip("tensorboardX", reason="no TensorBoard: pip install 'metamixer[tensorboard]'")
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="no TensorBoard to read its files with"
    )
    study, rows = twice(load, "tensorboard")

    def read(folder: Path) -> Any:
        return events.EventAccumulator(str(folder)).Reload()

    whole = read(study.path / "tensorboard")
    assert [(e.step, pytest.approx(e.value)) for e in whole.Scalars("trials/accuracy")] == [
        (row.number, row.accuracy) for row in rows
    ]
    assert [e.value for e in whole.Scalars("trials/mflops")] == [pytest.approx(row.flops / 1e6) for row in rows]
    for row in rows:
        curve = read(study.path / "tensorboard" / f"trial_{row.number}").Scalars("validation_accuracy")
        assert [(e.step, pytest.approx(e.value)) for e in curve] == [
            (epoch["epoch"], epoch["validation_accuracy"]) for epoch in row.curve
        ]


def test_mlflow_reads_a_run_for_every_trial(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow", reason="no MLflow: pip install 'metamixer[mlflow]'")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    study, rows = twice(load, "mlflow")
    client = MlflowClient(f"file:{study.path / 'mlflow'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = {run.data.tags["metamixer.trial"]: run for run in client.search_runs([experiment.experiment_id])}
    assert sorted(map(int, runs)) == [row.number for row in rows]
    assert len(client.search_runs([experiment.experiment_id])) == len(rows)
    for row in rows:
        run = runs[str(row.number)]
        assert run.info.status == "FINISHED"
        assert run.data.params["sentence"] == row.sentence
        assert run.data.metrics["final_accuracy"] == row.accuracy
        history = client.get_metric_history(run.info.run_id, "validation_accuracy")
        assert [(point.step, point.value) for point in history] == [
            (epoch["epoch"], epoch["validation_accuracy"]) for epoch in row.curve
        ]


def records(log: bytes) -> Iterator[bytes]:
    """The records of W&B's file: LevelDB's log format after seven bytes, https://github.com/google/leveldb/doc."""
    assert log[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(log):
        if 32768 - at % 32768 < 7:  # no header fits into the rest of a block
            at += 32768 - at % 32768
            continue
        length, kind = int.from_bytes(log[at + 4 : at + 6], "little"), log[at + 6]
        parts += log[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def test_weights_and_biases_reads_a_step_for_every_trial(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="no Weights & Biases: pip install 'metamixer[wandb]'")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    study, rows = twice(load, "wandb")
    (file,) = (study.path / "wandb").glob("offline-run-*-small/*.wandb")
    logged = []
    for data in records(file.read_bytes()):
        found = wandb_internal_pb2.Record()
        found.ParseFromString(data)
        if found.WhichOneof("record_type") == "history":
            items = found.history.item
            logged.append({i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items})
    assert [(step["trial"], step["accuracy"], step["sentence"]) for step in logged] == [
        (row.number, row.accuracy, row.sentence) for row in rows
    ]
