"""From what a run kept to a module on images: `metamixer.load`."""

from __future__ import annotations

from metamixer.loading.pretrained import is_address, load

__all__ = ["is_address", "load"]
