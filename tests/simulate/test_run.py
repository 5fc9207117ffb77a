from __future__ import annotations

import json
import statistics
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metamixer import tasks
from metamixer.cli.output import simulate as command
from metamixer.errors import ResourceError, StudyError
from metamixer.record import Trial
from metamixer.search.driver.driver import Driver
from metamixer.search.execution import inline as dispatch_inline
from metamixer.search.execution.interrupt import Interrupt
from metamixer.search.proposals.proposer import Costed, Proposer
from metamixer.search.samplers import Parts, optuna_samplers
from metamixer.search.samplers.core import optimizer as engine
from metamixer.search.storage.trial_store import TrialStore
from metamixer.simulate import score
from metamixer.simulate.run import Clock, MemoryStore, Simulated, beginning, order, run, study
from metamixer.simulate.space import Restricted
from metamixer.simulate.table import Table, write

HALVING = ("pruning.rule=successive-halving", "pruning.first=1", "pruning.margin=0")


def searched(found: Simulated) -> list[Trial]:
    return [row for row in found.trials if row.kind == "searched"]


def told(rows: list[Trial]) -> list[tuple[object, ...]]:
    return [(r.number, r.kind, r.state, r.reason, r.sentence, r.choices, r.accuracy, r.epochs, r.seed) for r in rows]


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "known-cost", "evolution"])
def test_a_search_is_a_function_of_its_seed(table: Table, sampler: str) -> None:
    options = [f"search.sampler={sampler}", "study.budget=16"]
    first, again, other = (run(table, study(table, [*options, f"study.seed={seed}"]), 2) for seed in (0, 0, 1))
    assert told(first.trials) == told(again.trials) != told(other.trials)
    assert (first.ends, first.seconds) == (again.ends, again.seconds)
    assert len(searched(first)) == 16
    for row in searched(first):
        entry = table.by_key[row.key or ""]
        assert row.accuracy == order(table, entry, 0)[0].accuracy
        assert (row.cost, row.sentence) == (entry.cost, entry.sentence)
    assert len({row.key for row in searched(first)}) == 16


@pytest.mark.parametrize("sampler", ["random", "tpe", "known-cost"])
def test_starting_points_are_proposed_first(table: Table, sampler: str) -> None:
    first, second = table.entries[7], table.entries[3]
    names = [first.sentence, f"x >> {second.sentence}"]  # the same network, written otherwise
    options = [f"search.sampler={sampler}", "study.budget=8", f"search.initial_points={names!r}"]
    found = run(table, study(table, options), 2)
    assert [row.key for row in searched(found)[:2]] == [first.key, second.key]
    assert searched(found)[0].choices == first.choices
    assert len(searched(found)) == 8
    with pytest.raises(StudyError, match="not in the space small"):
        run(table, study(table, ["search.initial_points=patch(2,12) >> norm"]))


