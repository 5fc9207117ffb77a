from __future__ import annotations

import gzip
import io
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pictures import CLASSES, make_folder, pixels
from PIL import Image

from metamixer.data.section import DataSection
from metamixer.data.sources import Source, open_source
from metamixer.errors import ResourceError, StudyError, UserError


def opened(address: str, part: str = "train", **section: object) -> Source:
    return open_source(address, part, DataSection(train=address, **section))


def shown(source: Source, rows: list[int] | None = None) -> list[np.ndarray]:
    """The pixels of some rows, as any program would open them."""
    found = []
    for item in source.read(range(len(source.labels)) if rows is None else rows):
        if isinstance(item, bytes):
            item = Image.open(io.BytesIO(item))
        elif isinstance(item, Path):
            item = Image.open(item)
        found.append(np.asarray(item))
    return found


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


# -- folder


def test_a_folder_gives_its_classes_in_order_and_images_at_any_depth(flowers):
    (flowers / "rose" / "deep").mkdir()
    Image.fromarray(pixels(1, 99)).save(flowers / "rose" / "deep" / "99.JPG", quality=95)
    (flowers / "rose" / "notes.txt").write_text("no image")
    (flowers / "rose" / ".hidden.png").write_bytes(b"")
    (flowers / ".thumbnails").mkdir()
    source = opened(f"folder:{flowers}")
    assert source.class_names == CLASSES
    assert np.bincount(source.labels).tolist() == [10, 11, 10]
    assert "rose/deep/99.JPG" in [source.name(row) for row in range(31)]
    for row in (0, 7, 30):
        kind, number = source.name(row).split("/")
        assert (shown(source, [row])[0] == pixels(CLASSES.index(kind), int(number.removesuffix(".png")))).all()


def test_the_listing_follows_the_files_and_not_their_place(flowers, tmp_path):
    before = opened(f"folder:{flowers}").listing
    assert opened(f"folder:{flowers}").listing == before
    (flowers / "rose" / "0.png").write_bytes(png(pixels(0, 0)))
    assert opened(f"folder:{flowers}").listing != before


def test_a_class_without_images_is_named(flowers):
    (flowers / "violet").mkdir()
    with pytest.raises(StudyError, match="a class has no images: violet"):
        opened(f"folder:{flowers}")
    assert len(opened(f"folder:{flowers}", "test").labels) == 30


def test_a_folder_without_images_says_what_it_looked_for(tmp_path):
    (tmp_path / "empty" / "rose").mkdir(parents=True)
    (tmp_path / "empty" / "rose" / "rose.txt").write_text("")
    with pytest.raises(StudyError, match=r"holds no images[\s\S]*1 subfolders[\s\S]*\.jpg"):
        opened(f"folder:{tmp_path / 'empty'}")


def test_a_folder_without_classes_says_where_its_images_lie(tmp_path):
    Image.fromarray(pixels(0, 0)).save(tmp_path / "0.png")
    with pytest.raises(StudyError, match=r"holds no classes: 1 images lie in it directly[\s\S]*DIR/cat/1\.jpg"):
        opened(f"folder:{tmp_path}")


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ResourceError, match="is not there"):
        opened(f"folder:{tmp_path / 'nothing'}")


# -- Parquet


def table(rows: int = 12, label: object = None, **columns: object) -> pa.Table:
    images = [{"bytes": png(pixels(row % 3, row)), "path": f"{row}.png"} for row in range(rows)]
    labels = [row % 3 for row in range(rows)] if label is None else label
    return pa.table({"image": images, "label": labels, **columns})


def named(some: pa.Table, names: list[str], column: str = "label") -> pa.Table:
    """With the metadata that the Hub's library writes."""
    features = {"image": {"_type": "Image"}, column: {"names": names, "_type": "ClassLabel"}}
    return some.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def test_parquet_in_the_hubs_convention(tmp_path):
    pq.write_table(named(table(), list(CLASSES)), tmp_path / "train.parquet", row_group_size=5)
    source = opened(f"parquet:{tmp_path / 'train.parquet'}")
    assert source.class_names == CLASSES
    assert source.labels.tolist() == [row % 3 for row in range(12)]
    # Rows of several groups, some left out.
    for row, image in zip([1, 4, 5, 11], shown(source, [1, 4, 5, 11]), strict=True):
        assert (image == pixels(row % 3, row)).all()
    assert source.name(6) == "train.parquet, row 6"


