from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import toys

from metamixer import record
from metamixer.errors import StudyError, UserError
from metamixer.language import Space
from metamixer.record import Trial, front
from metamixer.search.driver.progress import Lines
from metamixer.search.execution.interrupt import Interrupt, Interrupted
from metamixer.search.proposals.proposer import Proposer
from metamixer.search.study import Study

Load = Callable[..., Study]

BASELINES = 'baselines.names=["vit_digits", "ffnet_digits"]'


def kinds(rows: list[Trial]) -> Counter[tuple[str, str]]:
    return Counter((row.kind, row.state) for row in rows)


def told(rows: list[Trial]) -> list[tuple[object, ...]]:
    """What must not depend on when a search was stopped."""
    return [
        (r.number, r.kind, r.state, r.sentence, r.choices, r.accuracy, r.seed, r.replicate_of, r.seed_index)
        for r in rows
    ]


def optuna_params(study: Study) -> list[dict[str, Any]]:
    import optuna

    return [t.params for t in optuna.load_study(study_name=None, storage=f"sqlite:///{study.path}/study.db").trials]


def stop_after(monkeypatch: pytest.MonkeyPatch, trials: int, during: bool = False) -> None:
    """Press Ctrl-C when this many trials have ended, or in the middle of the one after."""
    ended = 0

    def evaluate(job: dict[str, Any], report: toys.Report) -> dict[str, Any]:
        nonlocal ended
        if ended == trials:
            raise Interrupted
        result = toys.fast(job, report)
        ended += 1
        return result

    monkeypatch.setattr(toys, "interrupted", evaluate, raising=False)


def test_a_whole_study(load: Load, file: Path) -> None:
    lines: list[str] = []
    study = load(BASELINES, 'search.references="toys:references"')
    outcome = study.run("inline", view=Lines(lines.append))
    rows = record.read(study.path)
    assert (outcome.state, outcome.trained, outcome.failed) == ("finished", 12, 0)
    counts = kinds(rows)
    assert (counts["searched", "complete"], counts["baseline", "complete"]) == (12, 2)
    assert set(counts) <= {(k, "complete") for k in ("searched", "baseline", "replicate")} | {("rejected", "pruned")}
    assert [row.number for row in rows] == list(range(len(rows)))

    # Trained once each; exactly the front and the baselines have three seeds, all different.
    keys = Counter(row.key for row in rows if row.kind in ("searched", "baseline"))
    assert set(keys.values()) == {1}
    points = front.summary(rows)
    members = {p.number for p in points if p.on_front}
    confirmed = {p.number for p in points if p.seeds == 3}
    assert {p.seeds for p in points} == {1, 3}
    assert members | {p.number for p in points if p.kind == "baseline"} <= confirmed
    assert all(p.verdict in front.VERDICTS for p in points if p.kind == "baseline")
    assert len({row.seed for row in rows if row.kind != "rejected"}) == len(rows) - outcome.refused
    assert [p.number for p in study.front()] == [p.number for p in sorted(points, key=lambda p: p.flops) if p.on_front]

    # What is recorded of a draw gives the sentence again, and is what Optuna holds.
    space = Space.load(file.parent / "small.toml")
    for row, params in zip(rows, optuna_params(study), strict=True):
        assert row.choices == params
        if row.kind == "searched":
            assert str(space.replay(row.choices, channels=1, grid=(8, 8)).sentence) == row.sentence
            assert (row.epochs, len(row.curve)) == (2, 2)
            assert row.cost is not None
            assert (row.worker or "").rpartition("/")[2].isdigit()
        if row.kind in ("baseline", "replicate"):
            assert params == {}

    settings = record.settings(study.path)
    assert settings["training"]["epochs"] == 2
    assert settings["references"] == {"constant on digits-hard": 0.1}
    assert settings["space"]["rules"]["mixer"].startswith("{")
    assert set(settings["fingerprints"]) == {"format", "task", "space", "words", "training"}
    again = Study.load(study.path / "resolved.toml")
    assert again.config == study.config
    progress = [line for line in lines if not line.startswith("reference classifiers")]
    assert "12/12 searched" in progress[-1]
    assert len(progress) == sum(row.kind != "rejected" for row in rows)


