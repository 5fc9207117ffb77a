"""Closed-form counts of checked sentences, before anything is built."""

from __future__ import annotations

from metamixer.cost.count import Cost, Row, cost
from metamixer.cost.verify import Verified, verify

__all__ = ["Cost", "Row", "Verified", "cost", "verify"]

# `metamixer.cost` is this function once metamixer is imported, and `metamixer.cost.verify(net)` is what people write.
cost.verify = verify  # type: ignore[attr-defined]
