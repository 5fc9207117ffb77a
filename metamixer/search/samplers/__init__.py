"""How a study proposes: Optuna's samplers and our own, by name.

Names are loaded on first use, so that `metamixer.search.samplers.core`, which needs numpy and scipy alone, can be read
without Optuna.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metamixer.search.samplers.known_cost import EvolutionSampler, KnownCostSampler
    from metamixer.search.samplers.named import Choice, Repairing, distribution, make
    from metamixer.search.samplers.sentences import OWN, Drawn, Parts, Sentences

__all__ = [
    "OWN",
    "Choice",
    "Drawn",
    "EvolutionSampler",
    "KnownCostSampler",
    "Parts",
    "Repairing",
    "Sentences",
    "distribution",
    "make",
]

_MODULES = {
    "known_cost": ("EvolutionSampler", "KnownCostSampler"),
    "named": ("Choice", "Repairing", "distribution", "make"),
    "sentences": ("OWN", "Drawn", "Parts", "Sentences"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"metamixer.search.samplers.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
