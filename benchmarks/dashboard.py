"""How fast the dashboard is: generated records of 1,000, 10,000 and 100,000 trials, in a headless Chromium.

    python benchmarks/dashboard.py [--check] [--trials 1000 10000 100000] [--polls 10000]

Bars, at every size: the first paint of the plot within 3 s of navigation (the server has read the record by then; how
long that takes is printed beside it); 95 of 100 moves of the pointer cost the page at most 50 ms of its main thread; a
region drawn on the plot is in the table within 300 ms; a trial that ends is on the page within 2 s; an answer without
news has less than 200 bytes. Then: after all polls the server's memory is no larger than after the first 100 (5 % of
slack); two pages that poll while a trial ends every second take at most 1 % of a processor of the server's time.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil

from metamixer.record import FORMAT, Trial
from metamixer.search.storage.tables import document
from metamixer.search.storage.trial_store import Ledger

PAINT, HOVER, BRUSH, NEWS, POLL, GROWTH, BUSY = 3.0, 0.050, 0.300, 2.0, 200, 1.05, 0.01
MIXERS = ("att(lin,lin,lin)@h({n}) >> lin", "conv(lin,#{k}) -> gelu -> conv(#{k})", "dw({k})", "lin@T", "avg({k}) - x")
SETTINGS = {
    "study": {"name": "generated", "task": "digits", "space": "digits", "budget": 100_000, "confirm": 1, "seed": 0},
    "training": {"epochs": 5}, "limits": {}, "search": {"sampler": "random"}, "baselines": {"names": []},
    "task": {"name": "digits", "channels": 1, "grid": [8, 8], "classes": 10},
    "space": {"name": "digits", "start": "n", "max_depth": 1, "rules": {"n": "patch(2,{8|16})"}},
    "reference_point": [0.1, 1e9], "versions": {}, "format": FORMAT,
}  # fmt: skip


def trial(number: int, rng: random.Random) -> Trial:
    """A trial as a search writes it: a sentence, ten choices, a curve of five epochs."""
    width, depth, kernel, heads = rng.choice((16, 24, 32, 48, 64)), rng.randint(1, 8), rng.choice((3, 5, 7)), 2
    mixer = rng.choice(MIXERS).format(n=heads, k=kernel)
    sentence = f"patch(2,{width}) >> (res(norm >> {mixer}) >> res(norm >> ffn({rng.randint(1, 4)})))^{depth} >> norm"
    macs = int(width**2 * depth * rng.uniform(300, 900))
    cost = {"macs": macs, "params": macs // 15, "elementwise": macs // 40, "activations": macs // 30}
    state = rng.choices(("complete", "pruned", "failed"), (85, 12, 3))[0]
    top = min(0.99, max(0.1, 0.5 + 0.06 * len(str(macs)) + rng.gauss(0, 0.05)))
    curve = [{"epoch": e, "validation_accuracy": top * e / 5, "validation_loss": 2 - top} for e in range(1, 6)]
    choices: dict[str, int | str] = {f"network/block[{i}]/mixer#{i}": rng.choice(MIXERS) for i in range(depth)}
    return Trial(
        number, state, "searched", reason=None if state == "complete" else f"{state} for some reason",
        sentence=sentence, key=f"{number:064x}", choices={"network#1": width, "network#2": kernel, **choices},
        cost=cost,
        accuracy=top if state == "complete" else None, loss=2 - top, curve=curve, seed=number, epochs=5,
        seconds=rng.uniform(5, 50), started=1.7e9 + number,
    )  # fmt: skip


def write(file: Path, trials: Sequence[Trial]) -> None:
    """Append trials to a record, as the trial store lays them down."""
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING"}
    with closing(sqlite3.connect(file)) as db, db:
        (study,), (last,) = (
            db.execute(q).fetchone() for q in ("SELECT study_id FROM studies", "SELECT max(trial_id) FROM trials")
        )
        first = (last or 0) + 1
        db.executemany(
            "INSERT INTO trials (trial_id, number, study_id, state) VALUES (?, ?, ?, ?)",
            [(first + i, t.number, study, states[t.state]) for i, t in enumerate(trials)],
        )
        db.executemany(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (?, 'trial', ?)",
            [(first + i, json.dumps(document(t))) for i, t in enumerate(trials)],
        )


def generated(folder: Path, n: int) -> Path:
    """A record of n trials."""
    file = folder / f"generated-{n}" / "study.db"
    Ledger(file, SETTINGS, {}).close()
    rng = random.Random(n)
    write(file, [trial(number, rng) for number in range(n)])
    return file


@contextmanager
def serving(place: Path) -> Iterator[tuple[str, psutil.Process]]:
    """`metamixer dashboard` in a process of its own: its address, and the process."""
    program = "from metamixer.cli import main; main()"
    command = [sys.executable, "-c", program, "dashboard", str(place), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if line.startswith("dashboard: "))
        address = line.split()[1].rstrip("/")
        for _ in range(600):
            try:
                urllib.request.urlopen(address + "/runs").read()
                break
            except OSError:
                time.sleep(0.1)
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


HOVERS = """() => {
  const chart = document.querySelector("#plot .chart"), box = chart.getBoundingClientRect(), times = [];
  for (let i = 0; i < 200; i++) {
    const x = box.x + 60 + ((i * 37) % (box.width - 90)), y = box.y + 15 + ((i * 53) % (box.height - 70)), begun = performance.now();
    chart.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
    times.push(performance.now() - begun);
  }
  return times.sort((a, b) => a - b);
}"""  # noqa: E501
BRUSHES = """async () => {
  const chart = document.querySelector("#plot .chart"), { xaxis, yaxis } = chart._fullLayout, times = [];
  const between = (axis, from, to) => [from, to].map((share) => {
    const value = axis.range[0] + share * (axis.range[1] - axis.range[0]);
    return axis.type === "log" ? 10 ** value : value; });
  for (let i = 0; i < 7; i++) {
    const begun = performance.now();
    const x = between(xaxis, 0.1 + i / 50, 0.6), y = between(yaxis, 0.2, 0.9 - i / 50);
    chart.emit("plotly_selected", { range: { x, y } });
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    times.push(performance.now() - begun);
  }
  document.querySelector("#reset").click();
  return times.sort((a, b) => a - b);
}"""


def measured(n: int, folder: Path, browser: Any) -> dict[str, float]:
    """Seconds of every bar, for a record of n trials."""
    file = generated(folder, n)
    with serving(file) as (address, _):
        begun = time.monotonic()
        first = json.loads(urllib.request.urlopen(f"{address}/data?since=-1").read())
        found = {"read": time.monotonic() - begun}
        since = f"{address}/data?since={first['revision']}&generation={first['generation']}"
        found["poll"] = float(len(urllib.request.urlopen(since).read()))
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        begun = time.monotonic()
        page.goto(address)
        page.wait_for_selector("#plot[data-drawn]")
        found["paint"] = time.monotonic() - begun
        page.wait_for_selector("#table tr[data-row] td.code:not(:empty)", timeout=120_000)
        found["texts"] = time.monotonic() - begun
        hovers, brushes = page.evaluate(HOVERS), page.evaluate(BRUSHES)
        found["hover"], found["worst hover"] = hovers[int(0.95 * len(hovers))] / 1000, hovers[-1] / 1000
        found["brush"] = brushes[len(brushes) // 2] / 1000
        page.wait_for_timeout(1500)
        # The new one is a beginner in the table: it is cheaper than all the others.
        page.click("th button:has-text('FLOPs')")
        new = Trial(n, "complete", "searched", sentence="patch(2,8) >> norm", key="new", accuracy=0.5, epochs=1,
                    cost={"macs": 1, "params": 1, "elementwise": 1, "activations": 1})  # fmt: skip
        begun = time.monotonic()
        write(file, [new])
        page.wait_for_selector(f"#table tr[data-row='{n}']", timeout=60_000)
        found["news"] = time.monotonic() - begun
        page.close()
    return found


def memory(file: Path, polls: int) -> tuple[float, float]:
    """Bytes of the server after 100 polls and after all of them."""
    with serving(file) as (address, process):
        first = json.loads(urllib.request.urlopen(f"{address}/data?since=-1").read())
        since = f"{address}/data?since={first['revision']}&generation={first['generation']}"
        early = 0.0
        for poll in range(polls):
            urllib.request.urlopen(since).read()
            if poll == 99:
                early = process.memory_info().rss
        return early, process.memory_info().rss


def busy(file: Path, browser: Any, seconds: float = 20.0) -> float:
    """Share of a processor that the server takes with two open pages and a trial a second."""
    with serving(file) as (address, process):
        pages = [browser.new_page() for _ in range(2)]
        for page in pages:
            page.goto(address)
            page.wait_for_selector("#plot[data-drawn]")
        pages[0].wait_for_timeout(3000)
        rng, number = random.Random(1), 2_000_000
        with closing(sqlite3.connect(file)) as db:
            (number,) = db.execute("SELECT count(*) FROM trials").fetchone()
        before, begun = sum(process.cpu_times()[:2]), time.monotonic()
        while time.monotonic() - begun < seconds:
            write(file, [trial(number, rng)])
            number += 1
            pages[0].wait_for_timeout(1000)
        used = sum(process.cpu_times()[:2]) - before
        for page in pages:
            page.close()
        return used / (time.monotonic() - begun)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 below a bar")
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--polls", type=int, default=10_000)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    missed = []
    bars = {"paint": PAINT, "hover": HOVER, "brush": BRUSH, "news": NEWS}
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for n in arguments.trials:
            found = measured(n, folder, browser)
            print(
                f"{n:>7,} trials: read {found['read']:.2f} s, first paint {found['paint']:.2f} s (sentences after "
                f"{found['texts']:.2f} s), hover {1e3 * found['hover']:.1f} ms "
                f"(worst {1e3 * found['worst hover']:.1f}), brush {1e3 * found['brush']:.0f} ms, "
                f"news {found['news']:.2f} s, poll {found['poll']:.0f} bytes",
                flush=True,
            )
            missed += [f"{what} at {n:,}" for what, bar in bars.items() if found[what] > bar]
            missed += [f"poll at {n:,}"] if found["poll"] >= POLL else []
        file = generated(folder, 1_001)
        early, late = memory(file, arguments.polls)
        print(f"memory after 100 polls {early / 1e6:.1f} MB, after {arguments.polls:,} {late / 1e6:.1f} MB", flush=True)
        share = busy(file, browser)
        print(f"two pages and a trial a second: {share:.2%} of a processor of the server's time")
        browser.close()
    missed += ["memory"] if late > GROWTH * early else []
    missed += ["busy"] if share > BUSY else []
    print(f"below the bar: {', '.join(missed)}" if missed else "all bars are met")
    return 1 if arguments.check and missed else 0


if __name__ == "__main__":
    sys.exit(main())
