"""How a study proposes: Optuna's samplers, our own, and those of others, by name.

`registry` lists them, `protocol` says what one is, `core` holds our models and optimizers. `KnownCostSampler` and
`EvolutionSampler` are ours for any study of plain Optuna. Names are loaded on first use: `core` and `registry` are read
without Optuna.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metamixer.search.samplers.known_cost import EvolutionSampler, KnownCostSampler
    from metamixer.search.samplers.protocol import Parts, Sample, Sampler, SampleSpace, Setup, Suggestion

__all__ = [
    "EvolutionSampler",
    "KnownCostSampler",
    "Parts",
    "Sample",
    "SampleSpace",
    "Sampler",
    "Setup",
    "Suggestion",
]

_MODULES = {
    "known_cost": ("EvolutionSampler", "KnownCostSampler"),
    "protocol": ("Parts", "Sample", "SampleSpace", "Sampler", "Setup", "Suggestion"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
