"""The dense evaluator: small, slow, obviously right. Every fast module is compared with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from metamixer.reference.evaluate import Network


def reference(net: Network, x: Tensor, context: Tensor | Mapping[str, Tensor] | None = None) -> Tensor:
    """What ``net`` computes in evaluation mode, word by word from the defining formulas, in float64.

    Args:
        net: a network made by ``metamixer.build``; its own weights are used.
        x: input, (B, *grid, channels).
        context: further inputs, as the module takes them.
    """
    from metamixer.reference.evaluate import evaluate

    return evaluate(net, x, context)


__all__ = ["reference"]
