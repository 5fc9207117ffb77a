"""What a search does next, whoever runs its trials: the phases of a study, what workers said, what is kept.

A dispatcher asks `next_job` for work and tells `started`, `epoch`, `finished`, `stopped` or `lost`. Everything that
matters is in the ledger, so a driver that starts again continues where the one before was, even if that was killed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Protocol

from metamixer.pareto import ACCURACY_FLOPS, hypervolume
from metamixer.record import Trial, front
from metamixer.search import results
from metamixer.search.configuration import StudyConfig
from metamixer.search.progress import Progress, Running
from metamixer.search.proposals.initial_points import Start, begun
from metamixer.search.proposals.proposer import PRIOR_REFUSALS, SAMPLER_REFUSALS, Costed, Proposal, Proposer
from metamixer.search.pruning import successive_halving as stopping
from metamixer.search.seeds import derived
from metamixer.search.state import Standing
from metamixer.search.storage.checkpoints import Weights
from metamixer.search.storage.trial_store import Parameters, running

# A worker that died may have been a victim of chance; a trial that kills twice is the reason.
ATTEMPTS = 2

Job = dict[str, Any]


class Clock(Protocol):
    """Where the driver reads the time, as from the module `time`; a simulation has its own."""

    def time(self) -> float: ...
    def monotonic(self) -> float: ...


class Book(Protocol):
    """What the driver needs of a ledger, see `metamixer.search.storage.trial_store.Ledger`."""

    rows: list[Trial]
    settings: dict[str, Any]
    clean: bool

    def parameters(self, number: int) -> Parameters: ...
    def add(self, row: Trial, parameters: Parameters | None = None) -> Trial: ...
    def finish(self, row: Trial) -> None: ...
    def rewrite(self, row: Trial) -> None: ...


class Nothing(Enum):
    """Why there is no job."""

    WAIT = "trials are running whose results decide what is next"
    DONE = "the study is complete"


class Driver:
    """Runs one study on an open ledger.

    Args:
        config: The study.
        ledger: Its record.
        proposer: Draws what to train; it is shown the record here.
        baselines: Name and costed sentence of each baseline.
        folder: The run's folder; weights lie in `weights/`.
        say: Called with a line about what happened, for people.
        workers: Trials at a time, for the estimate of the time left.
        clock: Where the time is read.
        starts: What is proposed before the proposer is asked, as far as the record has it not.

    Attributes:
        ended: Trials that this driver saw end.
        exhausted: The space has no more architectures to offer than were trained.
    """

    def __init__(
        self,
        config: StudyConfig,
        ledger: Book,
        proposer: Proposer,
        baselines: Mapping[str, Costed],
        folder: Path,
        say: Callable[[str], None] = lambda line: None,
        workers: int = 1,
        clock: Clock = time,
        starts: Sequence[Start] = (),
    ) -> None:
        self.config = config
        self.ledger = ledger
        self.proposer = proposer
        self.folder = folder
        self.say = say
        self.workers = workers
        self.clock = clock
        self.budget = config.budget
        self.exhausted = False
        self.ended = 0
        self._again: deque[int] = deque()
        self._running: dict[int, Running] = {}
        self._curves: dict[int, list[dict[str, Any]]] = {}
        self._versions: dict[int, dict[str, str]] = {}
        self._ended_early: set[int] = set()
        self._lives: dict[int, int] = {}
        self._known: dict[str, int] = {}
        self._standing = Standing()
        self._halving = stopping.Halving(config)
        self._weights = Weights(folder, config.study.keep)
        self._unseeded: list[tuple[int, int]] = []
        self._recommended: list[int] | None = None
        self._seconds = 0.0
        self._trials = 0
        self._began = clock.monotonic()
        # What the drivers before had run is what they wrote into their rows.
        self._before = max((row.clock or 0.0 for row in ledger.rows), default=0.0)
        for row in list(ledger.rows):
            self._adopt(row)
        there = begun(ledger.rows)
        self._starts = deque(start for start in starts if start.name not in there)
        self.baselines = self._without_searched(baselines)

    def _without_searched(self, baselines: Mapping[str, Costed]) -> dict[str, Costed]:
        """The baselines to train: the search begins with some, or had already found one that was added later."""
        kept = {}
        coming = {start.costed.key: start.name for start in self._starts}
        for name, costed in baselines.items():
            number = self._known.get(costed.key)
            if number is None and costed.key in coming:
                self.say(f"baseline {name} is the starting point {coming[costed.key]}; it is trained once, as that")
            elif number is not None and self.ledger.rows[number].searched:
                self.say(f"baseline {name} is the searched architecture {number}; it is not trained again")
            else:
                kept[name] = costed
        return kept

    # -- what to do next

    def next_job(self) -> Job | Nothing:
        """The next trial to run, as `metamixer.training.evaluate:evaluate` takes it."""
        if self._again:
            return self._job(self.ledger.rows[self._again.popleft()])
        row = self._next_baseline() or self._next_seed() or self._next_search() or self._next_replicate()
        if row is not None:
            return self._job(row)
        if self._running:
            return Nothing.WAIT
        self._tidy(final=True)
        return Nothing.DONE

    def _next_baseline(self) -> Trial | None:
        for name, costed in self.baselines.items():
            if name not in self._standing.baselines:
                return self._start(costed, kind="baseline", name=name)
        return None

    def _next_seed(self) -> Trial | None:
        """A searched architecture that has not all of its seeds yet."""
        while self._unseeded:
            number, replicate = heappop(self._unseeded)
            if replicate not in self._standing.replicates(number):
                return self._repeat(self.ledger.rows[number], replicate)
        return None

    @property
    def seconds(self) -> float:
        """Seconds that drivers of this study have run, this one included."""
        return self._before + self.clock.monotonic() - self._began

    @property
    def spent(self) -> float:
        """How much of the budget is gone."""
        epochs = self._standing.spent_epochs(self.config.training.epochs)
        return self.budget.spent(self._standing.kinds["searched"], epochs, self.seconds / 3600)

    @property
    def _spent_all(self) -> bool:
        return self.exhausted or not self.budget.allows(self.spent, self.config.training.epochs)

    def _next_search(self) -> Trial | None:
        if self._spent_all:
            return None
        while self._starts:
            start = self._starts.popleft()
            proposal = self.proposer.propose(len(self.ledger.rows), self._known, given=start.choices)
            row = self._proposed(proposal, name=start.name)
            if row is not None:
                return row
        for attempt in range(SAMPLER_REFUSALS + PRIOR_REFUSALS):
            number = len(self.ledger.rows)
            row = self._proposed(self.proposer.propose(number, self._known, prior=attempt >= SAMPLER_REFUSALS))
            if row is not None:
                return row
        self.exhausted = True
        self.say(
            f"the space seems used up: {PRIOR_REFUSALS} draws in a row were known, over a limit or ill-typed;"
            f" the search ends with {self._standing.kinds['searched']} architectures; the budget was {self.budget}"
        )
        return None

    def _proposed(self, proposal: Proposal, name: str | None = None) -> Trial | None:
        """The row of a proposal to be trained; one that is refused stands in the record, and None is returned."""
        if proposal.reason is None and proposal.costed is not None:
            return self._start(
                proposal.costed, kind="searched", choices=proposal.choices, parameters=proposal.parameters, name=name
            )
        refused = Trial(
            number=len(self.ledger.rows),
            state="pruned",
            kind="rejected",
            reason=proposal.reason,
            sentence=proposal.sentence,
            key=proposal.costed.key if proposal.costed else None,
            cost=proposal.costed.cost if proposal.costed else None,
            choices=proposal.choices,
            duplicate_of=proposal.duplicate_of,
            name=name,
            started=self.clock.time(),
            clock=self.seconds,
        )
        refused = self.ledger.add(refused, proposal.parameters)
        self._put(refused)
        self.proposer.add(refused, proposal.parameters)
        return None

    def _next_replicate(self) -> Trial | None:
        # Baselines are repeated in any case: they fill the workers while the last searched ones finish.
        for number in sorted(self._standing.baselines.values()):
            if self.ledger.rows[number].state == "complete":
                for replicate in range(1, self.config.study.confirm):
                    if replicate not in self._standing.replicates(number):
                        return self._repeat(self.ledger.rows[number], replicate)
        if any(row.kind == "searched" for row in self._standing.open.values()):
            return None
        confirm = self.config.study.confirm
        if self._recommended is None and confirm > 1:
            # By first seeds alone: what replicates say later must not change which ones are asked for.
            self._recommended = self.proposer.recommend(replicates=False) or []
        for number, replicate in front.unconfirmed(self.ledger.rows, confirm, self._recommended or ()):
            return self._repeat(self.ledger.rows[number], replicate)
        return None

    def _repeat(self, row: Trial, replicate: int) -> Trial:
        costed = Costed(row.sentence, row.key or "", row.cost or {})
        return self._start(
            costed, kind="replicate", replicate_of=row.number, seed_index=replicate, name=row.name, batch=row.batch
        )

    def _start(
        self,
        costed: Costed,
        kind: str,
        parameters: Parameters | None = None,
        replicate_of: int | None = None,
        seed_index: int = 0,
        **more: Any,
    ) -> Trial:
        number = len(self.ledger.rows)
        seed = derived(self.config.study.seed, "training", number if replicate_of is None else replicate_of, seed_index)
        row = self.ledger.add(
            replace(
                running(
                    costed.sentence,
                    costed.key,
                    costed.cost,
                    kind=kind,
                    replicate_of=replicate_of,
                    seed_index=seed_index,
                    **more,
                ),
                seed=seed,
                started=self.clock.time(),
                clock=self.seconds,
            ),
            parameters,
        )
        self._put(row)
        if parameters is not None:
            self.proposer.add(row, parameters)
        if replicate_of is None:
            self._known[row.key or ""] = row.number
        return row

    def _job(self, row: Trial) -> Job:
        self._running[row.number] = Running(row, self.clock.monotonic(), None, None)
        self._curves[row.number] = []
        keep = self.config.study.keep != "none"
        return {
            "number": row.number,
            "sentence": row.sentence,
            "task": {"name": self.config.study.task},
            "training": self._recipe(row),
            "seed": row.seed,
            "threads": self.config.search.threads,
            "device": self._device,
            "time_limit": self.config.search.time_limit,
            "memory_limit": self.config.search.memory_limit,
            "weights": str(self._weights.of(row.number).resolve()) if keep else None,
        }

    def _recipe(self, row: Trial) -> dict[str, Any]:
        recipe = self.config.training.model_dump(mode="json")
        return recipe if row.batch is None else {**recipe, "batch_size": row.batch}

    # -- what workers say

    def started(self, number: int, worker: str, versions: Mapping[str, str] | None = None) -> None:
        """A worker began a trial; `versions` are what the row says of one that returns none itself."""
        self._running[number] = replace(self._running[number], since=self.clock.monotonic(), worker=worker)
        self._versions[number] = dict(versions or {})

    def epoch(self, number: int, epoch: Mapping[str, Any]) -> bool:
        """A trial finished an epoch. Returns whether it is to go on."""
        self._running[number] = replace(self._running[number], epoch=epoch)
        self._curves[number].append(dict(epoch))
        if not self._halving.goes_on(self.ledger.rows[number], self.ledger.rows, self._curves):
            self._ended_early.add(number)
        return number not in self._ended_early

    def finished(self, number: int, result: Mapping[str, Any]) -> None:
        """A trial ended, well or not; the row becomes final.

        Raises:
            ResourceError: It found no room on its disk.
        """
        told = number in self._ended_early
        seen, versions = self._forget(number)
        row, weights = self.ledger.rows[number], self._weights.of(number)
        if result.get("reason") == "out of memory" and self._halve(row):
            return
        ran = replace(
            row,
            worker=seen.worker,
            device=self._device,
            versions=versions,
            seconds=self.clock.monotonic() - seen.since,
            weights=str(weights.relative_to(self.folder)) if weights.is_file() else None,
        )
        self._end(results.final(ran, result, self.config.training.epochs, told))

    def _halve(self, row: Trial) -> bool:
        """Try a trial that ran out of memory again at half the batch, if it may be; whether it is."""
        whole = self.config.training.batch_size
        batch = (row.batch or whole) // 2
        # Sizes that are odd are rounded down, so the number of halvings is counted from the recipe's.
        halved = 1
        while whole >> halved > batch:
            halved += 1
        if batch < 1 or halved > self.config.search.retry_out_of_memory:
            return False
        self.say(f"trial {row.number}: out of memory; it is tried again with batches of {batch}")
        self.ledger.rewrite(replace(row, batch=batch, clock=self.seconds))
        self._again.append(row.number)
        return True

    def stopped(self, number: int) -> None:
        """A trial was stopped early, as `epoch` asked for, by a dispatcher that ends it without a result."""
        self.finished(number, {"state": "stopped", "curve": self._curves[number]})

    def lost(self, number: int, reason: str, again: bool = True, blamed: bool = True) -> None:
        """A trial's worker is gone. It is tried once more, unless `again` is false or it was tried before.

        A trial that is not `blamed` is tried as often as it takes: its machine went away.
        """
        self._lives[number] = self._lives.get(number, 0) + blamed
        if again and self._lives[number] < ATTEMPTS:
            self._forget(number)
            self.say(f"trial {number}: {reason}; it is tried once more")
            self._again.append(number)
            return
        self.finished(number, {"state": "failed", "reason": reason, "curve": self._curves[number]})

    def _forget(self, number: int) -> tuple[Running, dict[str, str]]:
        """What was held of a trial while it ran: where, and versions."""
        self._ended_early.discard(number)
        del self._curves[number]
        return self._running.pop(number), self._versions.pop(number, {})

    @property
    def _device(self) -> str:
        return "cuda" if self.config.search.gpus else "cpu"

    def overdue(self, grace: float, startup: float) -> list[int]:
        """Running trials whose worker should have stopped them itself, so it hangs.

        Args:
            grace: Seconds over the time limit that a worker is given to notice.
            startup: Seconds that a worker may take before it says that it began.
        """
        limit = self.config.search.time_limit
        if limit is None:
            return []
        now = self.clock.monotonic()
        return [
            number
            for number, seen in self._running.items()
            if now - seen.since > (limit + grace if seen.worker else startup)
        ]

    def _end(self, row: Trial) -> None:
        row = replace(row, clock=self.seconds)
        self.ledger.finish(row)
        self._put(row)
        if row.kind == "searched":
            self.proposer.tell(row)
        else:
            self.proposer.beside(row)
        self._time(row)
        self.ended += 1
        self._tidy()

    def _time(self, row: Trial) -> None:
        """Trials that ended well tell how long the others will take."""
        if row.seconds is not None and (row.state == "complete" or row.stopped):
            self._seconds += row.seconds
            self._trials += 1

    def _put(self, row: Trial) -> None:
        """A row was added, or has ended."""
        self._standing.put(row)
        if row.kind == "searched" and row.state == "complete":
            for replicate in range(1, self.config.study.seeds):
                heappush(self._unseeded, (row.number, replicate))

    # -- what is left from a driver before

    def _adopt(self, row: Trial) -> None:
        """Take over a row of the record; running ones are told or run again, so that none stays running."""
        if (row.searched or row.kind == "baseline") and row.key:
            self._known[row.key] = row.number
        self._time(row)
        parameters = self.ledger.parameters(row.number)
        if not row.finished:
            row = self._take_up(row)
        self._put(row)
        # A row of an earlier study may lie outside of this space, and then has no parameters that samplers could read.
        known = row.kind == "searched" or (row.kind == "imported" and parameters.values)
        if known or (row.kind == "rejected" and row.state == "pruned"):
            self.proposer.add(row, parameters)
        else:
            self.proposer.beside(row)

    def _take_up(self, row: Trial) -> Trial:
        """Tell or run again what was running when the driver before ended."""
        found = results.found_running(row, self.ledger.clean)
        if found.finished:
            self.ledger.finish(found)
            return found
        if found != row:
            self.ledger.rewrite(found)
        self._again.append(row.number)
        return found

    # -- where it stands

    def progress(self) -> Progress:
        """Counts, the front and an estimate of the time left."""
        standing, study = self._standing, self.config.study
        searched, done = standing.kinds["searched"], standing.finished["searched"]
        budget = self._expected(searched)
        entered = set(standing.front)
        if study.seeds == 1:
            entered |= standing.replicated.keys() - standing.baselines.values()
        jobs = budget * study.seeds + len(self.baselines) * study.confirm
        jobs += len(entered) * max(0, study.confirm - study.seeds)
        jobs_done = done + standing.finished["baseline"] + standing.finished["replicate"]
        seconds = None
        if self._trials:
            seconds = self._seconds / self._trials * max(0, jobs - jobs_done) / self.workers
        points = standing.points
        floor, ceiling = self.ledger.settings["reference_point"]
        phase = "search"
        if self._spent_all and done == searched:
            phase = "confirm"
        elif not searched and self.baselines:
            phase = "baselines"
        return Progress(
            phase=phase,
            trained=done,
            budget=budget,
            jobs_done=jobs_done,
            jobs=max(jobs, jobs_done),
            failed=standing.failed,
            refused=standing.kinds["rejected"],
            running=tuple(self._running.values()),
            best=max((accuracy for accuracy, _ in points), default=None),
            front=len(points),
            hypervolume=hypervolume(points, (floor, ceiling), ACCURACY_FLOPS) / ((1 - floor) * ceiling),
            disk=_size(self.folder),
            seconds_left=seconds,
            stopped=standing.stopped,
            spent="" if self.budget.unit == "trainings" else f"{self.spent:.3g} of {self.budget}",
        )

    def _expected(self, searched: int) -> int:
        """How many architectures will have been trained when the budget is spent."""
        if self.exhausted:
            return searched
        if self.budget.unit == "trainings":
            return max(int(self.budget.amount), searched)
        left = max(0.0, self.budget.amount - self.spent)
        if self.budget.unit == "epochs":
            done = self._standing.finished["searched"]
            return searched + int(left / (self._standing.epochs / done if done else self.config.training.epochs))
        each = self._seconds / self._trials if self._trials else 0.0
        return searched + (int(left * 3600 * self.workers / each) if each else 0)

    def _tidy(self, final: bool = False) -> None:
        """Delete weights that are not kept. While the front is being confirmed nothing is deleted.

        What joins it only then was dominated when its first seed ended, and has the weights of its further seeds.
        """
        if final or not self._spent_all:
            self._weights.tidy(self.ledger.rows, self._standing, {number for number, _ in self._unseeded}, final)


def _size(folder: Path) -> int:
    """Bytes of a folder's files; workers write and rename some meanwhile."""
    total = 0
    for file in folder.rglob("*"):
        try:
            total += file.stat().st_size if file.is_file() else 0
        except FileNotFoundError:
            continue
    return total