@pytest.mark.parametrize("rest", ["", "/train-*.parquet"])
def test_several_parquet_files_are_one_source_in_the_order_of_their_names(tmp_path, rest):
    pq.write_table(table(4), tmp_path / "train-1.parquet")
    pq.write_table(table(7), tmp_path / "train-0.parquet")
    source = opened(f"parquet:{tmp_path}{rest}")
    assert len(source.labels) == 11
    assert source.name(7) == "train-1.parquet, row 0"
    assert (shown(source, [8])[0] == pixels(1, 1)).all()


def test_images_as_plain_bytes_and_classes_as_texts(tmp_path):
    pq.write_table(
        pa.table({"picture": [png(pixels(row, 0)) for row in range(3)], "kind": ["b", "a", "b"]}),
        tmp_path / "t.parquet",
    )
    source = opened(f"parquet:{tmp_path / 't.parquet'}")
    assert source.class_names == ("a", "b")
    assert source.labels.tolist() == [1, 0, 1]
    assert (shown(source)[2] == pixels(2, 0)).all()


def test_images_that_parquet_only_names_lie_beside_it(tmp_path):
    Image.fromarray(pixels(1, 1)).save(tmp_path / "one.png")
    rows = [{"bytes": None, "path": "one.png"}, {"bytes": png(pixels(0, 0)), "path": None}]
    pq.write_table(pa.table({"image": rows, "label": [1, 0]}), tmp_path / "t.parquet")
    assert (shown(opened(f"parquet:{tmp_path / 't.parquet'}"))[0] == pixels(1, 1)).all()


def test_classes_that_no_row_has_are_left_out_with_a_note(tmp_path):
    pq.write_table(named(table(), [*CLASSES, "violet", "lily"]), tmp_path / "t.parquet")
    source = opened(f"parquet:{tmp_path / 't.parquet'}")
    assert source.class_names == CLASSES
    assert source.notes == ("2 of 5 declared classes have no images and are left out",)


def test_columns_are_told_by_name_where_several_would_do(tmp_path):
    pq.write_table(table(3, fine=[0, 1, 2], coarse=[0, 0, 1]).drop(["label"]), tmp_path / "t.parquet")
    address = f"parquet:{tmp_path / 't.parquet'}"
    with pytest.raises(StudyError, match=r"several columns may be the labels: fine, coarse[\s\S]*label_column"):
        opened(address)
    assert opened(address, label_column="coarse").labels.tolist() == [0, 0, 1]
    with pytest.raises(StudyError, match=r"no column 'rough'[\s\S]*fine \(int64\)"):
        opened(address, label_column="rough")
    with pytest.raises(StudyError, match="holds int64, no images"):
        opened(address, image_column="fine", label_column="coarse")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0.5] * 12, "labels are double, not whole numbers or texts"),
        ([[0]] * 12, r"labels are list<.*>, not whole numbers"),
        ([0, 1, None] * 4, "4 rows have no label"),
        ([0, 1, -1] * 4, "4 labels are below 0"),
    ],
)
def test_labels_of_the_wrong_type_are_told(tmp_path, label, message):
    pq.write_table(table(label=label), tmp_path / "t.parquet")
    with pytest.raises(StudyError, match=message):
        opened(f"parquet:{tmp_path / 't.parquet'}")


def test_a_label_beyond_the_names_is_told(tmp_path):
    pq.write_table(named(table(), ["a", "b"]), tmp_path / "t.parquet")
    with pytest.raises(StudyError, match="a label is 2, and there are 2 class names"):
        opened(f"parquet:{tmp_path / 't.parquet'}")


