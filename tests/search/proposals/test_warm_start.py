from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from metamixer import record
from metamixer.errors import ResourceError, StudyError
from metamixer.record import Trial, front
from metamixer.search.driver.progress import Lines
from metamixer.search.execution.interrupt import Interrupted
from metamixer.search.storage.trial_store import Parameters, TrialStore
from metamixer.search.study import Study

Load = Callable[..., Study]
SHORT = ("study.confirm=1", "study.budget=10", "search.startup=3")
WARM = ("study.warm_start=first", "study.seed=5")
BASELINES = 'baselines.names=["vit_digits", "ffnet_digits"]'


def content(row: Trial) -> tuple[object, ...]:
    return (row.key, row.sentence, row.state, row.accuracy, row.curve, row.cost, row.seed, row.seed_index, row.epochs)


def test_what_was_trained_before_is_known(load: Load) -> None:
    first = load(*SHORT, BASELINES, "study.confirm=2", name="first")
    first.run("inline")
    before = record.read(first.path)
    lines: list[str] = []
    second = load(*SHORT, *WARM, BASELINES, "study.confirm=2", name="second")
    outcome = second.run("inline", view=Lines(lines.append))
    rows = record.read(second.path)
    assert (outcome.state, outcome.trained) == ("finished", 10)
    assert "10 architectures are known from first" in lines

    # Everything finished is there, word for word, and says where it is from.
    known = [row for row in rows if row.source]
    assert [row.source for row in known] == [f"first#{row.number}" for row in before if row.kind != "rejected"]
    for row in known:
        old = before[int((row.source or "").partition("#")[2])]
        assert content(row) == content(old)
        assert row.kind == ("imported" if old.kind == "searched" else old.kind)
        assert row.weights is None
        if row.replicate_of is not None:
            assert rows[row.replicate_of].key == row.key
    # Nothing of it is trained again: no architecture, no baseline, no seed of one.
    keys = Counter(row.key for row in rows if row.searched or row.kind == "baseline")
    assert set(keys.values()) == {1}
    assert (
        Counter((row.replicate_of, row.seed_index) for row in rows if row.kind == "replicate").most_common(1)[0][1] == 1
    )
    assert all(row.source for row in rows if row.kind == "baseline")
    # It may be on the front, which is that of both.
    points = front.summary(rows)
    assert {point.key for point in points if point.kind == "searched"} == {r.key for r in rows if r.searched}
    best = max((point for point in points if point.kind == "searched"), key=lambda point: point.accuracy)
    assert best.on_front
    assert any(rows[point.number].source for point in points if point.on_front)

    # Optuna, and so its dashboard, has them with values and parameters.
    trials = optuna.load_study(study_name=None, storage=f"sqlite:///{second.path}/study.db").trials
    for row in known:
        trial = trials[row.number]
        assert (trial.state.name, trial.values) == ("COMPLETE", [row.accuracy, row.flops])
        assert trial.params == (row.choices if row.kind == "imported" else {})

    # And again: the record is what counts, whatever becomes of the earlier run.
    (first.path / "study.db").unlink()
    assert (
        load(*SHORT, *WARM, BASELINES, "study.confirm=2", "study.budget=12", name="second").run("inline").trained == 12
    )
    assert [row for row in record.read(second.path) if row.source] == known


