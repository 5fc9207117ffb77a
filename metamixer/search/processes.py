"""Processes of this host: whether one lives, when it started, how much memory it holds for itself."""

from __future__ import annotations

import os
from pathlib import Path

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
        return "unknown" if _hidden(pid) else None
    except psutil.AccessDenied:
        return "unknown"


def _hidden(pid: int) -> bool:
    """Whether a process lives that /proc does not show to this user."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def namespace() -> str:
    """Where numbers of processes mean the same as here: this boot of this machine, and its namespace of processes.

    Two containers, or two machines of one name, do not see each other's processes. Empty where that is not known.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def processor(pid: int) -> float | None:
    """Seconds of processors that a process has used; None where it does not run, or is not seen."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)


def memory() -> int:
    """Bytes that this process holds in memory and shares with no other: neither files that are mapped nor libraries.

    All workers of a machine map one copy of decoded images, so their pages are not what any of them takes.
    """
    process = psutil.Process()
    used = process.memory_info()
    if hasattr(used, "shared"):  # Linux: pages of files and of shared memory
        return int(used.rss - used.shared)
    return int(process.memory_full_info().uss)
