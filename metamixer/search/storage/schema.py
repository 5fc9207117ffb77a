"""The revision of Optuna's tables: metamixer writes rows into them, so it works with the one it was tested with."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from metamixer.errors import RecordError, ResourceError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from metamixer.record.location import Storage

# What Optuna 5.0 stamps its tables with, the name of a migration.
REVISION = "v3.2.0.a"


def revision(engine: Engine) -> str | None:
    """What the tables of a database are stamped with; None where there are none, or no stamp yet."""
    from sqlalchemy import inspect, text

    with engine.connect() as db:
        if not inspect(db).has_table("alembic_version"):
            return None
        found = db.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def check(engine: Engine, place: Storage) -> None:
    """See that what is in a database may be written to.

    Raises:
        RecordError: Its tables are of another revision.
    """
    found = revision(engine)
    if found not in (None, REVISION):
        raise RecordError(
            f"the record's tables are of another Optuna (revision {found}; this metamixer writes {REVISION})",
            place=str(place),
            advice="continue it with the Optuna that wrote it, or give the run another name (--name)",
        )


def check_installed(engine: Engine | None = None) -> None:
    """See that the installed Optuna made the tables that metamixer writes; without an engine it is known that not.

    Raises:
        ResourceError: It makes others.
    """
    if engine is None or revision(engine) != REVISION:
        raise ResourceError(
            f"the installed Optuna {version('optuna')} has other tables than those of revision {REVISION}",
            place="package optuna",
            advice="pip install 'optuna>=5.0,<5.1'",
        )