def test_it_seeds_the_sampler(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    load(*SHORT, name="first").run("inline")
    from metamixer.search.samplers.optuna_samplers import OptunaSampler

    asked = []
    suggestion = OptunaSampler._suggestion
    monkeypatch.setattr(OptunaSampler, "_suggestion", lambda *arguments: asked.append(1) or suggestion(*arguments))
    cold = load(*SHORT, "study.seed=5", "search.sampler=tpe", "search.startup=10", name="cold")
    cold.run("inline")
    assert asked == []
    warm = load(*SHORT, *WARM, "search.sampler=tpe", "search.startup=10", name="warm")
    warm.run("inline")
    assert len(asked) >= 10


def test_stopped_trials_come_and_failed_ones_do_not(load: Load) -> None:
    load(*SHORT, "search.evaluate=toys:ill", name="first").run("inline")
    warm = load(*SHORT, *WARM, "search.evaluate=toys:ill", name="warm")
    warm.run("inline")
    assert {row.state for row in record.read(warm.path) if row.kind == "imported"} == {"complete"}

    halving = (
        "pruning.rule=successive-halving",
        "pruning.first=1",
        "pruning.margin=0",
        "training.epochs=9",
        "search.sampler=random",
    )
    first = load(*SHORT, *halving, name="stopping")
    first.run("inline")
    second = load(*SHORT, *halving, "study.seed=5", "study.warm_start=stopping", name="second")
    outcome = second.run("inline")
    earlier = [row for row in record.read(second.path) if row.kind == "imported"]
    assert len(earlier) == 10
    assert [row.epochs for row in earlier] == [r.epochs for r in record.read(first.path) if r.kind == "searched"]
    assert any(row.stopped for row in earlier)
    assert outcome.stopped == sum(row.stopped and row.kind == "searched" for row in record.read(second.path))
    # The rungs know them: the search's first trial is compared with what was there.
    assert next(row for row in record.read(second.path) if row.kind == "searched").epochs in (1, 3, 9)


def test_another_space_knows_what_it_can_derive(load: Load, file: Path) -> None:
    load(*SHORT, name="first").run("inline")
    space = file.parent / "small.toml"
    text = space.read_text()
    space.write_text(text.replace("{lin | dw({3|5})", "{lin | relu | dw({3|5})").replace("{8|16|24}", "{8|16}"))
    warm = load(*SHORT, *WARM, "limits.macs=1000000", name="warm")
    warm.run("inline")
    rows = record.read(warm.path)
    earlier = [row for row in rows if row.kind == "imported"]
    assert all((row.cost or {})["macs"] <= 1_000_000 for row in earlier)
    store = TrialStore(warm.path / "study.db", {}, {})
    parameters = [store.parameters(row.number) for row in earlier]
    store.close()
    for row, found in zip(earlier, parameters, strict=True):
        assert bool(found.values) == ("24)" not in row.sentence.partition(">>")[0])
    assert {bool(found.values) for found in parameters} == {True, False}
    mixers = [d for found in parameters for name, d in found.distributions.items() if name.endswith("mixer#1")]
    assert mixers
    assert all("relu" in domain.choices for domain in mixers)  # type: ignore[attr-defined]


def test_a_driver_killed_while_it_takes_over_continues(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    load(*SHORT, name="first").run("inline")
    straight = load(*SHORT, *WARM, name="straight")
    straight.run("inline")
    add, added = TrialStore.add, 0

    def killed(self: TrialStore, row: Trial, parameters: Parameters | None = None) -> Trial:
        nonlocal added
        added += 1
        if added == 5:
            raise Interrupted
        return add(self, row, parameters)

    monkeypatch.setattr(TrialStore, "add", killed)
    again = load(*SHORT, *WARM, name="again")
    with pytest.raises(Interrupted):
        again.run("inline")
    assert len(record.read(again.path)) == 4
    again.run("inline")
    told = [[(r.source, r.kind, r.key, r.accuracy) for r in record.read(s.path)] for s in (straight, again)]
    assert told[0] == told[1]


def test_refusals(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    short = ("study.budget=2", "study.confirm=1")
    load(*short, name="first").run("inline")

    def refused(*options: str, name: str = "new", warm: str = "first") -> str:
        with pytest.raises((StudyError, ResourceError)) as error:
            load(*short, f"study.warm_start={warm}", *options, name=name).run("inline")
        return str(error.value)

    assert "its recipe is another one" in refused("training.epochs=3")
    assert re.search(r"training\.epochs: \d+ there, 3 here", refused("training.epochs=3"))
    assert "its task, or the data of it, is another one" in refused("study.task=digits")
    assert "trained by toys:fast, not by toys:ill" in refused("search.evaluate=toys:ill")
    assert "no run 'frist'" in refused(warm="frist")
    load(*short, name="begun").run("inline")
    assert "search has begun without" in refused(name="begun")
    load(*short, "search.evaluate=toys:broken", name="broken").run("inline")
    assert "has no finished architecture" in refused("search.evaluate=toys:broken", name="third", warm="broken")
    from metamixer.language.checking import vocabulary

    known = vocabulary.words()
    monkeypatch.setattr(vocabulary, "words", lambda: {**known, "lin2": known["lin"]})
    assert "its vocabulary is another one" in refused()
    # A refusal leaves nothing behind.
    monkeypatch.undo()
    assert load(*short, "study.warm_start=first", name="new").run("inline").trained == 2
