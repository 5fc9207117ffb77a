"""The vocabulary, one module a family. Importing it registers every word."""

from metamixer.words import (
    activations,
    combinators,
    interactions,
    macros,
    network,
    places,
    sharing,
    sources,
    views,
)

__all__ = ["activations", "combinators", "interactions", "macros", "network", "places", "sharing", "sources", "views"]
