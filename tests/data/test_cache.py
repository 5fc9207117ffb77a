from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pictures import CLASSES, make_folder, pixels
from PIL import Image

from metamixer import tasks
from metamixer.data import cache, writing
from metamixer.data.cache import prepare
from metamixer.data.items import changes
from metamixer.data.section import DataSection
from metamixer.errors import ResourceError, StudyError, TaskError


def items(folder: Path) -> list[dict]:
    return pq.read_table(folder / "items.parquet").to_pylist()


def test_a_data_set_in_its_cache(flowers, prepared):
    found = prepared(train=f"folder:{flowers}", validation=0.2, test=0.1)
    task = found.task
    assert (task.name, task.channels, task.grid, task.classes) == ("flowers", 3, (12, 12), 3)
    assert task.class_names == CLASSES
    arrays, test = task.data(), task.test()
    assert [len(y) for y in (arrays.y_train, arrays.y_val, test.y)] == [21, 6, 3]
    assert arrays.x_train.dtype == np.uint8
    assert isinstance(arrays.x_train, np.memmap)
    assert not arrays.x_train.flags.writeable
    of_part = {"train": arrays.x_train, "validation": arrays.x_val, "test": test.x}
    for row in items(found.folder):
        kind, number = row["name"].removesuffix(".png").split("/")
        assert row["class"] == kind
        assert (of_part[row["part"]][row["row"]] == pixels(CLASSES.index(kind), int(number))).all()
    assert {row["name"] for row in items(found.folder)} == {f"{kind}/{n}.png" for kind in CLASSES for n in range(10)}
    scaled = arrays.x_train.reshape(-1, 3) / 255
    np.testing.assert_allclose(task.mean, scaled.mean(0), atol=1e-6)
    np.testing.assert_allclose(task.std, scaled.std(0), atol=1e-6)


def test_nothing_is_decoded_twice(flowers, prepared, monkeypatch):
    first = prepared(train=f"folder:{flowers}")
    monkeypatch.setattr(cache, "write", None)
    assert prepared(train=f"folder:{flowers}").folder == first.folder
    # What does not change the arrays does not make them again either.
    other = prepared(train=f"folder:{flowers}", name="roses", memory_limit=7)
    assert other.folder == first.folder
    assert (other.task.name, other.task.memory_limit) == ("roses", 7 * 2**20)


def test_sources_of_their_own_make_the_parts(flowers, tmp_path, prepared):
    validation = make_folder(tmp_path / "more", each=2, classes=("daisy", "rose"), first=50)
    test = make_folder(tmp_path / "last", each=3, first=70)
    found = prepared(train=f"folder:{flowers}", validation=f"folder:{validation}", test=f"folder:{test}")
    arrays = found.task.data()
    assert [len(y) for y in (arrays.y_train, arrays.y_val, found.task.test().y)] == [30, 4, 9]
    assert found.about["parts"]["validation"]["classes"] == {"daisy": 2, "rose": 2, "tulip": 0}
    assert (arrays.x_val[2] == pixels(1, 50)).all()


def test_class_numbers_are_those_of_train_whatever_another_source_calls_them(flowers, tmp_path, prepared):
    only_tulips = tmp_path / "more" / "tulip"
    only_tulips.mkdir(parents=True)
    Image.fromarray(pixels(2, 80)).save(only_tulips / "0.png")
    found = prepared(train=f"folder:{flowers}", validation=f"folder:{tmp_path / 'more'}", test=0)
    assert found.task.data().y_val.tolist() == [2]
    with pytest.raises(TaskError, match="no test part"):
        found.task.test()


def test_a_class_that_train_lacks_is_named(flowers, tmp_path, prepared):
    make_folder(tmp_path / "more", each=1, classes=("daisy", "lily"))
    with pytest.raises(StudyError, match=r"validation has a class that train lacks: lily[\s\S]*daisy, rose, tulip"):
        prepared(train=f"folder:{flowers}", validation=f"folder:{tmp_path / 'more'}")


