"""Architectures that were trained in full: their test accuracy stands beside the validation accuracy everywhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metamixer import record as records
from metamixer.dashboards.columns import KINDS
from metamixer.dashboards.encode import decoded
from metamixer.dashboards.offline import write
from metamixer.dashboards.runs import Runs
from metamixer.record import Trial, retrained

from .conftest import Tab, record

TESTS = {0: (0.91, 0.93), 2: (0.95,)}  # number of the trial: test accuracies by seed


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recorded run of the other tests, two architectures of it trained in full, one by an older recipe too."""
    folder = tmp_path_factory.mktemp("runs") / "full"
    store = record(folder)

    def full(of: int, seed_index: int, accuracy: float, epochs: int) -> None:
        first = store.trials[of]
        test = {"accuracy": accuracy, "loss": 0.2, "images": 200}
        store.add(
            Trial(-1, "complete", "retrained", sentence=first.sentence, key=first.key, cost=first.cost, retrains=of,
                  seed=5, seed_index=seed_index, test=test, training={"epochs": epochs}, epochs=epochs,
                  curve=[{"epoch": 1, "train_loss": 0.3, "train_accuracy": 0.9}])
        )  # fmt: skip

    full(1, 0, 0.5, 7)
    for of, accuracies in TESTS.items():
        for seed_index, accuracy in enumerate(accuracies):
            full(of, seed_index, accuracy, 9)
    store.close()
    return folder


def test_columns_hold_what_retraining_says_and_the_front_stays_as_it_was(run: Path) -> None:
    view = Runs(run).view("full")
    table, means = view.table()
    said = {one.number: one for one in retrained.summary(records.read(run))}
    assert set(said) == set(TESTS)
    assert set(table["number"][np.isfinite(means["test"])].tolist()) == set(TESTS)
    for number, one in said.items():
        assert means["test"][number] == np.float32(one.accuracy) == np.float32(np.mean(TESTS[number]))
        assert (means["test_low"][number], means["test_high"][number]) == tuple(map(np.float32, one.interval))
    assert not means["seeds"][table["kind"] == KINDS.index("retrained")].any()


def test_news_of_a_retraining_reach_the_row_of_what_was_retrained(run: Path, tmp_path: Path) -> None:
    store = record(tmp_path / "later")
    runs = Runs(tmp_path)
    before = runs.view("later").since(-1)
    first = store.trials[3]
    new = Trial(
        -1,
        "complete",
        "retrained",
        sentence=first.sentence,
        key=first.key,
        cost=first.cost,
        retrains=3,
        seed=1,
        training={"epochs": 1},
        test={"accuracy": 0.9, "loss": 0.3, "images": 100},
        epochs=1,
    )
    assert runs.architecture("later", "3")["tested"] is None  # type: ignore[index]
    store.add(new)
    runs.view("later")._read = -1.0
    answer = runs.view("later").since(before["revision"], before["generation"])
    assert decoded(answer["index"]).tolist() == [3, before["rows"]]
    assert runs.architecture("later", "3")["tested"]["interval"] == retrained.wilson(0.9, 100)  # type: ignore[index]
    again = runs.architecture("later", str(before["rows"]))
    assert again is not None
    assert (again["retrains"], again["test"]["accuracy"]) == (3, 0.9)
    assert "'final': True" in again["commands"]["reproduce"]
    store.close()


@pytest.mark.browser
def test_the_file_shows_test_accuracy_in_the_table_the_page_the_comparison_and_the_export(
    open_tab: Callable[..., Tab], run: Path, tmp_path: Path
) -> None:
    opened = open_tab(f"{write(run, tmp_path / 'page.html').as_uri()}#sort=test", offline=True)
    opened.ready()
    opened.drawn()
    heads = [one.strip(" ↓") for one in opened.page.locator("#table th").all_inner_texts()]
    assert heads[3:8] == ["accuracy", "± s.e.", "seeds", "test", "test, 95 %"]
    first = opened.page.locator("#table tr[data-row]").first
    assert (first.get_attribute("data-row"), "0.9500" in first.inner_text()) == ("2", True)
    low, high = retrained.wilson(0.92, 200)
    cells = opened.page.locator("#table tr[data-row='0']").inner_text().split("\t")
    assert cells[6:8] == ["0.9200", f"{low:.3f} to {high:.3f}"]
    opened.page.select_option("#axis-y", "test")
    opened.wait("document.querySelector('.ytitle').textContent.includes('test accuracy')")
    opened.page.fill("#query", "test >= 0.94")
    opened.wait("document.querySelector('#count').textContent.startsWith('1 of')")
    with opened.page.expect_download() as saved:
        opened.page.click(".lower summary:has-text('Export')")
        opened.page.click("button:text('Selection as CSV')")
    (row,) = csv.DictReader(io.StringIO(Path(saved.value.path()).read_text(encoding="utf-8")))
    low, high = retrained.wilson(0.95, 200)
    assert (float(row["test_accuracy"]), float(row["test_low"]), float(row["test_high"])) == pytest.approx(
        (0.95, low, high), abs=1e-6
    )
    opened.page.evaluate("location.hash = 'view=architecture&arch=0'")
    opened.page.wait_for_selector("h2:text('Test')")
    text = opened.page.inner_text(".architecture-view")
    low, high = retrained.wilson(0.92, 200)
    for expected in ("validation accuracy", "0.9200", f"{low:.4f} to {high:.4f}", "9 epochs", "0.9100", "0.9300"):
        assert expected in text
    opened.page.evaluate("location.hash = 'view=compare&compare=[0,1]'")
    opened.page.wait_for_selector("th:text('test accuracy (95 %)')")
    assert "not retrained" in opened.page.inner_text(".compare-view")
