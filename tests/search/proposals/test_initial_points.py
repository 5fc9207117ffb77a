"""A search that begins with architectures the user names."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import toys

from metamixer import record
from metamixer.errors import ResourceError, StudyError
from metamixer.language import Space
from metamixer.record import Trial
from metamixer.search.progress import Lines
from metamixer.search.samplers.registry import SHIPPED
from metamixer.search.study import Study

Load = Callable[..., Study]
SHORT = ("study.confirm=1", "study.budget=8", "search.startup=3")
ONE = "patch(2,16) >> (res(norm >> dw(3)) >> res(norm >> ffn(2)))^2 >> norm"
SAME = "patch(2,16) >> res(norm >> dw(3)) >> res(norm >> ffn(2)) >> res(norm >> dw(3)) >> res(norm >> ffn(2)) >> norm"
TWO = "patch(1,8) >> res(norm >> lin * lin) >> res(norm >> ffn(1)) >> norm"


def starting(*names: str) -> str:
    return f"search.initial_points=[{', '.join(repr(name) for name in names)}]"


def searched(study: Study) -> list[Trial]:
    return [row for row in record.read(study.path) if row.kind in ("searched", "rejected")]


@pytest.mark.parametrize("sampler", SHIPPED)
def test_they_are_the_first_proposals_of_every_sampler(load: Load, file: Path, sampler: str) -> None:
    study = load(*SHORT, starting(ONE, TWO), f"search.sampler={sampler}", name=sampler)
    study.run("inline")
    rows = searched(study)
    assert [row.sentence for row in rows[:2]] == [ONE, TWO]
    assert [row.name for row in rows] == [ONE, TWO] + [None] * (len(rows) - 2)
    assert sum(row.kind == "searched" for row in rows) == 8
    # They are members of the space, as any other proposal: replayed from their choices they are themselves.
    space = Space.load(file.parent / "small.toml")
    for row in rows:
        assert str(space.replay(row.choices, 1, (8, 8)).sentence) == row.sentence
    # And again: nothing is left to do.
    study.run("inline")
    assert searched(study) == rows


def test_children_are_made_of_them(load: Load) -> None:
    """Evolution takes its parents from what was trained, here from one initial point."""
    deep = "patch(2,24) >> (res(norm >> att(lin,lin,lin)@h(2) >> lin) >> res(norm >> ffn(3)))^3 >> norm"
    study = load("study.confirm=1", "study.budget=4", starting(deep), "search.sampler=evolution", "search.startup=1")
    study.run("inline")
    first, *children = (row for row in searched(study) if row.kind == "searched")
    shared = [len(first.choices.items() & child.choices.items()) / len(first.choices) for child in children]
    assert min(shared) > 0.3


def test_they_are_proposed_once_whatever_happens(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    cuts: set[int] = set()

    def evaluate(job: toys.Job, report: toys.Report) -> dict[str, Any]:
        if job["number"] in cuts:
            cuts.remove(job["number"])
            os.kill(os.getpid(), signal.SIGINT)
        return toys.fast(job, report)

    monkeypatch.setattr(toys, "interrupted", evaluate, raising=False)
    options = (*SHORT, starting(ONE, SAME, TWO), "search.sampler=random", "search.evaluate=toys:interrupted")
    whole, cut = load(*options, name="whole"), load(*options, name="cut")
    whole.run("inline")
    rows = searched(whole)
    assert [(row.name, row.kind, row.duplicate_of) for row in rows[:3]] == [
        (ONE, "searched", None),
        (SAME, "rejected", 0),
        (TWO, "searched", None),
    ]
    assert rows[1].reason == "duplicate of 0"
    cuts |= {0, 2, 3}  # within the first one, within the last one, and behind them
    for _ in range(3):
        assert cut.run("inline").state == "interrupted"
    assert cut.run("inline").state == "finished"
    assert [(row.sentence, row.kind) for row in searched(cut)] == [(row.sentence, row.kind) for row in rows]


def test_more_may_be_named_when_a_search_goes_on(load: Load) -> None:
    load(*SHORT, starting(ONE), name="more").run("inline")
    study = load(*SHORT, "study.budget=10", starting(ONE, TWO), name="more")
    study.run("inline")
    assert Counter(row.name for row in searched(study) if row.name) == {ONE: 1, TWO: 1}
    assert [row.name for row in searched(study) if row.kind == "searched"][8] == TWO


def test_a_baseline_that_is_an_initial_point_is_trained_once_as_that(load: Load, file: Path) -> None:
    (file.parent / "small.toml").write_text(
        "name = 'wide'\n[rules]\nnetwork = 'patch(2,{16|32|48}) >> pos >> shell^{1..4} >> norm'\n"
        "shell = 'res(norm >> {lin|att(lin,lin,lin)@h({1|2|4}) >> lin}) >> res(norm >> ffn({1|2}))'\n"
    )
    lines: list[str] = []
    study = load(*SHORT, starting("vit_digits"), 'baselines.names=["vit_digits", "ffnet_digits"]')
    study.run("inline", view=Lines(lines.append))
    rows = record.read(study.path)
    vit = [row for row in rows if row.name == "vit_digits"]
    assert [(row.kind, row.state) for row in vit] == [("searched", "complete")]
    assert [row.name for row in rows if row.kind == "baseline"] == ["ffnet_digits"]
    assert "baseline vit_digits is the initial point vit_digits; it is trained once, as that" in lines
    # One that stands in the record as a baseline is a duplicate.
    other = load(*SHORT, 'baselines.names=["vit_digits"]', name="other")
    other.run("inline")
    again = load(*SHORT, "study.budget=9", 'baselines.names=["vit_digits"]', starting("vit_digits"), name="other")
    again.run("inline")
    refused = [row for row in record.read(again.path) if row.name == "vit_digits"]
    assert [(row.kind, row.duplicate_of) for row in refused] == [("baseline", None), ("rejected", 0)]


def test_a_trial_of_another_run(load: Load) -> None:
    load(*SHORT, name="first").run("inline")
    best = next(row for row in searched(load(name="first")) if row.kind == "searched")
    study = load(*SHORT, "study.seed=9", starting(f"first#{best.number}"), name="second")
    study.run("inline")
    assert searched(study)[0].sentence == best.sentence
    (study.path.parent / "first" / "study.db").unlink()
    assert study.run("inline").state == "finished"  # the record is what counts, whatever becomes of the other run


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("vit_digit", (), ["the catalogue has no vit_digit", "did you mean vit_digits?"]),
        ("patch(2,16) >> norm >>", (), ["neither in the catalogue nor a sentence", "ends too early"]),
        ("patch(3,16) >> pos >> lin@win(5)", (), ["does not fit the task digits-hard"]),
        (ONE, ("limits.macs=1000",), ["is over the limit", "at most 1,000", "raise [limits]"]),
        (ONE.replace("dw(3)", "dw(7)"), (), ["is not in the space small", "not 7 in dw(7)", "rule mixer", "3 | 5"]),
        ("convnext_t", (), ["the initial point convnext_t"]),
        ("nothing#3", (), ["no run 'nothing'"]),
    ],
)
def test_what_cannot_be_an_initial_point(load: Load, name: str, options: tuple[str, ...], says: list[str]) -> None:
    study = load(*SHORT, *options, starting(name))
    with pytest.raises((StudyError, ResourceError)) as caught:
        study.run("inline")
    assert all(part in str(caught.value) for part in says), str(caught.value)
    assert not study.path.exists()
