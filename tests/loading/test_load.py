"""From what a run kept to a module on images."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import metamixer as mm
from metamixer.errors import RecordError, ResourceError, UserError
from metamixer.record import Trial
from metamixer.tasks import get
from metamixer.training import weights

Kept = tuple[Path, float]


def rewritten(file: Path, to: Path, **changes: str | None) -> Path:
    """The same tensors under changed metadata."""
    from safetensors.torch import save_file

    metadata = {**weights.metadata_of(file), **changes}
    save_file(weights.tensors_of(file), to, metadata={k: v for k, v in metadata.items() if v is not None})
    return to


def test_a_loaded_network_is_right_as_often_as_the_trained_one(kept: Kept) -> None:
    file, accuracy = kept
    net = mm.load(file)
    arrays = get("digits").data()
    with torch.inference_mode():
        logits = net(torch.tensor(arrays.x_val).movedim(-1, 1))
    assert not net.training
    assert logits.shape == (500, 10)
    assert float((logits.argmax(1).numpy() == arrays.y_val).mean()) == accuracy


def test_it_follows_timms_conventions(kept: Kept) -> None:
    file, _ = kept
    net = mm.create_model(str(file.parent) + "/", num_classes=None)
    x = torch.randn(2, 1, 8, 8)
    assert (net.num_classes, net.in_chans, net.pretrained_cfg["input_size"]) == (10, 1, (1, 8, 8))
    assert net.forward_features(x).shape == (2, 4, 4, net.num_features)
    assert torch.equal(net.forward_head(net.forward_features(x)), net(x))
    assert net.get_classifier().out_features == 10
    net.reset_classifier(0)
    assert net(x).shape == (2, net.head_hidden_size)
    assert mm.load(file, num_classes=3)(x).shape == (2, 3)
    maps = mm.load(file, features_only=True)
    assert [made.shape[1] for made in maps(x)] == maps.feature_info.channels() == [8]


def test_a_run_is_loaded_by_number_best_and_knee(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text("[rules]\nnetwork = 'patch(2,{4|8}) >> res(bn >> lin)'")
    (tmp_path / "study.toml").write_text(
        "[study]\nname = 'small'\nspace = 'small.toml'\ntask = 'digits'\nbudget = 2\nconfirm = 1\n"
        "[training]\nepochs = 1\n[baselines]\nnames = []\n[search]\nreferences = ''\n"
    )
    assert mm.Study.load("study.toml").run("inline").trained == 2
    trials = {trial.number: trial for trial in recorded(tmp_path)}
    best = max(trials.values(), key=lambda trial: trial.accuracy or 0.0)
    for address in (f"small#{best.number}", "small#best", f"runs/small#{best.number}"):
        assert mm.load(address).pretrained_cfg["architecture"] == best.sentence
    assert mm.load("small#knee").num_classes == 10
    (tmp_path / "runs/small" / (best.weights or "")).unlink()
    with pytest.raises(RecordError, match="not kept"):
        mm.load("small#best")
    with pytest.raises(RecordError, match="no trial '7'"):
        mm.load("small#7")
    with pytest.raises(ResourceError, match="no run"):
        mm.load("smal#0")


def recorded(folder: Path) -> list[Trial]:
    from metamixer import record

    return record.read(folder / "runs/small")


def test_files_that_are_not_what_they_say_are_refused(kept: Kept, tmp_path: Path) -> None:
    file, _ = kept
    whole = file.read_bytes()
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordError, match="cannot be read"):
        mm.load(cut)
    other = weights.metadata_of(file)["sentence"].replace("8", "16")
    with pytest.raises(RecordError, match="its key is another"):
        mm.load(rewritten(file, tmp_path / "other.safetensors", sentence=other))
    with pytest.raises(RecordError, match="weights of another network"):
        mm.load(rewritten(file, tmp_path / "foreign.safetensors", sentence=other, key=None))
    with pytest.raises(RecordError, match="cannot be built here"):
        mm.load(rewritten(file, tmp_path / "unknown.safetensors", sentence="patch(2,8) >> unheard"))
    with pytest.raises(RecordError, match="not whole"):
        mm.load(rewritten(file, tmp_path / "part.safetensors", input=None))
    with pytest.raises(RecordError, match="not written by metamixer"):
        mm.load(rewritten(file, tmp_path / "somebodys.safetensors", sentence=None))
    with pytest.raises(RecordError, match="kept by another version of metamixer"):
        mm.load(rewritten(file, tmp_path / "old.safetensors", format="1", names=None))
    with pytest.raises(ResourceError, match="no weights at"):
        mm.load(tmp_path)
    with pytest.raises(UserError, match="for 1 channels"):
        mm.load(file, in_chans=3)
