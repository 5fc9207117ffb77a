from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from metamixer.errors import ResourceError, StudyError
from metamixer.search import configuration as config

STUDY = """\
[study]
name = "small"
task = "digits-hard"
space = "digits"

[training]
epochs = 2

[search]
sampler = "tpe"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(STUDY)
    return path


def test_defaults_overrides_and_back(file: Path) -> None:
    found = config.load(file, ["training.epochs=3", "study.budget=7", "study.name=other", "limits.macs=1_000"])
    assert (found.training.epochs, found.study.budget, found.study.name, found.limits.macs) == (3, 7, "other", 1000)
    assert (found.study.confirm, found.study.keep, found.search.gpus) == (3, "front", 0)
    assert config.parse(tomllib.loads(config.to_toml(found))) == found


def test_the_study_that_ships_is_valid() -> None:
    found = config.load("digits")
    assert (found.study.name, found.study.task, found.study.budget, found.study.confirm) == (
        "digits",
        "digits-hard",
        40,
        3,
    )
    assert found.training.epochs == 9
    assert found.limits.macs is not None


def test_a_space_file_lies_beside_its_study(file: Path) -> None:
    (file.parent / "mine.toml").write_text("")
    assert config.load(file, ['study.space="mine.toml"']).study.space == str(file.parent / "mine.toml")


@pytest.mark.parametrize(
    ("edit", "overrides", "message", "place", "advice"),
    [
        (("epochs", "epoch"), [], "unknown key training.epoch", "line 7", "did you mean epochs?"),
        (("[search]", "[serach]"), [], "unknown section serach", "line 9", "did you mean search?"),
        (('"tpe"', '"nsga3"'), [], "unknown sampler 'nsga3'", "line 10", "did you mean nsga2?"),
        (("", ""), ["training.epoch=3"], "unknown key training.epoch", "--set training.epoch=3", "epochs"),
        (("", ""), ["study.budget=0"], "a search of 0 trials trains nothing", "--set study.budget=0", "at least 1"),
        (("", ""), ["study.budget=many"], "study.budget = 'many'", "--set", ""),
        (("", ""), ["search.gpus=1.5"], "a fraction up to 1, or a whole number", "--set", ""),
        (
            ("", ""),
            ["study.storage=mysql://me:secret@db/x"],
            "on a PostgreSQL server",
            "me:***@db",
            "leave --storage out",
        ),
        (("", ""), ["study.storage=sqlite:///x.db"], "on a PostgreSQL server, postgresql://", "--set", "write its URL"),
        (("", ""), ["study.storage=db.example/x"], "on a PostgreSQL server, postgresql://", "--set", "write its URL"),
        (("", ""), ["epochs=3"], "cannot read the override", "--set", "section.key=value"),
        (("", ""), ["study.name=../up"], "study.name", "--set", ""),
        (('task = "digits-hard"\n', ""), [], "study.task is missing", "line 1", "[study]"),
        (("epochs = 2", "epochs = "), [], "not a TOML file", "small.toml", ""),
    ],
)
def test_refusals_say_what_where_and_what_instead(
    file: Path, edit: tuple[str, str], overrides: list[str], message: str, place: str, advice: str
) -> None:
    file.write_text(STUDY.replace(*edit) if edit[0] else STUDY)
    with pytest.raises(StudyError) as error:
        config.load(file, overrides)
    assert message in error.value.message
    assert place in (error.value.place or "")
    assert advice in (error.value.advice or "")


def test_unknown_study() -> None:
    with pytest.raises(ResourceError, match="unknown study 'digts'"):
        config.load("digts")
