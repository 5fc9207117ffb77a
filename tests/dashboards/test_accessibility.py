"""axe-core finds nothing on any view, light or dark; it comes from npm for the test and is not part of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Served, Tab

pytestmark = pytest.mark.browser
# Not space, and of why the message: the recorded space of the tests names a rule that it lacks.
VIEWS = ("front", "front&lower=axes", "runs", "architecture&arch=1", "compare&compare=[0,1]", "details", "atlas")
MESSAGES = ("why&arch=1",)


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The text of axe-core: the file that AXE_CORE names, else installed by npm into a temporary folder."""
    if os.environ.get("AXE_CORE"):
        return Path(os.environ["AXE_CORE"]).read_text(encoding="utf-8")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm to install axe-core with, and AXE_CORE names no file")
    folder = tmp_path_factory.mktemp("axe")
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "axe-core@4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install axe-core: {done.stderr.strip().splitlines()[-1:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", [*VIEWS, *MESSAGES])
def test_no_violation(open_tab: Callable[..., Tab], served: Served, axe: str, view: str, scheme: str) -> None:
    opened = open_tab(f"{served.address}/#run=again&view={view}", color_scheme=scheme)
    opened.ready()
    opened.wait("document.querySelector('#plot[data-drawn], #content h1, #content h2')")
    opened.page.evaluate(axe)
    found = opened.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [(v["id"], [node["html"][:160] for node in v["nodes"]][:3]) for v in found["violations"]]
    assert told == []
