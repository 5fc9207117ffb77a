"""Records on a real PostgreSQL server: the same search, the same reading, one driver, and a server that goes away."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from postgres import Server, needs_postgres

from metamixer import record
from metamixer.errors import RecordError, StudyError
from metamixer.record import location as storage
from metamixer.record.location import Storage
from metamixer.search.storage import lease, trial_store
from metamixer.search.storage.trial_store import Parameters, TrialStore, running
from metamixer.search.study import Study

pytest.importorskip("psycopg", reason="no driver for PostgreSQL: pip install 'metamixer[postgres]'")
pytestmark = needs_postgres

SETTINGS = {"study": {"name": "s"}, "reference_point": [0.1, 100.0]}
COST = {"macs": 10, "params": 2, "elementwise": 3, "activations": 4}
Load = Callable[..., Study]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.remove()


@pytest.fixture
def place(server: Server, request: pytest.FixtureRequest) -> Storage:
    return Storage(url=server.url(), name=request.node.name)


def told(path: Path) -> list[tuple[object, ...]]:
    return [
        (r.number, r.kind, r.state, r.reason, r.sentence, r.choices, r.accuracy, r.seed, r.replicate_of, r.seed_index)
        for r in record.read(path)
    ]


def test_a_search_on_a_server_is_the_search_on_a_file(load: Load, server: Server) -> None:
    from metamixer import resources
    from metamixer.record.run import load as report

    there = load(f'study.storage="{server.url()}"', name="whole")
    assert there.run("inline").trained == 12
    here = load(name="file")
    here.run("inline")
    assert told(there.path) == told(here.path)
    assert not (there.path / storage.FILE).exists()
    assert stat.S_IMODE((there.path / storage.CONFIGURATION).stat().st_mode) == 0o600

    # What reads the record finds it by the run's folder.
    found = resources.record("whole", there.path.parent)
    assert [point.number for point in report(found).front] == [point.number for point in there.front()]
    assert "storage" not in record.settings(found)["study"]
    # The same command goes on; two studies share the database.
    more = load(f'study.storage="{server.url()}"', "study.budget=14", name="whole")
    assert more.run("inline").trained == 14
    other = load(f'study.storage="{server.url()}"', "study.budget=2", name="other")
    assert other.run("inline").trained == 2
    assert len(record.read(other.path)) < len(record.read(more.path))
    with pytest.raises(StudyError, match="search has begun without"):
        load(f'study.storage="{server.url()}"', "study.warm_start=whole", name="other").run("inline")


def test_a_record_does_not_move(load: Load, server: Server) -> None:
    url = f'study.storage="{server.url()}"'
    load(url, "study.budget=1", name="there").run("inline")
    with pytest.raises(StudyError, match="its record in a database"):
        load("study.budget=1", name="there").run("inline")
    load("study.budget=1", name="here").run("inline")
    with pytest.raises(StudyError, match="its record in a file"):
        load(url, "study.budget=1", name="here").run("inline")


def test_rows_come_back_as_they_were_written(place: Storage, tmp_path: Path) -> None:
    from optuna.distributions import CategoricalDistribution

    store = TrialStore(place, SETTINGS, {"task": "t"})
    parameters = Parameters({"a#1": "x"}, {"a#1": CategoricalDistribution(("x", "y"))})
    row = store.add(running("lin", "k", COST, kind="searched", choices={"a#1": "x"}, seed=5), parameters)
    store.add(record.Trial(-1, "pruned", "rejected", reason="over", key="o", cost=COST))
    store.finish(replace(row, state="complete", accuracy=0.5, curve=[{"epoch": 1}], seconds=1.5))
    folder(tmp_path, place)
    assert record.read(tmp_path) == store.trials
    store.close()
    again = TrialStore(place, {}, {})
    assert again.clean
    assert again.resumed
    assert again.trials == store.trials
    assert again.parameters(0) == parameters
    again.close()


def folder(path: Path, place: Storage) -> None:
    text = f"[study]\nname = {json.dumps(place.name)}\nstorage = {json.dumps(place.url)}\n"
    (path / storage.CONFIGURATION).write_text(text)


def test_one_driver_at_a_time(place: Storage) -> None:
    results: list[object] = []

    def start() -> None:
        try:
            results.append(TrialStore(place, SETTINGS, {}))
        except RecordError as error:
            results.append(error)

    starts = [threading.Thread(target=start) for _ in range(4)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join()
    opened = [found for found in results if isinstance(found, TrialStore)]
    assert len(opened) == 1
    assert all("another search is running" in str(found) for found in results if found is not opened[0])
    opened[0].close()
    TrialStore(place, SETTINGS, {}).close()


def test_a_dead_drivers_lease_is_taken_over_and_it_stops_when_it_wakes(
    place: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = TrialStore(place, SETTINGS, {})
    asleep._lease._stop.set()  # its host sleeps: nothing renews, and the process is not to be seen from elsewhere
    asleep._lease._thread.join()
    monkeypatch.setattr(lease.platform, "node", lambda: "elsewhere")
    with pytest.raises(RecordError, match=r"process \d+ on .*\n.*\n.*if that host is dead, try again in 2 minutes"):
        TrialStore(place, SETTINGS, {})
    monkeypatch.setattr(lease, "STALE_SECONDS", 0.0)
    second = TrialStore(place, SETTINGS, {})
    assert not second.clean
    with pytest.raises(RecordError, match="took this study over"):
        asleep.add(running("lin", "k", COST, kind="searched"))
    asleep.close()
    second.close()
    assert second.trials == []


def test_a_driver_that_slept_before_it_wrote_writes_nothing(
    place: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asleep = TrialStore(place, SETTINGS, {})
    asleep._lease._stop.set()
    asleep._lease._thread.join()
    check = asleep._lease.check

    def sleep() -> None:
        """Its host sleeps when it has looked whether the lease is its own, and another driver takes over."""
        check()
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(lease.platform, "node", lambda: "elsewhere")
            elsewhere.setattr(lease, "STALE_SECONDS", 0.0)
            TrialStore(place, SETTINGS, {}).close()

    monkeypatch.setattr(asleep._lease, "check", sleep)
    with pytest.raises(RecordError, match="another search took this study over"):
        asleep.add(running("lin", "a", COST, kind="searched"))
    asleep.close()
    folder(tmp_path, place)
    assert record.read(tmp_path) == []


def test_a_server_that_goes_away_is_waited_for(
    place: Storage, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_store, "RETRY_SECONDS", 0.05)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if "away" in line:
            server.start()

    store = TrialStore(place, SETTINGS, {}, say)
    first = store.add(running("lin", "a", COST, kind="searched"))
    server.stop()
    store.add(running("lin", "b", COST, kind="searched"))
    server.stop()
    store.finish(replace(first, state="complete", accuracy=0.5))
    server.stop()
    store.set_references({"SVM": 0.9})
    assert [line.partition("; ")[0] for line in lines] == [
        "the record's database is away",
        "the record's database is there again",
    ] * 3
    folder(tmp_path, place)
    assert record.read(tmp_path) == store.trials
    assert [row.number for row in store.trials] == [0, 1]

    monkeypatch.setattr(trial_store, "AWAY_SECONDS", 0.2)
    store._say = lambda line: None
    server.stop()
    with pytest.raises(RecordError, match="the record's database cannot be used"):
        store.add(running("lin", "c", COST, kind="searched"))
    with pytest.raises(RecordError, match="the record's database cannot be used"):
        record.read(tmp_path)
    store.close()  # nothing can be given back
    server.start()
    # This process lives, so to another host the lease looks held until it is stale; here it is our own pid.
    assert len(record.read(tmp_path)) == 2


def test_an_answer_that_is_lost_writes_nothing_twice(
    place: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server commits, and the connection breaks before it says so."""
    import psycopg

    store = TrialStore(place, SETTINGS, {})
    monkeypatch.setattr(trial_store, "RETRY_SECONDS", 0.0)
    dialect = store._storage.engine.dialect
    commit, lost = dialect.do_commit, [0]

    def commit_and_break(connection: psycopg.Connection) -> None:
        commit(connection)  # type: ignore[arg-type]
        lost[0] += 1
        if lost[0] % 2:
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(dialect, "do_commit", commit_and_break)
    first = store.add(running("lin", "a", COST, kind="searched"))
    store.add(replace(running("lin", "b", COST, kind="rejected"), state="pruned", reason="over the limit"))
    store.finish(replace(first, state="complete", accuracy=0.5))
    store.add(running("lin", "c", COST, kind="searched"))
    assert lost[0] == 8  # each of the four was tried twice
    monkeypatch.undo()
    folder(tmp_path, place)
    assert record.read(tmp_path) == store.trials
    assert [(row.number, row.state) for row in store.trials] == [(0, "complete"), (1, "pruned"), (2, "running")]
    store.close()
    with psycopg.connect(place.url) as db:
        found = db.execute(
            "SELECT t.number, v.value FROM trials t JOIN studies s ON s.study_id = t.study_id AND s.study_name = %s"
            " LEFT JOIN trial_values v ON v.trial_id = t.trial_id ORDER BY t.number, v.objective",
            (place.name,),
        ).fetchall()
    assert found == [(0, 0.5), (0, 20.0), (1, None), (2, None)]


def test_errors_name_the_place_without_the_password(
    load: Load, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = server.url("nowhere").replace("me@", "me:secret@")
    with pytest.raises(RecordError, match="does not exist") as error:
        load(f'study.storage="{wrong}"').run("inline")
    assert "secret" not in str(error.value)
    assert "me:***@127.0.0.1" in str(error.value)
    monkeypatch.setenv("OUR_DATABASE", "postgres")
    through = server.url("${OUR_DATABASE}")
    assert load(f'study.storage="{through}"', "study.budget=1", name="through").run("inline").trained == 1
    with pytest.raises(RecordError, match="the storage is no URL of a database"):
        load('study.storage="postgresql://host:port/x"', name="none").run("inline")
