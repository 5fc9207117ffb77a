"""A front trained in full and measured on the test part, in the record beside the search and unseen by it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import metamixer as mm
from metamixer import record
from metamixer.cli import app
from metamixer.cli.output.export import found
from metamixer.errors import RecordError, StudyError, TaskError
from metamixer.record import Trial, front, retrained
from metamixer.retraining import retrain
from metamixer.search.driver.state import SearchState

STUDY = (
    "[study]\nname = 'small'\nspace = 'small.toml'\ntask = 'digits'\nbudget = {budget}\nconfirm = 1\n"
    "[training]\nepochs = 1\n[baselines]\nnames = []\n[search]\nreferences = ''\n"
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished search of two architectures; the working folder holds its study."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text("[rules]\nnetwork = 'patch(4,{4|5|6|7|8}) >> res(bn >> lin)'")
    (tmp_path / "study.toml").write_text(STUDY.format(budget=2))
    mm.Study.load("study.toml").run("inline")
    return tmp_path / "runs/small"


def searched(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.kind != "retrained"]


def test_a_front_is_retrained_measured_loaded_and_not_mistaken_for_a_search(run: Path) -> None:
    before = record.read(run)
    said: list[str] = []
    _, complete = retrain("small", seeds=2, training={"epochs": 2}, dispatcher="inline", say=said.append)
    after = record.read(run)
    new = after[len(before) :]
    members = {point.number for point in front.summary(before) if point.on_front}
    assert complete
    assert after[: len(before)] == before
    assert {(trial.retrains, trial.seed_index) for trial in new} == {(n, i) for n in members for i in (0, 1)}
    assert all(trial.kind == "retrained" and trial.accuracy is None and trial.epochs == 2 for trial in new)
    assert all((trial.test or {})["images"] == 297 for trial in new)
    assert "validation_accuracy" not in new[0].curve[-1]
    assert front.summary(after) == front.summary(before)
    state, earlier = SearchState(after), SearchState(before)
    assert (state.front, state.kinds["searched"], state.replicated) == (
        earlier.front,
        earlier.kinds["searched"],
        earlier.replicated,
    )
    # What the record says of the test part is what the loaded network does.
    from metamixer.tasks import get

    net, test = mm.load(f"small#{new[0].retrains}"), get("digits").test()
    assert Path(net.pretrained_cfg["file"]).parent.name == "retrained"
    with torch.inference_mode():
        right = net(torch.tensor(test.x).movedim(-1, 1)).argmax(1).numpy() == test.y
    assert right.mean() == (new[0].test or {})["accuracy"]
    # Again: nothing is left. By another recipe it is trained anew, beside what is there.
    retrain("small", seeds=2, training={"epochs": 2}, dispatcher="inline")
    assert len(record.read(run)) == len(after)
    retrain("small", seeds=1, training={"epochs": 1}, dispatcher="inline")
    other = record.read(run)[-1]
    assert {trial.weights for trial in new}.isdisjoint({other.weights})
    assert mm.load(f"small#{other.retrains}").pretrained_cfg["file"].endswith(str(other.weights))


def test_a_search_goes_on_as_if_nothing_had_been_retrained(run: Path) -> None:
    retrain("small", seeds=1, dispatcher="inline")
    (run.parent.parent / "study.toml").write_text(STUDY.format(budget=3))
    assert mm.Study.load("study.toml").run("inline").trained == 3
    trials = record.read(run)
    assert [trial.kind for trial in trials if trial.kind != "rejected"] == [
        *["searched"] * 2,
        *["retrained"] * sum(trial.kind == "retrained" for trial in trials),
        "searched",
    ]


def test_what_was_interrupted_goes_on(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    from metamixer.retraining.driver import Retraining

    finished = Retraining.finished

    def once(self: Retraining, number: int, result: dict[str, object]) -> None:
        finished(self, number, result)
        raise Killed

    number = searched(record.read(run))[0].number
    monkeypatch.setattr(Retraining, "finished", once)
    with pytest.raises(Killed):
        retrain("small", number, seeds=2, dispatcher="inline")
    monkeypatch.undo()
    monkeypatch.chdir(run.parent.parent)
    kept = [trial for trial in record.read(run) if trial.kind == "retrained"]
    said: list[str] = []
    retrain("small", number, seeds=2, dispatcher="inline", say=said.append)
    again = [trial for trial in record.read(run) if trial.kind == "retrained"]
    assert said[0].endswith("1 trainings")
    assert again[:1] == kept
    assert [trial.seed_index for trial in again] == [0, 1]


def test_the_command_shows_test_beside_validation(run: Path) -> None:
    number = searched(record.read(run))[0].number
    command = ["retrain", f"small#{number}", "--seeds", "2", "--dispatcher", "inline", "--json"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (one,) = document["retrained"]
    assert one["number"] == number
    assert len(one["accuracies"]) == 2
    assert one["interval"][0] < one["accuracy"] < one["interval"][1]
    assert document["kendall_tau"] is None
    shown = CliRunner().invoke(app, ["show", "small"])
    assert f"{one['accuracy']:.4f}" in shown.stdout
    assert "Test accuracy on 297 images" in shown.stdout
    report = CliRunner().invoke(app, ["report", "small"])
    assert report.exit_code == 0, report.output


def test_what_is_exported_are_the_retrained_weights_with_their_test_accuracy(run: Path) -> None:
    best = max((point for point in front.summary(record.read(run)) if point.on_front), key=lambda point: point.accuracy)
    before, searched_net = found("small#best", None, None, 0, Path("runs"))
    assert "test_accuracy" not in before.origin
    retrain("small", best.number, seeds=2, training={"epochs": 2}, dispatcher="inline")
    (one,) = retrained.summary(record.read(run))
    after, net = found("small#best", None, None, 0, Path("runs"))
    assert after.title == before.title == f"small, trial {best.number}"
    assert after.origin["test_accuracy"] == one.accuracy
    assert after.origin["test"]["seeds"] == 2
    assert after.origin["epochs"] == after.origin["recipe"]["epochs"] == 2
    assert not all(map(torch.equal, net.parameters(), searched_net.parameters()))
    with pytest.raises(RecordError, match="no trial '99'"):
        found("small#99", None, None, 0, Path("runs"))


def test_what_cannot_be_retrained_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecordError, match="no trial 99"):
        retrain("small", 99, dispatcher="inline")
    with pytest.raises(StudyError, match="preset"):
        retrain("small", training={"preset": "unheard"}, dispatcher="inline")
    assert CliRunner().invoke(app, ["retrain", "small"]).exit_code == 2
    from dataclasses import replace

    from metamixer.retraining import run as running
    from metamixer.tasks import get

    monkeypatch.setattr(running, "of", lambda document: replace(get("digits"), load_test=None))
    with pytest.raises(TaskError, match="no test part"):
        retrain("small", dispatcher="inline")


def test_wilsons_interval_and_the_rankings_agreement() -> None:
    from scipy.stats import binomtest

    for right, count in ((50, 100), (10, 10), (0, 7), (289, 297)):
        interval = binomtest(right, count).proportion_ci(method="wilson")
        assert retrained.wilson(right / count, count) == pytest.approx((interval.low, interval.high))

    def one(number: int, validation: float, test: float) -> retrained.Retrained:
        return retrained.Retrained(
            number, "searched", None, "lin", {}, validation, (test,), test, None, (0.0, 1.0), 10, 1
        )

    alike = retrained.agreement([one(i, i / 10, i / 10) for i in range(5)])
    assert alike is not None
    assert (alike.tau, alike.count) == (pytest.approx(1.0), 5)
    turned = retrained.agreement([one(0, 0.1, 0.3), one(1, 0.2, 0.1), one(2, 0.3, 0.2)])
    assert turned is not None
    assert turned.tau == pytest.approx(-1 / 3)
    assert turned.interval[0] <= turned.tau <= turned.interval[1]
    assert retrained.agreement([one(0, 0.1, 0.1), one(1, 0.2, 0.2)]) is None
