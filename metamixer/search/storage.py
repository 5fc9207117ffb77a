"""Where the record of a study lies: a SQLite file in the run's folder, or one study of a database named by a URL.

What a URL says is expanded from the environment when a connection is made, so that a password need not be written
down: ``postgresql://me:${PGPASSWORD}@host/metamixer``.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamixer.errors import RecordError

if TYPE_CHECKING:
    from sqlalchemy import Engine

FILE = "study.db"
CONFIGURATION = "resolved.toml"
# How long one try to reach a server may take, and after how long a silent one counts as gone; seconds.
CONNECT_SECONDS, SILENT_SECONDS = 10, 30

_PASSWORD = re.compile(r"(://[^/@:]*):[^/@]*@")


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
            return create_engine(self.address(), connect_args=self.arguments(), **options)
        except ArgumentError:
            raise RecordError(
                "the storage is no URL of a database", str(self), "write postgresql://user:${PGPASSWORD}@host/database"
            ) from None
        except ModuleNotFoundError as error:
            package = "'metamixer[postgres]'" if error.name == "psycopg" else error.name
            raise RecordError(
                f"the driver of this database is not installed: {error.name}", str(self), f"pip install {package}"
            ) from None

    def address(self) -> str:
        """The URL with its variables filled in, and PostgreSQL's driver."""
        scheme, _, rest = os.path.expandvars(self.url or "").partition("://")
        return f"{'postgresql+psycopg' if scheme in ('postgresql', 'postgres') else scheme}://{rest}"

    def arguments(self) -> dict[str, Any]:
        """What the driver is told: not to wait for ever for a server that is gone."""
        if self.address().startswith("postgresql+psycopg:"):
            return {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": 1000 * SILENT_SECONDS}
        return {"connect_timeout": CONNECT_SECONDS} if self.address().startswith("mysql") else {}


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
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return None


def hidden(url: str) -> str:
    """A URL whose password, unless it is a variable, is not shown."""
    return _PASSWORD.sub(lambda found: found[0] if "$" in found[0] else f"{found[1]}:***@", url)