def test_one_class_is_no_task(tmp_path, prepared):
    with pytest.raises(StudyError, match="there is one class: daisy"):
        prepared(train=f"folder:{make_folder(tmp_path / 'x', classes=('daisy',))}")


def test_images_of_several_sizes_need_one(flowers, prepared):
    Image.fromarray(pixels(0, 5, (30, 20))).save(flowers / "daisy" / "5.png")
    with pytest.raises(StudyError, match=r"differ in size[\s\S]*daisy/5\.png has 30x20 pixels[\s\S]*size = 32"):
        prepared(train=f"folder:{flowers}")
    assert prepared(train=f"folder:{flowers}", size=8).task.grid == (8, 8)
    assert prepared(train=f"folder:{flowers}", size=[8, 6], resize="pad").task.data().x_train.shape[1:] == (8, 6, 3)


def test_channels_follow_from_the_images(tmp_path, prepared):
    root = tmp_path / "grey"
    for kind in "ab":
        (root / kind).mkdir(parents=True)
        for number in range(9):
            Image.fromarray(pixels(0, number)[..., 0]).save(root / kind / f"{number}.png")
    assert prepared(train=f"folder:{root}").task.channels == 1
    assert prepared(train=f"folder:{root}", channels=3).task.channels == 3
    Image.fromarray(pixels(0, 8)).save(root / "b" / "8.png")  # the last one of all is in colour
    found = prepared(train=f"folder:{root}").task
    assert found.channels == 3
    assert len(found.mean) == 3
    grey = prepared(train=f"folder:{root}", channels=1).task
    assert grey.data().x_train.shape == (14, 12, 12, 1)


def test_inputs_that_are_no_pixels_stay_as_they_are(tmp_path, prepared):
    x = np.random.RandomState(0).normal(size=(40, 16, 2)).astype(np.float32)
    np.savez(tmp_path / "series.npz", x=x, y=np.arange(40) % 2)
    found = prepared(train=f"arrays:{tmp_path / 'series.npz'}")
    assert (found.task.grid, found.task.channels, found.task.mean) == ((16,), 2, None)
    for row in items(found.folder):
        if row["part"] == "train":
            assert (found.task.data().x_train[row["row"]] == x[row["origin_row"]]).all()
    with pytest.raises(StudyError, match="are not resized"):
        prepared(train=f"arrays:{tmp_path / 'series.npz'}", size=8)


def test_a_part_of_the_images_is_drawn_by_class(flowers, prepared):
    found = prepared(train=f"folder:{flowers}", images=15, validation=0.2, test=0.2)
    assert {part: one["images"] for part, one in found.about["parts"].items()} == {
        "train": 9,
        "validation": 3,
        "test": 3,
    }


# -- broken images


