"""Searching: propose sentences, dispatch them to workers, record what came back, and tell the front.

`metamixer.record.reading` and `metamixer.record.front` read a finished or running record without optuna and ray, so
names are loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metamixer.search.study import Study

__all__ = ["Study"]


def __getattr__(name: str) -> Any:
    if name == "Study":
        from metamixer.search.study import Study

        return Study
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
