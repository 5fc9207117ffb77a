"""How a trial ends: what its worker's result makes of it, and what of one that a driver which died left running."""

from __future__ import annotations

import errno
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metamixer.errors import ResourceError
from metamixer.record import Trial

# A trial whose driver was killed three times while it ran is likely what kills them, as in the inline dispatcher.
DRIVER_ATTEMPTS = 3


def final(trial: Trial, result: Mapping[str, Any], epochs: int, told: bool) -> Trial:
    """A trial that ended, well or not.

    Args:
        trial: As it ran, with what the driver knows of its worker, device, versions, seconds and weights.
        result: What `evaluate` returned; where it says of these, it knows better.
        epochs: Of a whole training.
        told: Whether it was told to stop early.

    Raises:
        ResourceError: It found no room on its disk. Every trial from now on would fail like this one, so it stays in
            the record as it is, to be run again.
    """
    accuracy, loss = _finite(result.get("accuracy")), _finite(result.get("loss"))
    reason = result.get("reason")
    curve = list(result.get("curve") or [])
    state = {"finished": "complete", "stopped": "pruned"}.get(result.get("state", ""), "failed")
    if told and state == "complete" and len(curve) < epochs:
        state = "pruned"  # it stopped as it was told, and calls that finished
    if state == "failed" and _disk_is_full(reason):
        raise ResourceError(f"trial {trial.number} found no room on its disk", reason, "make room, and start again")
    if state == "pruned":
        reason = f"stopped at epoch {len(curve)} of {epochs}"
    if state == "complete" and accuracy is None:
        state, reason = "failed", "nan"
    return replace(
        trial,
        state=state,
        reason=reason if state == "complete" else reason or "the worker gave no reason",
        accuracy=accuracy if state == "complete" else None,
        # What a trial had when it was stopped early stands in its curve alone, lest it be read as final.
        loss=loss if state != "pruned" else None,
        curve=curve,
        epochs=len(curve),
        seconds=float(result.get("seconds") or trial.seconds or 0.0),
        cpu_seconds=result.get("cpu_seconds"),
        device=result.get("device", trial.device),
        versions=dict(result.get("versions") or trial.versions),
        traceback=result.get("traceback"),
        weights=trial.weights if state == "complete" else None,
    )


def found_running(trial: Trial, clean: bool) -> Trial:
    """A trial that was running when its driver ended: final, or still running and to be run again.

    Args:
        trial: As the record has it.
        clean: Whether that driver ended as it meant to.
    """
    if trial.key is None or trial.kind == "rejected":
        return replace(trial, state="failed", kind="rejected", reason="cut off while it was proposed")
    if clean:
        return trial
    if trial.attempts >= DRIVER_ATTEMPTS:
        return replace(trial, state="failed", reason=f"the search died {trial.attempts} times while this trial ran")
    return replace(trial, attempts=trial.attempts + 1)


def tried_again(trial: Trial) -> Trial | None:
    """A trial that failed, as it is to be run anew; None for one that did not fail, or was refused before training."""
    if trial.state != "failed" or trial.kind not in ("searched", "baseline", "replicate") or trial.key is None:
        return None
    return replace(
        trial,
        state="running",
        reason=None,
        accuracy=None,
        loss=None,
        curve=[],
        epochs=None,
        seconds=None,
        cpu_seconds=None,
        traceback=None,
        weights=None,
        attempts=1,
    )


def _finite(value: Any) -> float | None:
    """A worker's number, where it is one that can be told to Optuna."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def _disk_is_full(reason: str | None) -> bool:
    return any(f"[Errno {number}]" in (reason or "") for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
