"""What is said of a run as a whole: its settings, whether a search is alive on it, how far it is."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metamixer.dashboards.columns import KINDS, STATUSES
from metamixer.pareto import ACCURACY_FLOPS, hypervolume, non_dominated
from metamixer.record.location import Storage

STALE_SECONDS = 120.0  # a search that has not renewed its lease for this long is not running
SECTIONS = ("study", "training", "limits", "search", "pruning", "baselines", "task", "space")
REFUSALS = ("failed", "stopped", "refused")


def described(name: str, place: Storage, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The run's settings as the page shows them; `group` is equal for runs that differ in nothing but their seed."""
    settings = attributes.get("settings") or {}
    sections = {section: settings.get(section) or {} for section in SECTIONS}
    same = json.loads(json.dumps(sections))
    for key in ("seed", "name", "storage"):
        same["study"].pop(key, None)
    same["search"].pop("workers", None)
    return {
        "name": name,
        # Not the whole path: the file of the page is given to others.
        "place": f"{place.file.parent.name}/{place.file.name}" if place.file is not None else str(place),
        "alive": alive(attributes.get("lease")),
        "group": hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:12],
        "references": attributes.get("references") or {},
        "reference_point": settings.get("reference_point"),
        "versions": settings.get("versions") or {},
        "git": settings.get("git"),
        "fingerprints": attributes.get("fingerprints") or {},
        **sections,
    }


def alive(lease: Any) -> bool:
    """Whether a search seems to run on the record: it holds the lease and renewed it lately.

    Of a driver that was killed on this host the process is gone, and the lease says so at once.
    """
    if not isinstance(lease, dict) or not isinstance(lease.get("renewed"), (int, float)):
        return False
    if time.time() - lease["renewed"] > STALE_SECONDS:
        return False
    return lease.get("host") != platform.node() or not isinstance(lease.get("pid"), int) or _runs(lease["pid"])


def _runs(process: int) -> bool:
    if os.name != "posix":
        return True  # signal 0 would end it there
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def progress(
    table: NDArray[Any], means: NDArray[Any], attributes: Mapping[str, Any], reasons: Counter[tuple[str, str]]
) -> dict[str, Any]:
    """How far the run is: counts by state, best accuracy, hypervolume (also as a series), time left, reasons."""
    settings = attributes.get("settings") or {}
    study = settings.get("study") or {}
    kind, state = table["kind"], table["status"]
    searched = kind == KINDS.index("searched")
    done = searched & np.isin(state, [STATUSES.index("complete"), STATUSES.index("stopped")])
    ours = np.isin(kind, [KINDS.index("searched"), KINDS.index("imported")]) & np.isfinite(means["mean"])
    failed = state == STATUSES.index("failed")
    running = state == STATUSES.index("running")
    trained, budget = int(done.sum()), study.get("budget")
    best = float(means["mean"][ours].max()) if ours.any() else None
    lasted = table["seconds"][np.isfinite(table["seconds"])]
    return {
        "trained": trained,
        "budget": budget,
        "unit": study.get("budget_unit") or "architectures",
        "running": int(running.sum()),
        "failed": int(failed.sum()),
        "stopped": int((searched & (state == STATUSES.index("stopped"))).sum()),
        "refused": int((kind == KINDS.index("rejected")).sum()),
        "replicates": int((kind == KINDS.index("replicate")).sum()),
        "retrained": int((kind == KINDS.index("retrained")).sum()),
        "baselines": int((kind == KINDS.index("baseline")).sum()),
        "front": int(means["front"].sum()),
        "best": best,
        "hypervolume": series(table, means, ours, settings.get("reference_point")),
        "seconds": float(lasted.sum()),
        "seconds_left": _left(table, running, trained, budget, alive(attributes.get("lease"))),
        "started": _finite(np.nanmin(table["started"])) if np.isfinite(table["started"]).any() else None,
        "reasons": [
            {"what": what, "why": why, "n": n} for (what, why), n in reasons.most_common() if n and what in REFUSALS
        ],
    }


def series(table: NDArray[Any], means: NDArray[Any], ours: NDArray[Any], point: Any, steps: int = 60) -> dict[str, Any]:
    """Hypervolume after so many architectures, in 0..1 of the box between the reference point and a perfect one."""
    order = ours.nonzero()[0]
    if not point or not len(order):
        return {"n": [], "share": []}
    box = (1.0 - float(point[0])) * float(point[1])
    points = np.column_stack([means["mean"][order].astype(float), 2.0 * table["macs"][order]])
    at = sorted({int(n) for n in np.linspace(1, len(order), min(steps, len(order)))})
    # What is dominated by what came before adds nothing later: the front so far is all that is carried on.
    shares, front, begin = [], points[:0], 0
    for end in at:
        front = np.concatenate([front, points[begin:end]])
        front = front[non_dominated(front, ACCURACY_FLOPS)]
        shares.append(hypervolume(front, point, ACCURACY_FLOPS) / box)
        begin = end
    return {"n": at, "share": shares}


def _left(table: NDArray[Any], running: NDArray[Any], trained: int, budget: Any, living: bool) -> float | None:
    """Seconds that the rest of the budget takes at the pace so far; None where nothing runs or nothing is known."""
    if not living or not isinstance(budget, int) or not trained:
        return None
    searched = (table["kind"] == KINDS.index("searched")) & np.isfinite(table["started"])
    if not searched.any():
        return None
    since = float(table["started"][searched].min())
    return max(0.0, (budget - trained) * (time.time() - since) / trained)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
