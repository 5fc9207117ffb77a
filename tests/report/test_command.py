"""`metamixer report` and `metamixer show`: what they print."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import metamixer as mm
from metamixer.cli.output.show import report, show, show_trial
from metamixer.dashboards.offline import write
from metamixer.errors import LanguageError, RecordError, UserError
from metamixer.record import read
from metamixer.report import image

from .conftest import SENTENCES

BLOCK = "(res(norm >> att(lin,lin,lin)@h(4)@win(2) >> lin) >> res(norm >> ffn(2)))^2"


def test_show_prints_tree_types_and_costs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    svg = tmp_path / "new" / "block.svg"
    assert show(BLOCK, 32, (8, 8), svg, False) == 0
    printed = capsys.readouterr().out
    cost = mm.cost(mm.parse(BLOCK), channels=32, grid=(8, 8))
    for expected in ("└─ 2 × ", "│  ├─ norm", "8×8×32", "(inside: 16 times)", "cost by stage", f"{cost.flops:,} FLOPs"):
        assert expected in printed
    lines = [line.rstrip() for line in printed.splitlines() if "att(lin,lin,lin)@h(4)@win(2)   " in line]
    assert lines
    assert max(len(line) for line in printed.splitlines()) <= 120
    root = ElementTree.parse(svg).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"


def test_the_costs_of_the_tree_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    show(BLOCK, 32, (8, 8), None, True)
    document = json.loads(capsys.readouterr().out)
    assert document["sentence"] == BLOCK
    assert document["output"] == {"grid": [8, 8], "channels": 32, "extra": 0}
    assert sum(row["macs"] for row in document["breakdown"]) == document["cost"]["macs"] == document["tree"]["macs"]
    assert sum(row["params"] for row in document["breakdown"]) == document["cost"]["params"]
    assert document["cost"]["executed_macs"] == document["cost"]["macs"]
    (copy,) = document["tree"]["parts"]
    assert (copy["repeated"], 2 * copy["macs"]) == (2, document["tree"]["macs"])


def test_both_counts_of_a_masked_neighbourhood_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    from metamixer.cli.output.show import show

    assert show("att(lin,lin,lin)@N(3)@h(4)", channels=64, grid=(8, 8), svg=None, as_json=False) == 0
    told = capsys.readouterr().out
    assert f"{3 * 64**3 + 2 * 64 * 9 * 64:,} MACs = " in told
    assert f"{3 * 64**3 + 2 * 64**3:,} MACs run in the module: a small neighbourhood is faster as a product" in told


def test_show_of_a_sentence_that_does_not_fit(tmp_path: Path) -> None:
    with pytest.raises(LanguageError):
        show("att(lin,lin,lin)@h(3) >> lin", 32, (8, 8), tmp_path / "no.svg", False)
    assert not (tmp_path / "no.svg").exists()


def test_show_of_a_trial(run_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert show_trial(run_folder / "study.db", 3, tmp_path / "3.svg", False) == 0
    printed = capsys.readouterr().out
    assert SENTENCES[3] in printed
    for expected in (
        "trial 3 of small: searched, complete",
        "network/block#2",
        "learning curve",
        "lin(10)",
        "device: cpu",
    ):
        assert expected in printed
    assert (tmp_path / "3.svg").is_file()


def test_show_of_a_trial_as_json(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    show_trial(run_folder / "study.db", 3, None, True)
    document = json.loads(capsys.readouterr().out)
    assert document["sentence"] == SENTENCES[3]
    assert document["network"].endswith(">> mean >> lin(10)")
    assert len(document["curve"]) == 5
    assert document["tree"]["macs"] == document["cost"]["macs"]


def test_show_of_failed_and_refused_trials(
    run_folder: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = read(run_folder)
    failed = next(row.number for row in rows if row.state == "failed")
    show_trial(run_folder / "study.db", failed, None, False)
    printed = capsys.readouterr().out
    assert "failed: nan" in printed
    assert "step 12" in printed
    refused = next(row.number for row in rows if row.state == "pruned" and row.cost is None)
    show_trial(run_folder / "study.db", refused, None, False)
    assert "ill-typed" in capsys.readouterr().out
    with pytest.raises(RecordError, match="has no drawing"):
        show_trial(run_folder / "study.db", refused, tmp_path / "no.svg", False)


def test_a_trial_that_is_not_there(run_folder: Path) -> None:
    with pytest.raises(RecordError, match="no trial 999"):
        show_trial(run_folder / "study.db", 999, None, False)


def test_a_trial_beside_another_and_beside_a_catalogue_entry(
    run_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The input is the run's; a name of the catalogue stands for what precedes its head, as the trial does."""
    from metamixer.cli.output.show import diff
    from metamixer.record.run import load

    channels, grid = load(run_folder).input
    assert diff(f"{run_folder}#0", f"{run_folder}#1", None, None, Path("runs"), as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    rows = load(run_folder).trials
    assert (found["a"], found["input"]) == (f"{run_folder}#0", {"channels": channels, "grid": list(grid)})
    assert found["keys"] == [mm.parse(rows[i].sentence).key(channels, grid) for i in (0, 1)]
    monkeypatch.chdir(run_folder.parent)
    assert diff("vit_digits", f"{run_folder.name}#0", None, None, Path(), as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["input"]["grid"] == list(grid)
    with pytest.raises(RecordError, match="the run has no trial 9999"):
        diff("x", f"{run_folder}#9999", None, None, Path("runs"), as_json=False)


def test_report_writes_the_page(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = run_folder / "report.html"
    page.unlink(missing_ok=True)
    assert report(record=run_folder / "study.db", as_json=True, write=write) == 0
    document = json.loads(capsys.readouterr().out)
    assert Path(document["report"]) == page.resolve()
    assert page.is_file()
    assert not list(run_folder.glob("*.part"))
    assert document["failed"] == 1
    assert set(document["baselines"].values()) <= {"dominated", "not dominated", "undecided"}


def test_without_a_browser_the_advice_is_to_install_one(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image.shutil, "which", lambda name: None)
    monkeypatch.setattr(image, "MAC", tmp_path / "nowhere")
    monkeypatch.setattr(image, "_has_kaleido", lambda: False)
    with pytest.raises(UserError, match="no browser") as raised:
        report(record=run_folder / "study.db", as_json=False, write=write, png=tmp_path / "front.png")
    assert "apt install chromium" in str(raised.value)


def test_a_run_without_a_trial_lists_its_front_and_says_how_a_trial_is_named(
    run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from metamixer import cli
    from metamixer.record.run import load

    monkeypatch.chdir(run_folder.parent)
    name, front = run_folder.name, load(run_folder).front
    shown = CliRunner().invoke(cli.app, ["show", name, "--runs", "."])
    assert shown.exit_code == 0, shown.output
    for point in front:
        assert f"{point.accuracy:.4f}" in shown.stdout
        assert f"{point.flops / 1e6:,.3f}" in shown.stdout
    assert f"metamixer show {name} {front[0].number}" in shown.stdout
    listed = json.loads(CliRunner().invoke(cli.app, ["show", name, "--runs", ".", "--json"]).stdout)
    assert [point["number"] for point in listed["front"]] == [point.number for point in front]
    one, other = (
        CliRunner().invoke(cli.app, ["show", *text, "--runs", ".", "--json"]).stdout
        for text in ([f"{name}#3"], [name, "3"])
    )
    assert json.loads(one) == json.loads(other)
    refused = CliRunner().invoke(cli.app, ["show", name, "--runs", ".", "--svg", "front.svg"])
    assert (refused.exit_code, "name its trial" in refused.stderr) == (2, True)
    missing = CliRunner().invoke(cli.app, ["show", f"{name}#999", "--runs", "."])
    assert (missing.exit_code, "no trial 999" in missing.stderr) == (2, True)
