"""From a study's file with a section [data] to a front."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pictures import make_folder, pixels
from PIL import Image

from metamixer import record, tasks
from metamixer.data.pruning import prune
from metamixer.errors import StudyError
from metamixer.search import configuration
from metamixer.search.study import Study

SPACE = """\
name = 'small'
start = 'network'
[rules]
network = 'patch(4,{8|12|16}) >> {dw(3) | lin} >> {gelu|relu} >> norm'
"""

STUDY = """\
[study]
name = "flowers"
space = "small.toml"
budget = 2
confirm = 1

[data]
train = "folder:flowers"
validation = 0.2
test = 0.1

[training]
epochs = 1
batch_size = 8

[search]
time_limit = 1000

"""


@pytest.fixture
def file(flowers: Path) -> Path:
    """A study's file with its space and its images beside it."""
    (flowers.parent / "small.toml").write_text(SPACE)
    path = flowers.parent / "study.toml"
    path.write_text(STUDY)
    return path


class View:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __enter__(self) -> View:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, line: str) -> None:
        self.lines.append(line)

    def show(self, progress: object, ended: int) -> None:
        pass


@pytest.fixture
def search(file: Path) -> Callable[..., tuple[Study, View]]:
    """`search("study.budget=3")`: the study run with these overrides, and what it said."""

    def run(*overrides: str, dispatcher: str = "inline", name: str | None = None) -> tuple[Study, View]:
        view = View()
        study = Study.load(file, overrides, file.parent / "runs", name)
        study.run(dispatcher=dispatcher, view=view)
        return study, view

    return run


# -- the section


def refused(file: Path, *overrides: str) -> str:
    with pytest.raises(StudyError) as caught:
        configuration.load(file, overrides)
    return str(caught.value)


def test_paths_are_relative_to_the_file_and_on_the_command_line_to_where_one_is(file, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = configuration.load(file).data
    assert data.train == f"folder:{file.parent / 'flowers'}"
    data = configuration.load(file, ["data.test=parquet:last.parquet", "data.train=torchvision:CIFAR10"]).data
    assert data.test == f"parquet:{tmp_path / 'elsewhere' / 'last.parquet'}"
    assert data.train == f"torchvision:CIFAR10:{tmp_path / 'elsewhere' / 'data'}"


def test_the_resolved_study_is_the_same_study(file):
    config = configuration.load(file, ["data.size=16", "data.images=20", "data.cache=there"])
    again = configuration.parse(tomllib.loads(configuration.to_toml(config)))
    assert again == config
    assert again.data.size == (16, 16)


def test_a_study_is_of_a_task_or_of_data(file):
    text = refused(file, "study.task=digits")
    assert "a study is of a task or of data, not of both" in text
    file.write_text(STUDY[: STUDY.index("[data]")])
    text = refused(file)
    assert "study.task is missing" in text
    assert "[data]" in text


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.train=flowers", "write folder:DIR"),
        ("data.train=dir:flowers", "write folder:DIR"),
        ("data.validation=1.5", "a share of train, 0 <= share < 1, or a source"),
        ("data.validation=0", "a search compares architectures on it"),
        ("data.validation=flowers", "write folder:DIR"),
        ("data.size=0", "data.size"),
        ("data.sizes=3", "did you mean size?"),
        ("data.resize=cut", "one of: crop, pad, stretch"),
        ("data.channels=2", "data.channels"),
        ("data.broken=ignore", "one of: refuse, skip"),
    ],
)
def test_what_the_section_does_not_take_is_told_with_its_place(file, override, message):
    text = refused(file, override)
    assert message in text
    assert "--set" in text


def test_shares_that_leave_nothing_to_learn_from_are_told(file):
    text = refused(file, "data.test=0.9")
    assert text.startswith("data: validation and test take all of train\n")
    assert "study.toml, line 7" in text


def test_a_mistake_in_the_file_is_told_with_its_line(file):
    file.write_text(STUDY.replace("validation = 0.2", 'validation = "a fifth"'))
    assert "study.toml, line 9" in refused(file)


# -- a search


def test_a_search_on_a_folder_of_images(search, file):
    study, view = search()
    (first, *_), settings = record.read(study.path), record.settings(study.path)
    assert study.front()
    assert first.curve[0]["validation_accuracy"] == first.accuracy
    assert settings["task"]["name"] == "flowers"
    assert settings["task"]["class_names"] == ["daisy", "rose", "tulip"]
    assert settings["reference_point"][0] == 1 / 3
    # Nothing is fitted silently, and nothing compared with silently.
    assert any("reference classifiers are not fitted" in line for line in view.lines)
    assert any("name some with [baselines] names" in line for line in view.lines)
    assert settings["references"] == {}
    # What the record says is enough to have the data again, its test part too.
    task = tasks.of(settings["task"])
    assert len(task.test().y) == 3
    assert task.fingerprint == settings["fingerprints"]["task"]


