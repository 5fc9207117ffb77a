"""The exponential moving average of a network's weights (Polyak and Juditsky 1992; Tarvainen and Valpola 2017)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Averages of all parameters and buffers of a network that are floating point; what else it holds is the last.

    After update n (from 1) with decay d, an average a becomes d' a + (1 - d') w with d' = min(d, (1 + n) / (10 + n)),
    so that a short training is not held by its first weights.

    Unlike `torch.optim.swa_utils.AveragedModel` it needs no second network: the averages are swapped in for validation.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._weights = [w for w in (*net.parameters(), *net.buffers()) if w.is_floating_point()]
        self._averages = [w.detach().clone() for w in self._weights]

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights that the network has now into the average."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self._averages, [w.detach() for w in self._weights], 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The network has the averaged weights inside, and its own again afterwards."""
        own = [w.detach().clone() for w in self._weights]
        self._copy(self._averages)
        try:
            yield
        finally:
            self._copy(own)

    def copy_to_network(self) -> None:
        """Leave the averaged weights in the network."""
        self._copy(self._averages)

    @torch.no_grad()
    def _copy(self, values: list[Tensor]) -> None:
        torch._foreach_copy_(self._weights, values)

    def state_dict(self) -> dict[str, object]:
        return {"updates": self.updates, "averages": self._averages}

    def load_state_dict(self, state: dict[str, object]) -> None:
        averages = state["averages"]
        assert isinstance(averages, list)
        self.updates = int(str(state["updates"]))
        torch._foreach_copy_(self._averages, averages)
