"""Pictures of every page of the dashboard, wide and on a phone, light and dark: `make screenshots`.

    python docs/screenshots.py [--runs DIR] [--out DIR] [--only VIEW ...]

Without --runs a short search of `digits` is run first, in this process and in a temporary folder.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

PROGRAM = [sys.executable, "-c", "from metamixer.cli import main; main()"]
SEARCH = ["--dispatcher", "inline", "--budget", "14", "--set", "training.epochs=3", "--set", "study.confirm=2"]
SIZES = {"wide": (1280, 720), "phone": (390, 844)}
# View -> what follows the # of its address, and what shows that it is there.
VIEWS = {
    "front": ("view=front", "#plot[data-drawn]"),
    "axes": ("view=front&lower=axes", "#plot[data-drawn]"),
    "runs": ("view=runs", ".runs-chart .scatterlayer"),
    "architecture": ("view=architecture&arch={member}", ".architecture-view svg.mm-drawing"),
    "compare": ("view=compare&compare=[{member},1]", ".compared svg.mm-drawing"),
    "why": ("view=why&pin={member}", ".why-view table"),
    "space": ("view=space", ".space-view .member"),
    "atlas": ("view=atlas", ".periodic .mixer"),
    "settings": ("view=details", ".details-view dl"),
}


def search(folder: Path) -> None:
    """A short real search."""
    subprocess.run([*PROGRAM, "search", "digits", "--runs", str(folder), *SEARCH], check=True)


def photograph(runs: Path, out: Path, only: list[str]) -> None:
    """Write a picture for each view, size and scheme."""
    from playwright.sync_api import sync_playwright

    server = subprocess.Popen([*PROGRAM, "dashboard", str(runs), "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next(line.split()[1] for line in server.stdout if line.startswith("dashboard: "))
        with sync_playwright() as playwright:
            launched = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            with closing(launched) as browser:
                page = browser.new_page()
                page.set_default_timeout(120_000)
                page.goto(address)
                page.wait_for_selector("#card[data-row]")
                member = page.get_attribute("#card", "data-row")
                page.close()
                for view, (state, there) in VIEWS.items():
                    if only and view not in only:
                        continue
                    for size, (width, height) in SIZES.items():
                        for scheme in ("light", "dark"):
                            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
                            page.set_default_timeout(300_000)
                            page.goto(f"{address}#{state.format(member=member)}")
                            page.wait_for_selector(there, state="attached")
                            page.wait_for_timeout(1200)
                            file = out / f"{view}-{size}-{scheme}.png"
                            page.screenshot(path=file)
                            page.close()
                            print(file, flush=True)
    finally:
        server.terminate()
        server.wait(20)


def main() -> None:
    """Run a small search, if none is given, and take a picture of every page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "dashboard")
    parser.add_argument("--only", nargs="*", default=[], choices=VIEWS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        runs = arguments.runs or Path(name)
        if arguments.runs is None:
            search(runs)
        photograph(runs, arguments.out, arguments.only)


if __name__ == "__main__":
    main()
