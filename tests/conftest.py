"""What several rooms' tests share."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Before torch is imported: the suite runs two processes on two cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

# A shared machine is sometimes slow: time is bounded by the number of examples. CI draws the same examples every time.
settings.register_profile("metamixer", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("metamixer")


@pytest.fixture(scope="module", autouse=True)
def _memory(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a file of tests leaves behind is given back: exported programs, above all, are kept by torch."""
    yield
    for value in vars(request.module).values():
        if getattr(value, "__module__", None) == request.module.__name__ and hasattr(value, "cache_clear"):
            value.cache_clear()
    dynamo = sys.modules.get("torch._dynamo")
    if dynamo is not None:
        dynamo.reset()
    gc.collect()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def metamixer() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line in a process of its own: `metamixer("space", "digits", cwd=...)`."""

    def run(*arguments: str, timeout: float = 120, **options) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from metamixer.cli import main; main()", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)

    return run


@pytest.fixture(scope="session")
def browser() -> str:
    """The path of a headless-capable browser; the test is skipped where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        path = shutil.which(name)
        if path:
            return path
    pytest.skip("no chromium or chrome on this machine")
