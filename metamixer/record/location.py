"""Where the record of a study lies: a SQLite file in the run's folder, or one study of a database named by a URL.

What a URL says is expanded from the environment when a connection is made, so that a password need not be written
down: ``postgresql://me:${PGPASSWORD}@host/metamixer``. A password that is written out is neither stored nor printed.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer.errors import RecordError
from metamixer.record import url as urls
from metamixer.record.url import hidden as hidden

if TYPE_CHECKING:
    from sqlalchemy import Engine

# How a server's URL begins. Not MySQL: its columns of text end at 64 KiB, and the curve of a long training does not.
SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")
FILE = "study.db"
CONFIGURATION = "resolved.toml"
# One try to reach a server may take 10 s, and one that is silent for 30 s counts as gone.
ARGUMENTS = {"connect_timeout": 10, "tcp_user_timeout": 30_000}

# URLs with the secrets that this process was given, by how they are stored: without them.
_given: dict[str, str] = {}


@dataclass(frozen=True)
class Storage:
    """The place of one record.

    Attributes:
        file: The SQLite file, where there is no URL.
        url: The database as it was written, variables unexpanded.
        name: The study's name in a database, which may hold several.
    """

    file: Path | None = None
    url: str | None = None
    name: str = ""

    def __str__(self) -> str:
        """For people: no password."""
        return str(self.file) if self.url is None else f"{hidden(self.url)}, study {self.name}"

    def engine(self, **options: Any) -> Engine:
        """SQLAlchemy's engine for the database of the URL.

        Raises:
            RecordError: The URL cannot be understood, or its driver is not installed.
        """
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError

        try:
            return create_engine(self.address(), connect_args=ARGUMENTS, **options)
        except (ArgumentError, ValueError):
            raise RecordError(
                "the storage is no URL of a database", str(self), "write postgresql://user:${PGPASSWORD}@host/database"
            ) from None
        except ModuleNotFoundError as error:
            raise RecordError(
                f"the driver of this database is not installed: {error.name}",
                str(self),
                "pip install 'metamixer[postgres]'",
            ) from None

    def address(self) -> str:
        """The URL with its variables filled in and quoted, and PostgreSQL's driver.

        Raises:
            RecordError: A variable is not set.
        """
        url = self.url or ""
        try:
            return f"postgresql+psycopg://{urls.filled(_given.get(url, url)).partition('://')[2]}"
        except KeyError as error:
            name = error.args[0]
            raise RecordError(
                f"the variable {name} in the storage's URL is not set", str(self), f"export {name}=... and start again"
            ) from None


def find(path: str | Path) -> Storage:
    """The record that is meant by a SQLite file, or by a run's folder.

    Raises:
        RecordError: There is none.
    """
    path = Path(path)
    if path.is_file():
        return Storage(file=path)
    if (path / FILE).is_file():
        return Storage(file=path / FILE)
    named = elsewhere(path)
    if named is None:
        place = path / FILE if path.is_dir() else path
        raise RecordError("no record there", place=str(place), advice="metamixer search starts one")
    return named


def elsewhere(folder: Path) -> Storage | None:
    """The database that a run's folder names as the place of its record, if any."""
    try:
        study = tomllib.loads((folder / CONFIGURATION).read_text(encoding="utf-8"))["study"]
        return Storage(url=study["storage"], name=study["name"])
    except (OSError, ValueError, KeyError, TypeError):  # not there, not TOML, not a study
        return None


def storable(url: str) -> str:
    """The URL as it may be stored and printed; this process alone knows the secrets that were written in it."""
    stored = urls.without_secrets(url)
    if stored != url:
        _given[stored] = url
    return stored
