"""`metamixer catalog` as a user sees it."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from metamixer import catalog, cli


def run(*arguments: str):
    return CliRunner().invoke(cli.app, ["catalog", *arguments])


def test_one_entry_is_shown_whole(tmp_path):
    svg = tmp_path / "agent.svg"
    shown = run("agent", "--svg", str(svg))
    assert shown.exit_code == 0, shown.output
    entry = catalog.get("agent")
    for piece in (
        entry.source, str(entry.network), entry.mixer, "├─╮", "8×8×32",
        f"{entry.cost.params:,}", f"{entry.cost.macs:,}",
        "no published figure", entry.peculiarities[0], entry.differs, "in the shell image",
    ):  # fmt: skip
        assert piece in shown.output.replace("\n", " ") or piece in shown.output, piece
    assert svg.read_text().startswith("<svg")


def test_published_figures_stand_beside_the_counted_ones():
    shown = run("ffnet_1")
    assert shown.exit_code == 0
    assert all(piece in shown.output for piece in ("13,775,656", "13.7M", "2.9G", "81.3", "fused for evaluation"))


def test_what_cannot_be_said():
    found = json.loads(run("--unsaid", "--json").output)
    assert all(item["missing"] and item["reason"] for item in found)
    assert "Titans" in run("--unsaid").output


def test_the_list_names_every_entry():
    output = run().output
    assert all(name[:20] in output for name in catalog.names())
    assert len(json.loads(run("--json").output)) == len(catalog.names())


def test_a_drawing_needs_a_system():
    refused = run("--svg", "x.svg")
    assert refused.exit_code == 2
    assert "name it" in refused.output


def test_the_page_of_what_is_equal_is_up_to_date(repository):
    written = (repository / "docs" / "catalog.md").read_text(encoding="utf-8")
    assert written == run("--check", "--table").output, "run: metamixer catalog --check --table > docs/catalog.md"


def test_what_was_compared_is_said_of_every_entry():
    found = {item["name"]: item for item in json.loads(run("--check", "--json").output)}
    assert set(found) == set(catalog.names())
    assert (found["vit_s16"]["verdict"], found["vit_s16"]["checked"]) == ("equal", "timm, models/vision_transformer.py")
    assert found["self_attention"]["verdict"] == "not compared"
    shown = run("--check", "catanet").output
    assert "catanet: differs (EquationWalker/CATANet, IASA and IRCA)" in shown
    assert catalog.get("catanet").differs in shown.replace("\n", " ")
    assert run("--table").exit_code == 2
