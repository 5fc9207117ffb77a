"""The page as one file: nothing is asked of anybody, and it does what the live page does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from metamixer.dashboards import page
from metamixer.dashboards.encode import decoded
from metamixer.dashboards.offline import write
from metamixer.errors import RecordError
from metamixer.record.run import load
from metamixer.search.storage.trial_store import TrialStore

from ..report.conftest import BASELINES, SETTINGS
from .conftest import HOSTILE, Tab

Open = Callable[..., Tab]


class Tags(HTMLParser):
    """Tags with their attributes, and the text of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def file(runs_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(runs_folder / HOSTILE, tmp_path_factory.mktemp("offline") / "page.html")


@pytest.fixture(scope="module")
def embedded(file: Path) -> dict:
    found = re.search(r'id="embedded">(.*?)</script>', file.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_nothing_is_loaded_from_elsewhere(file: Path) -> None:
    tags = Tags(file.read_text(encoding="utf-8"))
    for tag, attributes in tags.tags:
        assert tag not in ("iframe", "object", "embed", "base", "img", "mixer")
        for name in {"src", "href", "srcset", "data", "poster", "action"} & set(attributes):
            assert (attributes[name] or "").startswith(("#", "data:,")), (tag, name, attributes[name])
    policy = [a["content"] for tag, a in tags.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1
    assert str(policy[0]).startswith("default-src 'none';")
    assert "http" not in str(policy[0])


def test_no_text_of_the_record_is_markup(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "\\u003cimg src=x" in text


def test_every_front_member_and_baseline_is_drawn_and_adds_up(embedded: dict, runs_folder: Path) -> None:
    run = load(runs_folder / HOSTILE)
    assert len(run.front) >= 3
    assert {p.name for p in run.baselines} == set(BASELINES)
    for point in [*run.front, *run.baselines]:
        one = embedded["architectures"][str(point.number)]
        assert one["drawing"].startswith("<svg")
        assert sum(stage["macs"] for stage in one["stages"]) == point.cost["macs"]
        assert len(one["seeds"]) == point.seeds
        assert all(len(seed["curve"]["epoch"]) == 5 for seed in one["seeds"])
    means = decoded(embedded["data"]["columns"]["mean"])
    assert [means[p.number] for p in run.front] == pytest.approx([p.accuracy for p in run.front])


def test_failures_and_refusals_are_counted_by_reason(embedded: dict, runs_folder: Path) -> None:
    told = {(one["what"], one["why"]): one["n"] for one in embedded["data"]["progress"]["reasons"]}
    assert told == {(what, why): n for what, why, n in load(runs_folder / HOSTILE).reasons}
    assert ("failed", "nan") in told
    assert ("stopped", "stopped at epoch 1 of 5") in told


def test_modules_become_one_script_without_imports() -> None:
    text = page.script()
    assert not re.search(r"^(import|export) ", text, re.M)
    names = re.findall(r"^(?:const|let|function|async function|class) (\w+)", text, re.M)
    assert len(names) == len(set(names)), sorted({name for name in names if names.count(name) > 1})


def test_every_module_imports_what_it_calls() -> None:
    """In the file all modules are one, so that only the live page would miss an import."""
    texts = {name: page.asset(name)[0] for name in page.names() if name.endswith(".js")}
    exported = {
        found
        for text in texts.values()
        for found in re.findall(r"^export (?:async )?(?:function|const|class) (\w+)", text, re.M)
    }
    lacking = []
    for name, text in texts.items():
        imported = {one.strip() for some in re.findall(r"^import \{([^}]*)\}", text, re.M) for one in some.split(",")}
        called = set(re.findall(r"(?<![\w.])(\w+)\(", text)) & exported
        own = set(re.findall(r"\b(?:function|const|let|class) (\w+)", text)) | set(
            re.findall(r"^  (?:async |get )?(\w+)\(", text, re.M)
        )
        lacking += [(name, one) for one in sorted(called - imported - own)]
    assert lacking == []


def test_modules_are_short() -> None:
    lengths = {name: len(page.asset(name)[0].splitlines()) for name in page.names() if name.endswith(".js")}
    assert len(lengths) > 15
    assert max(lengths.values()) <= 400


def test_a_run_without_a_trial_has_a_page(tmp_path: Path) -> None:
    TrialStore(tmp_path / "empty" / "study.db", SETTINGS, {}).close()
    written = write(tmp_path / "empty", tmp_path / "elsewhere" / "page.html")
    assert written == tmp_path / "elsewhere" / "page.html"
    assert written.stat().st_size > 1_000_000


def test_no_record_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no record there"):
        write(tmp_path)


@pytest.mark.browser
def test_the_file_does_the_same_with_the_network_blocked(open_tab: Open, file: Path, embedded: dict) -> None:
    opened = open_tab(file.as_uri(), offline=True)
    opened.ready()
    opened.drawn()
    assert "offline file" in opened.page.inner_text("#live")
    total = opened.count()
    opened.page.fill("#query", "contains att")
    opened.wait(f"Number(document.querySelector('#count').textContent.split(' ')[0]) < {total[0]}")
    opened.page.focus("#plot")
    opened.page.keyboard.press("ArrowRight")
    opened.page.wait_for_selector("#card svg.mm-drawing")
    opened.page.keyboard.press("c")
    opened.page.keyboard.press("ArrowRight")
    opened.page.keyboard.press("c")
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_selector("#pin[aria-pressed=true]")
    opened.page.click("#compared")
    opened.page.wait_for_selector(".compared svg.mm-drawing")
    opened.page.click("#tabs button:has-text('Settings')")
    text = opened.page.inner_text(".details-view")
    for expected in (HOSTILE, "training.learning_rate", "0.006", "2.13.0", "RBF-SVM", "nan"):
        assert expected in text
    for view in ("Why", "Space", "Atlas"):  # the server works them out: the file says how to see them
        opened.page.click(f"#tabs button:has-text('{view}')")
        opened.page.wait_for_selector(".elsewhere-view code:text('metamixer dashboard')")
    opened.page.click("#tabs button:has-text('Front')")
    with opened.page.expect_download() as saved:
        opened.page.click("summary:has-text('Export')")
        opened.page.click("button:text('Selection as CSV')")
    assert "sentence" in Path(saved.value.path()).read_text(encoding="utf-8")
    again = open_tab(opened.page.url, offline=True)
    again.ready()
    again.drawn()
    assert again.page.input_value("#query") == "contains att"
    assert not [url for url in opened.asked + again.asked if not url.startswith(("file:", "data:", "blob:"))]


@pytest.mark.browser
def test_an_empty_run_opens_and_says_so(open_tab: Open, tmp_path: Path) -> None:
    TrialStore(tmp_path / "empty" / "study.db", SETTINGS, {}).close()
    opened = open_tab(write(tmp_path / "empty").as_uri(), offline=True)
    opened.ready()
    opened.page.wait_for_selector("#table .empty:has-text('No trial yet')")