def test_it_goes_on_where_it_was_also_with_files_that_were_only_touched(search, flowers):
    search()
    (flowers / "rose" / "1.png").touch()
    study, _ = search("study.budget=3", "data.memory_limit=9", "data.name=roses")
    assert sum(trial.kind == "searched" for trial in record.read(study.path)) == 3


def test_data_that_changed_under_a_record_is_refused_and_nothing_is_lost(search, flowers):
    study, _ = search()
    before = [trial.accuracy for trial in record.read(study.path)]
    old = (flowers / "rose" / "1.png").read_bytes()
    Image.fromarray(pixels(2, 50)).save(flowers / "rose" / "1.png")
    with pytest.raises(StudyError) as caught:
        search("study.budget=3")
    text = str(caught.value)
    assert "the record there is of another study" in text
    assert "data: images that have other pixels: 1 (rose/1.png)" in text
    assert "--name" in text
    assert [trial.accuracy for trial in record.read(study.path)] == before
    other, _ = search(name="changed")
    assert len(other.front()) >= 1
    (flowers / "rose" / "1.png").write_bytes(old)
    search("study.budget=3")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("data.seed=1", "data.seed: 0 in the record, 1 here"),
        ("data.size=8", "data.size: None in the record, [8, 8] here"),
        ("data.validation=0.3", "data.validation: 0.2 in the record, 0.3 here"),
    ],
)
def test_another_section_under_a_record_is_refused_by_its_keys(search, override, line):
    search()
    with pytest.raises(StudyError) as caught:
        search("study.budget=3", override)
    assert line in str(caught.value)


def test_what_an_earlier_run_trained_on_other_images_is_no_warm_start(search, flowers):
    search()
    with pytest.raises(StudyError, match="its task, or the data of it, is another one"):
        search("study.warm_start=flowers", "data.seed=1", name="second")
    study, _ = search("study.warm_start=flowers", name="third")
    assert any(trial.kind == "imported" for trial in record.read(study.path))


def test_broken_images_stop_a_search_before_it_begins(search, flowers):
    (flowers / "rose" / "1.png").write_bytes(b"broken")
    with pytest.raises(StudyError, match="1 images cannot be read"):
        search()
    study, _ = search("data.broken=skip")
    assert study.front()


REFERENCES = """
from metamixer import tasks

def guess(name):
    y = tasks.get(name).data().y_val
    return {"always the first class": float((y == 0).mean())}
"""


def test_references_of_ones_own_are_given_the_data(search, file, monkeypatch):
    (file.parent / "users_references.py").write_text(REFERENCES)
    monkeypatch.chdir(file.parent)
    study, _ = search("search.references=users_references:guess")
    assert record.settings(study.path)["references"] == {"always the first class": pytest.approx(1 / 3)}


def test_a_search_through_ray(search):
    pytest.importorskip("ray")
    study, _ = search("search.workers=2", dispatcher="ray")
    trials = [trial for trial in record.read(study.path) if trial.kind == "searched"]
    assert [trial.state for trial in trials] == ["complete", "complete"]


def test_a_machine_of_a_cluster_needs_no_folder_of_images(flowers, prepared):
    from metamixer.search.execution.ray_worker import in_memory

    made = prepared(train=f"folder:{flowers}")
    sent = pickle.loads(pickle.dumps(in_memory(made.task.data())))
    assert not isinstance(sent.x_train, np.memmap)
    elsewhere = tasks.of({**made.task.document(), "stored": "/nowhere"})
    elsewhere.receive(sent)
    assert (elsewhere.data().x_train == made.task.data().x_train).all()


# -- the command


@pytest.fixture
def look(file: Path, metamixer) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return metamixer("data", "study.toml", *arguments, cwd=file.parent)

    return run


def test_the_command_reports_and_draws(look, file):
    done = look("--sheet", "flowers.png")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "flowers: inputs of 12x12x3" in text
    assert "daisy 7 2 1" in text
    assert "all 21 6 3" in text
    assert "classes are balanced; always saying the largest is right on 33.3% of train" in text
    assert "sizes of the files: 12x12 (30)" in text
    assert "no broken files" in text
    assert "0 across parts, 0 within one" in text
    sheet = np.asarray(Image.open(file.parent / "flowers.png"))
    # Each class is one strong channel, and a row of the picture.
    rows = np.array_split(sheet[:, 140:].astype(int), 3)
    assert [int(row.mean((0, 1)).argmax()) for row in rows] == [0, 1, 2]