def test_running_again_changes_nothing_and_a_raised_budget_continues(load: Load) -> None:
    study = load()
    study.run("inline")
    before = record.read(study.path)
    assert load().run("inline").state == "finished"
    assert record.read(study.path) == before
    assert load("study.budget=15").run("inline").trained == 15
    after = record.read(study.path)
    # weights of what has left the front are gone
    assert [replace(row, weights=None) for row in after[: len(before)]] == [
        replace(row, weights=None) for row in before
    ]
    assert record.settings(study.path)["study"]["budget"] == 15
    with pytest.raises(StudyError, match="has 15 architectures, more than the budget of 12"):
        load().run("inline")


@pytest.mark.parametrize("stops", [(0,), (1, 3, 9), (12, 14, 16, 17)])
@pytest.mark.parametrize("sampler", ["known-cost", "evolution", "tpe", "nsga2"])
def test_a_search_that_was_stopped_ends_as_if_it_was_not(
    load: Load, monkeypatch: pytest.MonkeyPatch, stops: tuple[int, ...], sampler: str
) -> None:
    monkeypatch.setattr(toys, "interrupted", toys.fast, raising=False)
    options = ['search.evaluate="toys:interrupted"', BASELINES, f"search.sampler={sampler}"]
    straight = load(*options, name="straight")
    straight.run("inline")
    stopped = load(*options, name="stopped")
    done = 0
    for stop in stops:
        stop_after(monkeypatch, stop - done)
        done = stop
        assert stopped.run("inline").state == "interrupted"
        rows = record.read(stopped.path)
        assert sum(row.state == "running" for row in rows) == 1
        assert rows[-1].state == "running"
    monkeypatch.setattr(toys, "interrupted", toys.fast)
    assert stopped.run("inline").state == "finished"
    assert told(record.read(stopped.path)) == told(record.read(straight.path))
    assert {row.attempts for row in record.read(stopped.path)} == {1}


def test_failures_are_rows_with_a_reason_and_count(load: Load) -> None:
    study = load('search.evaluate="toys:ill"', "study.budget=16", "study.confirm=1")
    outcome = study.run("inline")
    rows = record.read(study.path)
    failed = [row for row in rows if row.state == "failed"]
    assert (outcome.state, outcome.trained, outcome.failed) == ("finished", 16, len(failed))
    assert Counter(row.kind for row in failed) == {"searched": len(failed)}
    reasons = {row.reason for row in failed}
    assert reasons == {"nan", "out of memory", "time limit", "exception: ZeroDivisionError: by design"}
    assert all(row.accuracy is None and row.weights is None for row in failed)
    assert all("by design" in (row.traceback or "") for row in failed if row.reason and "Zero" in row.reason)
    assert all(len(row.curve) == 2 for row in failed if row.reason == "nan")


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metamixer.search.driver.schedule.PRIOR_REFUSALS", 150)


@pytest.mark.usefixtures("few_draws")
def test_duplicates_and_dear_ones_are_refused_before_training(load: Load, file: Path) -> None:
    (file.parent / "small.toml").write_text(
        "[rules]\nnetwork = '{small | lin(64)} >> {gelu|relu|gelu >> id} >> norm'\n"
        "small = '{lin({8|16}) | x >> lin({8|16})}'"
    )
    study = load("study.budget=50", "limits.macs=2000", "study.confirm=1")
    outcome = study.run("inline")
    rows = record.read(study.path)
    trained = {row.key: row for row in rows if row.kind == "searched"}
    refused = [row for row in rows if row.kind == "rejected"]
    # Two widths and two activations are all there is to tell apart below the limit.
    assert (outcome.state, outcome.trained) == ("exhausted", 4)
    assert len(trained) == 4
    assert {row.state for row in refused} == {"pruned"}
    for row in refused:
        assert row.cost is not None
        if row.cost["macs"] > 2000:
            assert row.reason == f"over the limit: {row.cost['macs']:,} macs, at most 2,000"
        else:
            original = trained[row.key]
            assert (row.reason, row.duplicate_of) == (f"duplicate of {original.number}", original.number)
        assert row.accuracy is None
        assert row.seconds is None
    assert any("lin(64)" in row.sentence for row in refused)


