"""Closed-form counts of checked sentences, before anything is built."""

from __future__ import annotations

from metamixer.cost.count import Cost, Row, cost
from metamixer.cost.verify import Verified, verify

__all__ = ["Cost", "Row", "Verified", "cost", "verify"]
