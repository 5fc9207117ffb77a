"""What the page of an architecture gives to take home does what it says."""

from __future__ import annotations

import contextlib
import io
import os
import textwrap
from pathlib import Path

import pytest

from metamixer import record
from metamixer.dashboards.runs import Runs
from metamixer.search.study import Study

from ..data.pictures import make_folder

STUDY = """\
[study]
name = "small"
space = "small.toml"
budget = 1
confirm = 1
{task}
[training]
epochs = 1
batch_size = 8
[baselines]
names = []
[search]
references = ""
"""
TASKS = {"a task by its name": "task = 'digits'\n", "[data]": "[data]\ntrain = 'folder:flowers'\nvalidation = 0.2\n"}


def printed(command: str) -> str:
    """The last line that the command prints: its program is run here, as the shell would hand it to Python."""
    first, _, rest = command.partition("\n")
    program, _, after = rest.rpartition("END\n")
    assert (first, after) == ("python - <<'END'", "")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(program, "<stdin>", "exec"), {"__name__": "__main__"})
    return out.getvalue().splitlines()[-1]


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_command_that_reproduces_a_trial_prints_the_accuracy_of_the_record(tmp_path: Path, task: str) -> None:
    if "data" in task:
        make_folder(tmp_path / "flowers")
    (tmp_path / "small.toml").write_text("[rules]\nnetwork = 'patch(4,{8|9}) >> bn >> relu'\n")
    (tmp_path / "study.toml").write_text(STUDY.format(task=task))
    study = Study.load(tmp_path / "study.toml", (), tmp_path / "runs")
    study.run("inline")
    (trial, *_) = record.read(study.path)
    detail = Runs(tmp_path / "runs").architecture("small", str(trial.number))
    assert detail is not None
    with contextlib.chdir(os.sep):  # it does not matter where it is called
        assert float(printed(textwrap.dedent(detail["commands"]["reproduce"]))) == trial.accuracy