@pytest.mark.usefixtures("few_draws")
def test_a_failed_architecture_is_not_proposed_again(load: Load, file: Path) -> None:
    (file.parent / "small.toml").write_text("[rules]\nnetwork = 'lin({8|16|24|32})'")
    study = load('search.evaluate="toys:ill"', "study.budget=9", "study.confirm=1")
    assert study.run("inline").state == "exhausted"
    assert Counter(row.sentence for row in record.read(study.path) if row.kind == "searched") == Counter(
        ["lin(8)", "lin(16)", "lin(24)", "lin(32)"]
    )


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["training.epochs=3"], "training.epochs: 2 in the record, 3 here"),
        (["study.task=digits"], "study.task: digits-hard in the record, digits here"),
        (["study.seed=1"], "study.seed: 0 in the record, 1 here"),
        (["limits.macs=1000000"], "limits.macs: None in the record, 1000000 here"),
        (["search.evaluate=toys:ill"], "search.evaluate: toys:fast in the record, toys:ill here"),
    ],
)
def test_another_studys_record_is_refused(load: Load, overrides: list[str], says: str) -> None:
    study = load("study.budget=2", "study.confirm=1")
    study.run("inline")
    before = record.read(study.path)
    with pytest.raises(StudyError, match="another study") as error:
        load("study.budget=2", "study.confirm=1", *overrides).run("inline")
    assert says in (error.value.place or "").splitlines()
    assert len((error.value.place or "").splitlines()) == 2
    assert "--name" in (error.value.advice or "")
    assert record.read(study.path) == before
    assert load("study.budget=2", "study.confirm=1", *overrides, name="new").run("inline").trained == 2


def test_a_record_without_rows_is_not_yet_anybodys(load: Load) -> None:
    with pytest.raises(StudyError, match="cannot import toys:fats"):
        load("search.evaluate=toys:fats", "training.epochs=3").run("inline")
    study = load("study.budget=1", "study.confirm=1")
    assert record.read(study.path) == []
    assert study.run("inline").trained == 1
    found = record.settings(study.path)
    assert (found["search"]["evaluate"], found["training"]["epochs"]) == ("toys:fast", 2)
    with pytest.raises(StudyError, match="is of another study"):
        load("training.epochs=3").run("inline")


def test_another_space_is_refused_another_name_of_it_is_not(load: Load, file: Path) -> None:
    load("study.budget=2", "study.confirm=1").run("inline")
    space = file.parent / "small.toml"
    (file.parent / "same.toml").write_text(space.read_text() + "\n# a remark\n")
    assert load("study.budget=3", "study.confirm=1", "study.space=same.toml").run("inline").trained == 3
    space.write_text(space.read_text().replace("ffn({1|2|3})", "ffn({1|2})"))
    with pytest.raises(StudyError, match=r"space\.rules: block changed"):
        load("study.budget=3", "study.confirm=1").run("inline")