def test_a_parquet_file_cut_off_is_told(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(table(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ResourceError, match=r"no Parquet file[\s\S]*t\.parquet[\s\S]*copied whole"):
        opened(f"parquet:{path}")
    with pytest.raises(ResourceError, match="no Parquet file is there"):
        opened(f"parquet:{tmp_path / 'u.parquet'}")


def test_a_row_group_that_is_broken_is_told_when_it_is_read(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(table(), path, compression="zstd", use_dictionary=False, column_encoding={"label": "PLAIN"})
    content = bytearray(path.read_bytes())
    place = content.index(b"\x28\xb5\x2f\xfd")  # where the first compressed page begins: images
    content[place : place + 40] = b"\xff" * 40
    path.write_bytes(content)
    source = opened(f"parquet:{path}")
    with pytest.raises(ResourceError, match="row group 0 cannot be read"):
        list(source.read([0]))


# -- arrays


X, Y = np.stack([pixels(row % 3, row) for row in range(9)]), np.arange(9) % 3


def test_an_archive_gives_its_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, y=Y, class_names=np.array(CLASSES))
    source = opened(f"arrays:{tmp_path / 'a.npz'}")
    assert source.class_names == CLASSES
    assert source.labels.tolist() == Y.tolist()
    assert (np.stack(shown(source)) == X).all()


def test_an_archive_may_hold_all_parts(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=X, y_train=Y, x_test=X[:3], y_test=Y[:3], x_val=X[:6], y_val=Y[:6])
    address = f"arrays:{tmp_path / 'a.npz'}"
    assert [len(opened(address, part).labels) for part in ("train", "validation", "test")] == [9, 6, 3]
    np.savez(tmp_path / "b.npz", train_images=X, train_labels=Y[:, None])  # as MedMNIST has them
    assert opened(f"arrays:{tmp_path / 'b.npz'}").labels.tolist() == Y.tolist()
    np.savez(tmp_path / "c.npz", x=X, y=np.eye(3, dtype=int)[Y])
    with pytest.raises(StudyError, match=r"labels are int64 of shape \(9, 3\)"):
        opened(f"arrays:{tmp_path / 'c.npz'}")


def test_floating_point_inputs_of_any_grid_stay_as_they_are(tmp_path):
    x = np.random.RandomState(0).normal(size=(9, 20, 2))
    np.savez(tmp_path / "a.npz", x=x, y=Y)
    source = opened(f"arrays:{tmp_path / 'a.npz'}")
    assert source.floats.dtype == np.float32
    np.testing.assert_allclose(source.floats, x, rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X, "y": Y[:8]}, "9 images have 8 labels"),
        ({"x": X, "y": Y / 2}, "labels are float64"),
        ({"x": X.transpose(0, 3, 1, 2), "y": Y}, "channels stand first"),
        ({"x": X.astype(np.int64), "y": Y}, "images are int64"),
        ({"x": X, "classes": Y}, "no arrays of train"),
        ({"x": X[:0], "y": Y[:0]}, "there are no images"),
        ({"x": X, "y": np.array([None] * 9)}, "no archive of arrays"),
    ],
)
def test_arrays_that_are_no_images_are_told(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError, match=message):
        opened(f"arrays:{tmp_path / 'a.npz'}")


def test_an_archive_cut_off_or_missing_is_told(tmp_path):
    path = tmp_path / "a.npz"
    with pytest.raises(ResourceError, match="is not there"):
        opened(f"arrays:{path}")
    np.savez(path, x=X, y=Y)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ResourceError, match="no archive of arrays"):
        opened(f"arrays:{path}")


# -- the Hub's library


def test_a_saved_data_set_of_the_hubs_library(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra hub is not installed")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))})
    rows = {"image": [Image.fromarray(image) for image in X], "label": Y.tolist()}
    whole = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": whole, "test": whole.select(range(3))}).save_to_disk(tmp_path / "set")
    source = opened(f"hub:{tmp_path / 'set'}")
    assert source.class_names == CLASSES
    assert source.labels.tolist() == Y.tolist()
    assert (np.stack(shown(source)) == X).all()
    assert len(opened(f"hub:{tmp_path / 'set'}", "test").labels) == 3
    with pytest.raises(StudyError, match=r"no split validation[\s\S]*train, test"):
        opened(f"hub:{tmp_path / 'set'}", "validation")
    with pytest.raises(ResourceError, match="no data set saved to disk"):
        opened(f"hub:{tmp_path}")


def test_without_the_hubs_library_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ResourceError, match=r"metamixer\[hub\]"):
        opened(f"hub:{tmp_path}")


# -- torchvision


@pytest.fixture(scope="module")
def torchvision():
    """The package, which asks for no more than the names of two compiled operators to be imported."""
    import torch

    library = None
    try:
        import torchvision
    except RuntimeError:  # its operators belong to another torch
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    except ImportError:
        pytest.skip("torchvision is not installed")
    yield torchvision
    del library


def idx(array: np.ndarray) -> bytes:
    """MNIST's file format."""
    return struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_a_torchvision_data_set_on_disk(tmp_path, torchvision):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    digits = np.random.RandomState(0).randint(0, 256, (20, 28, 28)).astype(np.uint8)
    for part, count in (("train", 20), ("t10k", 10)):
        for name, content in (("images-idx3", digits[:count]), ("labels-idx1", np.arange(count, dtype=np.uint8) % 10)):
            (raw / f"{part}-{name}-ubyte").write_bytes(idx(content))
            (raw / f"{part}-{name}-ubyte.gz").write_bytes(gzip.compress(idx(content)))
    source = opened(f"torchvision:MNIST:{tmp_path}")
    assert source.class_names[:2] == ("0 - zero", "1 - one")
    assert (np.stack(shown(source)) == digits).all()
    assert len(opened(f"torchvision:MNIST:{tmp_path}", "test").labels) == 10
    with pytest.raises(StudyError, match=r"no validation part[\s\S]*validation = 0\.1"):
        opened(f"torchvision:MNIST:{tmp_path}", "validation")


