from __future__ import annotations

import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from metamixer import record
from metamixer.cli.output.simulate import about
from metamixer.errors import RecordError, StudyError
from metamixer.language import Space
from metamixer.record import front
from metamixer.search.study import Study
from metamixer.simulate.score import ceiling, noise
from metamixer.simulate.space import Restricted
from metamixer.simulate.table import Table, canonical, from_run, read, write

NAS_BENCH_MACRO = Path(
    os.environ.get(
        "METAMIXER_NAS_BENCH_MACRO",
        Path(__file__).parents[3] / "shared/data/nas-bench-macro/nas-bench-macro_cifar10.json",
    )
)
STUDY = """
[study]
name = "small"
task = "digits-hard"
space = "small.toml"
budget = 5
seeds = 3
[training]
epochs = 2
[search]
evaluate = "toys:fast"
references = ""
sampler = "random"
[baselines]
names = []
"""


def test_a_table_is_read_as_it_was_written(table: Table, tmp_path: Path) -> None:
    write(table, tmp_path / "t.jsonl.xz")
    again = read(tmp_path / "t.jsonl.xz")
    assert again.entries == table.entries
    assert {**again.header, "format": None} == {**table.header, "format": None}
    assert (again.epochs, again.seeds, len(again.by_key)) == (9, 3, 200)
    assert list(again.entries[7].choices) == list(table.entries[7].choices)


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b"\xfd7zXZ\x00 but no more", b'{"a": 1}'])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(RecordError, match="this is no recorded table"):
        read(tmp_path / "t")
    with pytest.raises(RecordError, match="cannot read the table: No such file"):
        read(tmp_path / "none")


def test_the_table_of_a_run_is_its_record(tmp_path: Path, space: Space, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[1] / "search")])
    rules = "".join(f"{name} = '{body}'\n" for name, body in space.rules.items())
    (tmp_path / "small.toml").write_text(f"max_depth = 2\n[rules]\n{rules}")
    (tmp_path / "study.toml").write_text(STUDY)
    study = Study(Study.load(tmp_path / "study.toml").config, tmp_path / "runs")
    study.run("inline")
    rows = record.read(study.path)
    searched = {row.key: row for row in rows if row.kind == "searched"}
    found = from_run(study.path)
    assert {entry.key for entry in found.entries} == set(searched)
    assert (found.seeds, found.header["training"]["epochs"]) == (3, 2)
    for entry in found.entries:
        row = searched[entry.key]
        assert (entry.sentence, entry.choices, entry.cost) == (row.sentence, row.choices, row.cost)
        seeds = [row, *(other for other in rows if other.replicate_of == row.number)]
        assert [training.seed for training in entry.trainings] == [seed.seed for seed in seeds]
        accuracies = [seed.accuracy for seed in seeds]
        assert [training.accuracy for training in entry.trainings] == pytest.approx(accuracies, abs=1e-4)
    # The domains are those of the space, not the values that happen to be there.
    assert found.header["domains"]["network#2"] == [8, 16, 24]

    other = Study(Study.load(tmp_path / "study.toml", ["training.epochs=1"]).config, tmp_path / "other")
    monkeypatch.setattr("toys.fast", sys.modules["toys"].broken)
    with pytest.raises(StudyError, match="5 trials in a row failed alike"):
        other.run("inline")
    with pytest.raises(RecordError, match="no searched architecture has all of its 3 seeds"):
        from_run(other.path)


def test_every_draw_is_in_the_table_and_all_come_as_often(table: Table) -> None:
    restricted = Restricted(table)
    rng = random.Random(0)
    drawn = Counter(restricted.entry(restricted.draw(rng, 1, (8, 8)).sentence).key for _ in range(4000))
    assert set(drawn) == set(table.by_key)
    assert max(drawn.values()) < 45  # 20 each on average


def test_choices_are_met_as_in_the_real_space(table: Table, space: Space) -> None:
    restricted = Restricted(table)
    for entry in table.entries[:30]:
        met: list[list[tuple[str, tuple[int | str, ...]]]] = []
        for drawn_from in (space, restricted):
            met.append([])

            def choose(name: str, choice: Any) -> int | str:
                met[-1].append((name, choice.domain))  # noqa: B023
                return entry.choices[name]  # noqa: B023

            assert str(drawn_from.draw(random.Random(0), 1, (8, 8), choose).sentence) == entry.sentence
        assert met[0] == met[1]
        assert str(restricted.replay(entry.choices, 1, (8, 8)).sentence) == entry.sentence


def test_a_value_that_leads_nowhere_becomes_the_nearest_that_does(table: Table) -> None:
    restricted = Restricted(table)
    seen = restricted.replay({"network#2": 24, "network#3": 3, "network[1]/block#1": 2}, 1, (8, 8))
    assert seen.choices["network#2"] == 24
    assert restricted.entry(seen.sentence).choices == seen.choices
    with pytest.raises(ValueError, match="not viable"):
        restricted.draw(random.Random(0), 1, (8, 8), lambda name, choice: 7)


@pytest.mark.skipif(not NAS_BENCH_MACRO.is_file(), reason="METAMIXER_NAS_BENCH_MACRO names no file")
def test_nas_bench_macro() -> None:
    found = read(NAS_BENCH_MACRO)
    # Facts of the file: Su et al. 2021, and counted with other code.
    assert (len(found.entries), found.seeds, found.epochs) == (3969, 3, 1)
    members = front.efficient([(entry.accuracy, entry.flops) for entry in found.entries])
    cheapest, best = found.entries[members[0]], found.entries[members[-1]]
    assert (cheapest.key, round(cheapest.cost["macs"] / 1e6, 2)) == ("00000000", 7.71)
    assert (best.key, round(best.accuracy, 4)) == ("22212220", 0.9313)
    assert canonical("01000100") == "01000100"
    assert canonical("00001001") == "00010010"
    assert len({entry.sentence for entry in found.entries}) == 3969


@pytest.mark.parametrize("count", [1, 2])
def test_a_table_of_one_or_two_architectures_is_written_and_cannot_be_scored(table, count):
    few = Table(table.header, table.entries[:count])
    lines = about(few)
    assert "cannot be scored" in lines[-1]
    with pytest.raises(RecordError, match=f"spans no area: {count} architecture"):
        ceiling(few, 0)
    assert all(value >= 0 for value in noise(few))


def test_architectures_that_are_all_alike_are_no_division_by_zero(table):
    alike = Table(table.header, (table.entries[0],) * 3)
    assert "cannot be scored" in about(alike)[-1]
