"""What holds for the repository as a whole: who imports whom, the public names, the wheel."""

from __future__ import annotations

import ast
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import metamixer
from metamixer import errors, resources

PACKAGE = Path(metamixer.__file__).parent


def rooms() -> set[str]:
    found = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    found |= {path.stem for path in PACKAGE.glob("*.py")}
    return found - {"__init__", "__main__", "cli"}


def files(room: str) -> list[Path]:
    return sorted((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]


def modules_made(path: Path) -> list[str]:
    """Classes of modules that a file defines, and layers of torch.nn that it makes."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases]
            found += [node.name for base in bases if base in ("Module", "ModuleList", "ModuleDict", "Sequential")]
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if re.fullmatch(r"(torch\.)?nn\.[A-Z]\w*", name) and not name.endswith("Loss"):
                found.append(name)
    return found


def test_networks_are_sentences():
    """Outside of the words, the compiler and the export nothing makes a module; a task may have a head or a loss."""
    made = {room: [name for path in files(room) for name in modules_made(path)] for room in rooms()}
    assert made.pop("compile")  # the check sees modules where there are some
    made.pop("words")
    made.pop("tasks")
    made.pop("export")  # a network on images, as torch.export and ONNX take it
    assert not {room: names for room, names in made.items() if names}


@pytest.mark.parametrize("name", sorted(set(metamixer.__all__) - {"__version__"}))
def test_public_names_are_there_and_documented(name):
    assert len((getattr(metamixer, name).__doc__ or "").split()) >= 5


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'parze'"):
        metamixer.parze  # noqa: B018


@pytest.mark.parametrize("name", ["cost", "reference"])
def test_a_function_is_not_hidden_by_the_room_of_its_name(name):
    program = f"import metamixer, metamixer.{name}\nassert metamixer.{name}.__qualname__ == {name!r}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_import_is_light():
    program = "import sys, metamixer; print(sorted(name for name in sys.modules if name.startswith('metamixer')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['metamixer']"


@pytest.mark.parametrize("kind", ["search_spaces", "studies"])
def test_resources_are_found_from_anywhere(kind, tmp_path, monkeypatch, repository):
    monkeypatch.chdir(tmp_path)
    assert "digits" in resources.names(kind)
    assert resources.find(kind, "digits") == repository / kind / "digits.toml"

    own = tmp_path / "mine.toml"
    own.write_text("name = 'mine'\n")
    assert resources.find(kind, "mine.toml").samefile(own)
    assert resources.find(kind, str(own)) == own

    with pytest.raises(errors.ResourceError) as told:
        resources.find(kind, "digts")
    assert "did you mean 'digits'" in str(told.value)
    with pytest.raises(errors.ResourceError, match=r"no such file: other\.toml"):
        resources.find(kind, "other.toml")
    with pytest.raises(errors.ResourceError, match="is a folder"):
        resources.find(kind, tmp_path)


def test_a_record_is_found_by_name_folder_or_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = tmp_path / "runs" / "digits" / "study.db"
    record.parent.mkdir(parents=True)
    record.touch()
    for run in ("digits", "runs/digits", "runs/digits/study.db", str(record)):
        assert resources.record(run).resolve() == record
    with pytest.raises(errors.ResourceError, match="runs there: digits"):
        resources.record("digit")


def test_errors_survive_pickling():
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.UserError):
            error = kind("what", "where", "instead")
            again = pickle.loads(pickle.dumps(error))
            assert type(again).__name__ == name
            assert str(again) == str(error) == "what\n  where\n  instead"
            assert (again.message, again.place, again.advice) == ("what", "where", "instead")


@pytest.fixture(scope="module")
def wheel(repository, tmp_path_factory) -> Path:
    """A wheel, built as `pip install .` builds it, from a copy of the sources."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    left_out = shutil.ignore_patterns(
        ".git", ".venv", "runs", "dist", "build", ".*_cache", ".hypothesis", "__pycache__"
    )
    shutil.copytree(repository, source, ignore=left_out)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(source)], check=True, timeout=300, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_installs_nothing_but_metamixer(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"metamixer", f"metamixer-{metamixer.__version__}.dist-info"}


