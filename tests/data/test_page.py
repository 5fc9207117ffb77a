"""docs/data.md: what it shows works, and it names every key and every source."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import pytest
from pictures import make_folder

from metamixer import resources, tasks
from metamixer.data.section import KINDS, DataSection
from metamixer.search import configuration


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "data.md").read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def test_the_ten_lines_are_a_study(page, tmp_path, prepared):
    (study,) = blocks(page, "toml")
    (tmp_path / "flowers.toml").write_text(study)
    assert len([line for line in study.splitlines() if line and not line.startswith("[")]) <= 10
    make_folder(tmp_path / "flowers" / "train", each=12)
    config = configuration.load(tmp_path / "flowers.toml")
    found = prepared(**config.data.model_dump())
    assert found.task.grid == (32, 32)
    assert found.about["parts"]["validation"]["images"] == 3


def test_every_key_is_named_with_its_default(page):
    for name, field in DataSection.model_fields.items():
        (row,) = [line for line in page.splitlines() if re.match(rf"\|[^|]*`{name}`", line)]
        if isinstance(field.default, (int, float)):
            assert f"| {field.default} |" in row
        elif isinstance(field.default, str):
            assert f'| `"{field.default}"` |' in row


def test_every_source_is_named(page):
    for kind in KINDS:
        assert f"| `{kind}:" in page


@pytest.fixture
def module(page, tmp_path, monkeypatch):
    (tmp_path / "of_the_page.py").write_text("\n".join(blocks(page, "python")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    sys.modules.pop("of_the_page", None)
    tasks.registry.get.cache_clear()


def test_the_functions_on_the_page_work(module, prepared):
    found = prepared(train="python:of_the_page:load")
    assert found.task.class_names == ("daisy", "rose", "tulip")
    assert found.task.grid == (16, 16)
    signs = tasks.get("of_the_page:SIGNS")
    assert len(signs.data().y_train) == 200
    assert len(signs.test().y) == 50
    assert 0 < sys.modules["of_the_page"].references(f"stored:{found.folder}")["always the first class"] < 1


def test_the_study_on_the_page_names_keys_that_there_are(page):
    (study,) = blocks(page, "toml")
    config = configuration.parse(tomllib.loads(study))
    assert config.data is not None
    resources.find("search_spaces", config.study.space)
