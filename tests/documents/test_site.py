"""`make docs`: the site builds without a warning, and neither it nor its pages fetch anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import REPOSITORY, anchors, read, tracked

pytest.importorskip("mkdocs", reason="the site is built with the extra `docs`")
pytest.importorskip("material", reason="the site is built with the extra `docs`")
pytest.importorskip("mkdocstrings", reason="the site is built with the extra `docs`")

# A process that may reach nothing but itself.
NO_NETWORK = """
import runpy, socket, sys
def refused(*args, **kwargs):
    raise OSError("the build asks for the network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refused
sys.argv = ["mkdocs", *sys.argv[1:]]
runpy.run_module("mkdocs", run_name="__main__")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=300,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


def test_every_document_is_a_page(site):
    pages = {path.removeprefix("docs/") for path in tracked() if path.startswith("docs/") and path.endswith(".md")}
    assert {page for page in pages if not (site / page).with_suffix(".html").is_file()} == set()


def test_pages_load_nothing_from_elsewhere(site):
    loads = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']([^\"']+)|<link\b[^>]*\bhref=[\"']([^\"']+)")
    outside = {
        (page.name, found[1] or found[2])
        for page in site.rglob("*.html")
        for found in loads.finditer(page.read_text(encoding="utf-8"))
        if re.match(r"(https?:)?//", found[1] or found[2]) and 'rel="canonical"' not in found[0]
    }
    assert not outside
    for style in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?https?:", style.read_text(encoding="utf-8"))


def test_headings_have_the_anchors_that_links_use(site):
    """MkDocs makes the same anchors as the tests of links assume."""
    for page in ("language", "algebra", "counting"):
        made = set(re.findall(r"<h[1-6] id=\"([^\"]+)\"", (site / f"{page}.html").read_text(encoding="utf-8")))
        assert made == anchors(f"docs/{page}.md")


def test_the_reference_shows_every_public_name(site):
    import metamixer

    shown = "".join(page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html"))
    names = set(metamixer.__all__) - {"__version__"}
    # functions beside modules of their name
    beside = {"cost": "cost.cost", "reference": "reference.reference", "fuse": "compile.fuse.fuse"}
    assert not {name for name in names if f'id="metamixer.{beside.get(name, name)}"' not in shown}
    assert "Raises" in shown


def test_what_is_built_is_not_kept():
    assert "/build/" in read(".gitignore")


def test_code_in_tables_shows_bars_as_they_are_written(site):
    for page in ("language", "words", "guides/spaces"):
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        assert not re.findall(r"<code>[^<]*\\\|[^<]*</code>", text)
        assert re.search(r"<code>[^<]*(\||&#124;)[^<]*</code>", text)
