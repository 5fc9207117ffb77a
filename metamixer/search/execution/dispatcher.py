"""Where a study's trials run: on Ray, of this machine or of a cluster, or in this process."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from metamixer.errors import ResourceError, StudyError
from metamixer.search.configuration import SearchSection
from metamixer.search.execution import devices
from metamixer.search.execution.interrupt import Interrupt

if TYPE_CHECKING:
    from metamixer.search.driver.jobs import Jobs

Dispatcher = Literal["ray", "inline"]


@dataclass(frozen=True)
class Placement:
    """Where trials run.

    Attributes:
        dispatcher: `ray`, or `inline` for this process.
        workers: Trials at a time; None for as many as a cluster holds.
        threads: CPU threads of one trial.
        gpus: GPUs of one trial: a fraction up to 1, or a whole number.
        address: A running cluster, `host:port`; None for this machine.
    """

    dispatcher: Dispatcher
    workers: int | None
    threads: int
    gpus: float
    address: str | None


def unavailable() -> str | None:
    """Why trials cannot run on Ray here, or None."""
    if platform.system() == "Windows":
        return "Ray is not supported on Windows"
    return None if find_spec("ray") else "Ray is not installed"


def place(asked: Dispatcher | None, search: SearchSection, say: Callable[[str], None]) -> Placement:
    """Where the trials of a study run.

    Args:
        asked: What was asked for; None for Ray where it is there.
        search: The study's section.
        say: Is told when there is no Ray.

    Raises:
        StudyError: Ray, GPUs or a cluster are asked for that cannot be had so.
    """
    why = unavailable() if asked != "inline" else None
    if why is not None and asked == "ray":
        raise StudyError(
            f"{why}: trials cannot run on it",
            place="--dispatcher ray",
            advice="take --dispatcher inline, or install ray[tune]",
        )
    if why is not None:
        say(f"{why}: trials run one after another in this process")
    dispatcher: Dispatcher = "inline" if asked == "inline" or why is not None else "ray"
    if search.address is not None and dispatcher == "inline":
        raise StudyError("trials in this process need no cluster", "--address", "leave out one of the two")
    workers = search.workers
    if search.address is None:
        workers = devices.workers(search.workers, search.threads, search.gpus)
    if dispatcher == "inline":
        workers = 1
    return Placement(dispatcher, workers, search.threads, search.gpus, search.address)


def dispatch(
    placement: Placement, driver: Jobs, evaluate: str, interrupt: Interrupt, refresh: Callable[[], None]
) -> None:
    """Run the driver's jobs until there are none.

    Args:
        placement: Where.
        driver: Says what to run.
        evaluate: `package.module:function`.
        interrupt: Ctrl-C.
        refresh: Called whenever the progress has changed, or several times a second.

    Raises:
        Interrupted: Ctrl-C; trials that were running stay in the record to be run again.
        ResourceError: Ray cannot be started or joined, or has fewer resources than asked for.
    """
    if placement.dispatcher == "inline":
        from metamixer.search.execution import inline

        inline.dispatch(driver, evaluate, interrupt, refresh)
        return
    from metamixer.search.execution import ray_session

    threads, gpus, address = placement.threads, placement.gpus, placement.address
    local = None
    if address is None:
        local = ray_session.Local((placement.workers or 1) * threads, devices.gpu_count() if gpus else 0)
    with ray_session.joined(local, address, interrupt) as (ray, folder):
        from metamixer.search.execution import ray_tune  # Ray's environment is set from here on

        workers = capacity(ray.nodes(), placement, driver.say)
        driver.holds(workers)
        if address is not None:
            from metamixer.search.execution import ray_probe

            # A module within: an empty folder of the package's name would pass for the package.
            ray_probe.check(ray, sorted({"metamixer.errors", evaluate.partition(":")[0]}))
        ray_tune.dispatch(driver, evaluate, interrupt, refresh, folder, workers, gpus, remote=address is not None)


def capacity(nodes: Iterable[Mapping[str, Any]], placement: Placement, say: Callable[[str], None]) -> int:
    """Trials at a time on Ray's nodes. A cluster may grow, so more may be asked of it than it holds now.

    Args:
        nodes: As `ray.nodes()` tells them.
        placement: What is asked for.
        say: Is told when some will have to wait.

    Raises:
        ResourceError: No trial fits.
    """
    threads, gpus, workers = placement.threads, placement.gpus, placement.workers
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    # Node by node: a trial runs on one.
    fit = sum(
        min(int(node.get("CPU", 0) / threads), int(node.get("GPU", 0) / gpus) if gpus else sys.maxsize)
        for node in alive
    )
    cpus, graphics = (sum(node.get(name, 0) for node in alive) for name in ("CPU", "GPU"))
    if workers is None and fit == 0:
        raise ResourceError(
            f"no trial of {threads} CPUs and {gpus:g} GPUs fits on the cluster now",
            place=f"{len(alive)} nodes, {cpus:g} CPUs, {graphics:g} GPUs",
            advice="start nodes, or say with --workers how many trials it will hold",
        )
    workers = workers or fit
    if workers > fit:
        if placement.address is None and gpus:
            raise ResourceError(f"{workers} workers of {gpus:g} GPUs do not fit; Ray sees {graphics:g} GPUs")
        if placement.address is not None:
            say(f"the cluster holds {fit} of {workers} trials now; the others wait for nodes")
    return workers
