"""Samplers by name: the one list that configuration, command line, documentation and plug-ins go by.

A package adds samplers by entry points of the group `metamixer.samplers`; a study names one of its own modules as
`package.module:Class`. Both are called with a `metamixer.search.samplers.protocol.Setup`, or are classes (or objects)
of Optuna's samplers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from metamixer.search.plugins import Plugins

if TYPE_CHECKING:
    from metamixer.search.samplers.protocol import Sampler, Setup

DEFAULT = "known-cost"


@dataclass(frozen=True)
class Supports:
    """What a sampler that ships supports, see `docs/samplers.md`.

    Attributes:
        by: what it proposes by.
        conditional: which choices it samples jointly, of those that depend on others.
        known_cost: the cost is taken as known.
        sentence: rules and graph of the sentence are seen.
        running: trials that run count.
        replicates: further seeds and baselines teach.
        no_repeats: what is known, or over a limit, is not proposed.
    """

    by: str
    conditional: str
    known_cost: bool = False
    sentence: bool = False
    running: bool = False
    replicates: bool = False
    no_repeats: bool = False


@dataclass(frozen=True)
class Shipped:
    """A sampler that ships: what it supports, and what makes one of a `Setup`."""

    supports: Supports
    factory: str


SHIPPED = {
    "known-cost": Shipped(
        Supports(
            "expected gain of hypervolume",
            "all",
            known_cost=True,
            sentence=True,
            running=True,
            replicates=True,
            no_repeats=True,
        ),
        "metamixer.search.samplers.sentences:known_cost",
    ),
    "evolution": Shipped(
        Supports("mutation and crossover of subtrees, from an archive", "all", replicates=True, no_repeats=True),
        "metamixer.search.samplers.sentences:evolution",
    ),
    "gp": Shipped(
        Supports("Gaussian process", "those that all trials share", running=True),
        "metamixer.search.samplers.optuna_samplers:gp",
    ),
    "nsga2": Shipped(
        Supports("crossover of generations", "those that all trials share"),
        "metamixer.search.samplers.optuna_samplers:nsga2",
    ),
    "random": Shipped(Supports("the prior alone", "all"), "metamixer.search.samplers.prior:PriorSampler"),
    "tpe": Shipped(
        Supports("densities of good and bad trials", "all, in groups", running=True),
        "metamixer.search.samplers.optuna_samplers:tpe",
    ),
}
PLUGINS = Plugins(
    "sampler", "search.sampler", "metamixer.samplers", {name: shipped.factory for name, shipped in SHIPPED.items()}
)


def make(name: str, setup: Setup) -> Sampler:
    """The sampler of a name.

    Raises:
        StudyError: There is none of that name, it cannot be imported, or it is no sampler.
    """
    from metamixer.search.samplers.foreign import adopt

    loaded = PLUGINS.load(name)
    if name in SHIPPED:
        shipped: Sampler = loaded(setup)
        return shipped
    return adopt(name, loaded, setup)