def test_a_torchvision_data_set_is_never_downloaded(tmp_path, torchvision):
    with pytest.raises(ResourceError, match="cannot be opened"):
        opened(f"torchvision:CIFAR10:{tmp_path}")
    assert not list(tmp_path.iterdir())
    with pytest.raises(StudyError, match=r"no data set CIFAR11[\s\S]*CIFAR10"):
        opened(f"torchvision:CIFAR11:{tmp_path}")


def test_without_torchvision_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ResourceError, match=r"metamixer\[vision\]"):
        opened(f"torchvision:CIFAR10:{tmp_path}")


# -- a function of the user's


FUNCTIONS = """
import numpy as np
from pathlib import Path
from PIL import Image

X = np.arange(6 * 4 * 4 * 3, dtype=np.uint8).reshape(6, 4, 4, 3)
CALLS = []

def arrays(part):
    CALLS.append(part)
    return X, [0, 1, 2, 0, 1, 2], ["a", "b", "c"]

def images(part):
    return [Image.fromarray(image) for image in X], ["a", "b"] * 3

class Lazy:
    def __len__(self):
        return 6
    def __getitem__(self, row):
        if row == 5:
            raise OSError("lost")
        return X[row]

def lazily(part):
    return Lazy(), [0, 1] * 3

def one(part):
    return X

def raising(part):
    raise RuntimeError("no such disk")

def nothing(part):
    return [3, 4], [0, 1]

NUMBER = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "users_images.py").write_text(FUNCTIONS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield
    sys.modules.pop("users_images", None)


def test_a_function_of_the_users_is_asked_for_a_part(module):
    source = opened("python:users_images:arrays", "test")
    assert sys.modules["users_images"].CALLS == ["test"]
    assert source.class_names == ("a", "b", "c")
    assert (np.stack(shown(source)) == sys.modules["users_images"].X).all()
    images = opened("python:users_images:images")
    assert images.class_names == ("a", "b")
    assert (np.stack(shown(images)) == sys.modules["users_images"].X).all()


@pytest.mark.parametrize("function", ["arrays", "images"])
def test_the_listing_of_a_function_is_of_all_it_returns(module, function):
    before = opened(f"python:users_images:{function}").listing
    assert opened(f"python:users_images:{function}").listing == before
    sys.modules["users_images"].X[3, 2, 1, 0] += 1
    assert opened(f"python:users_images:{function}").listing != before


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("one", r"returned a ndarray[\s\S]*return \(images, classes\)"),
        ("raising", "raised RuntimeError: no such disk"),
        ("missing", "cannot be imported"),
        ("NUMBER", "leads to a int, no function"),
        ("nothing", r"image 0[\s\S]*Pillow image"),
    ],
)
def test_a_function_that_breaks_its_contract_is_told(module, function, message):
    with pytest.raises(StudyError, match=message):
        opened(f"python:users_images:{function}")


def test_an_image_that_a_function_fails_to_give_is_a_broken_one(module, prepared):
    found = prepared(train="python:users_images:lazily", validation=0.4, test=0)
    assert [(one["name"], one["reason"]) for one in found.about["broken"]] == [("row 5", "OSError: lost")]


def test_titles_say_what_the_images_are():
    for address, title in (
        ("folder:/data/flowers/train", "flowers"),
        ("parquet:/data/cifar10/train.parquet", "cifar10"),
        ("parquet:/data/food/data/train-*.parquet", "train-*"),
        ("arrays:/x/digits.npz", "digits"),
        ("torchvision:CIFAR10:/data", "CIFAR10"),
        ("python:mine.images:load", "load"),
    ):
        assert DataSection(train=address).title == title
    assert DataSection(train="folder:/a/b", name="mine").title == "mine"


def test_a_folder_elsewhere_with_the_same_files_is_another_source_of_the_same_images(tmp_path, prepared):
    one = prepared(train=f"folder:{make_folder(tmp_path / 'one')}")
    other = prepared(train=f"folder:{make_folder(tmp_path / 'other')}")
    assert one.folder != other.folder
    assert one.task.fingerprint == other.task.fingerprint
