from __future__ import annotations

import json

import pytest

from metamixer import tasks
from metamixer.cli.output import task as command
from metamixer.errors import TaskError
from metamixer.training.noise import Noise, measure
from metamixer.training.recipe import Recipe
from metamixer.training.reference import reference_accuracies

STRONG = "fconv(3,16) >> norm >> gelu >> down(2,24) >> res(norm >> ffn(2))"
WEAK = "patch(8,2)"


def test_spread_and_noise_by_hand():
    noise = Noise({"a": (0.90, 0.92), "b": (0.80, 0.84)})
    # Means 0.91 and 0.82; variances 0.0002 and 0.0008, pooled 0.0005.
    assert noise.spread == pytest.approx(0.09 / 2**0.5)
    assert noise.noise == pytest.approx(0.0005**0.5)
    assert noise.ratio == pytest.approx(0.09 / 0.001**0.5)


def test_the_farthest_is_left_out():
    noise = Noise({"a": (0.9, 0.91), "b": (0.92, 0.93), "outlier": (0.5, 0.51)})
    assert set(noise.without_farthest().accuracies) == {"a", "b"}
    assert noise.without_farthest().ratio < noise.ratio


def test_equal_seeds_have_no_noise():
    assert Noise({"a": (0.5, 0.5), "b": (0.6, 0.6)}).ratio == float("inf")


def test_too_little_to_compare_is_told():
    with pytest.raises(TaskError, match="two architectures and two seeds, not 1 and 3"):
        measure("digits-hard", {"only": WEAK})


def test_measured_in_processes():
    seen = []
    noise = measure(
        "digits-hard",
        {"strong": STRONG, "weak": WEAK},
        seeds=(0, 1),
        recipe=Recipe(epochs=2),
        workers=2,
        done=lambda name, seed, accuracy: seen.append((name, seed)),
    )
    assert sorted(seen) == [("strong", 0), ("strong", 1), ("weak", 0), ("weak", 1)]
    assert min(noise.accuracies["strong"]) > max(noise.accuracies["weak"])
    assert noise.ratio > 3


def test_a_training_that_fails_is_named():
    with pytest.raises(TaskError, match=r"training of broken with seed \d failed: exception: LanguageError"):
        measure("digits-hard", {"broken": "patch(3,8)", "weak": WEAK}, (0, 1), Recipe(epochs=1), workers=1)


def test_references_are_ordered_as_they_should_be():
    accuracies = reference_accuracies("digits")
    assert list(accuracies) == ["logistic regression", "k nearest neighbours", "RBF-SVM"]
    assert 0.9 < accuracies["logistic regression"] < accuracies["RBF-SVM"] <= 1


def test_hard_digits_are_hard():
    accuracies = reference_accuracies("digits-hard")
    assert accuracies["logistic regression"] < 0.87
    assert 0.95 < accuracies["RBF-SVM"] < 0.98


def test_command_prints_one_document(capsys):
    assert command.task("digits", noise=False, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sizes"] == {"train": 1000, "validation": 500, "test": 297}
    assert document["reference"] == reference_accuracies("digits")
    assert document["noise"] is None


def test_command_prints_for_people(capsys):
    assert command.task("digits", noise=False, as_json=False) == 0
    out = capsys.readouterr().out
    assert "1,000 train, 500 validation, 297 test" in out
    assert f"{reference_accuracies('digits')['RBF-SVM']:.4f}" in out


@pytest.mark.parametrize(("weak", "code"), [(0.5, 0), (0.901, 1)])
def test_command_judges_the_ratio(monkeypatch, capsys, weak, code):
    measured = Noise({"a": (0.90, 0.91), "b": (0.89, 0.90), "c": (weak, weak + 0.01)})
    monkeypatch.setattr(command, "_baselines", lambda name: {})
    monkeypatch.setattr(command, "_measured", lambda name, sentences, console: measured)
    assert command.task("digits", noise=True, as_json=True) == code
    assert json.loads(capsys.readouterr().out)["noise"]["ratio"] == pytest.approx(measured.ratio)
    assert command.task("digits", noise=True, as_json=False) == code
    assert f"ratio {measured.ratio:.1f}" in capsys.readouterr().out


def test_command_names_unknown_tasks():
    with pytest.raises(TaskError, match="unknown task"):
        command.task("digitz", noise=False, as_json=False)


def test_the_catalogue_has_the_baselines():
    assert "digits-hard" in tasks.names()
    assert len(command._baselines("digits-hard")) >= 8
