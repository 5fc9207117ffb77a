"""`metamixer show` answers an address of a run that is not there as one, not as a sentence with a slip."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from metamixer import cli


@pytest.mark.parametrize(
    "subject", ["runs/nosuch", "../nosuch", "nosuch#3", "runs/nosuch#3", "/nowhere/study.db", "a.db"]
)
def test_a_run_that_is_not_there_is_told_as_a_run(tmp_path, monkeypatch, subject):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["show", subject])
    assert result.exit_code == 2
    assert "error: no run" in result.stderr
    assert "cannot stand here" not in result.stderr


@pytest.mark.parametrize("subject", ["lin(C/4)", "conv(x,#3)", "gelu"])
def test_sentences_with_the_same_marks_are_still_sentences(tmp_path, monkeypatch, subject):
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli.app, ["show", subject, "--channels", "8"]).exit_code == 0
