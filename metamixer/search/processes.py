"""Processes of this host: whether one lives, when it started, how much memory it holds."""

from __future__ import annotations

import psutil


def started(pid: int) -> str | None:
    """When a process started, as text that tells it from others that had its number; None where it does not run.

    Seconds since this host booted: those since 1970 move when its clock is set.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None  # killed and not yet waited for
        return f"{process.create_time() - psutil.boot_time():.2f}"
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        return "unknown"


def processor(pid: int) -> float | None:
    """Seconds of processors that a process has used; None where it does not run, or is not seen."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def memory() -> int:
    """Bytes that this process holds in memory."""
    return int(psutil.Process().memory_info().rss)
