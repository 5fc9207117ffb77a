"""Published systems as sentences, with their published numbers. One data file a family."""

from __future__ import annotations

from metamixer.catalog.entries import Entry, find, for_images, get, names

__all__ = ["Entry", "find", "for_images", "get", "names"]
