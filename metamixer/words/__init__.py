"""The vocabulary, one module a family. Importing it registers every word."""

from metamixer.words import (
    activations,
    combinators,
    interactions,
    macros,
    norms,
    places,
    resampling,
    sharing,
    sources,
    tokens,
    views,
)

__all__ = [
    "activations",
    "combinators",
    "interactions",
    "macros",
    "norms",
    "places",
    "resampling",
    "sharing",
    "sources",
    "tokens",
    "views",
]
