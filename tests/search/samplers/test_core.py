"""The law of `metamixer.search.samplers.core`: whoever has numpy and scipy can import it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import metamixer.search.samplers.core as core

FOLDER = Path(core.__file__).parent
ALLOWED = {"numpy", "scipy", "metamixer.language.spaces.path", "metamixer.pareto", *sys.stdlib_module_names}


def imported(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.py")), ids=lambda file: file.name)
def test_it_imports_numpy_scipy_and_itself(file: Path) -> None:
    for module in imported(file):
        own = module.startswith(f"{core.__name__}.")
        assert own or module in ALLOWED or module.partition(".")[0] in ALLOWED - {"metamixer"}, (
            f"{file.name} imports {module}"
        )


def test_importing_it_loads_no_more() -> None:
    modules = [f"{core.__name__}.{file.stem}" for file in FOLDER.glob("*.py") if file.stem != "__init__"]
    assert len(modules) > 6
    heavy = {"optuna", "ray", "torch", "pydantic", "sqlalchemy", "plotly", "networkx", "rich"}
    program = (
        f"import importlib, sys\nfor name in {modules!r}: importlib.import_module(name)\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"


def test_every_file_is_said_in_the_law() -> None:
    named = {file.stem for file in FOLDER.glob("*.py") if file.stem != "__init__"}
    assert set(re.findall(r"^`(\w+)` +\w", core.__doc__ or "", flags=re.MULTILINE)) == named