def test_the_wheel_carries_sources_and_shipped_files(wheel, repository):
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if not name.endswith("/")}
    hidden = ("__pycache__", ".pyc")
    for path in PACKAGE.rglob("*"):
        if path.is_file() and not any(part in str(path) for part in hidden):
            assert path.relative_to(PACKAGE.parent).as_posix() in inside
    page = [
        path for path in (repository / "dashboards").rglob("*") if path.is_file() and "__pycache__" not in str(path)
    ]
    assert {f"metamixer/{path.relative_to(repository).as_posix()}" for path in page} <= inside
    for kind in ("search_spaces", "studies"):
        shipped = [path for path in (repository / kind).rglob("*") if path.is_file() and "__pycache__" not in str(path)]
        assert shipped
        for path in shipped:
            assert f"metamixer/_shipped/{path.relative_to(repository).as_posix()}" in inside


def test_the_wheel_works_away_from_the_sources(wheel, tmp_path):
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    program = (
        "import metamixer as mm\n"
        "from metamixer import resources\n"
        "print(resources.find('studies', 'digits'))\n"
        "print(resources.find('search_spaces', 'digits'))\n"
        "print(mm.Space.load(resources.find('search_spaces', 'digits')).name)\n"
        "from metamixer.dashboards import page\n"
        "print(page.STATIC, len(page.script()) > 10_000)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    study, space, name, static, whole = done.stdout.split()
    assert Path(static) == (site / "metamixer" / "dashboards" / "static").resolve()
    assert whole == "True"
    assert Path(study) == site / "metamixer" / "_shipped" / "studies" / "digits.toml"
    assert Path(space) == site / "metamixer" / "_shipped" / "search_spaces" / "digits.toml"
    assert name == "digits"


# Rooms whose code walks sentences. catalog, tasks and loading write sentences; export/operators.py is the table of the
# plain torch that operators are, by name.
WALKING = ("compile", "cost", "explore", "language", "record", "reference", "report", "search", "simulate")
# Words of English, of torch or of timm that happen to be spelled like operators.
SPELLED_ALIKE = {
    "compile/model.py": {"avg", "mean"},  # timm's name of a pooling, and the head that is written for it
    "compile/weights.py": {"bias", "fix"},  # a tensor and a setting
    "explore/reads.py": {"grid"},  # an attribute of types, here and below
    "explore/walk.py": {"grid"},
    "language/checking/affine.py": {"bias"},
    "language/checking/word.py": {"grid"},
    "language/spaces/items.py": {"first", "last"},
    "language/syntax/parser.py": {"N", "T"},  # letters of sizes, here and below
    "language/syntax/printer.py": {"N"},
}


@pytest.mark.parametrize("room", WALKING)
def test_walkers_name_no_operator(room):
    from metamixer.language.checking.vocabulary import words

    leaves = {name for name, word in words().items() if word.form == "leaf" and name.isidentifier()}
    operators = leaves - {"pick", "size", "number"}  # those belong to the grammar
    assert {"lin", "bn", "softmax"} <= operators
    for file in sorted((PACKAGE / room).rglob("*.py")):
        path = file.relative_to(PACKAGE).as_posix()
        text = file.read_text(encoding="utf-8")
        if "language.syntax" in text or "Typed" in text:  # else it walks no sentence
            named = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
            assert operators & named == SPELLED_ALIKE.get(path, set()), path


def test_walkers_compare_no_operators_and_read_no_data():
    """Nodes are walked by `match` on their classes; no strings say what kind a phrase is."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "op":
                pytest.fail(f"{file}:{node.lineno} reads .op")


def test_every_protocol_of_words_is_documented(repository):
    from metamixer.language.checking import protocols

    page = (repository / "docs" / "own-words.md").read_text(encoding="utf-8")
    mine = [cls for cls in vars(protocols).values() if getattr(cls, "__module__", "") == protocols.__name__]
    names = {cls.__name__ for cls in mine if isinstance(cls, type)}
    assert len(names) > 20
    assert names == {name for name in names if f"`{name}`" in page}