def test_broken_images_are_listed_and_refused_unless_they_are_to_be_skipped(flowers, prepared):
    (flowers / "rose" / "3.png").write_bytes(b"no image at all")
    whole = (flowers / "tulip" / "4.png").read_bytes()
    (flowers / "tulip" / "4.png").write_bytes(whole[: len(whole) // 2])
    section = {"train": f"folder:{flowers}", "test": 0}
    found = prepared(**section)
    assert [one["name"] for one in found.about["broken"]] == ["rose/3.png", "tulip/4.png"]
    with pytest.raises(StudyError, match=r"2 images cannot be read[\s\S]*rose/3\.png: not an image[\s\S]*broken = "):
        cache.refuse_broken(found, DataSection(**section))
    skipping = DataSection(**section, broken="skip")
    cache.refuse_broken(found, skipping)
    assert prepared(**section, broken="skip").folder == found.folder
    arrays = found.task.data()
    assert len(arrays.y_train) + len(arrays.y_val) == 28
    assert len(arrays.x_train) == len(arrays.y_train)


def test_nothing_readable_is_told_with_a_reason(flowers, prepared):
    for path in flowers.rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(StudyError, match=r"no image of train can be read: daisy/\d\.png: not an image"):
        prepared(train=f"folder:{flowers}")


# -- a cache that is not whole


def test_a_cache_cut_off_half_way_is_made_again(flowers, prepared, tmp_path):
    first = prepared(train=f"folder:{flowers}")
    before = first.task.data().x_train.tobytes()
    file = first.folder / "train.npy"
    os.truncate(file, file.stat().st_size // 2)
    told = []
    again = prepare(DataSection(train=f"folder:{flowers}"), tmp_path / "runs", told.append)
    assert len(told) == 1
    assert "not whole and is made again" in told[0]
    assert np.load(again.folder / "train.npy").tobytes() == before
    (again.folder / "about.json").write_text("{")
    assert prepared(train=f"folder:{flowers}").about["files"]


def test_a_worker_that_finds_no_cache_says_so(flowers, prepared):
    found = prepared(train=f"folder:{flowers}", seed=5)
    shutil.rmtree(found.folder)
    with pytest.raises(TaskError, match=r"train part of the data cannot be read[\s\S]*start the search again"):
        found.task.data()


def test_a_cache_that_cannot_be_written_is_told(flowers, tmp_path):
    (tmp_path / "runs").write_text("a file, no folder")
    with pytest.raises(ResourceError, match=r"cannot be written[\s\S]*cache = \.\. in \[data\]"):
        prepare(DataSection(train=f"folder:{flowers}"), tmp_path / "runs")


def test_the_folder_of_images_is_only_read(flowers, prepared):
    def listed() -> list[tuple[str, int, int]]:
        return sorted((str(path), path.stat().st_mtime_ns, path.stat().st_mode) for path in flowers.rglob("*"))

    for path in (flowers, *flowers.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = listed()
    assert len(prepared(train=f"folder:{flowers}").task.data().y_train) == 24
    assert listed() == before


# -- several processes, and killed ones

PROGRAM = """
import sys, time
from metamixer.data import cache, writing
from metamixer.data.section import DataSection

decode = writing.decode

def slowly(item, shape):
    time.sleep(0.03)
    return decode(item, shape)

writing.decode = slowly
print("begun", flush=True)
made = cache.prepare(DataSection(train=sys.argv[1]), sys.argv[2], lambda line: print(line, flush=True))
print(made.folder, made.about["seconds"], made.task.fingerprint, flush=True)
"""


def start(flowers: Path, runs: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, f"folder:{flowers}", str(runs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_make_one_cache(flowers, tmp_path):
    both = [start(flowers, tmp_path / "runs") for _ in range(2)]
    lines = [process.communicate(timeout=120)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    # The same folder, made in the same seconds: by one of them.
    assert lines[0][-1] == lines[1][-1]
    assert len([path for path in (tmp_path / "runs" / ".data").iterdir() if path.is_dir()]) == 1


def test_a_killed_maker_leaves_nothing_in_the_way(flowers, tmp_path, prepared):
    process = start(flowers, tmp_path / "runs")
    root = tmp_path / "runs" / ".data"
    end = time.monotonic() + 60
    while time.monotonic() < end and not list(root.glob(".*.unfinished/train.npy")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert list(root.glob(".*.unfinished/train.npy"))
    found = prepared(train=f"folder:{flowers}")
    assert len(found.task.data().y_train) == 24
    assert not list(root.glob(".*.unfinished"))


def test_who_waits_says_so(flowers, tmp_path):
    first = start(flowers, tmp_path / "runs")
    root = tmp_path / "runs" / ".data"
    end = time.monotonic() + 60
    while time.monotonic() < end and not list(root.glob(".*.unfinished")):
        time.sleep(0.01)
    told = []
    prepare(DataSection(train=f"folder:{flowers}"), tmp_path / "runs", told.append)
    first.communicate(timeout=60)
    assert told == ["another process is decoding these images; waiting for it"]


# -- memory

MEMORY = """
import resource, sys
from metamixer.data import cache
from metamixer.data.section import DataSection
import metamixer.data.sources.folder, filelock, pyarrow.parquet
from PIL import Image; Image.init()

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
made = cache.prepare(DataSection(train=sys.argv[1], size=448), sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, made.about["files"]["train.npy"])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in kilobytes on Linux only")
def test_decoding_holds_a_fraction_of_the_images_in_memory(tmp_path):
    root = make_folder(tmp_path / "flowers", each=100)
    command = [sys.executable, "-c", MEMORY, f"folder:{root}", str(tmp_path / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    grown, written = map(int, done.stdout.split())
    assert written > 140e6
    assert grown * 1024 < written / 2


# -- what guards a record


def test_the_fingerprint_is_of_what_a_search_sees(flowers, tmp_path, prepared):
    address = f"folder:{flowers}"
    first = prepared(train=address).task.fingerprint
    (flowers / "rose" / "1.png").touch()
    touched = prepared(train=address)
    assert touched.task.fingerprint == first
    others = [
        prepared(train=address, seed=1),
        prepared(train=address, size=8),
        prepared(train=address, channels=1),
        prepared(train=address, validation=0.3),
    ]
    # The test part is not seen.
    tests = [make_folder(tmp_path / name, each=each, first=90) for name, each in (("t", 2), ("u", 3))]
    assert len({prepared(train=address, test=f"folder:{test}").task.fingerprint for test in tests}) == 1
    Image.fromarray(pixels(1, 77)).save(flowers / "rose" / "1.png")
    others.append(prepared(train=address))
    assert len({first, *(one.task.fingerprint for one in others)}) == 6


def test_what_changed_is_told(flowers, prepared):
    address = f"folder:{flowers}"
    before = prepared(train=address, test=0, validation=f"folder:{flowers}")
    assert changes(before.folder, before.folder) == []
    Image.fromarray(pixels(1, 77)).save(flowers / "rose" / "1.png")
    (flowers / "rose" / "2.png").rename(flowers / "rose" / "20.png")
    now = prepared(train=address, test=0, validation=f"folder:{flowers}")
    assert changes(before.folder, now.folder) == [
        "images that are gone: 2 (rose/2.png, rose/2.png)",
        "images that are new: 2 (rose/20.png, rose/20.png)",
        "images that have other pixels: 2 (rose/1.png, rose/1.png)",
    ]
    shutil.rmtree(before.folder)
    assert changes(before.folder, now.folder) == []


# -- how a worker gets it


def test_a_job_carries_the_task_to_a_worker(flowers, prepared):
    task = prepared(train=f"folder:{flowers}", memory_limit=3).task
    again = tasks.of(json.loads(json.dumps(task.document())))
    assert again is task
    program = (
        "import json, sys; from metamixer import tasks; task = tasks.of(json.loads(sys.argv[1]))\n"
        "print(task.data().x_train.sum(), task.mean, task.memory_limit, len(task.test().y))\n"
        "assert not {'torch', 'PIL', 'pyarrow'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", program, json.dumps(task.document())]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed.split() == f"{task.data().x_train.sum()} {task.mean} {3 * 2**20} 3".split()


def test_a_task_is_found_by_the_folder_it_is_stored_in(flowers, prepared, tmp_path):
    made = prepared(train=f"folder:{flowers}")
    assert tasks.get(f"stored:{made.folder}").fingerprint == made.task.fingerprint
    with pytest.raises(TaskError, match="no task is stored there"):
        tasks.get(f"stored:{tmp_path}")


def test_statistics_of_a_constant_channel_divide_by_one(tmp_path, prepared):
    np.savez(tmp_path / "a.npz", x=np.full((12, 4, 4, 1), 51, np.uint8), y=np.arange(12) % 2)
    task = prepared(train=f"arrays:{tmp_path / 'a.npz'}").task
    assert (task.mean, task.std) == ((0.2,), (1.0,))


def test_headers_have_room_for_any_number_of_rows(tmp_path):
    file = writing._PartFile(tmp_path, "train", 2)
    for number in range(12):
        file.add(np.full((2, 2, 1), number, np.uint8), number % 2)
    file.close()
    assert np.load(tmp_path / "train.npy")[:, 0, 0, 0].tolist() == list(range(12))
