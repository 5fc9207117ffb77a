"""What documents and code point to is there: pages, headings, files, commands and their options."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from pages import (
    REPOSITORY,
    anchors,
    blocks,
    code_spans,
    documents,
    known_paths,
    links,
    prose,
    read,
    slug,
    sources,
    tracked,
)

PAGE = re.compile(r"(?<![\w./-])((?:[\w.-]+/)*[\w.-]+\.md)(#[\w-]+)?")
OUTSIDE = re.compile(r"[a-z]+:")  # an address of the web


def resolved(target: str, near: str) -> str | None:
    """A path as it stands in the file ``near``, from the root of the repository; None if nothing is there.

    A file's bare name serves where the repository has one file of that name alone.
    """
    for base in (Path(near).parent, Path(), *((Path("docs"),) if near == "mkdocs.yml" else ())):
        path = (REPOSITORY / base / target).resolve()
        if path.is_relative_to(REPOSITORY) and str(path.relative_to(REPOSITORY)) in known_paths():
            return str(path.relative_to(REPOSITORY))
    alike = [path for path in tracked() if Path(path).name == target]
    return alike[0] if len(alike) == 1 else None


def missing_pages(path: str, text: str) -> list[str]:
    """The pages and headings that a text names and that are not there."""
    wrong = []
    for found in PAGE.finditer(text):
        page = resolved(found[1], path)
        if page is None or (found[2] and found[2][1:] not in anchors(page)):
            wrong.append(f"{path}:{text.count(chr(10), 0, found.start()) + 1} names {found[0]}")
    return wrong


def test_every_page_and_heading_that_a_file_names_exists():
    assert not [wrong for path in sources() for wrong in missing_pages(path, read(path))]


def test_a_page_that_is_not_there_is_seen():
    assert missing_pages("metamixer/x.py", "see no-such-page" + ".md")
    assert missing_pages("metamixer/x.py", "see docs/algebra" + ".md#no-such-heading")
    assert not missing_pages("metamixer/x.py", "see docs/algebra.md#the-read")
    assert not missing_pages("docs/words.md", "see algebra.md#the-read")


@pytest.mark.parametrize("document", documents())
def test_every_link_leads_somewhere(document):
    wrong = []
    for line, target in links(document):
        if OUTSIDE.match(target):
            continue
        path, _, anchor = target.partition("#")
        page = resolved(path, document) if path else document
        if page is None or (anchor and anchor not in anchors(page)):
            wrong.append(f"{document}:{line} links to {target}")
    assert not wrong


@pytest.mark.parametrize("document", [path for path in documents() if path.startswith("docs/")])
def test_pages_of_the_site_link_to_pages_of_the_site(document):
    """The site is built from docs/ alone; what lies outside is named as code."""
    targets = [target.partition("#")[0] for _, target in links(document) if not OUTSIDE.match(target)]
    assert not [target for target in targets if target and not (resolved(target, document) or "").startswith("docs/")]


@pytest.mark.parametrize("document", documents())
def test_headings_have_one_anchor_each_and_it_is_plain(document):
    headings = [found[1] for found in re.finditer(r"^#+ +(.+?) *$", prose(document), re.M)]
    names = [slug(heading) for heading in headings]
    assert sorted(set(names)) == sorted(names)
    # else GitHub and MkDocs would make two anchors of it
    assert not [name for name in names if "--" in name or not re.fullmatch(r"[a-z0-9_-]+", name)]


TOP = {path.split("/")[0] for path in tracked() if "/" in path}
FILE = re.compile(r"[\w.@*-]+(?:/[\w.@*-]+)*/?")
NAMED_ALONE = (".py", ".lark", ".cff", ".yml", ".css", ".js")


def named_files(document: str) -> list[tuple[int, str]]:
    """Files and folders of the repository that a document names in code, with the line."""
    spans = list(code_spans(document))
    for block in blocks(document):
        if block.language not in ("sentence", "python"):
            spans += [(block.line + i, line) for i, line in enumerate(block.text.splitlines())]
    found = []
    for line, span in spans:
        for word in re.split(r"[\s'\"`:,;()=]+", span):
            name = word.rstrip(".")
            if not FILE.fullmatch(name) or set(name) <= {"*", ".", "/"}:
                continue
            if ("/" in name and name.split("/")[0] in TOP) or ("/" not in name and name.endswith(NAMED_ALONE)):
                found.append((line, name))
    return found


def is_there(name: str) -> bool:
    name = name.removeprefix("metamixer/_shipped/")  # where a wheel has the folders of resources
    if "*" in name:
        pattern = re.compile(re.escape(name).replace(r"\*", "[^/]*"))
        return any(pattern.fullmatch(path) for path in known_paths())
    return name.rstrip("/") in known_paths() or any(Path(path).name == name for path in tracked())


@pytest.mark.parametrize("document", documents())
def test_every_file_that_a_document_names_exists(document):
    wrong = [f"{document}:{line} {name}" for line, name in named_files(document) if not is_there(name)]
    assert not wrong


def test_a_file_that_is_not_there_is_seen():
    assert not is_there("metamixer/nowhere.py")
    assert not is_there("metamixer/*.nothing")
    assert is_there("metamixer/__init__.py")
    assert is_there("search_spaces/*.toml")
    assert "docs/cluster.md" in {name for _, name in named_files("README.md")} | {t for _, t in links("README.md")}


@cache
def help_of(command: str) -> str:
    """What `metamixer COMMAND --help` prints; empty if there is no such command."""
    program = "import sys; from metamixer.cli import main; main()"
    asked = [sys.executable, "-c", program, *command.split(), "--help"]
    shown = subprocess.run(
        asked, capture_output=True, text=True, timeout=60, env={**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    )
    return shown.stdout if shown.returncode == 0 else ""


def commands(document: str) -> list[str]:
    """The command lines of metamixer that a document shows, in blocks and in the text."""
    lines = [span for _, span in code_spans(document)]
    for block in blocks(document):
        if block.language in ("", "sh", "bash", "console"):
            lines += re.sub(r"\\\n\s*", " ", block.text).splitlines()
    found = []
    for line in lines:
        for shown in re.finditer(r"(?:^|\$ |&& |-- )metamixer (?P<rest>[a-z].*)", line):
            found.append(re.split(r"\s{2,}#|\s#\s|&&|;|\|(?= )", shown["rest"])[0].strip())
    return found


@pytest.mark.parametrize("document", [path for path in documents() if commands(path)])
def test_commands_in_documents_have_the_options_that_are_shown(document):
    wrong = []
    for shown in commands(document):
        command = re.split(r"\s", shown)[0]
        if not re.fullmatch(r"[a-z]+", command):
            continue
        told = help_of(command)
        options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub(r"'[^']*'|\"[^\"]*\"", "", shown)))
        missing = [option for option in options if not re.search(rf"{option}(?![\w-])", told)]
        if not told or missing:
            wrong.append(f"metamixer {shown}: {missing or 'no such command'}")
    assert not wrong


TARGETS = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.M))


@pytest.mark.parametrize("document", documents())
def test_targets_of_make_in_documents_are_there(document):
    shown = [span for _, span in code_spans(document)] + prose(document).splitlines()
    shown += [line for block in blocks(document) for line in block.text.splitlines()]
    named = {found[1] for line in shown for found in re.finditer(r"^(?:\s*|\$ )make ([a-z-]+)", line)}
    assert named <= TARGETS


def test_make_help_lists_every_target():
    command = ["make", "--no-print-directory", "help"]  # inside of `make test` it would say where it is
    told = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert {line.split()[1] for line in told.splitlines()} == TARGETS


def test_what_continuous_integration_names_is_there():
    workflow = read(".github/workflows/ci.yml")
    assert ".ci/run" in workflow
    named = set(re.findall(r"(?<![\w/.-])(?:tests/[\w/.]+|\.ci/\w+|constraints\.txt)", workflow))
    assert {name for name in named if not is_there(name)} == set()
    assert set(re.findall(r"make ([a-z]+)", workflow)) <= TARGETS


def test_the_citation_is_of_this_version():
    import metamixer

    assert f"\nversion: {metamixer.__version__}\n" in read("CITATION.cff")
    assert f"\n## {metamixer.__version__}\n" in read("CHANGELOG.md")