def test_the_commands_cache_is_the_searchs_and_stays_when_another_study_prunes(look, search):
    study, _ = search()
    of_a_run = Path(record.settings(study.path)["task"]["stored"])
    for path in (*of_a_run.iterdir(), of_a_run):
        os.utime(path, (1e9, 1e9))
    done = look("--set", "data.seed=1", "--prune")
    assert done.stderr.endswith("0 caches deleted, 0.0 MB\n"), done.stderr
    told = json.loads(look("--json").stdout)
    assert of_a_run == Path(told["cache"])


def test_broken_files_and_duplicates_across_parts_are_told_and_answered_with_1(look, file, flowers):
    (flowers / "rose" / "1.png").write_bytes(b"broken")
    make_folder(file.parent / "last", each=2)  # two images of every class are in train, too
    Image.fromarray(pixels(0, 0)).save(flowers / "tulip" / "90.png")  # and one of them in another class
    done = look("--json", "--set", "data.test=folder:last")
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)
    assert [one["name"] for one in told["broken"]] == ["rose/1.png"]
    assert len(told["duplicates"]["across"]) == 5
    assert told["duplicates"]["conflicting"] == 1
    group = next(group for group in told["duplicates"]["across"] if len(group) == 3)
    assert {(one["name"], one["class"]) for one in group} == {("daisy/0.png", "daisy"), ("tulip/90.png", "tulip")}
    done = look("--set", "data.test=folder:last")
    text = " ".join(done.stdout.split())
    assert "broken files: 1" in text
    assert "5 across parts, 0 within one; 1 of them with different classes" in text


def test_caches_that_nothing_needs_are_pruned_once_they_are_old(prepared, flowers):
    needed, old, recent = (prepared(train=f"folder:{flowers}", seed=seed).folder for seed in range(3))
    root = old.parent
    users, unfinished = root / "of-the-users", root / ".0123.unfinished"
    users.mkdir()
    unfinished.mkdir()
    for path in (unfinished, *(path for folder in (needed, old) for path in (*folder.iterdir(), folder))):
        os.utime(path, (1e9, 1e9))
    assert [name for name, _ in prune(root, [needed])] == [unfinished.name, old.name]
    assert {path for path in root.iterdir() if path.is_dir()} == {needed, recent, users}


def test_a_cache_that_other_folders_may_use_is_not_pruned(look):
    done = look("--set", "data.cache=elsewhere", "--prune")
    assert done.returncode == 2
    assert "runs of other folders may use it" in done.stderr


def test_a_study_of_a_task_has_no_images_to_look_at(metamixer, tmp_path):
    done = metamixer("data", "digits", cwd=tmp_path)
    assert done.returncode == 2
    assert "no section [data]" in done.stderr


# -- real images


def test_cifar_10(repository, tmp_path):
    folder = repository.parent / "shared" / "data" / "cifar10"
    if not folder.is_dir():
        pytest.skip("the data of developers is not there: ../shared/data/cifar10")
    (tmp_path / "small.toml").write_text(SPACE)
    text = STUDY.replace('train = "folder:flowers"', f'train = "parquet:{folder}/train.parquet"\nimages = 1000')
    text = text.replace("test = 0.1", f'test = "parquet:{folder}/test.parquet"')
    text += '[baselines]\nnames = ["convnext_images"]\n'
    (tmp_path / "study.toml").write_text(text)
    study = Study(Study.load(tmp_path / "study.toml").config, tmp_path / "runs")
    study.run(dispatcher="inline")
    settings = record.settings(study.path)
    task = tasks.of(settings["task"])
    assert task.name == "cifar10"
    assert (task.grid, task.channels) == ((32, 32), 3)
    assert task.class_names[:3] == ("airplane", "automobile", "bird")
    arrays, test = task.data(), task.test()
    assert np.bincount(arrays.y_train).tolist() == [80] * 10
    assert np.bincount(arrays.y_val).tolist() == [20] * 10
    assert np.bincount(test.y).tolist() == [1000] * 10
    assert np.abs(np.array(task.mean) - (0.4913, 0.4821, 0.4465)).max() < 0.02  # of all 50,000
    assert [trial.reason for trial in record.read(study.path)] == [None] * 3
    assert len(study.front()) >= 1
