"""Whether the machines of a cluster can run trials: asked once, before the first, so that each does not fail alone."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from metamixer.errors import ResourceError

SECONDS = 60.0


def check(ray: Any, modules: Sequence[str]) -> None:
    """See that every machine of the cluster that answers starts workers, and has the modules.

    Args:
        ray: Joined.
        modules: Names of modules: one of metamixer, and that of what trains.

    Raises:
        ResourceError: One lacks some, or starts no worker for this process; the message says which.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    # Trials run in actors: a cluster with other tokens than ours runs tasks, and no actors.
    actor = ray.remote(num_cpus=0, max_restarts=0, max_task_retries=0)(looking())
    actors, asked = [], {}  # an actor that nothing refers to is ended
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            actors.append(actor.options(scheduling_strategy=there).remote())
            asked[actors[-1].lacking.remote(list(modules))] = node
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=SECONDS)
    for answer in answered:
        node = asked[answer]
        machine = node.get("NodeManagerHostname") or node["NodeID"]
        try:
            lacking = ray.get(answer)
        except ray.exceptions.RayError as error:
            if node["NodeID"] in {other["NodeID"] for other in ray.nodes() if other["Alive"]}:
                raise unusable(machine, error) from error
            continue  # the machine went away meanwhile: trials of it are run again
        if lacking:
            raise ResourceError(
                f"the machine {machine} of the cluster lacks the Python module {', '.join(lacking)}",
                place=f"machine {machine}",
                advice="install it there in the Python that runs Ray, as here, and start Ray there anew",
            )


def unusable(machine: str, error: Exception) -> ResourceError:
    """A machine that is alive and starts no worker for this process."""
    return ResourceError(
        f"the machine {machine} of the cluster starts no worker for this search:"
        f" {textwrap.shorten(str(error), 300, placeholder=' ..')}",
        place=f"machine {machine}",
        advice="RAY_AUTH_MODE and the token must be the same here and there; what else it is, Ray's logs there say",
    )


def looking() -> type:
    """The class that looks on a machine; it is sent as it is, so nothing of this package may be named in it."""

    class Looking:
        def lacking(self, names: Sequence[str]) -> list[str]:
            import sys
            from importlib.util import find_spec
            from os import getcwd

            sys.path.append(getcwd())
            missing = []
            for name in names:
                try:
                    missing += [name] if find_spec(name) is None else []
                except ModuleNotFoundError as error:  # a package around it, or what that package imports
                    missing.append(error.name or name)
                except Exception:  # of a package around it; its trials say which
                    continue
            return missing

    return Looking
