"""A recorded run with hostile names, its page served and opened, and what the page may not do."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from metamixer.dashboards.runs import Runs
from metamixer.record import Trial
from metamixer.search.storage.trial_store import TrialStore

from ..report.conftest import SETTINGS, add_trials

HOSTILE = "<img src=x onerror=alert(1)>"


def record(folder: Path, **settings: Any) -> TrialStore:
    """A new record with every kind and state of trial; it is open, as that of a running search."""
    store = TrialStore(folder / "study.db", {**SETTINGS, **settings}, {"task": "f"})
    add_trials(store)
    return store


def searched(store: TrialStore, sentence: str, macs: int, accuracy: float | None, **more: Any) -> Trial:
    """Add a trial of the search; it runs where there is no accuracy."""
    cost = {"macs": macs, "params": macs // 20, "elementwise": macs // 50, "activations": macs // 40}
    trial = Trial(
        -1, "running", "searched", sentence=sentence, key=f"{macs:064x}", cost=cost, seed=1, started=time.time()
    )
    trial = store.add(replace(trial, **more))
    if accuracy is None:
        return trial
    curve = [
        {
            "epoch": 1,
            "validation_accuracy": accuracy,
            "validation_loss": 0.2,
            "train_accuracy": accuracy,
            "train_loss": 0.2,
        }
    ]
    done = replace(trial, state="complete", accuracy=accuracy, loss=0.2, curve=curve, epochs=1, seconds=1.0)
    store.finish(done)
    return done


@pytest.fixture(scope="session")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs that have ended: one with hostile texts, one of another seed of it."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in ((7, HOSTILE), (8, "again")):
        store = record(folder / name, study={**SETTINGS["study"], "name": name, "seed": seed})
        broken = store.add(
            Trial(-1, "running", "searched", sentence=HOSTILE, key="b" * 64, cost=None, name=HOSTILE, seed=1)
        )
        store.finish(replace(broken, state="failed", reason=f"exception: {HOSTILE}", traceback=f"at {HOSTILE}"))
        half = searched(store, "patch(2,32) >> res(norm >> ffn(3)) >> norm", 123_456, None)
        curve = [{"epoch": 1, "validation_accuracy": 0.7, "validation_loss": 0.9}]
        store.finish(
            replace(half, state="pruned", reason="stopped at epoch 1 of 5", curve=curve, epochs=1, seconds=1.0)
        )
        store.close()
    return folder


@dataclass
class Served:
    """A server of this process: its address, and what it shows."""

    address: str
    runs: Runs
    stop: Callable[[], None]


def serve(place: Path, token: str | None = None, address: str = "127.0.0.1") -> Served:
    import uvicorn

    from metamixer.dashboards.server import application

    runs = Runs(place)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(runs, address, token), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)

    def stop() -> None:
        server.should_exit = True
        thread.join(10)

    return Served(f"http://127.0.0.1:{listening.getsockname()[1]}", runs, stop)


@pytest.fixture(scope="session")
def served(runs_folder: Path) -> Iterator[Served]:
    server = serve(runs_folder)
    yield server
    server.stop()


@dataclass
class Tab:
    """An opened page: what it complained of, and every address that it asked for."""

    page: Any
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def ready(self) -> None:
        self.page.wait_for_selector("html[data-ready='1']", timeout=60_000)

    def wait(self, condition: str, seconds: float = 30.0) -> None:
        """Ask again and again; the page's policy forbids the evaluation that `wait_for_function` does in it."""
        end = time.monotonic() + seconds
        while not self.page.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never: {condition}"
            time.sleep(0.03)

    def drawn(self) -> None:
        self.wait("document.querySelector('#plot')?.dataset.drawn !== undefined")

    def count(self) -> list[int]:
        """Selected, shown, and selected ones on the front, as the page says them."""
        said = self.page.inner_text("#count")
        return [int(part.replace(",", "")) for part in said.split() if part.replace(",", "").isdecimal()]

    def state(self) -> dict[str, Any]:
        pairs = self.page.evaluate("[...new URLSearchParams(location.hash.slice(1))]")
        return {name: _read(text) for name, text in pairs}


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


@pytest.fixture(scope="session")
def chromium(browser: str) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def open_tab(chromium: Any) -> Iterator[Callable[..., Tab]]:
    """Open an address; at the end every tab must have been silent and have asked nobody but this machine."""
    tabs: list[tuple[Any, Tab]] = []

    def opening(address: str, offline: bool = False, **options: Any) -> Tab:
        settings = {"viewport": {"width": 1280, "height": 720}, "accept_downloads": True, **options}
        context = chromium.new_context(offline=offline, **settings)
        context.set_default_timeout(30_000)
        tab = Tab(context.new_page())
        tab.page.on("console", lambda message: tab.complaints.append(f"{message.type}: {message.text}"))
        tab.page.on("pageerror", lambda error: tab.complaints.append(f"error: {error}"))
        tab.page.on("dialog", lambda dialog: (tab.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        tab.page.on("request", lambda request: tab.asked.append(request.url))
        tabs.append((context, tab))
        tab.page.goto(address)
        return tab

    yield opening
    for context, tab in tabs:
        context.close()
        assert tab.complaints == []
        local = ("http://127.0.0.1:", "file://", "data:", "blob:")
        assert [url for url in tab.asked if not url.startswith(local)] == []
