"""Seeds that follow from what they are for, so that a search draws the same whenever it is run."""

from __future__ import annotations

import hashlib


def derived(*parts: object, bits: int = 31) -> int:
    """A seed below 2^bits, at most 32, that depends on all its parts and nothing else."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:4], "big") >> (32 - bits)
