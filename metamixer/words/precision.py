"""Sums that half precision cannot hold: float16 ends at 65,504, which scores and sums over many slots exceed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def widened(compute: Callable[..., Any], *values: Any) -> Any:
    """``compute(*values)``, in float32 where the values are float16 or autocast would make them that.

    bfloat16 has the range of float32 and stays. The result is left in the type that was computed in.
    """
    import torch

    device = values[0].device.type
    known = torch.amp.is_autocast_available(device)  # nothing is cast where there are no numbers, on meta
    casts = known and torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.float16
    if not casts and all(value.dtype != torch.float16 for value in values):
        return compute(*values)
    wide = [value.float() if value.dtype in (torch.float16, torch.bfloat16) else value for value in values]
    if not casts:
        return compute(*wide)
    with torch.autocast(device, enabled=False):
        return compute(*wide)
