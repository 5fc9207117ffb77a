"""The law of imports holds on every arrow, and CONTRIBUTING.md says it as it is."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import networkx
import pytest

spec = importlib.util.spec_from_file_location("law", Path(__file__).with_name("law.py"))
assert spec is not None
assert spec.loader is not None
law = importlib.util.module_from_spec(spec)
sys.modules["law"] = law
spec.loader.exec_module(law)

LAW = law.load()


def of_the_package(arrow: law.Arrow) -> bool:
    return arrow.target.startswith("metamixer.")


def test_every_module_has_a_room():
    assert [name for name in LAW.modules if name and LAW.room(name) is None] == []
    assert [name for name in LAW.rooms if not any(f"{module}.".startswith(f"{name}.") for module in LAW.modules)] == []


@pytest.mark.parametrize("room", LAW.rooms)
def test_rooms_import_what_the_law_allows(room):
    mine = [arrow for arrow in LAW.arrows if LAW.room(arrow.source) is LAW.rooms[room]]
    assert [str(arrow) for arrow in mine if of_the_package(arrow) and not LAW.allowed(arrow)] == []


@pytest.mark.parametrize("room", LAW.rooms)
def test_rooms_use_the_guarded_packages_that_the_law_names(room):
    mine = [arrow for arrow in LAW.arrows if LAW.room(arrow.source) is LAW.rooms[room] and arrow.kind != "types"]
    used = {arrow.target for arrow in mine} & set(LAW.guarded)
    assert "*" in LAW.rooms[room].imports or used == set(LAW.rooms[room].uses)


@pytest.mark.parametrize("room", [room for room in LAW.rooms if room != "cli"])
def test_a_loaded_room_brings_no_guarded_package_but_those_it_may(room):
    """Indirect imports too: what is in the process when all files of a room are imported."""
    names = [f"metamixer.{name}" for name in LAW.modules if name and LAW.room(name) is LAW.rooms[room]]
    guarded = [name for name in LAW.guarded if name in ("torch", "optuna", "ray", "networkx", "plotly", "pandas")]
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(*sorted(set({guarded!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert set(done.stdout.split()) <= set(LAW.rooms[room].loads)


def test_modules_form_no_circle_but_those_the_law_names():
    """Late imports and imports for types count: whoever reads one file of a circle must read all of it."""
    graph = networkx.DiGraph()
    meant = {(e.source, e.target) for e in LAW.exemptions}
    for arrow in LAW.arrows:
        pair = (arrow.source, arrow.target.removeprefix("metamixer."))
        # `from metamixer import record` names the package; by name alone nothing is read.
        if of_the_package(arrow) and arrow.kind != "name" and pair not in meant and "" not in pair:
            graph.add_edge(*pair)
    assert [sorted(circle) for circle in networkx.strongly_connected_components(graph) if len(circle) > 1] == []


def test_every_exemption_is_needed():
    arrows = {(arrow.source, arrow.target.removeprefix("metamixer.")) for arrow in LAW.arrows}
    assert [e for e in LAW.exemptions if (e.source, e.target) not in arrows] == []


def test_contributing_prints_the_law():
    text = law.PAGE.read_text(encoding="utf-8")
    assert law.page(text, LAW) == text, "run: python tests/imports/law.py"


def test_the_law_sees_what_it_forbids(tmp_path):
    """Imports at the top, inside a function, for types, and by a string."""
    for name, text in {
        "__init__": "",
        "low": "def f():\n    from metamixer.high import g\n",
        "high": "import torch\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from metamixer.low import f\n",
        "named": "NAME = 'metamixer.high:g'\n",
    }.items():
        (tmp_path / f"{name}.py").write_text(text)
    rooms = {name: {"holds": ""} for name in ("low", "high", "named")}
    found = law.Law({"room": rooms, "everywhere": [], "guarded": ["torch"]}, tmp_path)
    forbidden = {(arrow.source, arrow.target, arrow.kind) for arrow in found.arrows if not found.allowed(arrow)}
    assert forbidden >= {
        ("low", "metamixer.high", "late"),
        ("high", "metamixer.low", "types"),
        ("named", "metamixer.high", "name"),
    }


@pytest.mark.parametrize("room", [room for room in LAW.rooms if "*" not in LAW.rooms[room].imports])
def test_the_law_allows_nothing_that_is_not_used(room):
    mine = [arrow for arrow in LAW.arrows if LAW.room(arrow.source) is LAW.rooms[room] and of_the_package(arrow)]
    targets = {arrow.target.removeprefix("metamixer.") for arrow in mine}
    goals = {LAW.room(target).name for target in targets if LAW.room(target) is not None}
    assert sorted(set(LAW.rooms[room].imports) - goals - targets) == []
