"""Trained architectures as a record holds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from metamixer import record
from metamixer.cost import cost
from metamixer.dashboards.understanding.trained import load
from metamixer.errors import RecordError
from metamixer.language import Space, parse
from metamixer.record.front import summary

from ..conftest import record as recorded


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with every kind and state of trial, of the digits space."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    digits = Space.load("digits")
    space = {"name": "digits", "start": digits.start, "max_depth": digits.max_depth, "rules": digits.rules}
    recorded(folder, space=space).close()
    return folder


def test_a_record_gives_the_means_and_the_front_that_the_report_gives(run):
    study = load(run)
    points = {point.number: point for point in summary(record.read(run))}
    assert {one.number: one.accuracy for one in study.architectures} == pytest.approx(
        {number: point.accuracy for number, point in points.items()}
    )
    assert {one.number for one in study.front()} == {n for n, p in points.items() if p.on_front}
    assert any(len(one.accuracies) == 3 for one in study.architectures)
    assert {one.number for one in study.architectures if not one.searched} == {
        n for n, p in points.items() if p.kind == "baseline"
    }


def test_the_context_is_that_of_the_study(run):
    context = load(run).context
    assert context.space.fingerprint == Space.load("digits").fingerprint
    assert (context.channels, context.grid, context.classes) == (1, (8, 8), 10)
    one = load(run).architectures[0]
    assert cost(context.network(parse(one.sentence)), 1, (8, 8)).macs == one.cost["macs"]


def test_what_is_no_record_is_refused(tmp_path):
    (tmp_path / "study.db").write_text("nothing")
    with pytest.raises(RecordError):
        load(tmp_path)
