"""Published systems as points beside a run's own, with where their numbers are from and how far they compare."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from metamixer import catalog

UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}


@cache
def systems() -> list[dict[str, Any]]:
    """Entries of the catalogue whose source prints an accuracy and a cost."""
    found = []
    for name in catalog.names():
        entry = catalog.get(name)
        accuracy, macs = _share(entry.published.get("top1")), _count(entry.published.get("macs"))
        if accuracy is None or macs is None:
            continue
        found.append(
            {
                "name": name,
                "family": entry.family,
                "accuracy": accuracy,
                "macs": macs,
                "params": _count(entry.published.get("params")),
                "source": entry.source,
                "data": "ImageNet-1k",
                "input": "×".join(str(n) for n in (*entry.grid, entry.channels)),
                "classes": entry.classes,
                "printed": dict(entry.published),
            }
        )
    return found


def compared(task: Mapping[str, Any]) -> dict[str, Any]:
    """The systems, and what to say of them beside a run on a task."""
    return {
        "systems": systems(),
        "warning": f"Published numbers are of ImageNet-1k with each paper's own recipe; this run's are validation "
        f"accuracies of {task.get('name', 'another task')} under its own. Heights do not compare.",
    }


def _share(text: str | None) -> float | None:
    found = re.match(r"\s*(\d+(?:\.\d+)?)\s*%?", text or "")
    return float(found[1]) / 100 if found else None


def _count(text: str | None) -> float | None:
    found = re.match(r"\s*(\d+(?:\.\d+)?)\s*([kKMGBT]?)", text or "")
    return float(found[1]) * UNITS[found[2].lower()] if found else None
