"""Front members and baselines trained in full, and measured on the test part: what comes after a search."""

from __future__ import annotations

from metamixer.retraining.run import retrain

__all__ = ["retrain"]
