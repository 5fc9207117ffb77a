"""Cost by stage, as the page and the command line list it."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from metamixer.cost import Cost

# Why a module runs more products than are counted (`metamixer.cost(.., order="executed")`).
MASKED = "a small neighbourhood is faster as a product over all tokens with a mask"


class Stage(NamedTuple):
    """``times`` equal stages that follow each other; the counts are those of all of them together."""

    text: str
    times: int
    macs: int
    share: float
    params: int
    elementwise: int
    activations: int


def stages(counted: Cost) -> list[Stage]:
    """The stages of the outermost sequence, equal neighbours as one; ``share`` is that of all MACs."""
    found = []
    for first, same in groupby(counted.breakdown, key=lambda row: row._replace(path=())):
        n = len(list(same))
        share = n * first.macs / max(counted.macs, 1)
        found.append(
            Stage(first.text, n, n * first.macs, share, n * first.params, n * first.elementwise, n * first.activations)
        )
    return found
