"""What this machine can run trials on."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

from metamixer.errors import StudyError


@cache
def gpu_count() -> int:
    """GPUs that torch can use here; asked in a process of its own, as a search does not load torch."""
    code = "import torch; print(torch.cuda.device_count())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return int(found.stdout) if found.returncode == 0 else 0


def cores() -> int:
    """CPU cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def workers(asked: int | None, threads: int, gpus: float) -> int:
    """Trials at a time: as many as asked, else one for each share of GPUs, else one a core.

    Args:
        asked: The study's number, None for as many as fit.
        threads: CPU threads of one trial.
        gpus: GPUs of one trial.

    Raises:
        StudyError: GPUs are asked for that are not there.
    """
    if not gpus:
        return asked or max(1, cores() // threads)
    there = gpu_count()
    if there < gpus * (asked or 1):
        need = f"{asked} trials at a time with {gpus:g} each" if asked else f"{gpus:g} a trial"
        raise StudyError(
            f"GPUs are asked for ({need}), and this machine has {there or 'none'}",
            place="search.gpus",
            advice="set search.gpus = 0 (--gpus 0) to train on the CPU" if not there else "ask for fewer workers",
        )
    return asked or max(1, int(there / gpus))
