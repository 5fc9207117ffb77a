from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.metadata import EntryPoint

import numpy as np
import pytest

from metamixer import tasks
from metamixer.errors import TaskError
from metamixer.tasks import registry
from metamixer.tasks.task import Arrays, Task


def stripes() -> Arrays:
    x = np.random.RandomState(0).normal(size=(12, 4, 2)).astype(np.float32)
    y = (x.mean((1, 2)) > 0).astype(np.int64)
    return Arrays(x[:6], y[:6], x[6:9], y[6:9])


STRIPES = Task("stripes", channels=2, grid=(4,), classes=2, fingerprint="1", load=stripes)


@pytest.fixture(autouse=True)
def _forget():
    registry.get.cache_clear()
    yield
    registry.get.cache_clear()


def test_names_and_get():
    assert {"digits", "digits-hard"} <= set(tasks.names())
    assert tasks.get("digits-hard").name == "digits-hard"


def test_unknown_name_is_told_with_the_known_and_the_nearest():
    with pytest.raises(TaskError) as caught:
        tasks.get("digit-hard")
    text = str(caught.value)
    assert "unknown task 'digit-hard'" in text
    assert "digits, digits-hard" in text
    assert "did you mean 'digits-hard'?" in text


def test_a_task_of_an_installed_package(monkeypatch, tmp_path):
    (tmp_path / "a_users_package.py").write_text(
        "from dataclasses import replace\n"
        "from metamixer.tasks.digits import DIGITS\n"
        "MINE = replace(DIGITS, name='mine')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    point = EntryPoint("mine", "a_users_package:MINE", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "metamixer.tasks" else [])
    assert "mine" in tasks.names()
    assert tasks.get("mine").name == "mine"


def test_a_task_named_by_module_is_found_in_the_working_directory(monkeypatch, tmp_path):
    (tmp_path / "a_users_module.py").write_text("from metamixer.tasks.digits import DIGITS as MINE\nOTHER = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert tasks.get("a_users_module:MINE") is tasks.get("digits")
    with pytest.raises(TaskError, match="leads to a int"):
        tasks.get("a_users_module:OTHER")
    with pytest.raises(TaskError, match="cannot be imported"):
        tasks.get("a_users_module:MISSING")
    with pytest.raises(TaskError, match="cannot be imported"):
        tasks.get("no_such_module:TASK")


def test_data_of_another_shape_than_declared_is_refused():
    assert STRIPES.data().x_train.shape == (6, 4, 2)
    with pytest.raises(TaskError, match=r"shape \(6, 4, 2\), not float32 or uint8 of shape \(images, 4, 3\)"):
        replace(STRIPES, channels=3).data()
    with pytest.raises(TaskError, match="class numbers"):
        replace(STRIPES, classes=1).data()
    with pytest.raises(TaskError, match="float64"):
        replace(STRIPES, load=lambda: replace(stripes(), x_train=stripes().x_train.astype(float))).data()
    broken = stripes().x_val * np.float32(np.nan)
    with pytest.raises(TaskError, match="NaN"):
        replace(STRIPES, load=lambda: replace(stripes(), x_val=broken)).data()


def test_names_and_shapes_need_no_torch_and_no_data():
    code = (
        "import sys; from metamixer import tasks; t = tasks.get('digits-hard'); print(t.grid, tasks.names()); "
        "assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_head_follows_the_whole_sentence():
    import metamixer as mm

    task = tasks.get("digits-hard")
    for text in ("lin(12)", "lin(12) >> gelu", "let a = lin(12) in a + (a >> gelu)"):
        full = task.network(mm.parse(text))
        out = mm.check(full, channels=task.channels, grid=task.grid)
        assert out.channels == 10
        assert mm.check(mm.parse(text), channels=task.channels, grid=task.grid).channels == 12
