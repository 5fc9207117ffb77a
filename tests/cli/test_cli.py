from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metamixer import __version__, cli
from metamixer.cli import program
from metamixer.errors import LanguageError

COMMANDS = ["search", "report", "space", "show", "catalog", "words", "diff", "task", "dashboard"]
HEAVY = ["torch", "ray", "optuna", "networkx", "plotly", "numpy", "sklearn"]


def test_help_is_fast(metamixer):
    """In processor time, which is what an idle machine takes: here others compute beside. The best of several."""
    seconds = []
    for _ in range(5):
        start = processor_of_children()
        assert metamixer("--help").returncode == 0
        seconds.append(processor_of_children() - start)
        if seconds[-1] < 0.5:
            return
    pytest.fail(f"metamixer --help took {min(seconds):.2f} s at best; the bar is 0.5 s")


def processor_of_children() -> float:
    """Seconds of processor time of all processes that were started from here and have ended."""
    times = os.times()
    return times.children_user + times.children_system


@pytest.mark.parametrize("arguments", [["--help"], ["search", "--help"], ["serch"], ["dashboard", "--help"]])
def test_nothing_heavy_is_imported_to_talk(arguments):
    program = (
        "import sys\n"
        "from metamixer.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stdout + done.stderr


def test_help_lists_every_command(metamixer):
    text = metamixer("--help").stdout
    for command in COMMANDS:
        assert command in text
    assert metamixer("--version").stdout.strip() == f"metamixer {__version__}"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert f"metamixer {command}" in result.output.split("Example")[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serch", "digits"], "search"),
        (["search"], "STUDY"),
        (["search", "digits", "--bugdet", "3"], "--budget"),
        (["search", "digits", "--budget", "many"], "--budget"),
        (["search", "digits", "--dispatcher", "dask"], "inline"),
        (["space", "digits", "--grid", "8q8"], "8x8"),
        (["space", "digits", "--grid", "0x8"], "8x8"),
        (["space", "digits", "--draw", "0"], "--draw"),
        (["report", "no-such-run"], "no-such-run"),
        (["show", "no-such-run", "3"], "no-such-run"),
        (["show", "att(lin,lin,lin)@hh(4) >> lin"], "hh(4)"),
        (["show", "lin", "--svg", "file/lin.svg"], "file/lin.svg"),
        (["diff", "ffnet_digts", "vit_digits"], "did you mean ffnet_digits?"),
        (["catalog", "ffnet_11"], "did you mean ffnet_1?"),
        (["task", "digits-hrad"], "did you mean 'digits-hard'?"),
        (["simulate", "no-such-table"], "no-such-table"),
        (["search", "digts"], "did you mean 'digits'?"),
        (["search", "digits", "--set", "study.space=digts"], "did you mean 'digits'?"),
        (["search", "digits", "--set", "study.task=digits-hrad"], "did you mean 'digits-hard'?"),
        (["search", "digits", "--set", "baselines.names=['vit_digts']"], "did you mean vit_digits?"),
        (["search", "digits", "--sampler", "known-csot"], "did you mean known-cost?"),
        (["search", "digits", "--name", "../up"], "begins with a letter or a digit"),
        (["search", "digits", "--runs", "file"], "file/digits"),
        (["search", "digits", "--storage", "mysql://me:secret@db/x"], "mysql://me:***@db/x"),
        (["search", "digits", "--address", "somewhere"], "--address somewhere"),
        (["search", "digits", "--gpus", "64"], "--gpus 0"),
        (["search", "digits", "--warm-start", "no-such-run"], "no-such-run"),
    ],
)
def test_wrong_input_is_told_in_one_message(tmp_path, monkeypatch, arguments, told):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, arguments)
    assert isinstance(result.exception, SystemExit), result.exception  # anything else would be a traceback
    assert result.exit_code == 2
    assert told in result.stderr
    assert not result.stdout


