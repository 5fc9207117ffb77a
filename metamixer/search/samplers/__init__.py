"""How a study proposes: Optuna's samplers and our own, by name."""

from __future__ import annotations

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
