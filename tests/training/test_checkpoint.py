from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from metamixer.training import checkpoint
from metamixer.training.evaluate import evaluate

SENTENCE = "patch(2,16) >> (res(norm >> dw(3)) >> res(bn >> ffn(2)))^2"
EVERYTHING = {
    "epochs": 4,
    "batch_size": 128,
    "crop": 1,
    "flip": "alternate",
    "mixup": 0.5,
    "drop_path": 0.2,
    "ema": 0.95,
}


def job(training, path=None, **more) -> dict:
    where = {} if path is None else {"checkpoint": {"path": str(path), "seconds": 0}}
    return {"sentence": SENTENCE, "task": {"name": "digits"}, "seed": 7, "training": training, **where, **more}


def timeless(result) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in result["curve"]]


class KilledError(Exception):
    pass


def killed_after(epochs):
    def report(row):
        if row["epoch"] == epochs:
            raise KilledError

    return report


@pytest.mark.parametrize(
    "changes",
    [{}, {"optimizer": "muon", "schedule": "cosine"}, {"optimizer": "sgd", "schedule": "linear", "ema": 0.0}],
)
def test_a_training_that_goes_on_has_the_numbers_of_one_that_was_not_interrupted(tmp_path, changes):
    path, weights = tmp_path / "3.checkpoint", tmp_path / "weights"
    training = {**EVERYTHING, **changes}
    whole = evaluate(job(training, weights=str(weights)), lambda row: None)
    expected = load_file(weights)
    with pytest.raises(KilledError):
        evaluate(job(training, path), killed_after(2))
    assert path.is_file()
    rows = []
    result = evaluate(job(training, path, weights=str(weights)), rows.append)
    assert timeless(result) == timeless(whole)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    kept = load_file(weights)
    assert kept.keys() == expected.keys()
    assert all(torch.equal(kept[name], expected[name]) for name in kept)
    assert result["curve"][2]["seconds"] > result["curve"][1]["seconds"]
    assert list(tmp_path.iterdir()) == [weights]  # the checkpoint is gone


def test_epochs_of_a_checkpoint_are_not_trained_again(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint"
    with pytest.raises(KilledError):
        evaluate(job(EVERYTHING, path), killed_after(3))
    from metamixer.training import loop

    epochs = []
    original = loop._epoch
    monkeypatch.setattr(loop, "_epoch", lambda *a, **k: (epochs.append(a[5]), original(*a, **k))[1])
    evaluate(job(EVERYTHING, path), lambda row: None)
    assert epochs == [4]


def test_a_training_can_be_stopped_at_an_epoch_of_its_checkpoint(tmp_path):
    path = tmp_path / "checkpoint"
    with pytest.raises(KilledError):
        evaluate(job(EVERYTHING, path), killed_after(3))
    result = evaluate(job(EVERYTHING, path), lambda row: row["epoch"] < 2)
    assert (result["state"], len(result["curve"])) == ("stopped", 2)
    assert not path.exists()


@pytest.mark.parametrize("changes", [{"seed": 8}, {"training": {**EVERYTHING, "crop": 2}}, {"sentence": "patch(2,24)"}])
def test_a_checkpoint_of_another_training_is_passed_over(tmp_path, changes):
    path = tmp_path / "checkpoint"
    with pytest.raises(KilledError):
        evaluate(job(EVERYTHING, path), killed_after(1))
    other = {**job(EVERYTHING), **changes}
    fresh = evaluate(other, lambda row: None)
    assert timeless(evaluate({**job(EVERYTHING, path), **changes}, lambda row: None)) == timeless(fresh)


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"no archive", lambda data: data[: len(data) // 2]])
def test_a_checkpoint_that_cannot_be_read_costs_time_and_no_numbers(tmp_path, damage):
    path = tmp_path / "checkpoint"
    with pytest.raises(KilledError):
        evaluate(job(EVERYTHING, path), killed_after(1))
    path.write_bytes(damage(path.read_bytes()))
    assert timeless(evaluate(job(EVERYTHING, path), lambda row: None)) == timeless(
        evaluate(job(EVERYTHING), lambda row: None)
    )


def test_short_trainings_write_no_checkpoint(tmp_path):
    asked = {"path": str(tmp_path / "checkpoint"), "seconds": 1000}
    seen = []
    evaluate(job({"epochs": 2}, checkpoint=asked), lambda row: seen.extend(tmp_path.iterdir()))
    assert seen == []


def test_a_checkpoint_that_cannot_be_written_is_no_failure(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="no checkpoint"):
        result = evaluate(job({"epochs": 2}, tmp_path / "file" / "checkpoint"), lambda row: None)
    assert (result["state"], len(result["curve"])) == ("finished", 2)


def test_nothing_is_run_that_a_checkpoint_says(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    path = tmp_path / "checkpoint"
    torch.save({"format": checkpoint.FORMAT, "of": {}, "evil": Evil()}, path)
    assert checkpoint.load(path, {}, torch.device("cpu")) is None
    assert not (tmp_path / "made").exists()


def test_a_process_that_was_really_killed_continues(tmp_path):
    path = tmp_path / "checkpoint"
    training = {**EVERYTHING, "epochs": 60}
    program = (
        "import json, sys\nfrom metamixer.training.evaluate import evaluate\n"
        "evaluate(json.loads(sys.argv[1]), lambda row: print(int(row['epoch']), flush=True))"
    )
    arguments = [sys.executable, "-c", program, json.dumps(job(training, path))]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 3:
                process.send_signal(signal.SIGKILL)
                break
    assert path.is_file()
    result = evaluate(job(training, path), lambda row: row["epoch"] < 6)
    fresh = evaluate(job(training), lambda row: row["epoch"] < 6)
    assert timeless(result) == timeless(fresh)
