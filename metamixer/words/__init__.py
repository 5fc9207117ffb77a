"""The vocabulary, one module a family. Importing it registers every word."""

from metamixer.words import (
    activations,
    aggregation,
    banks,
    combinators,
    convolutions,
    gates,
    macros,
    norms,
    places,
    reads,
    resampling,
    sharing,
    sizes,
    sources,
    tokens,
    views,
)

__all__ = [
    "activations",
    "aggregation",
    "banks",
    "combinators",
    "convolutions",
    "gates",
    "macros",
    "norms",
    "places",
    "reads",
    "resampling",
    "sharing",
    "sizes",
    "sources",
    "tokens",
    "views",
]
