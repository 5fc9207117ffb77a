"""No password is printed or stored, and every password reaches the database as it was meant."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url
from typer.testing import CliRunner

from metamixer import cli
from metamixer.errors import RecordError
from metamixer.record.location import Storage, storable
from metamixer.record.url import filled, hidden, variables, without_secrets

SECRET = "S3cr3t"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:S3cr3t@h/db",
        "postgresql://h/db?password=S3cr3t",
        "postgresql://me@h/db?sslmode=require&sslpassword=S3cr3t",
        "postgresql://me:S3cr3t/b@h",
        "postgresql://me:a/S3cr3t@h",
        "postgresql://me:S3cr3t@b@h/db",
        "postgresql://me:a@S3cr3t@h/db",
        "postgresql://me:a?S3cr3t@h/db",
        "postgresql://me:a?b=S3cr3t@h/db",
        "postgresql://me:pa$S3cr3t@h/db",
        "postgresql://me:${HOME}S3cr3t@h/db",
        "postgresql://me:a:S3cr3t#@h:5432/db",
        "postgresql://:S3cr3t@h/db",
    ],
)
def test_no_secret_is_shown_or_stored(url: str) -> None:
    for text in (hidden(url), str(Storage(url=url, name="n")), without_secrets(url), hidden(f"error: {url} is away")):
        assert SECRET not in text
    assert list(variables(url))
    assert without_secrets(without_secrets(url)) == without_secrets(url)
    assert SECRET not in without_secrets(url)


def test_what_is_no_secret_stays() -> None:
    for url in (
        "postgresql://h/db",
        "postgresql://me@h:5432/db",
        "postgresql://me:${PGPASSWORD}@h/db?sslmode=require",
        "postgresql://h/db?password=${PGPASSWORD}",
        "postgresql://h/db?application_name=a@b",
    ):
        assert hidden(url) == url == without_secrets(url)
        assert list(variables(url)) == []
    assert hidden("no such study\n  me@example.org") == "no such study\n  me@example.org"


@given(st.text(string.printable.strip() + " é{}%@:/?#&=$", min_size=1))
def test_every_value_of_a_variable_reaches_the_database_whole(value: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("META_PASSWORD", value)
        for url in ("postgresql://me:${META_PASSWORD}@h:5432/db", "postgresql://me:$META_PASSWORD@h:5432/db"):
            found = make_url(filled(url))
            assert (found.username, found.password, found.host, found.port) == ("me", value, "h", 5432)
            # Optuna takes a URL for a template of str.format.
            assert filled(url).format(SCHEMA_VERSION=1) == filled(url)
        assert make_url(filled("postgresql://h/db?password=${META_PASSWORD}")).query["password"] == value


@pytest.mark.parametrize("password", ["p@ss", "a/b", "a{b}", "a:b", "a#b", "p%40ss", "a?b", "a$b", "a$$b"])
def test_a_password_that_is_written_out_need_not_be_quoted(password: str) -> None:
    found = make_url(filled(f"postgresql://me:{password}@h/db"))
    assert (found.password, found.host) == ("p@ss" if "%" in password else password, "h")


def test_a_variable_that_is_not_set_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTSET", raising=False)
    place = Storage(url="postgresql://me:${NOTSET}@h/db", name="n")
    with pytest.raises(RecordError, match="the variable NOTSET in the storage's URL is not set") as error:
        place.engine()
    assert "export NOTSET=" in str(error.value)


def test_the_process_that_was_given_a_password_reads_what_it_stored_others_are_told_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    stored = storable("postgresql://me:S3cr3t@h/db")
    assert stored == "postgresql://me:${PGPASSWORD}@h/db"
    assert make_url(Storage(url=stored).address()).password == SECRET
    with pytest.raises(RecordError, match="PGPASSWORD"):
        Storage(url=stored.replace("/db", "/other")).address()


def test_the_command_that_goes_on_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    from metamixer.cli.search import SearchOptions

    monkeypatch.delenv("PGPASSWORD", raising=False)
    url = "postgresql://me:S3cr3t@h/db"
    for options in (
        SearchOptions("digits", storage=url),
        SearchOptions("digits", settings=(f'study.storage="{url}"',)),
        SearchOptions("digits", settings=(f"study.storage={url}",)),
    ):
        assert SECRET not in options.command_line
        assert "${PGPASSWORD}" in options.command_line
        assert options.variables == "first:  export PGPASSWORD=..."
    assert SearchOptions("digits", storage="postgresql://me@h/db").variables == ""


def test_an_error_on_the_command_line_shows_no_password(tmp_path: Path) -> None:
    for setting in ("study.storge", "study.storage"):
        given = f"{setting}=mysql://a:S3cr3t@b@h/d"
        result = CliRunner().invoke(cli.app, ["search", "digits", "--runs", str(tmp_path), "--set", given])
        assert result.exit_code == 2
        assert "storge" in result.output or "PostgreSQL" in result.output
        assert SECRET not in result.output
