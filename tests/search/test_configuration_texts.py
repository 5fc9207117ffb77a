"""Every configuration survives its file: whatever characters names and paths have, whatever size numbers have."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from metamixer import record
from metamixer.errors import StudyError
from metamixer.search import configuration, overrides
from metamixer.search.configuration import StudyConfig
from metamixer.search.execution.dispatcher import Placement
from metamixer.search.samplers import registry
from metamixer.search.study import Study

# Any character that UTF-8 can hold: emoji, quotes, control characters, those beyond U+FFFF.
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
SHARE = st.floats(0, 1, exclude_max=True)


def whole(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def section(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A table with some of these keys."""
    return st.fixed_dictionaries({}, optional=keys)


STUDY = st.fixed_dictionaries(
    {"name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True), "task": TEXT, "space": TEXT},
    optional={
        "budget": whole(1, 10**7)
        | whole(10_000, 10**10).map("{}epochs".format)
        | st.floats(0, 10**6).map(lambda hours: f"{configuration.budgets.Budget(hours, 'hours').text}"),
        "warm_start": TEXT,
        "seeds": whole(1, 1000),
        "confirm": whole(1, 1000),
        "seed": whole(0, 2**63 - 1),
        "keep": st.sampled_from(["front", "all", "none"]),
        "storage": TEXT.map("postgresql://{}".format),
    },
)
SEARCH = section(
    sampler=st.sampled_from(list(registry.SHIPPED)),
    startup=whole(1, 1000),
    initial_points=st.lists(TEXT, max_size=3),
    workers=whole(1, 1000),
    threads=whole(1, 64),
    gpus=st.floats(0, 1) | whole(1, 8),
    address=TEXT,
    time_limit=st.floats(0, exclude_min=True, allow_infinity=True),
    memory_limit=st.floats(0, exclude_min=True, allow_infinity=False),
    retry_out_of_memory=whole(0, 10),
    callbacks=st.lists(TEXT, max_size=3),
)
DOCUMENTS = st.fixed_dictionaries(
    {"study": STUDY},
    optional={
        "training": section(epochs=whole(1, 10_000), learning_rate=st.floats(0, 10, exclude_min=True), beta1=SHARE),
        "limits": section(macs=whole(1, 10**18), params=whole(1, 10**18)),
        "search": SEARCH,
        "pruning": section(
            rule=st.sampled_from(["none", "successive-halving"]),
            first=whole(1, 10_000),
            reduction=whole(2, 10_000),
            margin=st.floats(0, allow_infinity=False),
            brackets=whole(1, 1000),
        ),
        "baselines": section(names=st.lists(TEXT, max_size=3)),
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_every_configuration_is_read_back_from_its_file_and_fits_into_a_record(document: dict[str, Any]) -> None:
    config = configuration.parse(document)
    text = configuration.to_toml(config)
    again = configuration.parse(tomllib.loads(text.encode().decode()))
    assert again == config
    assert configuration.to_toml(again) == text
    stored = json.dumps(configuration.to_json(config), allow_nan=False)
    assert json.loads(stored)["study"]["space"] == config.study.space


@settings(max_examples=100, deadline=None)
@given(TEXT)
def test_an_override_carries_any_text(text: str) -> None:
    document = {"study": {"name": "a", "task": "b", "space": "c"}}
    config = configuration.parse(document, [overrides.write("study.space", text)])
    assert config.study.space == text


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["study.budget", "study.confirm", "study.space", "search.gpus", "pruning", "x"]), st.text())
def test_whatever_an_override_says_the_answer_is_a_study_or_one_message(key: str, value: str) -> None:
    document = {"study": {"name": "a", "task": "b", "space": "c"}}
    try:
        config = configuration.parse(document, [f"{key}={value}"])
    except StudyError as error:
        str(error).encode()
    else:
        configuration.to_toml(config).encode()


def integers() -> list[tuple[str, str]]:
    """Section and key of every integer that a study may have."""
    found = []
    for section, field in StudyConfig.model_fields.items():
        (model,) = {kind for kind in (field.annotation, *get_args(field.annotation)) if hasattr(kind, "model_fields")}
        for key, value in model.model_fields.items():
            if int in (value.annotation, *get_args(value.annotation)):
                found.append((section, key))
    return found


INTEGERS = integers()


@pytest.mark.parametrize(("section", "key"), INTEGERS, ids=[".".join(path) for path in INTEGERS])
def test_every_integer_of_a_study_has_a_bound(section: str, key: str) -> None:
    assert ("study", "confirm") in INTEGERS
    assert len(INTEGERS) >= 15
    document: dict[str, Any] = {"study": {"name": "a", "task": "b", "space": "c"}}
    if section == "data":
        document = {"study": {"name": "a", "space": "c"}, "data": {"train": "folder:images"}}
    for huge in (10**30, "1" + 5000 * "0"):
        with pytest.raises(StudyError, match=rf"{section}\.{key} = "):
            configuration.parse(document, [f"{section}.{key}={huge}"])


@pytest.mark.parametrize(
    "override",
    [
        "search.gpus=inf",
        "search.gpus=nan",
        "search.time_limit=nan",
        "search.time_limit=-inf",
        "search.memory_limit=inf",
        "pruning.margin=inf",
        "training.learning_rate=nan",
        "training.gradient_clip=inf",
        "study.budget=inf",
        "study.budget=nan",
        'study.budget="1e9h"',
        "study.budget=" + 400 * "9",
        "study.budget=[1]",
        "study.name={a = 1}",
        "study.space=[[[[[1]]]]]",
    ],
)
def test_where_a_number_is_meant_nothing_else_is_taken(override: str) -> None:
    document = {"study": {"name": "a", "task": "b", "space": "c"}}
    with pytest.raises(StudyError, match=rf"{override.partition('=')[0]}"):
        configuration.parse(document, [override])


def test_no_time_limit_is_inf_in_the_file_and_null_in_the_record() -> None:
    document = {"study": {"name": "a", "task": "b", "space": "c"}}
    config = configuration.parse(document, ["search.time_limit=inf"])
    assert config.time_limit is None
    assert math.isinf(config.search.time_limit)
    assert "time_limit = inf" in configuration.to_toml(config)
    assert configuration.to_json(config)["search"]["time_limit"] is None
    assert configuration.parse(document).time_limit == 120


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("1234567epochs", "1234567epochs"),
        ("0.00001h", "0.00001h"),
        ("1e-7h", None),
        ("123456.789 hours", "123456.789h"),
        ("9999999", 9999999),
    ],
)
def test_budgets_keep_all_their_digits(written: str, text: str | int | None) -> None:
    document = {"study": {"name": "a", "task": "b", "space": "c"}}
    if text is None:
        with pytest.raises(StudyError, match=r"study\.budget = '1e-7h'"):
            configuration.parse(document, [f'study.budget="{written}"'])
        return
    config = configuration.parse(document, [f'study.budget="{written}"'])
    assert config.study.budget == text
    assert configuration.parse(tomllib.loads(configuration.to_toml(config))).budget == config.budget


