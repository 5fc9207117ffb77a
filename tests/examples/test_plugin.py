"""A package of its own adds words: its wheel is built and installed away from metamixer, and used everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metamixer import record
from metamixer.search.execution import dispatcher

Run = Callable[..., subprocess.CompletedProcess[str]]
STUDY = ("--budget", "2", "--set", "training.epochs=1", "--set", 'search.references=""')


@pytest.fixture(scope="module")
def site(repository, tmp_path_factory) -> Path:
    """A folder with the installed example, and nothing else."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    shutil.copytree(repository / "examples" / "plugin", source, ignore=shutil.ignore_patterns("runs", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder), str(source)]
    subprocess.run([*pip, *build], check=True, timeout=300, capture_output=True)
    (wheel,) = folder.glob("metamixer_blur-*.whl")
    install = ["install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)]
    subprocess.run([*pip, *install], check=True, timeout=300, capture_output=True)
    return folder / "site"


def beside(*folders: Path) -> dict[str, str]:
    """An environment in which these folders are on Python's path, for this process's children and theirs."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, folders), os.environ.get("PYTHONPATH", "")])}


@pytest.fixture
def home(repository, tmp_path) -> Path:
    """A folder with the example's study and space."""
    for name in ("study.toml", "space.toml"):
        shutil.copy(repository / "examples" / "plugin" / name, tmp_path)
    return tmp_path


def embedded(run: Path) -> dict[str, Any]:
    """The architectures inside a run's page, by number."""
    page = (run / "report.html").read_text(encoding="utf-8")
    found = re.search(r'id="embedded">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])["architectures"]


def test_the_contract_of_its_words_holds(site, repository, home):
    shutil.copytree(repository / "examples" / "plugin" / "tests", home / "tests")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=home, env=beside(site), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout
    done = subprocess.run(command, cwd=home, env=beside(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 1  # without the package there is nothing to test
    assert "KeyError: 'blur'" in done.stdout


def test_its_words_stand_beside_the_others(site, home, metamixer: Run):
    env = beside(site)
    listed = {one["word"]: one for one in json.loads(metamixer("words", "--json", env=env, cwd=home).stdout)}
    assert listed["blur"]["package"] == listed["mish"]["package"] == "metamixer-blur 0.1.0"
    assert listed["blur"]["written"] == "blur(k=3, x)"
    assert listed["lin"]["package"] is None
    assert "blur" not in {one["word"] for one in json.loads(metamixer("words", "--json", cwd=home).stdout)}

    text = "patch(2,8) >> blur >> lin >> mish"
    shown = json.loads(metamixer("show", text, "--channels", "1", "--grid", "8x8", "--json", env=env, cwd=home).stdout)
    assert shown["cost"]["macs"] == 16 * (8 * 4 + 8 * 9 + 8 * 8)
    assert shown["attributes"]["receptive_field"] == [3, 3]
    printed = metamixer("space", "space.toml", "--study", "study.toml", "--json", env=env, cwd=home)
    assert json.loads(printed.stdout)["derivations"] == 32


@pytest.mark.skipif(dispatcher.unavailable() is not None, reason="no Ray here")
def test_its_words_are_searched_by_workers_and_reported(site, home, metamixer: Run):
    done = metamixer("search", "study.toml", *STUDY, "--dispatcher", "ray", env=beside(site), cwd=home, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    run = home / "runs" / "blurred"
    rows = [row for row in record.read(run) if row.kind == "searched"]
    assert [row.state for row in rows] == ["complete", "complete"]
    assert all("blur(" in row.sentence and row.accuracy is not None for row in rows)
    assert record.settings(run)["packages"] == {"metamixer-blur 0.1.0": ["blur", "mish"]}
    drawn = {n: one for n, one in embedded(run).items() if "blur(" in one["sentence"]}
    assert set(drawn) >= {str(row.number) for row in rows}
    assert all(one["drawing"].startswith("<svg") and "unreadable" not in one for one in drawn.values())

    # without the package the study is refused, and the record can still be read
    done = metamixer("search", "study.toml", *STUDY, cwd=home)
    assert done.returncode == 2
    assert "unknown rule or word blur" in done.stderr
    assert "those of a package are known where it is installed" in done.stderr
    done = metamixer("report", "blurred", cwd=home)
    assert done.returncode == 0, done.stderr
    told = embedded(run)
    assert all("unknown word blur" in told[n]["unreadable"] for n in drawn)


def test_a_record_is_not_continued_with_other_words(site, repository, home, metamixer: Run):
    """Also where the space itself does not use them: a plug-in may change what other words do."""
    (home / "space.toml").write_text("name = 'plain'\n[rules]\nn = 'patch(2,{8|16}) >> {gelu|relu} >> norm'\n")
    toys = repository / "tests" / "search"
    toy = ("--dispatcher", "inline", "--set", 'search.evaluate="toys:fast"')
    done = metamixer("search", "study.toml", *STUDY, *toy, env=beside(site, toys), cwd=home, timeout=600)
    assert done.returncode == 0, done.stderr
    done = metamixer("search", "study.toml", *STUDY, *toy, env=beside(toys), cwd=home)
    assert done.returncode == 2
    assert "words: metamixer-blur 0.1.0 (blur, mish) is not installed here" in done.stderr


BROKEN = {
    "import": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "twice": (
        "from metamixer.language.checking.vocabulary import Plain, register\n\n"
        "@register\nclass Other(Plain):\n    name = 'lin'\n",
        "the word lin is defined twice",
    ),
    "name": (
        "from metamixer.language.checking.vocabulary import Plain, register\n\n"
        "@register\nclass Other(Plain):\n    name = 'Some Word'\n",
        "'Some Word' cannot be the name of a word",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_package_that_cannot_be_used_is_named(fault, tmp_path, metamixer: Run):
    code, told = BROKEN[fault]
    site = tmp_path / "site"
    (site / "broken_words.py").parent.mkdir()
    (site / "broken_words.py").write_text(code)
    info = site / "broken-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[metamixer.words]\nthose = broken_words\n")
    done = metamixer("words", env=beside(site))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: the words of the package broken 1.2 cannot be used: ")
    assert told in done.stderr
    assert "entry point those = broken_words" in done.stderr
    assert "pip uninstall broken" in done.stderr
    assert metamixer("--help", env=beside(site)).returncode == 0
