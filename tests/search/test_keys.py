"""All keys of a study: the page and the schema say what the models check."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metamixer import cli, resources
from metamixer.search import configuration, keys


def run(*arguments: str):
    return CliRunner().invoke(cli.app, ["study", *arguments])


def test_the_page_is_up_to_date(repository: Path) -> None:
    written = (repository / "docs" / "study-keys.md").read_text(encoding="utf-8")
    assert written == run("--keys").output, "run: metamixer study --keys > docs/study-keys.md"


def test_no_cell_is_blank() -> None:
    rows = [line for line in keys.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 70
    for row in rows:
        assert all(cell.strip() for cell in row.replace("\\|", "/").strip("|").split("|")), row


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar10-small"])
def test_the_schema_takes_the_studies_that_ship(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    document = tomllib.loads(resources.find("studies", name).read_text(encoding="utf-8"))
    schema = json.loads(run("--schema").output)
    jsonschema.validate(document, schema)
    document["training"]["learning_rate"] = "{1e-3|3e-3}"
    jsonschema.validate(document, schema)
    document["training"]["lerning_rate"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema)


def test_a_printed_study_is_the_study(tmp_path: Path) -> None:
    shown = run("digits", "--set", "training.epochs=3", "--set", 'training.crop="{0|1}"')
    assert shown.exit_code == 0, shown.output
    path = tmp_path / "printed.toml"
    path.write_text(shown.output)
    printed = configuration.load(path)
    assert printed == configuration.load("digits", ["training.epochs=3", 'training.crop="{0|1}"'])
    assert printed.searched == {"crop": (0, 1)}


def test_a_study_that_is_none_is_one_message() -> None:
    assert run().exit_code == 2
    refused = run("digits", "--set", "training.epoch=3")
    assert refused.exit_code == 2
    assert "did you mean epochs?" in refused.output.replace("\n", " ")
