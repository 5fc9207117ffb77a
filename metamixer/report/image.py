"""A figure as a PNG file: by kaleido where it is installed, else by a Chromium or Chrome on the PATH."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import plotly.graph_objects as go

from metamixer import files
from metamixer.errors import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
SECONDS = 90.0


def png(figure: go.Figure, path: str | Path, width: int = 1100, height: int = 620, scale: float = 2.0) -> Path:
    """Write a figure, on white, as PNG of ``scale * width`` times ``scale * height`` pixels.

    Raises:
        UserError: there is neither kaleido nor a browser, or they failed; the message tells what to install.
        ResourceError: the file cannot be written.
    """
    target = Path(path)
    figure = go.Figure(figure).update_layout(paper_bgcolor="white", width=width, height=height)
    if _has_kaleido():
        try:
            drawn = figure.to_image(format="png", scale=scale)
        except (RuntimeError, ValueError, OSError):
            pass  # kaleido needs a Chrome of its own and may not find one: try ours
        else:
            files.write(target, drawn)
            return target
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None and MAC.exists():
        browser = str(MAC)
    if browser is None:
        raise UserError(
            "no browser to draw the PNG with",
            place=str(target),
            advice="install Chromium or Chrome (Debian: apt install chromium), or: pip install kaleido; "
            "or open report.html and use the camera button above the front",
        )
    files.write(target, _photograph(browser, figure, width, height, scale))
    return target


def _has_kaleido() -> bool:
    return importlib.util.find_spec("kaleido") is not None


def _photograph(browser: str, figure: go.Figure, width: int, height: int, scale: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "figure.html", Path(folder) / "figure.png"
        html = figure.to_html(include_plotlyjs=True, config={"staticPlot": True, "showSendToCloud": False})
        page.write_text(html.replace("<body>", '<body style="margin:0;background:white">'), encoding="utf-8")
        command = [
            browser, "--headless", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder}/profile",
            f"--force-device-scale-factor={scale:g}", f"--window-size={width},{height}", "--virtual-time-budget=10000",
            f"--screenshot={shot}", page.as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium's sandbox refuses to run as root
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
            why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        except (OSError, subprocess.TimeoutExpired) as error:
            why = str(error)
        if not shot.is_file():
            raise UserError(
                f"the browser drew no picture: {why}", place=browser, advice="pip install kaleido, and try again"
            )
        return shot.read_bytes()
