"""`python -m metamixer` is the program."""

from __future__ import annotations

import subprocess
import sys


def test_the_package_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "metamixer", "show", "lin", "--channels", "4", "--grid", "4"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "lin" in done.stdout
