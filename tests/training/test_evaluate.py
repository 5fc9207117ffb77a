from __future__ import annotations

import json
import math
import random
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from metamixer.errors import RecordError
from metamixer.tasks import get
from metamixer.training import weights
from metamixer.training.evaluate import evaluate
from metamixer.training.recipe import Recipe


class Small(nn.Module):
    """A two-layer perceptron with batch statistics, and one weight matrix used twice."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.GELU())
        self.inner = nn.Linear(width, width)
        self.again = self.inner
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        y = self.first(x)
        return self.head(y + torch.relu(self.again(torch.relu(self.inner(y)))))


def small(sentence, task) -> nn.Module:
    return Small()


def job(**changes) -> dict:
    plain = {"number": 3, "sentence": "lin", "task": {"name": "digits-hard"}, "seed": 5, "training": {"epochs": 2}}
    return {**plain, **changes}


def run(builder=small, report=lambda row: None, **changes) -> dict:
    return evaluate(job(**changes), report, builder=builder)


def timeless(curve: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in curve]


def test_a_finished_trial():
    rows = []
    result = run(report=rows.append, training={"epochs": 4})
    assert result["state"] == "finished"
    assert result["reason"] is result["traceback"] is None
    assert rows == result["curve"]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert result["accuracy"] == rows[-1]["validation_accuracy"] > 0.85
    assert result["loss"] == rows[-1]["validation_loss"] < rows[0]["validation_loss"]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["train_accuracy"] > 0.85
    assert 0 < rows[0]["seconds"] < rows[-1]["seconds"] <= result["seconds"]
    assert result["device"] == "cpu"
    assert result["versions"]["torch"] == torch.__version__
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_one_job_gives_one_curve_and_another_seed_another():
    one, again, other = run(), run(), run(seed=6)
    assert timeless(one["curve"]) == timeless(again["curve"])
    assert one["accuracy"] == again["accuracy"]
    assert timeless(one["curve"]) != timeless(other["curve"])


def test_what_the_network_draws_does_not_change_the_batches():
    seen = []

    class Watching(Small):
        def forward(self, x):
            if self.training:
                torch.rand(1)
                seen.append(x[0].sum().item())
            return super().forward(x)

    def wasteful(sentence, task):
        torch.rand(7)
        return Watching(16)

    run(builder=wasteful)
    run(builder=lambda sentence, task: Watching())
    assert len(seen) == 2 * 2 * (4000 // 64)
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_the_callers_chance_and_threads_are_left_alone():
    def chance():
        return random.random(), np.random.rand(), torch.rand(1).item()

    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    expected = chance()
    random.seed(0), np.random.seed(0), torch.manual_seed(0)
    threads = torch.get_num_threads()
    inside = []

    def watching(sentence, task):
        inside.append(torch.get_num_threads())
        return Small()

    run(builder=watching, threads=2, training={"epochs": 1})
    assert inside == [2]
    assert torch.get_num_threads() == threads
    assert chance() == expected


def test_training_stops_early_when_told(tmp_path):
    weights = tmp_path / "weights"
    result = run(report=lambda row: row["epoch"] < 2, training={"epochs": 9}, weights=str(weights))
    assert (result["state"], result["reason"]) == ("stopped", None)
    assert len(result["curve"]) == 2
    assert result["accuracy"] == result["curve"][1]["validation_accuracy"]
    assert not weights.exists()
    # After the last epoch there is nothing left to stop.
    result = run(report=lambda row: False, training={"epochs": 1}, weights=str(weights))
    assert (result["state"], len(result["curve"])) == ("finished", 1)
    assert weights.exists()


def test_what_the_report_raises_is_not_the_trials_failure():
    def failing(row):
        raise ConnectionError("driver is gone")

    threads = torch.get_num_threads()
    with pytest.raises(ConnectionError):
        run(report=failing, threads=2)
    assert torch.get_num_threads() == threads


def failing_after(batches: int, failure):
    """A network whose forward pass calls `failure` from the given training batch on."""

    class Failing(Small):
        count = 0

        def forward(self, x):
            y = super().forward(x)
            if self.training:
                self.count += 1
                if self.count > batches:
                    return failure(y)
            return y

    return lambda sentence, task: Failing()


def raising(error: Exception):
    def failure(y):
        raise error

    return failure


# 62 batches an epoch: the trials fail in their second.
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (lambda y: y * math.nan, "nan"),
        (lambda y: y * math.inf, "nan"),
        (raising(MemoryError()), "out of memory"),
        (raising(torch.OutOfMemoryError("CUDA out of memory")), "out of memory"),
        (raising(ZeroDivisionError("by zero")), "exception: ZeroDivisionError: by zero"),
        (lambda y: y[:, :9], "exception: ValueError: the network gives (64, 9), not (64, 10) (images, classes)"),
    ],
)
def test_failures_are_results(failure, reason):
    result = run(builder=failing_after(70, failure))
    assert result["state"] == "failed"
    assert result["reason"] == reason
    assert result["accuracy"] is result["loss"] is None
    assert len(result["curve"]) == 1
    if reason == "nan":
        assert result["traceback"] is None
    else:
        assert "Traceback" in result["traceback"]
    json.dumps(result, allow_nan=False)


def test_memory_that_the_cpu_does_not_have():
    result = run(builder=lambda sentence, task: nn.Linear(2**30, 2**30))
    assert result["reason"] == "out of memory"


def test_a_network_that_cannot_be_built():
    result = run(builder=lambda sentence, task: raising(TypeError("no such word"))(None))
    assert result["reason"] == "exception: TypeError: no such word"
    assert result["curve"] == []


def test_an_unknown_recipe_field_is_a_failure_that_names_it():
    result = run(training={"epoch": 3})
    assert result["state"] == "failed"
    assert "epoch" in result["reason"]


def test_time_limit_within_an_epoch():
    class Slow(Small):
        def forward(self, x):
            end = time.process_time() + 0.05
            while time.process_time() < end:
                pass
            return super().forward(x)

    result = run(builder=lambda sentence, task: Slow(), time_limit=0.5)
    assert result["state"] == "failed"
    assert result["reason"] == "time limit"
    assert 0.4 < result["seconds"] < 60  # the whole training would take minutes


def test_time_in_which_the_processor_works_for_others_does_not_count():
    class Waiting(Small):
        waited = 0.0

        def forward(self, x):
            if self.waited < 8.0:
                time.sleep(2)
                type(self).waited += 2
            return super().forward(x)

    result = run(builder=lambda sentence, task: Waiting(), training={"epochs": 1}, time_limit=7.9)
    assert (result["state"], result["reason"]) == ("finished", None)
    assert result["seconds"] > 8.0


def test_weights_are_written_whole_and_read_back(tmp_path):
    path = tmp_path / "weights" / "3.safetensors"
    result = run(weights=str(path))
    assert list(path.parent.iterdir()) == [path]
    about = weights.metadata_of(path)
    assert about["sentence"] == "lin"
    assert about["task"] == "digits-hard"
    assert about["fingerprint"] == get("digits-hard").fingerprint
    assert about["seed"] == "5"
    assert float(about["accuracy"]) == result["accuracy"]
    net = Small()
    weights.load(net, path)
    net.eval()
    arrays = get("digits-hard").data()
    with torch.inference_mode():
        hits = net(torch.tensor(arrays.x_val)).argmax(1).numpy() == arrays.y_val
    assert hits.mean() == result["accuracy"]
    with pytest.raises(RecordError, match="another network"):
        weights.load(Small(16), path)


def test_a_failed_trial_leaves_no_weights(tmp_path):
    run(builder=failing_after(70, lambda y: y * math.nan), weights=str(tmp_path / "3.safetensors"))
    assert list(tmp_path.iterdir()) == []


def test_weights_that_cannot_be_read(tmp_path):
    with pytest.raises(RecordError, match="cannot be read"):
        weights.metadata_of(tmp_path / "none.safetensors")
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"no tensors")
    with pytest.raises(RecordError, match="cannot be read"):
        weights.metadata_of(bad)
    with pytest.raises(RecordError, match="cannot be read"):
        weights.load(Small(), bad)


def test_an_unwritable_place_is_the_trials_failure(tmp_path):
    (tmp_path / "file").write_text("")
    result = run(weights=str(tmp_path / "file" / "3.safetensors"))
    assert result["state"] == "failed"
    assert "Error" in result["reason"]


def test_scales_and_biases_are_not_decayed():
    built: list[nn.Module] = []

    def keeping(sentence, task):
        torch.manual_seed(1)
        built.append(Small())
        nn.init.ones_(built[-1].first[2].weight)
        return built[-1]

    # With a learning rate that moves nothing but decay, only matrices shrink.
    strong = {"epochs": 1, "learning_rate": 1e-6, "weight_decay": 10.0}
    assert Recipe(**strong).weight_decay == 10
    run(builder=keeping, training=strong)
    run(builder=keeping, training={**strong, "weight_decay": 0.0})
    decayed, free = built
    assert decayed.inner.weight.norm() < free.inner.weight.norm()
    assert (decayed.first[2].weight - free.first[2].weight).abs().max() < 1e-6


def test_a_sentence_trains():
    result = evaluate(
        job(sentence="patch(2,24) >> (res(norm >> dw(3)) >> res(norm >> ffn(2)))^2 >> norm", training={"epochs": 3}),
        lambda row: None,
    )
    assert result["reason"] is None, result["traceback"]
    assert result["accuracy"] > 0.6


def test_a_sentence_that_does_not_fit_is_a_failure_with_its_message():
    result = evaluate(job(sentence="patch(3,24)"), lambda row: None)
    assert result["state"] == "failed"
    assert result["reason"].startswith("exception: LanguageError: ")


def test_the_dotted_name_resolves():
    from importlib import import_module

    module, _, name = "metamixer.training.evaluate:evaluate".partition(":")
    assert getattr(import_module(module), name) is evaluate
    assert Path(import_module(module).__file__).name == "evaluate.py"
