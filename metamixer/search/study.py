"""A study: a space, a task, a recipe, and a search that can be stopped and continued at any moment."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from metamixer import files, record
from metamixer.errors import LanguageError, RecordError, StudyError
from metamixer.record import front
from metamixer.record import location as storages
from metamixer.record.location import Storage
from metamixer.search import callbacks, configuration
from metamixer.search.configuration import StudyConfig
from metamixer.search.execution import devices
from metamixer.search.execution.interrupt import Interrupt, Interrupted
from metamixer.search.progress import Silent, View
from metamixer.search.storage import compatibility as identity
from metamixer.search.storage import provenance as origin

if TYPE_CHECKING:
    from metamixer.language import Space
    from metamixer.record import Trial
    from metamixer.search.callbacks import Feed
    from metamixer.search.driver import Driver
    from metamixer.search.proposals.proposer import Costed
    from metamixer.search.storage.trial_store import Ledger
    from metamixer.tasks import Task

Dispatcher = Literal["ray", "inline"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended: `finished`, `interrupted` (continue it), or `exhausted` (the space offers no more)."""

    state: Literal["finished", "interrupted", "exhausted"]
    trained: int
    failed: int
    refused: int
    stopped: int = 0


class Study:
    """A study, ready to run.

        study = Study.load("digits", ["training.epochs=3"])
        study.run()
        for point in study.front():
            print(point.accuracy, point.flops, point.sentence)

    Attributes:
        config: The resolved configuration.
        path: The run's folder, with `study.db`, `resolved.toml`, `weights/` and the report.
    """

    def __init__(self, config: StudyConfig, runs: str | Path = "runs", name: str | None = None) -> None:
        if name is not None:
            config = configuration.parse(
                {**config.model_dump(), "study": {**config.study.model_dump(), "name": name}}, file="--name"
            )
        self.config = config
        self.path = Path(runs) / config.study.name

    @classmethod
    def load(cls, name_or_path: str | Path, overrides: Sequence[str] = ()) -> Study:
        """A study that ships, by name, or a study file; overrides are `section.key=value`.

        Raises:
            ResourceError: There is no such study.
            StudyError: A key or value is refused.
        """
        return cls(configuration.load(name_or_path, overrides))

    def front(self) -> list[front.Point]:
        """The searched architectures that no other dominates, by rising FLOPs; means over their seeds.

        Raises:
            RecordError: The study was not run yet.
        """
        points = [point for point in front.summary(record.read(self.path)) if point.on_front]
        return sorted(points, key=lambda point: point.flops)

    def run(
        self,
        dispatcher: Dispatcher | None = None,
        runs: str | Path | None = None,
        name: str | None = None,
        view: View | None = None,
    ) -> Outcome:
        """Search until the budget is trained and the front confirmed; continues a run that is there.

        Args:
            dispatcher: `ray`, or `inline` for trials in this process; None for Ray where it is there.
            runs: Where runs lie; `runs` in the working directory.
            name: The run's name, if not the study's.
            view: Where progress is shown.

        Raises:
            UserError: What the user can mend: another study's record, no such GPU, a locked database.
        """
        if runs is not None or name is not None:
            moved = Study(self.config, self.path.parent if runs is None else runs, name)
            self.config, self.path = moved.config, moved.path
        view = view or Silent()
        chosen = _dispatcher(dispatcher, view)
        search = self.config.search
        if search.address is not None and chosen == "inline":
            raise StudyError("trials in this process need no cluster", "--address", "leave out one of the two")
        workers = search.workers
        if search.address is None:
            workers = devices.workers(search.workers, search.threads, search.gpus)
        if chosen == "inline":
            workers = 1
        space, task = self._space(), self._task()
        self.config = self._with_baselines(task)
        from metamixer.search.driver import Driver
        from metamixer.search.proposals import initial_points
        from metamixer.search.proposals import warm_start as warm
        from metamixer.search.proposals.proposer import Proposer
        from metamixer.search.storage.trial_store import Ledger

        shown = callbacks.make(search.callbacks)
        baselines = self._baselines(task)
        settings, fingerprints = self._settings(space, task, baselines), identity.fingerprints(self.config, space, task)
        begun = self._begun() if search.initial_points or self.config.study.warm_start else []
        earlier = warm.find(self.config, fingerprints, baselines, self.path, begun)
        known = initial_points.proposed(begun)
        starts = initial_points.find(search.initial_points, space, task, self.config.limits, self.path.parent, known)
        with ExitStack() as stack:
            interrupt = stack.enter_context(Interrupt().listening())
            ledger = Ledger(self._storage(), settings, fingerprints, view.say, interrupt.wait)
            stack.callback(ledger.close)
            identity.compare(ledger, settings, fingerprints)
            self._write_configuration()
            study = self.config.study
            warm.take_over(ledger, earlier, space, task)
            if earlier:
                view.say(f"{sum(row.searched for row in earlier)} architectures are known from {study.warm_start}")
            reference = settings["reference_point"]
            proposer = Proposer(
                space,
                task,
                self.config.limits,
                search.sampler,
                search.startup,
                study.seed,
                reference=tuple(reference),
                per_second=self.config.budget.unit == "hours",
            )
            stack.enter_context(view)
            feed = callbacks.Feed(shown, view.say)
            stack.callback(feed.close)
            feed.start(self.path, {**ledger.settings, "references": ledger.references})
            driver = Driver(self.config, ledger, proposer, baselines, self.path, view.say, workers or 1, starts=starts)
            state = self._drive(driver, ledger, chosen, workers, interrupt, view, feed)
            feed.show(ledger.rows)
            rows = ledger.rows
        return Outcome(
            state=state,
            trained=sum(row.kind == "searched" and row.finished for row in rows),
            failed=sum(row.state == "failed" for row in rows),
            refused=sum(row.kind == "rejected" for row in rows),
            stopped=sum(row.stopped and row.kind == "searched" for row in rows),
        )

    def _drive(
        self,
        driver: Driver,
        ledger: Ledger,
        dispatcher: Dispatcher,
        workers: int | None,
        interrupt: Interrupt,
        view: View,
        feed: Feed,
    ) -> Literal["finished", "interrupted", "exhausted"]:
        from metamixer.search.execution.references import Computation

        search = self.config.search
        references: Computation | None = None
        if search.references and not ledger.references:
            references = Computation(search.references, self.config.study.task)

        def gather() -> None:
            nonlocal references
            if references is None:
                return
            try:
                ledger.set_references(references.result())
            except RuntimeError as error:
                view.say(f"no reference accuracies: {search.references} failed: {error}")
            references = None

        def refresh() -> None:
            if references is not None and references.ended:
                gather()
            view.show(driver.progress, driver.ended)
            feed.show(ledger.rows)

        try:
            if dispatcher == "ray":
                from metamixer.search.execution import ray_tune as dispatch_ray

                dispatch_ray.dispatch(driver, search.evaluate, interrupt, refresh, workers, search.gpus, search.address)
            else:
                from metamixer.search.execution import inline as dispatch_inline

                dispatch_inline.dispatch(driver, search.evaluate, interrupt, refresh)
            while references is not None and not references.ended:
                interrupt.check()
                time.sleep(0.05)
            gather()
        except Interrupted:
            return "interrupted"
        finally:
            if references is not None:
                references.cancel()
        return "exhausted" if driver.exhausted else "finished"

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

    def _begun(self) -> list[Trial]:
        """The rows that are there; what cannot be read is told of when the ledger opens it."""
        try:
            return record.trials(self._storage())
        except RecordError:
            return []

    def _write_configuration(self) -> None:
        """The resolved study, for people and for readers of the record; for the owner's eyes, as a URL may tell."""
        private = self.config.study.storage is not None
        files.write(self.path / storages.CONFIGURATION, configuration.to_toml(self.config), private)

    # -- what the study names

    def _space(self) -> Space:
        from metamixer import resources
        from metamixer.language import Space

        return Space.load(resources.find("search_spaces", self.config.study.space))

    def _task(self) -> Task:
        from metamixer import tasks

        return tasks.get(self.config.study.task)

    def _with_baselines(self, task: Task) -> StudyConfig:
        """The configuration with its baselines by name: those of the task, if it names none."""
        from metamixer import catalog

        if self.config.baselines.names is not None:
            return self.config
        named = configuration.Baselines(names=tuple(catalog.names(task.name)))
        return self.config.model_copy(update={"baselines": named})

    def _baselines(self, task: Task) -> dict[str, Costed]:
        from metamixer import catalog
        from metamixer.search.proposals.proposer import costed

        found: dict[str, Costed] = {}
        for name in self.config.baselines.names or ():
            sentence = catalog.get(name).sentence
            try:
                found[name] = costed(sentence, task)
            except LanguageError as error:
                raise StudyError(
                    f"baseline {name} does not fit the task {task.name}", place=str(error), advice="take it out"
                ) from None
        for key in {item.key for item in found.values()}:
            same = [name for name, item in found.items() if item.key == key]
            if len(same) > 1:
                raise StudyError(f"baselines {' and '.join(same)} are one architecture", "[baselines] names")
        return found

    # -- what the record is started with

    def _settings(self, space: Space, task: Task, baselines: Mapping[str, Costed]) -> dict[str, Any]:
        document = self.config.model_dump(mode="json")
        del document["study"]["storage"]  # a record does not say where it lies, nor with which password
        return {
            **document,
            "task": {"name": task.name, "channels": task.channels, "grid": list(task.grid), "classes": task.classes},
            "space": {
                "name": space.name,
                "start": space.start,
                "max_depth": space.max_depth,
                "rules": dict(space.rules),
            },
            "reference_point": self._reference_point(space, task, baselines),
            "versions": origin.versions(),
            "packages": origin.packages(),
            "git": origin.git(),
            "format": record.FORMAT,
        }

    def _reference_point(self, space: Space, task: Task, baselines: Mapping[str, Costed]) -> list[float]:
        """Where the hypervolume starts: guessing, at the limit of MACs, or at twice the dearest of what is known."""
        from metamixer.search.proposals.proposer import costed

        macs = self.config.limits.macs
        if macs is None:
            rng = random.Random(self.config.study.seed)
            drawn = [space.draw(rng, channels=task.channels, grid=task.grid).sentence for _ in range(64)]
            macs = 2 * max(item.cost["macs"] for item in [*baselines.values(), *(costed(s, task) for s in drawn)])
        return [1 / task.classes, float(2 * macs)]


def _dispatcher(asked: Dispatcher | None, view: View) -> Dispatcher:
    if asked == "inline":
        return "inline"
    from metamixer.search.execution import ray_tune as dispatch_ray

    why = dispatch_ray.unavailable()
    if why is None:
        return "ray"
    if asked == "ray":
        raise StudyError(
            f"{why}: trials cannot run on it",
            place="--dispatcher ray",
            advice="take --dispatcher inline, or install ray[tune]",
        )
    view.say(f"{why}: trials run one after another in this process")
    return "inline"
