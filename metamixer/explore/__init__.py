"""What can be told of an architecture without training it: derived attributes, and how two of them differ."""

from __future__ import annotations

from metamixer.explore.attributes import Attributes, attributes
from metamixer.explore.diff import Difference, diff

__all__ = ["Attributes", "Difference", "attributes", "diff"]
