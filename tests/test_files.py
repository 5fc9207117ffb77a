from __future__ import annotations

import os
import stat

import pytest

from metamixer import files
from metamixer.errors import ResourceError


def test_a_file_is_written_whole_with_the_folders_on_the_way(tmp_path):
    path = tmp_path / "a" / "b.txt"
    files.write(path, "ä")
    files.write(path, "öö")
    assert path.read_text(encoding="utf-8") == "öö"
    files.write(path, b"\0", private=True)
    assert path.read_bytes() == b"\0"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["b.txt"]


def test_what_was_there_stays_when_there_is_no_room(tmp_path, monkeypatch):
    path = tmp_path / "b.txt"
    files.write(path, "old")

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ResourceError, match=r"No space left on device\n.*b\.txt"):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_not_replaced(tmp_path):
    with pytest.raises(ResourceError, match="directory"):
        files.write(tmp_path, "text")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    files.write(pipe, "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
