"""The examples of the documents run: Python in blocks and sessions, spaces and studies in TOML."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import tomllib

import pytest
from pages import REPOSITORY, Block, blocks, documents, given, prose, read

import metamixer as mm
from metamixer.language import Space
from metamixer.search import configuration

ALL = [block for document in documents() for block in blocks(document)]
LANGUAGES = {"sentence", "python", "pycon", "toml", "sh", "bash", "text", "lark", "yaml"}


@pytest.mark.parametrize("document", documents())
def test_every_block_says_what_it_is(document):
    """So that none escapes the tests of this folder."""
    assert {block.language for block in blocks(document)} <= LANGUAGES
    bare = re.compile(r"(?:\A|\n\n)((?: {4,}[^\s*-].*\n?)+)")
    assert not [
        code for code in bare.findall(prose(document)) if not all(shell(line) for line in code.splitlines() if line)
    ]


def shell(line: str) -> bool:
    """Whether a line is a command, which other tests look at."""
    return re.match(r"\s+(make|metamixer|python|ray|pip) ", line) is not None


@pytest.mark.parametrize("document", [d for d in documents() if any(b.language == "pycon" for b in blocks(d))])
def test_sessions_print_what_is_shown(document):
    sessions = "\n".join(block.text for block in blocks(document) if block.language == "pycon")
    test = doctest.DocTestParser().get_doctest(sessions + "\n", {}, document, document, 0)
    told: list[str] = []
    doctest.DocTestRunner().run(test, out=told.append)
    assert test.examples
    assert not told, "".join(told)


VALUE = re.compile(r"^(?P<code>[^#\n]+\S)  # (?P<shown>-?\d[\d_]*|\w+\(.*\)|\w+\.Size\(.*\))(?P<rest>[,:;].*)?$")


def checked(code: str) -> str:
    """The code with an assertion for each value that a comment shows behind an expression."""
    lines = []
    for line in code.splitlines():
        lines.append(line)
        value = VALUE.match(line)
        if value and not line.startswith((" ", "import", "from")) and " = " not in value["code"]:
            lines.append(f"assert repr({value['code']}) == {value['shown']!r}, repr({value['code']})")
    return "\n".join(lines)


def test_a_wrong_value_in_a_comment_is_seen():
    assert checked("1 + 1  # 3") == "1 + 1  # 3\nassert repr(1 + 1) == '3', repr(1 + 1)"
    assert checked("x = 1  # 3") == "x = 1  # 3"
    assert "assert" in checked("f(2)  # 4, always")


@pytest.mark.parametrize("document", [d for d in documents() if any(b.language == "python" for b in blocks(d))])
def test_python_runs(document, tmp_path):
    """All blocks of a document, one after the other, in a process and a folder of their own."""
    code = "\n\n".join(checked(block.text) for block in blocks(document) if block.language == "python")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])}
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=600, env=environment
    )
    assert ran.returncode == 0, ran.stderr


SPACES = [block for block in ALL if block.language == "toml" and "rules" in tomllib.loads(block.text)]
SECTIONS = set(configuration.StudyConfig.model_fields)
STUDIES = [block for block in ALL if block.language == "toml" and SECTIONS & set(tomllib.loads(block.text))]


@pytest.mark.parametrize("block", SPACES, ids=str)
def test_spaces_are_read_and_hold_networks(block: Block):
    space = Space.from_dict(tomllib.loads(block.text))
    channels, grid = given(block.given.removeprefix("input: ") or "1 8x8")
    assert space.size(channels, grid) > 1


@pytest.mark.parametrize("block", STUDIES, ids=str)
def test_studies_are_accepted(block: Block):
    """Sections that an example leaves out are those of the study that ships."""
    shown = tomllib.loads(block.text)
    whole = tomllib.loads(read("studies/digits.toml"))
    if "data" in shown:
        whole["study"].pop("task")
    for section, values in shown.items():
        whole.setdefault(section, {}).update(values)
    resolved = configuration.parse(whole)
    for section, values in shown.items():
        assert set(values) <= set(type(getattr(resolved, section)).model_fields)
    for point in shown.get("search", {}).get("start", ()):  # a catalogue entry, or a sentence of the space that ships
        assert point in mm.catalog.names() or Space.load("digits").derivation(point, 1, (8, 8)).choices


OVERRIDE = re.compile(r"--set (?:'([^']+)'|\"([^\"]+)\"|(\S+))")


@pytest.mark.parametrize("document", documents())
def test_overrides_on_command_lines_are_keys_of_a_study(document):
    text = read(document).replace("`", " ")
    shown = [next(filter(None, found.groups())) for found in OVERRIDE.finditer(text)]
    for override in shown:
        if "=" in override and not override.isupper() and "section.key" not in override:
            study = tomllib.loads(read("studies/digits.toml"))
            if override.startswith("data."):  # a study is of a task or of data
                study["study"].pop("task")
                study["data"] = {"train": "folder:images"}
            configuration.parse(study, [override])


def test_every_example_in_toml_is_a_space_a_study_or_a_package():
    kinds = [block for block in ALL if block.language == "toml" and "project" in tomllib.loads(block.text)]
    assert {*map(str, SPACES), *map(str, STUDIES), *map(str, kinds)} == {str(b) for b in ALL if b.language == "toml"}
