"""Failures are told as they happen and at the end, do not eat the budget, and can be tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toys
from typer.testing import CliRunner

from metamixer import cli, record
from metamixer.errors import StudyError
from metamixer.record import Trial
from metamixer.search.driver.failures import ALIKE_IN_A_ROW, Failures, by_count
from metamixer.search.driver.progress import Lines
from metamixer.search.study import Study

Load = Callable[..., Study]
SHORT = ("study.confirm=1",)


@pytest.mark.parametrize("evaluate", ["toys:broken", "toys:leaving"])
def test_five_equal_exceptions_in_a_row_stop_a_search(load: Load, evaluate: str) -> None:
    study = load(*SHORT, f"search.evaluate={evaluate}", "study.budget=300")
    with pytest.raises(StudyError, match="5 trials in a row failed alike") as stopped:
        study.run("inline")
    assert "--retry-failed" in str(stopped.value)
    assert len([trial for trial in record.read(study.path) if trial.kind == "searched"]) == ALIKE_IN_A_ROW


def test_what_differs_from_trial_to_trial_does_not_hide_that_failures_are_alike() -> None:
    failures = Failures(lambda line: None)
    trials = [Trial(n, "failed", "searched", reason=f"exception: KeyError: {n} at 0x{n}a") for n in range(5)]
    for trial in trials[:-1]:
        failures.ended(trial)
    with pytest.raises(StudyError):
        failures.ended(trials[-1])


def test_failures_of_architectures_do_not_stop_a_search() -> None:
    failures = Failures(lambda line: None)
    for number in range(3 * ALIKE_IN_A_ROW):
        failures.ended(Trial(number, "failed", "searched", reason=("nan", "time limit", "out of memory")[number // 5]))
    for number in range(ALIKE_IN_A_ROW - 1):
        failures.ended(Trial(number, "failed", "searched", reason="exception: E"))
    failures.ended(Trial(9, "complete", "searched"))
    failures.ended(Trial(10, "failed", "searched", reason="exception: E"))


def test_each_new_reason_is_told_once_as_it_happens_and_all_by_count_at_the_end(load: Load) -> None:
    lines: list[str] = []
    outcome = load(*SHORT, "search.evaluate=toys:ill", "study.budget=16").run("inline", Lines(lines.append))
    told = [line for line in lines if "failed: " in line]
    assert len(told) == len(outcome.reasons) == len({line.partition("failed: ")[2] for line in told}) == 4
    # Before the end: the first failure is told before the second trial's line of progress.
    assert lines.index(told[0]) < len(lines) / 2
    assert sum(count for _, count in outcome.reasons) == outcome.failed == outcome.lost > 4
    assert dict(outcome.reasons).keys() >= {"time limit", "out of memory", "nan"}


def test_retry_failed_runs_what_failed_again_in_its_place(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    study = load(*SHORT, "search.evaluate=toys:ill", "study.budget=8")
    study.run("inline")
    before = record.read(study.path)
    failed = [trial.number for trial in before if trial.state == "failed"]
    assert failed
    assert [trial.state for trial in record.read(study.path)] == [trial.state for trial in before]
    monkeypatch.setattr(toys, "ill", toys.fast)
    assert study.run("inline").failed == len(failed), "what failed is tried again only when that is asked for"
    outcome = study.run("inline", retry_failed=True)
    after = record.read(study.path)
    assert (outcome.failed, outcome.reasons) == (0, ())
    assert [trial.sentence for trial in after] == [trial.sentence for trial in before]
    for trial in after:
        assert trial.state == "complete" or trial.kind == "rejected"
        if trial.number not in failed:
            assert replace(trial, weights=None) == replace(before[trial.number], weights=None)


def test_reasons_are_counted_without_what_was_refused_before_training() -> None:
    trials = [Trial(n, "failed", "searched", reason=f"exception: E: {n}\nmore") for n in range(3)]
    trials += [Trial(3, "failed", "rejected", reason="cut off"), Trial(4, "failed", "baseline", reason="nan")]
    assert by_count(trials) == [("exception: E: 0", 3), ("nan", 1)]


@pytest.mark.parametrize(
    ("references", "said"),
    [("listed_references", "returned a list, not a dict"), ("leaving_references", "it returned no accuracies")],
)
def test_references_that_return_something_else_do_not_poison_the_record(load: Load, references: str, said: str) -> None:
    lines: list[str] = []
    study = load(*SHORT, f"search.references=toys:{references}", "study.budget=1")
    study.run("inline", Lines(lines.append))
    assert any(f"toys:{references}" in line and said in line for line in lines), lines
    assert record.settings(study.path)["references"] == {}


def test_the_last_line_of_progress_reaches_its_total(load: Load) -> None:
    lines: list[str] = []
    load("study.budget=6").run("inline", Lines(lines.append))
    done, total = [line for line in lines if " trained (" in line][-1].partition(" trained")[0].split()[-1].split("/")
    assert done == total


def test_the_command_line_says_why_trials_failed_and_how_to_try_them_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = file.read_text().replace("toys:fast", "toys:ill").replace("budget = 12", "budget = 8\nconfirm = 1")
    file.write_text(text)
    command: list[Any] = ["search", str(file), "--runs", str(file.parent / "runs"), "--dispatcher", "inline"]
    said = CliRunner().invoke(cli.app, command).output
    assert "1 x time limit: raise search.time_limit" in said
    assert "--retry-failed" in said
    monkeypatch.setattr(toys, "ill", toys.fast)
    said = CliRunner().invoke(cli.app, [*command, "--retry-failed"]).output
    assert "8 architectures trained, 0 trials failed" in said


def test_a_study_that_imports_from_the_working_folder_says_so_first(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(toys.__file__).parent)
    lines: list[str] = []
    load(*SHORT, "study.budget=1").run("inline", Lines(lines.append))
    assert lines[0] == f"this study runs code of the working folder {Path.cwd()}: toys"
    monkeypatch.chdir(tmp_path)
    lines.clear()
    load(*SHORT, "study.budget=1").run("inline", Lines(lines.append))
    assert not any("runs code" in line for line in lines)


def test_references_are_not_long_in_the_way_of_the_result(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    from metamixer.search import study as room

    monkeypatch.setattr(room, "REFERENCE_SECONDS", 0.1)
    lines: list[str] = []
    study = load(*SHORT, "search.references=toys:slow_references", "study.budget=1")
    assert study.run("inline", Lines(lines.append)).state == "finished"
    assert any("reference classifiers are waited for" in line for line in lines)
    assert any("took too long and are left out" in line for line in lines)
    assert record.settings(study.path)["references"] == {}
