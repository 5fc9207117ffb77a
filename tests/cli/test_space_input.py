"""`metamixer space` counts for an input that somebody named, never for one of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metamixer import cli

SPACE = "start = 'network'\n[rules]\nnetwork = 'patch(2,{8|16}) >> res(lin)'\n"
STUDY = "[study]\nname = 'mine'\ntask = 'digits-hard'\nspace = 'mine.toml'\nbudget = 3\n"
IMAGES = "[study]\nname = 'mine'\nspace = 'mine.toml'\nbudget = 3\n[data]\ntrain = 'folder:images'\nsize = [16, 24]\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.toml").write_text(SPACE)
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "images.toml").write_text(IMAGES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "channels", "grid"),
    [
        (["digits"], 1, [8, 8]),
        (["cifar"], 3, [32, 32]),
        (["mine.toml", "--task", "digits-hard"], 1, [8, 8]),
        (["mine.toml", "--study", "study.toml"], 1, [8, 8]),
        (["mine.toml", "--study", "cifar10-small"], 3, [32, 32]),
        (["mine.toml", "--study", "images.toml", "--channels", "3"], 3, [16, 24]),
        (["mine.toml", "--channels", "3", "--grid", "32x32"], 3, [32, 32]),
        (["digits", "--grid", "16x16"], 1, [16, 16]),
    ],
)
def test_the_input_is_that_of_the_task_the_study_or_the_shipped_study(folder, monkeypatch, arguments, channels, grid):
    from metamixer.cli.output import space

    monkeypatch.setattr(space, "PROFILE_DRAWS", 3)
    result = CliRunner().invoke(cli.app, ["space", *arguments, "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["input"] == {"channels": channels, "grid": grid}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["mine.toml"], "--channels and --grid are missing"),
        (["mine.toml", "--grid", "32x32"], "--channels is missing"),
        (["mine.toml", "--draw", "2"], "--task NAME"),
        (["mine.toml", "--study", "images.toml"], "images.toml leaves it to the images"),
        (["vision"], "--study FILE"),
        (["mine.toml", "--task", "digits-hrad"], "did you mean 'digits-hard'?"),
        (["mine.toml", "--task", "digits", "--study", "digits"], "give one of them"),
    ],
)
def test_without_an_input_one_message_says_what_to_give(folder, arguments, expected):
    result = CliRunner().invoke(cli.app, ["space", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr
