"""The vocabulary, one module a family. Importing it registers every word."""

from metamixer.words import (
    activations,
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