@pytest.mark.parametrize(
    "options", [[], [*HALVING], [*HALVING, "study.confirm=3", "pruning.brackets=2"], [*HALVING, "pruning.margin=1"]]
)
def test_it_is_the_search_that_a_dispatcher_runs(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    config = study(table, ["search.sampler=tpe", "search.startup=5", "study.budget=15", *options])
    simulated = run(table, config)

    store = TrialStore(tmp_path / "study.db", {"reference_point": table.header["reference_point"]}, {})
    space: Any = Restricted(table)

    def price(drawn: Any, task: Any) -> Costed:
        entry = space.entry(drawn)
        return Costed(entry.sentence, entry.key, entry.cost)

    def evaluate(job: dict[str, Any], report: Any) -> dict[str, Any]:
        row = store.trials[job["number"]]
        curve = order(table, table.by_key[row.key or ""], 0)[row.seed_index].rows()
        for epoch in curve:
            if report(epoch) is False:
                return {"state": "stopped", "curve": curve[: epoch["epoch"]], "seconds": epoch["seconds"]}
        return {"state": "finished", "accuracy": curve[-1]["validation_accuracy"], "curve": curve, "seconds": 1.0}

    monkeypatch.setitem(sys.modules, "looked_up", SimpleNamespace(evaluate=evaluate))
    proposer = Proposer(space, tasks.get("digits-hard"), config.limits, "tpe", 5, 0, price=price)
    driver = Driver(config, store, proposer, {}, tmp_path)
    dispatch_inline.dispatch(driver, "looked_up:evaluate", Interrupt(), lambda: None)
    store.close()
    assert told(simulated.trials) == told(store.trials)
    assert any(row.stopped for row in store.trials) == bool(options)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_workers_share_the_recorded_time(table: Table, workers: int) -> None:
    found = run(table, study(table, ["search.sampler=random", "study.budget=30"]), workers)
    took = [row.seconds or 0.0 for row in searched(found)]
    for row in searched(found):
        assert row.seconds == order(table, table.by_key[row.key or ""], 0)[0].seconds
    assert sum(took) / workers <= found.seconds <= sum(took) / workers + max(took) + 1e-6
    begins = sorted((row.started or 0.0, row.seconds or 0.0) for row in searched(found))
    for now, _ in begins:
        assert sum(start <= now < start + long - 1e-9 for start, long in begins) <= workers


def test_where_hours_are_the_budget_seconds_are_what_a_gain_is_held_against(table: Table) -> None:
    def begun(budget: str) -> list[float]:
        """How long each architecture behind the starting points takes."""
        found = run(table, study(table, ["search.sampler=known-cost", "search.startup=8", f"study.budget={budget}"]))
        return [order(table, table.by_key[row.key or ""], 0)[0].seconds for row in searched(found)[8:20]]

    hours = 60 * statistics.fmean(entry.trainings[0].seconds for entry in table.entries) / 3600
    whole, timed = begun("20"), begun(f"{hours:.6f}h")
    assert len(timed) == len(whole) == 12
    assert statistics.fmean(timed) < 0.7 * statistics.fmean(whole), (timed, whole)


def test_hours_are_those_of_the_clock_across_drivers(table: Table) -> None:
    hours = statistics.fmean(entry.trainings[0].seconds for entry in table.entries) * 20 / 3600
    config = study(table, ["search.sampler=random", f"study.budget={hours:.6f}h"])
    found = run(table, config, 2)
    limit = config.budget.amount * 3600
    assert max(row.started or 0.0 for row in searched(found)) < limit <= found.seconds
    assert 25 < len(searched(found)) < 60
    # A driver that starts again knows what the ones before had run, from the rows.
    clock = Clock()
    ended = [row for row in found.trials if row.finished and (row.clock or 0.0) < limit / 2]
    rows = [replace(row, number=i) for i, row in enumerate(ended)]
    space: Any = Restricted(table)
    proposer = Proposer(space, tasks.get("digits-hard"), config.limits, "random", 5, 0)
    driver = Driver(config, MemoryStore({}, rows), proposer, {}, Path("none"), clock=clock)
    before = max(row.clock or 0.0 for row in rows)
    assert driver.timing.seconds == before > 0.3 * limit
    clock.now = limit - before - 1
    assert config.budget.allows(driver.spent, 9)
    clock.now += 2
    assert not config.budget.allows(driver.spent, 9)


def test_early_stopping_finds_as_much_for_fewer_epochs(table: Table) -> None:
    scale = score.Scale(table)
    shares: dict[str, list[float]] = {"none": [], "successive-halving": []}
    for rule, found in shares.items():
        for seed in range(4):
            options = [f"pruning.rule={rule}", "study.budget=180epochs", "search.sampler=random", f"study.seed={seed}"]
            simulated = run(table, study(table, options), 2)
            assert simulated.epochs <= 180
            found.append(score.curve(simulated, scale).share[-1])
    # The curves of this table do not cross: what is ahead early is ahead in the end.
    assert statistics.median(shares["successive-halving"]) > statistics.median(shares["none"])


def test_scores_are_of_seeds_that_were_not_seen(table: Table) -> None:
    scale = score.Scale(table)
    assert scale.share([(entry.accuracy, float(entry.flops)) for entry in table.entries]) == pytest.approx(1)
    nobody = Simulated(table, 3, [], [], 0.0)
    entry = table.entries[0]
    drawn = [training.accuracy for training in order(table, entry, 3)]
    assert score.unseen(nobody, entry, 1) == pytest.approx((drawn[1] + drawn[2]) / 2)
    assert score.unseen(nobody, entry, 2) == pytest.approx(drawn[2])
    assert score.unseen(nobody, entry, 3) == pytest.approx(entry.accuracy)
    assert 0.9 < score.ceiling(table, 0) < 1.05
    within, between = score.noise(table)
    assert within == pytest.approx(0.003, rel=0.15)
    assert between > 3 * within

    found = run(table, study(table, ["study.budget=30", "search.sampler=random", "study.confirm=3"]))
    curve = score.curve(found, scale)
    # Replicates come last, are no trainings of their own, and move the front to the means.
    assert curve.trainings[-1] == 30
    assert curve.epochs[-1] == 9 * len(curve.epochs) > 270
    assert curve.at(5) <= curve.at(30) + 0.05
    assert curve.reached(2.0) is None
    assert score.by_model(found, scale) is None
    ours = run(table, study(table, ["study.budget=20", "search.sampler=known-cost"]))
    assert ours.recommended
    assert {ours.trials[number].kind for number in ours.recommended} == {"searched"}
    believed = score.by_model(ours, scale)
    assert believed is not None
    assert 0.5 < believed < 1.1
    assert curve.reached(0.0) == 0


def test_what_a_table_cannot_give_is_refused(table: Table) -> None:
    with pytest.raises(StudyError, match="trainings of 9 epochs, not of 5"):
        study(table, ["training.epochs=5"])
    with pytest.raises(StudyError, match="3 seeds of each architecture, not 4"):
        study(table, ["study.confirm=4"])
    with pytest.raises(StudyError, match="unknown sampler 'tpee'"):
        study(table, ["search.sampler=tpee"])


def test_the_command_compares(table: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(table, tmp_path / "small.jsonl.xz")
    arguments: dict[str, Any] = {"samplers": ["random", "nsga2"], "workers": 2, "repeats": 2, "seed": 0}
    arguments |= {"budget": "12", "overrides": [*HALVING]}
    assert command.simulate(str(tmp_path / "small.jsonl.xz"), **arguments, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert [found["sampler"] for found in document["samplers"]] == ["random", "nsga2"]
    assert all(found["trainings"] == 12 and found["stopped"] > 3 for found in document["samplers"])
    assert command.simulate(str(tmp_path / "small.jsonl.xz"), **arguments, as_json=False) == 0
    printed = capsys.readouterr().out
    assert "small: 200 architectures of 3 seeds and 9 epochs" in printed
    assert "a seed deviates by 0.00" in printed
    assert f"noise ceiling {score.ceiling(table, 0):.1f}" in printed
    assert f"{document['samplers'][0]['share']:.4f}" in printed
    assert "begin with" not in printed
    low, high = document["samplers"][0]["share interval"]
    assert low <= document["samplers"][0]["share"] <= high
    assert command.simulate(str(tmp_path / "small.jsonl.xz"), **arguments, as_json=False, paired=4) == 0
    assert "all of one seed begin with the same 4 architectures" in capsys.readouterr().out
    with pytest.raises(ResourceError, match="unknown table 'smal'"):
        command.simulate("smal", **arguments, as_json=True)


SAMPLERS = ["random", "tpe", "nsga2", "known-cost", "evolution"]


def test_searches_of_one_seed_may_begin_alike(table: Table) -> None:
    first = beginning(table, 6, 3)
    assert first == beginning(table, 6, 3)
    assert first != beginning(table, 6, 4)
    assert len({entry.key for entry in first}) == 6
    after = set()
    for sampler in SAMPLERS:
        config = study(table, [f"search.sampler={sampler}", "search.startup=6", "study.budget=20", "study.seed=3"])
        rows = searched(run(table, config, first=first))
        assert [(row.key, row.choices) for row in rows[:6]] == [(entry.key, entry.choices) for entry in first]
        # The recorded seed of each is the same for all, too.
        assert [row.accuracy for row in rows[:6]] == [order(table, entry, 3)[0].accuracy for entry in first]
        after.add(tuple(row.key for row in rows[6:]))
    assert len(after) == len(SAMPLERS)


def test_the_first_generation_of_nsga2_is_what_the_search_begins_with(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parents are given architectures: they carry the generation that it counts by."""
    parents: list[set[tuple[object, ...]]] = []

    class Watching(optuna_samplers._Nsga2):
        def get_parent_population(self, study: Any, generation: int) -> Any:
            found = super().get_parent_population(study, generation)
            if generation == 1:
                parents.append({tuple(sorted(trial.params.items())) for trial in found})
            return found

    monkeypatch.setattr(optuna_samplers, "_Nsga2", Watching)
    first = beginning(table, 6, 0)
    run(table, study(table, ["search.sampler=nsga2", "search.startup=6", "study.budget=8"]), first=first)
    assert parents
    assert parents[0] <= {tuple(sorted(entry.choices.items())) for entry in first}


@pytest.mark.parametrize("sampler", ["known-cost", "tpe"])
def test_repeats_are_trained_on_the_next_seed(table: Table, sampler: str) -> None:
    few = Table(table.header, table.entries[:10])
    config = study(few, [f"search.sampler={sampler}", "study.budget=16", "study.confirm=1", "search.startup=4"])
    found = run(few, config, repeats=True)
    assert not [row for row in found.trials if row.kind == "rejected"]
    seen: dict[str, list[float | None]] = {}
    for row in searched(found):
        seen.setdefault(row.key or "", []).append(row.accuracy)
    assert len(seen) <= 10 < 16 == sum(map(len, seen.values()))
    for key, accuracies in seen.items():
        drawn = [training.accuracy for training in order(few, few.by_key[key], 0)]
        assert accuracies == [drawn[i % 3] for i in range(len(accuracies))]
    # A front member counts with the mean of what was seen of it, and is scored by the rest.
    for row, times in score.recommended(found.trials):
        assert times == len(seen[row.key or ""])


def test_a_model_makes_of_any_search_what_it_makes_of_its_own(table: Table) -> None:
    scale = score.Scale(table)
    ours = run(table, study(table, ["study.budget=24", "search.sampler=known-cost", "study.confirm=2"]))
    ended = len(ours.ends)
    progress = score.by_surrogate(ours, scale, [14, 24, ended])
    assert progress.trainings == [14, 24, 24]
    assert progress.share[-1] == pytest.approx(score.by_model(ours, scale) or 0.0)
    theirs = run(table, study(table, ["study.budget=24", "search.sampler=random"]))
    assert 0.5 < score.by_surrogate(theirs, scale).share[-1] < 1.1


def test_parts_of_the_sampler_can_be_taken_away(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the known cost FLOPs have a model of their own; the flat kernel sees choices by name."""
    seen: list[tuple[set[int], tuple[str, ...], set[str]]] = []
    propose = engine.KnownCost.propose

    def watched(self: engine.KnownCost, observed: Any, *rest: Any) -> Any:
        if len(observed) >= 6:
            model = self.model(observed)
            seen.append((set(model.processes), self.settings.families, set(observed[0].candidate.features)))
        return propose(self, observed, *rest)

    monkeypatch.setattr(engine.KnownCost, "propose", watched)
    config = study(table, ["search.sampler=known-cost", "study.budget=8", "study.confirm=1", "search.startup=6"])
    for parts in (Parts(), Parts(cost=False, families=("rules", "graph")), Parts(families=("choices", "known"))):
        assert len(searched(run(table, config, parts=parts))) == 8
    whole, learned, flat = seen[0], seen[2], seen[4]
    assert whole == ({0}, ("rules", "labels", "graph", "known"), {"rules", "labels", "graph", "known"})
    assert learned == ({0, 1}, ("rules", "graph"), {"rules", "graph"})
    assert flat == ({0}, ("choices", "known"), {"choices", "known"})


def test_perfect_knowledge_is_worth_more_than_having_seen_all_once(table: Table) -> None:
    best = statistics.fmean(score.ceiling(table, seed) for seed in range(10))
    seen = statistics.fmean(score.everything(table, seed) for seed in range(10))
    assert 0.9 < seen < best
    # Without noise they are the same.
    same = [replace(entry, trainings=(entry.trainings[0],) * 3) for entry in table.entries]
    quiet = Table(table.header, tuple(same))
    assert score.everything(quiet, 0) == score.ceiling(quiet, 0) == pytest.approx(1)