def test_another_vocabulary_is_refused(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    from metamixer.language.checking import vocabulary

    load("study.budget=2", "study.confirm=1").run("inline")
    known = vocabulary.words()
    monkeypatch.setattr(vocabulary, "words", lambda: {**known, "lin2": known["lin"]})
    with pytest.raises(StudyError, match="words: the vocabulary has changed"):
        load("study.budget=2", "study.confirm=1").run("inline")


def test_what_may_change_may_change(load: Load) -> None:
    load("study.budget=2", "study.confirm=1").run("inline")
    changed = load("study.confirm=2", "study.keep=all", "search.sampler=random", "search.time_limit=5", BASELINES)
    outcome = changed.run("inline")
    assert outcome.trained == 12
    assert kinds(record.read(changed.path))["baseline", "complete"] == 2
    assert record.settings(changed.path)["search"]["sampler"] == "random"


def edit_row(study: Study, number: int, state: str, **fields: object) -> None:
    """What a driver that was killed leaves behind."""
    with closing(sqlite3.connect(study.path / "study.db")) as db, db:
        (trial,) = db.execute("SELECT trial_id FROM trials WHERE number = ?", (number,)).fetchone()
        db.execute("UPDATE trials SET state = ?, datetime_complete = NULL WHERE trial_id = ?", (state, trial))
        where = "trial_id = ? AND key = 'trial'"
        (text,) = db.execute(f"SELECT value_json FROM trial_user_attributes WHERE {where}", (trial,)).fetchone()
        document = {**json.loads(text), **fields}
        db.execute(f"UPDATE trial_user_attributes SET value_json = ? WHERE {where}", (json.dumps(document), trial))
        db.execute("DELETE FROM trial_values WHERE trial_id = ?", (trial,))


def leave_lease(study: Study) -> None:
    lease = {"host": "gone", "pid": 1, "process_started": "x", "token": "t", "renewed": 0.0}
    with closing(sqlite3.connect(study.path / "study.db")) as db, db:
        db.execute("UPDATE study_user_attributes SET value_json = ? WHERE key = 'lease'", (json.dumps(lease),))


UNFINISHED: Mapping[str, object] = {"accuracy": None, "seconds": None, "curve": []}


def test_what_a_killed_driver_leaves_running_is_told_or_run_again(load: Load) -> None:
    study = load("study.confirm=1")
    study.run("inline")
    before = record.read(study.path)
    numbers = [row.number for row in before if row.kind == "searched"]
    cut, deadly = numbers[-2:]
    edit_row(study, cut, "RUNNING", **UNFINISHED)
    edit_row(study, deadly, "RUNNING", **UNFINISHED, attempts=3)
    with closing(sqlite3.connect(study.path / "study.db")) as db, db:
        db.execute(
            "INSERT INTO trials (number, study_id, state, datetime_start) SELECT max(number) + 1, 1, 'RUNNING',"
            " '2026-01-01 00:00:00' FROM trials"
        )
    leave_lease(study)
    outcome = load("study.confirm=1").run("inline")
    after = record.read(study.path)
    assert (outcome.trained, outcome.failed) == (12, 2)
    assert after[cut].accuracy == before[cut].accuracy
    assert after[cut].attempts == 2
    assert (after[deadly].state, after[deadly].reason) == ("failed", "the search died 3 times while this trial ran")
    assert (after[-1].state, after[-1].kind) == ("failed", "rejected")
    assert len(after) == len(before) + 1


@pytest.mark.parametrize("keep", ["front", "all", "none"])
def test_whose_weights_are_kept(load: Load, keep: str) -> None:
    study = load(f"study.keep={keep}", BASELINES)
    study.run("inline")
    rows = record.read(study.path)
    there = {row.number for row in rows if row.weights}
    files = {path.name for path in (study.path / "weights").glob("*")}
    assert files == {f"{number}.safetensors" for number in there}
    wanted = {p.number for p in front.summary(rows) if p.on_front or p.kind == "baseline"}
    everything = {row.number for row in rows if row.state == "complete"}
    if keep == "front":
        # One that entered the front of means later has lost the weights of its first seed; those of the others stay.
        kept = {n for n in everything if n in wanted or rows[n].replicate_of in wanted}
        assert there <= kept
        assert {n for n in kept - there if rows[n].replicate_of is not None or rows[n].kind == "baseline"} == set()
        assert {n if rows[n].replicate_of is None else rows[n].replicate_of for n in there} == wanted
        assert there < everything
    else:
        assert there == (everything if keep == "all" else set())


def test_no_weights_are_lost_while_the_front_is_confirmed(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    # Seeds that differ a lot: members leave the front of means, and may come back until all seeds are there.
    monkeypatch.setenv("TOY_NOISE", "0.1")
    monkeypatch.setattr(toys, "interrupted", toys.fast, raising=False)
    options = ["search.evaluate=toys:interrupted", "search.sampler=tpe"]
    study = load(*options)
    study.run("inline")
    rows = record.read(study.path)
    firsts = [row for row in rows if row.kind == "searched"]
    first_front = {firsts[i].number for i in front.efficient([(row.accuracy, row.flops) for row in firsts])}
    members = {point.number for point in front.summary(rows) if point.on_front}
    assert first_front - members
    assert {row.number for row in firsts if row.weights} == members

    stop_after(monkeypatch, sum(row.kind != "rejected" for row in rows) - 1)
    stopped = load(*options, name="stopped")
    assert stopped.run("inline").state == "interrupted"
    assert {row.number for row in record.read(stopped.path) if row.weights} >= first_front


def test_what_the_model_recommends_is_confirmed(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_NOISE", "0.05")
    asked = []

    def spied(self: Proposer, replicates: bool = True) -> list[int] | None:
        asked.append((replicates, recommend(self, replicates)))
        return asked[-1][1]

    recommend = Proposer.recommend
    monkeypatch.setattr(Proposer, "recommend", spied)
    for seed in range(8):  # until what is believed and what was observed differ: else this test shows nothing
        asked.clear()
        study = load("study.budget=16", f"study.seed={seed}", name=f"seed{seed}")
        study.run("inline")
        rows = record.read(study.path)
        ((replicates, numbers),) = asked
        trained = [row for row in rows if row.kind == "searched"]
        points = [(row.accuracy or 0.0, row.flops) for row in trained]
        observed = {trained[i].number for i in front.efficient(points)}
        assert not replicates
        assert {row.replicate_of for row in rows if row.kind == "replicate"} >= {*(numbers or ()), *observed}
        if not set(numbers or ()) <= observed:
            break
    else:
        pytest.fail("the model recommended what was observed in each of these searches")
    # A driver that starts again asks for the same.
    assert study.run("inline").state == "finished"
    assert len(record.read(study.path)) == len(rows)
    assert asked[1] == asked[0]


def test_no_weights_are_lost_while_seeds_are_outstanding(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    # The first seed of one architecture may dominate what its mean does not.
    monkeypatch.setenv("TOY_NOISE", "0.1")
    study = load("search.sampler=random", "study.seeds=3", "study.confirm=3")
    study.run("inline")
    rows = record.read(study.path)
    members = {point.number for point in front.summary(rows) if point.on_front}
    front_then: list[set[int]] = [set()]
    for count in range(1, len(rows)):
        then = [row for row in rows[:count] if row.state == "complete"]
        front_then.append({point.number for point in front.summary(then) if point.on_front})
    assert any(number not in some for number in members for some in front_then[number + 1 :])
    assert {row.number for row in rows if row.kind == "searched" and row.weights} == members


def test_reference_accuracies_that_fail_are_told_and_tried_again(load: Load) -> None:
    lines: list[str] = []
    short = ["study.budget=2", "study.confirm=1"]
    study = load(*short, 'search.references="toys:no_references"')
    assert study.run("inline", view=Lines(lines.append)).state == "finished"
    assert "no reference accuracies: toys:no_references failed: ValueError: nothing known of digits-hard" in lines
    assert record.settings(study.path)["references"] == {}
    load(*short, 'search.references="toys:references"').run("inline")
    assert record.settings(study.path)["references"] == {"constant on digits-hard": 0.1}


def test_references_say_that_they_begin_how_long_they_take_and_what_they_are(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metamixer.search.execution.references.TELL_SECONDS", 0.0)
    said: list[str] = []
    study = load("search.references=toys:references", "study.budget=1", "study.confirm=1")
    study.run("inline", view=Lines(said.append))
    lines = [line for line in said if line.startswith("reference classifiers")]
    assert lines[0] == "reference classifiers are fitted beside the search, in a process of their own"
    assert re.fullmatch(r"reference classifiers: \d+ s so far", lines[1])
    assert re.fullmatch(r"reference classifiers after \d+ s: constant on digits-hard 0.1000", lines[-1])


def test_references_that_warn_a_lot_come_to_their_end(load: Load) -> None:
    study = load("search.references=toys:talkative_references", "study.budget=1", "study.confirm=1")
    study.run("inline")
    assert record.settings(study.path)["references"] == {"constant on digits-hard": 0.1}


def test_baselines_are_those_of_the_task_unless_named(file: Path) -> None:
    from metamixer import catalog, tasks

    text = file.read_text()
    file.write_text(text[: text.index("[baselines]")])
    study = Study.load(file, ["study.budget=1", "study.confirm=1"], file.parent / "runs")
    study.run("inline")
    names = [row.name for row in record.read(study.path) if row.kind == "baseline"]
    assert names == catalog.names("digits-hard")
    assert len(names) >= 8
    assert record.settings(study.path)["baselines"]["names"] == names
    assert catalog.names(tasks.get("digits").name) == []


def test_gpus_where_there_are_none(load: Load) -> None:
    from metamixer.search.execution.devices import gpu_count

    if gpu_count():
        pytest.skip("this machine has GPUs")
    study = load("search.gpus=1")
    with pytest.raises(StudyError, match=r"GPUs are asked for .* this machine has none") as error:
        study.run("inline")
    assert "--gpus 0" in (error.value.advice or "")
    assert not study.path.exists()


def test_what_a_study_names_must_be_there(load: Load) -> None:
    for overrides, message in (
        (["study.space=digts"], "unknown search space"),
        (["study.task=digts"], "unknown task"),
        (["search.evaluate=toys:slow"], "cannot import toys:slow"),
        (['baselines.names=["nothing_like_it"]'], "nothing_like_it"),
    ):
        with pytest.raises(UserError, match=message):
            load(*overrides).run("inline")
    with pytest.raises(StudyError, match="--name"):
        load(name="a/b")


def test_without_ray_trials_run_inline_and_it_says_so(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    from metamixer.search.execution import dispatcher

    monkeypatch.setattr(dispatcher, "find_spec", lambda name: None)
    lines: list[str] = []
    study = load("study.budget=2", "study.confirm=1")
    assert study.run(view=Lines(lines.append)).trained == 2
    assert lines[0] == "Ray is not installed: trials run one after another in this process"
    with pytest.raises(StudyError, match="Ray is not installed"):
        study.run("ray")
    monkeypatch.setattr("platform.system", lambda: "Windows")
    assert dispatcher.unavailable() == "Ray is not supported on Windows"


def test_ctrl_c_within_a_trial_leaves_its_row_to_be_run_again(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import signal

    def evaluate(job: dict[str, Any], report: toys.Report) -> dict[str, Any]:
        if job["number"] == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return toys.fast(job, report)

    monkeypatch.setattr(toys, "interrupted", evaluate, raising=False)
    study = load('search.evaluate="toys:interrupted"')
    before = signal.getsignal(signal.SIGINT)
    assert study.run("inline").state == "interrupted"
    assert signal.getsignal(signal.SIGINT) is before
    assert [row.state for row in record.read(study.path)] == ["complete", "complete", "running"]


def test_an_interrupt_waits_for_a_safe_moment() -> None:
    import os
    import signal

    with Interrupt().listening() as interrupt:
        with interrupt.anywhere(), interrupt.protected():
            os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(Interrupted):
            interrupt.check()
        with pytest.raises(Interrupted), interrupt.anywhere():
            pytest.fail("entered")


def test_every_searched_architecture_gets_its_seeds_before_the_next_is_proposed(load: Load) -> None:
    study = load("study.seeds=3", "study.confirm=2", "study.budget=4")
    study.run("inline")
    rows = [row for row in record.read(study.path) if row.kind != "rejected"]
    assert [(row.kind, row.seed_index) for row in rows] == [("searched", 0), ("replicate", 1), ("replicate", 2)] * 4
    assert all(row.replicate_of == rows[3 * (i // 3)].number for i, row in enumerate(rows) if row.kind == "replicate")
    assert len({row.seed for row in rows}) == 12
    assert {point.seeds for point in study.front()} == {3}
