"""The folder of an exported network: its files, what is checked, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from metamixer.cli import app
from metamixer.compile import build
from metamixer.errors import UserError
from metamixer.export import Subject, export, folder
from metamixer.language import parse

SENTENCE = "patch(2,8) >> res(norm >> ffn(2)) >> mean >> lin(4)"


def exported(text, path, **options):
    """An export without the slow programs, which have a test of their own."""
    sentence = parse(text)
    return export(build(sentence, channels=3, grid=(8, 8)), Subject("test", sentence), path, **options)


@pytest.fixture
def no_programs(monkeypatch):
    def refuse(model):
        raise RuntimeError("Unsupported operator: aten::made_up\nand many lines more")

    monkeypatch.setattr(folder, "exported", refuse)


def test_the_weights_load_into_model_py_without_metamixer(tmp_path, no_programs):
    exported(SENTENCE, tmp_path / "out")
    code = (
        "import sys, torch; sys.modules['metamixer'] = None\n"
        "from safetensors.torch import load_file; from model import Model\n"
        "m = Model(); m.load_state_dict(load_file('model.safetensors'))\n"
        "print(tuple(m.eval()(torch.zeros(7, 3, 8, 8)).shape))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "out", capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "(7, 4)", run.stderr


def test_what_does_not_lower_is_said_and_the_other_files_are_written(tmp_path, no_programs):
    outcomes = {outcome.file: outcome for outcome in exported(SENTENCE, tmp_path / "out")}
    assert "made_up" in outcomes["model.pt2"].problem
    assert "many lines" not in outcomes["model.pt2"].problem
    assert outcomes["model.onnx"].problem
    for name in ("config.json", "model.safetensors", "model.py", "fused/model.safetensors", "parity.json", "README.md"):
        assert (tmp_path / "out" / name).is_file(), name


def test_without_source_the_weights_keep_the_names_of_build(tmp_path, no_programs):
    from safetensors.torch import load_file

    outcomes = {
        outcome.file: outcome for outcome in exported("patch(2,8) >> fourier >> mean >> lin(4)", tmp_path / "out")
    }
    assert "fourier" in outcomes["model.py"].problem
    assert not (tmp_path / "out" / "model.py").exists()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["names"] == "metamixer.build"
    net = build(parse(config["sentence"]), channels=3, grid=(8, 8))
    net.load_state_dict(load_file(tmp_path / "out" / "model.safetensors"))


def test_config_says_which_tensor_of_the_network_each_name_is(tmp_path, no_programs):
    exported(SENTENCE, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    names = build(parse(SENTENCE), channels=3, grid=(8, 8)).state_dict()
    assert {tensor["of"] for tensor in config["tensors"].values()} == set(names)


def test_a_folder_that_is_not_empty_is_refused_and_force_replaces_an_export_alone(tmp_path, no_programs):
    out = tmp_path / "out"
    exported(SENTENCE, out)
    (out / "notes.txt").write_text("mine")
    (out / "model.onnx").write_text("of an earlier export")
    with pytest.raises(UserError, match="not empty"):
        exported(SENTENCE, out)
    exported(SENTENCE, out, force=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert not (out / "model.onnx").exists()


def test_the_programs_agree_for_batches_of_one_and_seven(tmp_path):
    pytest.importorskip("onnxruntime", reason="ONNX is the extra export")
    pytest.importorskip("onnxscript", reason="ONNX is the extra export")
    exported("patch(4,4) >> gelu >> mean >> lin(2)", tmp_path / "out")
    parity = json.loads((tmp_path / "out" / "parity.json").read_text())["files"]
    for name in ("model.pt2", "model.onnx"):
        assert parity[name]["batch"] == "dynamic", parity[name]
        assert parity[name]["error"] < 1e-4
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    assert program(torch.zeros(5, 3, 8, 8)).shape == (5, 2)


def test_a_sentence_without_its_input_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["export", "norm >> lin", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "--channels" in result.output


def test_an_unknown_entry_is_no_sentence(tmp_path):
    result = CliRunner().invoke(app, ["export", "convnext_tt", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "metamixer catalog" in result.output
