"""Tables on a terminal of 80 columns: no number is cut, no line is longer, and where there is room all digits stand."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from metamixer import cli
from metamixer.cli.output.figures import print_table, short, whole
from metamixer.cli.output.front import print_baselines, print_front
from metamixer.record.front import Point

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 80 columns."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")


def printed(*arguments: str) -> list[str]:
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == 0, result.output
    return ANSI.sub("", result.stdout).splitlines()


@given(st.integers(0, 10**18))
def test_a_short_number_has_three_figures_and_is_near(number):
    text = short(number)
    assert len(text) <= 6
    figures, _, unit = text.partition(" ")
    power = 1000 ** " KMGTPE".index(unit or " ")
    assert abs(float(figures) * power - number) <= 0.005 * number


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 K"), (352_518_144, "353 M"), (999_499, "999 K"), (999_500, "1.00 M")],
)
def test_short_numbers(number, text):
    assert short(number) == text


@pytest.mark.parametrize(
    "arguments",
    [
        ("space", "cifar", "--channels", "3", "--grid", "224x224", "--draw", "25"),
        ("catalog",),
        ("catalog", "convnext_t"),
        ("diff", "convnext_t", "ffnet_1"),
        ("show", "patch(4,96) >> res(norm >> ffn(4))^40", "--channels", "3", "--grid", "2048x2048"),
    ],
    ids=" ".join,
)
def test_no_number_is_cut_at_80_columns(narrow, arguments):
    rows = [line for line in printed(*arguments) if re.search(r"[│┃━─]|  \d", line)]
    assert any(re.search(r"\d [KMG]\b", line) for line in rows)
    assert not [line for line in rows if re.search(r"(^|\s)\d[\d,.]*…", line)]
    assert max(map(len, rows)) <= 80


def test_with_room_all_digits_stand(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    assert "4,455,531,264" in "\n".join(printed("catalog"))


def test_a_front_at_80_columns_shows_every_digit_or_a_unit():
    cost = {"macs": 4_455_531_264, "params": 28_589_128}
    sentence = " >> ".join(["patch(4,96)", *["res(norm >> ffn(4))"] * 9])
    points = [
        Point(number, "searched", "a_published_design_with_a_long_name", sentence, None, cost, 0.8, 0.0012, 3, True)
        for number in (7, 12345)
    ]
    console = Console(file=io.StringIO(), width=80)
    print_front(console, "Front of small", points)
    print_baselines(console, points)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("8,911.063") == text.count("0.8000 ± 0.0012") == 4
    assert "…" not in text


def test_a_table_with_one_number_that_does_not_fit_is_short_throughout():
    def build(figure):
        table = Table("a", "b")
        for column in table.columns:
            column.no_wrap = True
        table.add_row(figure(1234), figure(10**15))
        return table

    for width, expected in ((40, whole), (20, short)):
        console = Console(file=io.StringIO(), width=width)
        print_table(console, build)
        assert expected(1234) in console.file.getvalue()
        assert expected(10**15) in console.file.getvalue()
