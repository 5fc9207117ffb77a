"""Closed-form counts of checked sentences, before anything is built."""

from __future__ import annotations

from metamixer.cost.count import Cost, Row, cost

__all__ = ["Cost", "Row", "cost"]
