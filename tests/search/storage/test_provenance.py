"""The state of the sources that a record holds."""

from __future__ import annotations

import subprocess

import pytest

from metamixer import record
from metamixer.search.storage import provenance as origin


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        git("init", "-q")
    except FileNotFoundError:
        pytest.skip("no git here")
    (folder / "space.toml").write_text("a")
    git("add", ".")
    git("commit", "-qm", "first")
    return folder, git


def test_commit_and_whether_tracked_files_differ(repository):
    folder, git = repository
    commit = git("rev-parse", "HEAD")
    assert origin.git(folder)["study"] == {"commit": commit, "dirty": False}
    (folder / "notes.txt").write_text("untracked")
    assert origin.git(folder)["study"] == {"commit": commit, "dirty": False}
    (folder / "space.toml").write_text("b")
    assert origin.git(folder)["study"] == {"commit": commit, "dirty": True}


def test_nothing_is_known_without_a_repository_or_a_commit(repository, tmp_path):
    folder, git = repository
    assert origin.git(tmp_path)["study"] is None
    git("update-ref", "-d", "HEAD")
    assert origin.git(folder)["study"] is None


def test_a_machine_without_git_has_no_state(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert origin.git() == {"study": None, "metamixer": None}


def test_a_package_in_an_ignored_folder_of_a_repository_is_not_its_state(repository, monkeypatch):
    folder, _ = repository
    package = folder / ".venv" / "metamixer"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(origin.metamixer, "__file__", str(package / "__init__.py"))
    found = origin.git(folder)
    assert found["metamixer"] is None
    assert found["study"] is not None


def test_a_study_records_it(load, repository, monkeypatch):
    folder, git = repository
    study = load("study.budget=1", "search.startup=1")
    monkeypatch.chdir(folder)
    study.run("inline")
    settings = record.settings(study.path)
    assert settings["git"]["study"] == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    assert settings["packages"] == {}
