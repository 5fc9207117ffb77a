"""A study: a space, a task, a recipe, and a search that can be stopped and continued at any moment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from metamixer import files, record
from metamixer.errors import RecordError, StudyError
from metamixer.record import front
from metamixer.record import location as storages
from metamixer.record.location import Storage
from metamixer.search import callbacks, configuration
from metamixer.search.configuration import StudyConfig
from metamixer.search.driver import failures, results
from metamixer.search.driver.progress import Silent, View
from metamixer.search.execution import dispatcher as execution
from metamixer.search.execution.dispatcher import Dispatcher, Placement
from metamixer.search.execution.interrupt import Interrupt, Interrupted
from metamixer.search.preparation import Prepared, prepare
from metamixer.search.storage import compatibility

if TYPE_CHECKING:
    from metamixer.record import Trial
    from metamixer.search.callbacks import Feed
    from metamixer.search.driver.driver import Driver
    from metamixer.search.execution.references import References
    from metamixer.search.storage.trial_store import TrialStore

# How long reference classifiers may hold the result back.
REFERENCE_SECONDS = 30.0

End = Literal["finished", "interrupted", "exhausted"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `finished`, `interrupted` (continue it), or `exhausted` (the space offers no more).

    Attributes:
        state: How.
        trained: Architectures of the search that ended, those included that failed: all that the budget counts.
        failed: Trials that failed, of all kinds.
        refused: Proposals that were not trained.
        stopped: Architectures whose training was stopped early.
        lost: Those of `trained` that failed.
        reasons: Why trials failed, and how many; the most frequent first.
    """

    state: End
    trained: int
    failed: int
    refused: int
    stopped: int = 0
    lost: int = 0
    reasons: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Study:
    """A study, ready to run.

        study = Study.load("digits", ["training.epochs=3"])
        study.run()
        for point in study.front():
            print(point.accuracy, point.flops, point.sentence)

    Attributes:
        config: The configuration.
        runs: The folder that holds its run.
    """

    config: StudyConfig
    runs: str | Path = "runs"

    @classmethod
    def load(
        cls,
        name_or_path: str | Path,
        overrides: Sequence[str] = (),
        runs: str | Path = "runs",
        name: str | None = None,
    ) -> Study:
        """A study that ships, by name, or a study file.

        Args:
            name_or_path: Which.
            overrides: `section.key=value`.
            runs: The folder that holds its run.
            name: The run's name, if not the study's.

        Raises:
            ResourceError: There is no such study.
            StudyError: A key or value is refused.
        """
        study = cls(configuration.load(name_or_path, overrides), runs)
        return study if name is None else study.renamed(name)

    def renamed(self, name: str) -> Study:
        """The same study as another run.

        Raises:
            StudyError: It is no name of a folder.
        """
        document = self.config.model_dump()
        document["study"]["name"] = name
        return replace(self, config=configuration.parse(document, file="--name"))

    @property
    def path(self) -> Path:
        """The run's folder, with `study.db`, `resolved.toml`, `weights/` and the report."""
        return Path(self.runs) / self.config.study.name

    def front(self) -> list[front.Point]:
        """The searched architectures that no other dominates, by rising FLOPs; means over their seeds.

        Raises:
            RecordError: The study was not run yet.
        """
        points = [point for point in front.summary(record.read(self.path)) if point.on_front]
        return sorted(points, key=lambda point: point.flops)

    def run(
        self, dispatcher: Dispatcher | None = None, view: View | None = None, retry_failed: bool = False
    ) -> Outcome:
        """Search until the budget is trained and the front confirmed; continues a run that is there.

        Args:
            dispatcher: `ray`, or `inline` for trials in this process; None for Ray where it is there.
            view: Where progress is shown.
            retry_failed: Run trials of the record that failed again, in their places.

        Raises:
            UserError: What the user can mend: another study's record, no such GPU, a locked database.
        """
        view = view or Silent()
        _tell_of_code(self.config, view)
        placement = execution.place(dispatcher, self.config.search, view.say)
        trials, end = self._search(prepare(self.config, self.runs, view), placement, view, retry_failed)
        return Outcome(
            state=end,
            trained=sum(trial.kind == "searched" and trial.finished for trial in trials),
            failed=sum(trial.state == "failed" for trial in trials),
            refused=sum(trial.kind == "rejected" for trial in trials),
            stopped=sum(trial.stopped and trial.kind == "searched" for trial in trials),
            lost=sum(trial.state == "failed" and trial.kind == "searched" for trial in trials),
            reasons=tuple(failures.by_count(trials)),
        )

    def _search(
        self, prepared: Prepared, placement: Placement, view: View, retry_failed: bool
    ) -> tuple[list[Trial], End]:
        """The trials of the record when the search has ended, and how it did."""
        from metamixer.search.driver.driver import Driver
        from metamixer.search.proposals import initial_points, warm_start
        from metamixer.search.proposals.proposer import Proposer
        from metamixer.search.storage.trial_store import TrialStore

        config, space, task, baselines = prepared.config, prepared.space, prepared.task, prepared.baselines
        search, study = config.search, config.study
        shown = callbacks.make(search.callbacks)
        recorded = self._recorded() if search.initial_points or study.warm_start else []
        imported = warm_start.find(config, prepared.fingerprints, baselines, self.path, recorded)
        proposed = initial_points.proposed(recorded)
        starts = initial_points.find(
            search.initial_points, space, task, config.limits, self.path.parent, proposed, searched=config.searched
        )
        with ExitStack() as stack:
            interrupt = stack.enter_context(Interrupt().listening())
            store = TrialStore(self._storage(), prepared.settings, prepared.fingerprints, view.say, interrupt.wait)
            stack.callback(store.close)
            compatibility.compare(store, prepared.settings, prepared.fingerprints)
            if retry_failed:
                _reopen(store, view)
            self._write_configuration(config)
            warm_start.take_over(store, imported, space, task, config.searched)
            if imported:
                view.say(f"{sum(trial.searched for trial in imported)} architectures are known from {study.warm_start}")
            proposer = Proposer(
                space,
                task,
                config.limits,
                search.sampler,
                search.startup,
                study.seed,
                reference=tuple(prepared.settings["reference_point"]),
                per_second=config.budget.unit == "hours",
                searched=config.searched,
            )
            stack.enter_context(view)
            feed = callbacks.Feed(shown, view.say)
            stack.callback(feed.close)
            feed.start(self.path, {**store.settings, "references": store.references})
            driver = Driver(config, store, proposer, baselines, self.path, view.say, starts=starts)
            end = _drive(driver, store, placement, interrupt, view, feed)
            feed.show(store.trials)
            return store.trials, end

    # -- where the record lies

    def _storage(self) -> Storage:
        """The database of the study, or the file in its folder; a run's record does not move from one to the other."""
        url, file, named = self.config.study.storage, self.path / storages.FILE, storages.elsewhere(self.path)
        if url is not None:
            if file.is_file():
                raise StudyError(
                    "this run has its record in a file", str(file), "leave --storage out, or give another --name"
                )
            return Storage(url=url, name=self.config.study.name)
        if named is not None and not file.is_file():
            raise StudyError(
                "this run has its record in a database", str(named), "give its --storage, or another --name"
            )
        return Storage(file=file)

    def _recorded(self) -> list[Trial]:
        """The trials that are there; what cannot be read is told of when the store opens it."""
        try:
            return record.trials(self._storage())
        except RecordError:
            return []

    def _write_configuration(self, config: StudyConfig) -> None:
        """The resolved study, for people and for readers of the record; for the owner's eyes, as a URL may tell."""
        private = config.study.storage is not None
        if config.study.storage is not None:
            stored = config.study.model_copy(update={"storage": storages.storable(config.study.storage)})
            config = config.model_copy(update={"study": stored})
        files.write(self.path / storages.CONFIGURATION, configuration.to_toml(config), private)