def test_a_fault_of_the_study_as_a_whole_is_one_message() -> None:
    with pytest.raises(StudyError, match="3 epochs are not enough") as error:
        configuration.parse({"study": {"name": "a", "task": "b", "space": "c", "budget": "3epochs"}})
    assert error.value.place == "study.budget"
    for document in ({"study": 3}, {"study": [{}]}, {"training": {"epochs": {"x": 1}}, "study": {}}):
        with pytest.raises(StudyError):
            configuration.parse(document)
    with pytest.raises(ValidationError) as whole:
        StudyConfig.model_validate([])
    assert whole.value.errors()[0]["loc"] == ()
    told = configuration._refusal(whole.value, {}, "", "mine.toml")
    assert (told.place, "dictionary" in told.message) == ("mine.toml", True)


def test_a_file_may_begin_with_a_byte_order_mark_and_must_be_utf_8(file: Path) -> None:
    plain = configuration.load(file)
    text = file.read_text()
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert configuration.load(file) == plain
    for content in (text.encode("utf-16"), text.replace("small", "sm\u00e4ll").encode("latin-1")):
        file.write_bytes(content)
        with pytest.raises(StudyError, match="not a text in UTF-8") as error:
            configuration.load(file)
        assert str(file) in (error.value.place or "")


def test_what_was_written_before_is_refused_with_one_message(file: Path) -> None:
    file.write_text(file.read_text() + '\n[stopping]\nrule = "halving"\n')
    with pytest.raises(StudyError, match="unknown section stopping") as error:
        configuration.load(file)
    assert (error.value.advice or "").startswith("it is called pruning now")
    assert "line" in (error.value.place or "")


def test_a_study_survives_its_run_whatever_its_texts(file: Path, tmp_path: Path) -> None:
    """Emoji, quotes and backslashes in the path of the space, and no time limit: run, resolved, read, run again."""
    folder = tmp_path / "\U0001f600 \u732b 'a' \"b\" [c] \\ d"
    folder.mkdir()
    (folder / "space.toml").write_text((file.parent / "small.toml").read_text())
    space = overrides.write("study.space", str(folder / "space.toml"))
    short = ["study.budget=1", "study.confirm=1", "search.time_limit=inf", space]
    study = Study.load(file, short, folder / "runs")
    assert study.run("inline").trained == 1
    assert record.settings(study.path)["study"]["space"] == str(folder / "space.toml")
    again = Study.load(study.path / "resolved.toml", runs=folder / "runs")
    assert again == study
    assert again.run("inline").trained == 1


def test_a_study_does_not_change_when_it_runs(file: Path) -> None:
    text = file.read_text()
    file.write_text(text[: text.index("[baselines]")])
    short = ["study.budget=1", "study.confirm=1", "training.epochs=1"]
    study = Study.load(file, short, file.parent / "runs")
    before = configuration.to_toml(study.config)
    study.run("inline")
    assert configuration.to_toml(study.config) == before
    with pytest.raises(AttributeError):
        study.config = study.config  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Placement("ray", 1, 1, 0.0, None).workers = 2  # type: ignore[misc]
