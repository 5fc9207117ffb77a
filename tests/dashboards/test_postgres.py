"""Runs of a PostgreSQL storage: listed, opened, followed, and the password of the storage shown to nobody."""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from metamixer.record.location import Storage
from metamixer.search.storage.trial_store import TrialStore

from ..report.conftest import SETTINGS
from .conftest import searched, serve

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))  # for `postgres`

from postgres import Server, needs_postgres

pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install 'metamixer[postgres]'")
pytestmark = needs_postgres
NAMES = ("first", "second")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.remove()


def test_studies_of_a_database_are_runs_and_news_of_one_arrive(server: Server) -> None:
    url = server.url().replace("me@", "me:swordfish@")  # the server trusts everybody; what matters is who reads it
    stores = [TrialStore(Storage(url=server.url(), name=name), SETTINGS, {"task": "f"}) for name in NAMES]
    for macs, accuracy in ((20_000, 0.8), (30_000, None)):
        searched(stores[0], f"patch(2,{macs // 1000}) >> norm", macs, accuracy)
    served = serve(url)  # type: ignore[arg-type]

    def asked(path: str) -> tuple[dict, str]:
        with urllib.request.urlopen(served.address + path) as answer:
            text = answer.read().decode()
        return json.loads(text), text

    try:
        listed, text = asked("/runs")
        assert [run["name"] for run in listed["runs"]] == list(NAMES)
        assert listed["runs"][0]["progress"]["trained"] == 1
        whole, more = asked("/data?run=first&since=-1")
        assert whole["rows"] == len(stores[0].trials)
        detail, last = asked("/architecture/0?run=first")
        assert detail["seeds"][0]["accuracy"] == 0.8
        assert "swordfish" not in text + more + last
        assert "first" in served.runs.view("first").summary()["study"]["place"]

        trial = searched(stores[0], "patch(2,24) >> norm", 40_000, 0.9)
        served.runs.view("first")._read = -1.0
        news, _ = asked(f"/data?run=first&since={whole['revision']}&generation={quote(whole['generation'])}")
        assert news["rows"] == trial.number + 1
        assert news["texts"]["sentence"][-1] == trial.sentence
    finally:
        served.stop()
        for store in stores:
            store.close()
