"""Samplers and callbacks of others: from a study's file, from the command line, from a package's entry point."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toys import fast as _fast  # noqa: F401  # trials of these searches are trained by it

from metamixer import record
from metamixer.cli import main
from metamixer.errors import StudyError
from metamixer.language import Space
from metamixer.search.plugins import Plugins
from metamixer.search.samplers import registry
from metamixer.search.samplers.protocol import Setup
from metamixer.search.study import Study

Load = Callable[..., Study]
SHORT = ("study.budget=5", "study.confirm=1", "search.startup=2")

MINE = '''
import json
import optuna
from metamixer.search.samplers.protocol import Suggestion


class Widest(optuna.samplers.BaseSampler):
    """The widest network jointly, the largest of every other choice one by one."""

    def __init__(self, seed=None):
        self.seed = seed

    def infer_relative_search_space(self, study, trial):
        return optuna.search_space.intersection_search_space(study.get_trials(deepcopy=False))

    def sample_relative(self, study, trial, search_space):
        trial_note = {"seed": self.seed, "finished": len(study.get_trials(states=(optuna.trial.TrialState.COMPLETE,)))}
        study._storage.set_trial_system_attr(trial._trial_id, "mine", trial_note)
        return {"network#2": 24} if "network#2" in search_space else {}

    def sample_independent(self, study, trial, name, distribution):
        if isinstance(distribution, optuna.distributions.IntDistribution):
            return distribution.high
        return distribution.choices[-1]


class Once(optuna.samplers.RandomSampler):
    """Remembers how trials ended."""

    made = 0
    ended = []

    def __init__(self):
        super().__init__(seed=0)
        type(self).made += 1

    def after_trial(self, study, trial, state, values):
        type(self).ended.append((state.name, values is not None))


class Cheapest:
    """Of eight draws from the prior the one with the fewest multiply-accumulates."""

    def __init__(self, setup):
        self.setup, self.seen = setup, []

    def observe(self, trial, parameters):
        self.seen.append(trial.number)
        assert trial.kind != "searched" or trial.finished or parameters.notes == {"draws": 8}

    def propose(self, number, space, known, rng):
        samples = [space.sample(lambda name, choice: choice.draw(rng)) for _ in range(8)]
        legal = [sample for sample in samples if sample.reason is None and sample.key not in known]
        best = min(legal, key=lambda sample: sample.cost["macs"])
        return Suggestion(best, origin="cheapest of eight", parents=tuple(self.seen[:1]), notes={"draws": 8})

    def recommend(self, replicates=True):
        return None


class ByName(Cheapest):
    """Names its choices, and leaves the others to the prior."""

    def observe(self, trial, parameters):
        pass

    def propose(self, number, space, known, rng):
        return Suggestion({"network#2": 8})


class Raises(Cheapest):
    def propose(self, number, space, known, rng):
        return {}["what is not there"]


class RaisesWhenMade:
    def __init__(self, setup):
        raise OSError("no licence")


class NoSuchValue(ByName):
    def propose(self, number, space, known, rng):
        return Suggestion({"network#2": 7})


class NoSuchName(ByName):
    def propose(self, number, space, known, rng):
        return Suggestion({"learning_rate": 7})


class NoSuggestion(ByName):
    def propose(self, number, space, known, rng):
        return {"network#2": 8}


class NoSuchParent(ByName):
    def propose(self, number, space, known, rng):
        return Suggestion({"network#2": 8}, parents=(99,))


class NoSuchTrial(ByName):
    def recommend(self, replicates=True):
        return [77]


class NoJson(ByName):
    def propose(self, number, space, known, rng):
        return Suggestion({"network#2": 8}, notes={"set": {1}})


class NoMethod:
    def __init__(self, setup):
        pass

    def observe(self, trial, parameters):
        pass

    def recommend(self, replicates=True):
        return None


class OtherArguments(ByName):
    def propose(self, trial):
        return None


class OutOfRange(Widest):
    def sample_relative(self, study, trial, search_space):
        return {"network#2": 7}


class Abstract(optuna.samplers.BaseSampler):
    pass


class Shown:
    """A callback that writes what has ended."""

    def start(self, run, settings):
        self.file = (run / "shown.jsonl").open("w")

    def ended(self, trial):
        print(json.dumps([trial.number, trial.kind]), file=self.file, flush=True)

    def close(self):
        self.file.close()


class NoClose:
    def start(self, run, settings):
        pass

    def ended(self, trial):
        pass


value = 3
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A user's module in the working directory."""
    (tmp_path / "mine_of_a_user.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("mine_of_a_user", None)
    import mine_of_a_user  # type: ignore[import-not-found]

    yield mine_of_a_user
    sys.modules.pop("mine_of_a_user", None)


def searched(study: Study) -> list[record.Trial]:
    return [trial for trial in record.read(study.path) if trial.kind == "searched"]


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, as a user starts it."""
    program = [sys.executable, "-P", "-c", "from metamixer.cli import main; main()", *arguments]
    return subprocess.run(program, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=300)


@pytest.mark.usefixtures("mine")
def test_an_optuna_sampler_of_somebody_proposes(load: Load, file: Path) -> None:
    study = load(*SHORT, "search.sampler=mine_of_a_user:Widest", "study.budget=6")
    study.run("inline")
    trials = searched(study)
    first, later = trials[:2], trials[2:]
    assert {trial.origin for trial in first} == {"prior"}  # search.startup of them
    assert [trial.origin for trial in later].count("model") >= 1
    space = Space.load(file.parent / "small.toml")
    for trial in later:
        assert str(space.replay(trial.choices, 1, (8, 8)).sentence) == trial.sentence
        if trial.origin == "model":
            assert trial.choices["network#2"] == 24  # jointly
            assert trial.choices["network#1"] == 2  # asked one by one
    from metamixer.search.storage.trial_store import TrialStore

    store = TrialStore(study.path / "study.db", {}, {})
    notes = [store.parameters(trial.number).notes for trial in trials if trial.origin == "model"]
    store.close()
    assert all(note["mine"]["finished"] >= 2 for note in notes)
    assert len({note["mine"]["seed"] for note in notes}) == len(notes)  # made anew for every proposal


def test_one_without_a_seed_is_made_once_and_hears_how_trials_end(load: Load, mine: Any) -> None:
    study = load(*SHORT, "search.sampler=mine_of_a_user:Once", "search.startup=1")
    study.run("inline")
    assert mine.Once.made == 1
    assert mine.Once.ended == [("COMPLETE", True)] * 5
    assert len({trial.key for trial in searched(study)}) == 5


@pytest.mark.usefixtures("mine")
def test_a_sampler_of_our_protocol_proposes_with_its_own_origin_and_parents(load: Load) -> None:
    study = load(*SHORT, "search.sampler=mine_of_a_user:Cheapest")
    study.run("inline")
    trials = searched(study)
    assert {trial.origin for trial in trials} == {"cheapest of eight"}
    assert trials[0].parents == ()
    assert {trial.parents for trial in trials[1:]} == {(trials[0].number,)}
    others = load(*SHORT, "search.sampler=random", name="others")
    others.run("inline")
    assert sum(trial.flops for trial in trials) < sum(trial.flops for trial in searched(others))
    # A search that is continued has the trials of before.
    study.run("inline")
    assert searched(study) == trials


@pytest.mark.usefixtures("mine")
def test_choices_by_name_are_completed_by_the_prior(load: Load) -> None:
    study = load(*SHORT, "search.sampler=mine_of_a_user:ByName")
    study.run("inline")
    trials = searched(study)
    assert {trial.choices["network#2"] for trial in trials} == {8}
    assert {trial.origin for trial in trials} == {"model"}
    assert len({trial.key for trial in trials}) == 5


WRONG = {
    "Raises": (r"the sampler mine_of_a_user:Raises failed: KeyError: 'what is not there'", "in propose, for trial 0"),
    "RaisesWhenMade": (r"RaisesWhenMade failed: OSError: no licence", "when it is made"),
    "NoSuchValue": (r"NoSuchValue proposed 7 for the choice network#2", "one of: 8, 16, 24"),
    "NoSuchName": (r"NoSuchName proposed values for choices that the space does not have: learning_rate", "network#1"),
    "NoSuggestion": (r"NoSuggestion proposed {'network#2': 8}, of type dict", "return a metamixer"),
    "NoSuchParent": (r"NoSuchParent proposed a child of 99", "trials that were observed"),
    "NoJson": (r"NoJson proposed notes that are no JSON", "keep numbers"),
    "NoMethod": (r"the sampler mine_of_a_user:NoMethod has no method propose", "write a class"),
    "OtherArguments": (r"OtherArguments: propose too many positional arguments", "write a class"),
    "OutOfRange": (r"OutOfRange failed: ValueError: it proposed 7 for the choice network#2", "8, 16, 24"),
    "Abstract": (r"Abstract is abstract: it lacks .*sample_independent", "write a class"),
    "value": (r"the sampler mine_of_a_user:value is no class, but 3, of type int", "write a class"),
    "Nothing": (r"cannot be imported: the module mine_of_a_user has no Nothing", "package.module:Class"),
}


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize("kind", WRONG)
def test_what_goes_wrong_is_one_message_that_names_it(load: Load, kind: str) -> None:
    what, where = WRONG[kind]
    with pytest.raises(StudyError, match=what) as caught:
        load(*SHORT, f"search.sampler=mine_of_a_user:{kind}", "study.budget=9").run("inline")
    assert where in str(caught.value)
    assert f"mine_of_a_user:{kind}" in str(caught.value)
    assert "search.sampler" in str(caught.value)


@pytest.mark.usefixtures("mine")
def test_what_it_recommends_must_be_trials(load: Load) -> None:
    with pytest.raises(StudyError, match="recommends 77, which is no number of a finished trial"):
        load(*SHORT, "search.sampler=mine_of_a_user:NoSuchTrial", "study.confirm=2").run("inline")


def test_a_module_that_is_not_there_or_does_not_load_is_one_message(tmp_path: Path, load: Load) -> None:
    with pytest.raises(StudyError, match="cannot be imported: there is no module nowhere"):
        load("search.sampler=nowhere.near:Class").run("inline")
    (tmp_path / "broken_of_a_user.py").write_text("import json\nraise ValueError('half written')\n")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(StudyError, match="cannot be imported: ValueError: half written"):
            registry.make("broken_of_a_user:Class", Setup())
    finally:
        sys.path.remove(str(tmp_path))
    with pytest.raises(StudyError) as unknown:
        load("search.sampler=evolutoin")
    assert "unknown sampler 'evolutoin'" in str(unknown.value)
    assert "did you mean evolution? one of: known-cost, evolution, gp, nsga2, random, tpe, or your own" in str(
        unknown.value
    )


@pytest.mark.usefixtures("mine")
def test_the_command_line_takes_samplers_and_callbacks_of_a_module_in_the_working_directory(file: Path) -> None:
    options = ["--set", "study.confirm=1", "--set", "study.budget=3", "--set", "search.startup=1"]
    done = command(
        "search",
        str(file),
        *options,
        "--dispatcher",
        "inline",
        "--sampler",
        "mine_of_a_user:Cheapest",
        "--set",
        'search.callbacks=["mine_of_a_user:Shown"]',
        folder=file.parent,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = file.parent / "runs" / "small"
    trials = record.read(run)
    assert {trial.origin for trial in trials} == {"cheapest of eight"}
    shown = (run / "shown.jsonl").read_text().splitlines()
    assert shown == [f'[{trial.number}, "{trial.kind}"]' for trial in trials]
    assert 'sampler = "mine_of_a_user:Cheapest"' in (run / "resolved.toml").read_text()


@pytest.mark.usefixtures("mine")
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("search.sampler=mine_of_a_user:Raises", "the sampler mine_of_a_user:Raises failed: KeyError"),
        ('search.callbacks=["mine_of_a_user:NoClose"]', "the callback mine_of_a_user:NoClose has no method close"),
        ('search.callbacks=["mine_of_a_user:Absent"]', "the module mine_of_a_user has no Absent"),
        ('search.callbacks=["mine_of_a_user:value"]', "the callback mine_of_a_user:value is no class, but 3"),
    ],
)
def test_the_command_line_answers_wrong_ones_without_a_traceback(
    file: Path, option: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["search", str(file), "--dispatcher", "inline", "--set", option]
    monkeypatch.setattr(sys, "argv", ["metamixer", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in told
    assert "Traceback" not in told


def test_an_installed_package_adds_samplers_and_callbacks_by_name(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    facts = site / "of_others-1.0.dist-info"
    facts.mkdir(parents=True)
    (site / "of_others.py").write_text(MINE)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: of-others\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[metamixer.samplers]\nwidest = of_others:Widest\ncheapest = of_others:Cheapest\ngone = of_others:Gone\n"
        "[metamixer.callbacks]\nshown = of_others:Shown\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ["PYTHONPATH"]]))
    options = ["--dispatcher", "inline", "--set", "study.confirm=1", "--budget", "3"]
    for name in ("cheapest", "widest"):
        named = ["--name", name, "--sampler", name, "--set", 'search.callbacks=["shown"]']
        done = command("search", str(file), *options, *named, folder=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len((tmp_path / "runs" / name / "shown.jsonl").read_text().splitlines()) >= 3
    trials = record.read(tmp_path / "runs" / "cheapest")
    assert {trial.origin for trial in trials} == {"cheapest of eight"}
    gone = command("search", str(file), *options, "--sampler", "gone", folder=tmp_path)
    assert gone.returncode == 2
    assert "the sampler gone cannot be imported: the module of_others has no Gone" in gone.stderr
    assert "entry point gone = of_others:Gone" in gone.stderr
    wrong = command("search", str(file), *options, "--sampler", "cheepest", folder=tmp_path)
    assert wrong.returncode == 2
    assert "did you mean cheapest? one of: known-cost, evolution, gp, nsga2, random, tpe, cheapest" in wrong.stderr


def test_a_name_that_ships_is_not_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from metamixer.search import plugins

    def installed(*, group: str) -> list[EntryPoint]:
        return [EntryPoint("tpe", "nowhere:Class", group), EntryPoint("own", "nowhere:Class", group)]

    monkeypatch.setattr(plugins, "entry_points", installed)
    assert registry.PLUGINS.find("tpe") == registry.SHIPPED["tpe"].factory
    assert registry.PLUGINS.names() == [*registry.SHIPPED, "own"]
    assert Plugins("thing", "key", "group", {}).names() == ["own", "tpe"]


def test_the_help_of_the_command_names_every_sampler_that_ships(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["metamixer", "search", "--help"])
    with pytest.raises(SystemExit):
        main()
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"How to propose: {', '.join(registry.SHIPPED)}" in told