def _tell_of_code(config: StudyConfig, view: View) -> None:
    """Say which modules of the working folder the study will import: a study file is code."""
    from importlib.machinery import PathFinder

    search = config.search
    names = [config.study.task, search.evaluate, search.references, search.sampler, *search.callbacks]
    modules = {str(name).partition(":")[0].partition(".")[0] for name in names if name and ":" in str(name)}
    here = [name for name in sorted(modules) if PathFinder.find_spec(name, [str(Path.cwd())]) is not None]
    if here and here != ["metamixer"]:
        view.say(f"this study runs code of the working folder {Path.cwd()}: {', '.join(here)}")


def _reopen(store: TrialStore, view: View) -> None:
    """Make the trials that failed running ones, which the driver takes up before all others."""
    failed = [again for again in map(results.tried_again, store.trials) if again is not None]
    for trial in failed:
        store.reopen(trial)
    view.say(f"{len(failed)} trials that failed are tried again")


def _drive(
    driver: Driver, store: TrialStore, placement: Placement, interrupt: Interrupt, view: View, feed: Feed
) -> End:
    """Run the driver's jobs, and reference classifiers beside them, to their end."""
    from metamixer.search.execution.references import References

    search = driver.config.search
    references = References(search.references, driver.task, store, view.say)

    def refresh() -> None:
        references.poll()
        view.show(driver.progress, driver.ended)
        feed.show(store.trials)

    try:
        execution.dispatch(placement, driver, search.evaluate, interrupt, refresh)
        _await(references, interrupt, view)
        view.show(driver.progress, driver.ended)
    except Interrupted:
        return "interrupted"
    finally:
        references.cancel()
    return "exhausted" if driver.exhausted else "finished"


def _await(references: References, interrupt: Interrupt, view: View) -> None:
    """Wait a little for reference accuracies; they are never long in the way of the result."""
    end, told = time.monotonic() + REFERENCE_SECONDS, False
    while not references.poll():
        if not told:
            view.say(f"the search is over; reference classifiers are waited for, {REFERENCE_SECONDS:.0f} s at most")
            told = True
        if time.monotonic() > end:
            view.say("reference classifiers took too long and are left out; the same command again fits them anew")
            return
        interrupt.wait(0.05)
