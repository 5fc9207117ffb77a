"""Whether the machines of a cluster can run trials: asked once, before the first, so that each does not fail alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from metamixer.errors import ResourceError

SECONDS = 60.0


def check(ray: Any, modules: Sequence[str]) -> None:
    """See that every machine of the cluster that answers has the modules.

    Args:
        ray: Joined.
        modules: Names of top-level modules: metamixer, and that of what trains.

    Raises:
        ResourceError: One lacks some; the message says which.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def look(names: Sequence[str]) -> list[str]:
        # Sent as it is, so nothing of this module may be named here.
        import sys
        from importlib.util import find_spec
        from os import getcwd

        sys.path.append(getcwd())
        return [name for name in names if find_spec(name) is None]

    asked = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
            task = ray.remote(num_cpus=0, max_retries=0)(look).options(scheduling_strategy=there)
            asked[task.remote(list(modules))] = node.get("NodeManagerHostname") or node["NodeID"]
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=SECONDS)
    for answer in answered:
        try:
            lacking = ray.get(answer)
        except ray.exceptions.RayError:
            continue  # the machine went away meanwhile: trials of it are run again
        if lacking:
            raise ResourceError(
                f"the machine {asked[answer]} of the cluster lacks the Python module {', '.join(lacking)}",
                place=f"machine {asked[answer]}",
                advice="install it there in the Python that runs Ray, as here, and start Ray there anew",
            )
