"""The page of a run, read as a file: self-contained, complete, escaped."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from metamixer.errors import RecordError
from metamixer.record.run import Run, load
from metamixer.report import figure
from metamixer.report.page import page, write
from metamixer.search.storage.trial_store import TrialStore

from .conftest import BASELINES, SENTENCES, SETTINGS

LOADING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href"}
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Parsed(HTMLParser):
    """Tags with their attributes, scripts and visible text of a page; complains about tags left open."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            attributes, so_far = self.scripts.pop()
            self.scripts.append((attributes, so_far + data))
        elif not self.open or self.open[-1] != "style":
            self.text += data

    def ids(self) -> list[str]:
        return [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]


@pytest.fixture(scope="module")
def parsed(page: Path) -> Parsed:
    return Parsed(page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return load(run_folder)


def test_nothing_is_loaded_from_elsewhere(parsed: Parsed, page: Path) -> None:
    for tag, attributes in parsed.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in LOADING & set(attributes):
            assert (attributes[name] or "").startswith("#"), (tag, name, attributes[name])
    styles = re.findall(r"<style>(.*?)</style>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert not [style for style in styles if "url(" in style or "@import" in style]
    policy = [a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1
    assert str(policy[0]).startswith("default-src 'none';")
    assert "http" not in str(policy[0])


def test_plotly_is_inside_and_offers_no_upload(parsed: Parsed) -> None:
    assert [len(text) > 1_000_000 and "Plotly" in text for _, text in parsed.scripts].count(True) == 1
    (config,) = [json.loads(text) for attributes, text in parsed.scripts if attributes.get("id") == "config"]
    assert config["showSendToCloud"] is False


def test_the_page_is_well_formed_and_ids_are_unique(parsed: Parsed) -> None:
    assert parsed.open == []
    assert len(parsed.ids()) == len(set(parsed.ids()))
    inside = {a["href"] for tag, a in parsed.tags if tag == "a"}
    assert {str(href).removeprefix("#") for href in inside} <= set(parsed.ids())


def test_every_front_member_has_drawing_derivation_costs_and_curve(parsed: Parsed, run: Run, page: Path) -> None:
    assert len(run.front) >= 3
    articles = re.findall(r'<article.*?id="architecture-(\d+)">(.*?)</article>', page.read_text("utf-8"), re.DOTALL)
    shown = {int(number): text for number, text in articles}
    for point in run.front:
        text = shown[point.number]
        assert 'class="mm-drawing"' in text
        assert "network/block/mixer#1" in text
        assert "Cost by stage" in text
        assert f"{point.cost['macs']:,}" in text
        (figure_,) = re.findall(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
        curves = json.loads(figure_)["data"]
        assert {trace["name"] for trace in curves} == {"training", "validation"}
        assert all(len(trace["x"]) == 5 for trace in curves)
        assert len(curves) == 4 * point.seeds


def test_the_breakdown_adds_up_to_the_record(page: Path, run: Run) -> None:
    text = page.read_text(encoding="utf-8")
    for point in [*run.front, *run.baselines]:
        article = text.split(f'id="architecture-{point.number}">')[1].split("</article>")[0]
        table = article.split('<div class="scroll stages">')[1].split("</table>")[0]
        values = [int(value) for value in re.findall(r'</span></td><td data-value="(\d+)">', table)]
        assert sum(values) == point.cost["macs"]
    assert "counted by another version" not in text


def test_failed_and_refused_rows_are_counted_by_reason(run: Run, parsed: Parsed) -> None:
    assert run.reasons == [
        ("failed", "nan", 1),
        ("refused", "duplicate of a trained architecture", 1),
        ("refused", "ill-typed: h(3) does not divide 32", 1),
        ("refused", "macs over the limit", 1),
    ]
    for _, why, _ in run.reasons:
        assert why in parsed.text
    assert "The 3 refused proposals" in parsed.text


def test_baselines_have_verdicts_and_their_own_marks(parsed: Parsed, run: Run) -> None:
    assert {p.name for p in run.baselines} == set(BASELINES)
    for point in run.baselines:
        assert f"{point.name}, {point.verdict}" in parsed.text


def test_what_comes_from_the_record_is_text(parsed: Parsed) -> None:
    assert "mlp <mixer>" in parsed.text
    assert "loss is nan </script><b>at</b> step 12" in parsed.text
    assert not [tag for tag, _ in parsed.tags if tag == "mixer"]


def test_settings_seeds_and_versions_are_listed(parsed: Parsed) -> None:
    for expected in ("training.learning_rate", "0.006", "torch", "2.13.0", "study seed", "0123abc", "RBF-SVM 0.9650"):
        assert expected in parsed.text


def test_a_run_without_a_finished_trial_has_a_page(tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    TrialStore(folder / "study.db", SETTINGS, {}).close()
    page = write(folder, tmp_path / "elsewhere" / "page.html")
    assert page == tmp_path / "elsewhere" / "page.html"
    assert "No architecture has finished training yet" in Parsed(page.read_text(encoding="utf-8")).text


def test_a_sentence_of_another_version_does_not_spoil_the_page(run: Run) -> None:
    strange = [replace(p, sentence="patch(2,32) >> unheard(3)") if p.on_front else p for p in run.points]
    text = page(replace(run, points=strange))
    assert "unknown word unheard" in text
    assert "This sentence cannot be read here" in text


def test_stopped_trials_are_shown_as_what_they_are(run: Run) -> None:
    curve = run.trials[0].curve[:3]
    early = replace(run.failed[0], state="pruned", reason="stopped at epoch 3 of 9", curve=curve, epochs=3)
    seen = replace(run, trials=[early if row.number == early.number else row for row in run.trials])
    assert (seen.stopped, seen.failed) == ([early], [])
    assert ("stopped", "stopped at epoch 3 of 9", 1) in seen.reasons
    text = page(seen)
    assert "of these stopped early" in text
    assert "The 3 refused proposals" in text
    picture = figure.front(seen.points, seen.failed, seen.references, stopped=seen.stopped)
    (trace,) = [trace for trace in picture.data if "stopped early" in (trace.name or "")]
    assert list(trace.customdata) == [early.number]
    assert f"with {curve[2]['validation_accuracy']:.4f}" in trace.hovertext[0]
    assert trace.marker.symbol not in {other.marker.symbol for other in picture.data if other is not trace}


def test_no_record_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no record there"):
        write(tmp_path)


def test_the_front_figure_draws_every_finished_architecture_once(run: Run) -> None:
    picture = figure.front(run.points, run.failed, run.references)
    numbers = [number for trace in picture.data if trace.meta == "points" for number in trace.customdata]
    assert sorted(numbers) == sorted([p.number for p in run.points] + [row.number for row in run.failed])
    assert len(run.points) == len(SENTENCES) + len(BASELINES)
    assert picture.layout.xaxis.type == "log"
    assert picture.layout.xaxis.title.text == (
        "FLOPs per image = 2 × MACs of matrix products and convolutions, closed form"
    )


def test_the_front_is_a_step_line_through_its_members(run: Run) -> None:
    picture = figure.front(run.points, run.failed, run.references)
    (line,) = [trace for trace in picture.data if trace.meta == "front line"]
    assert line.line.shape == "hv"
    assert list(line.x[:-1]) == [p.flops for p in run.front]
    assert list(line.y[:-1]) == [p.accuracy for p in run.front]
    assert list(line.y) == sorted(line.y)
    assert line.x[-1] > max(p.flops for p in run.points)


def test_kinds_and_verdicts_differ_by_shape(run: Run) -> None:
    picture = figure.front(run.points, run.failed, run.references)
    symbols = [trace.marker.symbol for trace in picture.data if trace.meta == "points"]
    assert len(symbols) == len(set(symbols)) >= 4
    dashes = [trace.line.dash for trace in picture.data if trace.meta == "reference"]
    assert len(dashes) == len(set(dashes)) == len(run.references)


def test_bars_are_the_standard_errors(run: Run) -> None:
    picture = figure.front(run.points)
    errors = {p.number: p.error or 0.0 for p in run.points}
    for trace in picture.data:
        if trace.meta == "points":
            assert list(trace.error_y.array) == [errors[n] for n in trace.customdata]
    assert any(errors.values())


def test_what_lies_far_below_is_announced_not_hidden(run: Run) -> None:
    picture = figure.front(run.points, run.failed, run.references)
    bottom, top = picture.layout.yaxis.range
    assert all(bottom < value < top for value in [*run.references.values(), *(p.accuracy for p in run.points)])
    assert not picture.layout.annotations
    low = [replace(p, accuracy=0.2) if p in run.dominated[:2] else p for p in run.points]
    picture = figure.front(low, run.failed, run.references)
    assert picture.layout.yaxis.range == (bottom, top)
    assert [a.text for a in picture.layout.annotations] == ["2 more below: double-click shows all"]


def test_the_axis_is_labelled_over_narrow_and_wide_ranges() -> None:
    assert list(figure._ticks(9e4, 3e6).values()) == ["100k", "200k", "500k", "1M", "2M"]
    assert list(figure._ticks(1e3, 2e9).values()) == ["1k", "10k", "100k", "1M", "10M", "100M", "1G"]


def test_names_stand_where_they_are_not_cut_off_and_hide_no_other_name() -> None:
    from metamixer.record.front import Point

    def point(number: int, flops: int, name: str) -> Point:
        return Point(number, "baseline", name, "x", "k", {"macs": flops // 2}, 0.9, 0.0, 1, False, "dominated")

    named = [point(0, 1_000, "first"), point(1, 100_000, "beside_the_edge"), point(2, 99_000, "behind_it")]
    places = figure._places(named, [], (900, 110_000), (0.5, 1.0))
    assert places[0] == "middle right"
    assert places[1] != "middle right"
    assert places[2] not in ("middle right", places[1])