def test_an_unknown_name_is_answered_with_near_ones_and_how_to_list_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["catalog", "repvgg"])
    assert result.exit_code == 2
    assert "repmlp_light" in result.stderr
    assert "`metamixer catalog` lists all" in result.stderr
    assert max(map(len, result.stderr.splitlines())) < 200
    for number in range(60):
        (tmp_path / "runs" / f"flowers-{number}").mkdir(parents=True)
        (tmp_path / "runs" / f"flowers-{number}" / "study.db").touch()
    result = CliRunner().invoke(cli.app, ["report", "flowers-7x"])
    assert result.exit_code == 2
    assert "flowers-7" in result.stderr
    assert "and 52 more in runs" in result.stderr


@pytest.mark.parametrize(
    ("raised", "code", "text"),
    [
        (LanguageError("unknown word 'attn'", "digits.toml, rule mixer\nattn(lin)\n^", "did you mean 'att'?"), 2, None),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_end_with_their_code(monkeypatch, raised, code, text):
    """The message is printed as it is, with its lines: a caret stays below the letter it means."""
    import metamixer.cli.output.catalog

    def fail(**_):
        raise raised

    monkeypatch.setattr(metamixer.cli.output.catalog, "catalog", fail)
    result = CliRunner().invoke(cli.app, ["catalog"])
    assert result.exit_code == code
    assert result.stderr == (text or f"error: {raised}") + "\n"


def test_a_defect_keeps_its_traceback(monkeypatch):
    import metamixer.cli.output.catalog

    def fail(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(metamixer.cli.output.catalog, "catalog", fail)
    result = CliRunner().invoke(cli.app, ["catalog"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_options_reach_the_command(monkeypatch):
    from metamixer.cli import search

    seen = []
    monkeypatch.setattr(search, "run", lambda options: seen.append(options) or 1)
    line = [
        "search",
        "digits",
        "--set",
        "a.b=1",
        "--set",
        "c=x",
        "--budget",
        "0",
        "--gpus",
        "0.5",
        "--dispatcher",
        "ray",
        "--address",
        "host:6379",
    ]
    assert CliRunner().invoke(cli.app, line).exit_code == 1
    given = search.SearchOptions(
        study="digits", settings=("a.b=1", "c=x"), budget="0", gpus=0.5, dispatcher="ray", address="host:6379"
    )
    assert seen == [given]
    assert given.overrides == ["a.b=1", "c=x", 'study.budget="0"', "search.gpus=0.5", 'search.address="host:6379"']


TEXTS = [
    "plain",
    "with blanks",
    "'single' and \"double\"",
    "back\\slash",
    "\u00e9\u732b\U0001f600",
    "$HOME `x` #3 ${Y}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_printed_command_is_the_one_that_was_given(monkeypatch, text):
    """A shell reads it back to the same options, whatever characters they have."""
    from metamixer.cli import search

    seen = []
    monkeypatch.setattr(search, "run", lambda options: seen.append(options) or 0)
    options = search.SearchOptions(
        study=text,
        name=text,
        runs=Path(text),
        settings=(f"study.space={text}", "training.epochs=3"),
        sampler=text,
        budget="1.5h",
        warm_start=text,
        dispatcher="inline",
        workers=3,
        gpus=0.25,
        address=text,
        storage=text,
    )
    assert CliRunner().invoke(cli.app, shlex.split(options.command_line)[1:]).exit_code == 0
    assert seen == [options]
    for override in options.overrides[2:]:
        key, _, value = override.partition("=")
        given = {"study.budget": "1.5h", "search.workers": 3, "search.gpus": 0.25}.get(key, text)
        assert tomllib.loads(f"value = {value}")["value"] == given


def test_a_grid_is_one_to_three_sizes():
    assert program.parse_grid("8x8") == (8, 8)
    assert program.parse_grid("64") == (64,)
    assert program.parse_grid("4X4x2") == (4, 4, 2)
