"""Counted costs beside what torch's own counter finds in a built network.

``FlopCounterMode`` is right on ``meta`` only: it has no rule for the CPU's kernel of scaled dot-product attention, and
leaves its products out there. So a copy without numbers is counted, in the form whose products are those of
``metamixer.cost``.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, NamedTuple

from metamixer.cost.count import counts
from metamixer.errors import UserError

if TYPE_CHECKING:
    from torch import nn

    from metamixer.language.checking.inference import Typed


class Verified(NamedTuple):
    """Numbers of one input.

    Attributes:
        macs: by ``metamixer.cost``.
        counted: multiply-accumulates that torch's counter finds on ``meta``.
        params: trained parameters by ``metamixer.cost``.
        owned: trained parameters of the module, those of a classifier included.
    """

    macs: int
    counted: int
    params: int
    owned: int

    @property
    def equal(self) -> bool:
        """Whether both agree, exactly."""
        return (self.macs, self.params) == (self.counted, self.owned)


def verify(net: nn.Module) -> Verified:
    """Counts a network by formula and by torch's ``FlopCounterMode``, on ``meta`` and in no time.

    Args:
        net: what ``metamixer.build``, ``fuse`` or ``create_model`` made; it is left alone, and may lie on any device.

    Raises:
        UserError: another kind of module.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network, head = getattr(net, "network", net), getattr(net, "classifier", None)
    t: Typed | None = getattr(network, "typed", None)
    if t is None:
        raise UserError(
            f"verify takes a network of metamixer, not a {type(net).__name__}",
            None,
            "build one: metamixer.build(..) or metamixer.create_model(..)",
        )
    form: Any
    macs, params, *_ = counts(t)
    if head is not None:
        linear = [part for part in head.modules() if isinstance(part, torch.nn.Linear)]
        macs += sum(part.in_features * part.out_features for part in linear)
        params += sum(part.weight.numel() + (0 if part.bias is None else part.bias.numel()) for part in linear)
    with torch.device("meta"):
        form = type(network)(t, True).eval()
        x = torch.empty(1, *form.takes)
        further: Mapping[str, torch.Tensor] = {
            name: torch.empty(1, *field.grid, field.channels) for name, field in t.further.items()
        }
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        y = form(x, further) if further else form(x)
        if head is not None:
            deepcopy(head).to("meta")(y.flatten(1))
    owned = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    return Verified(macs, counter.get_total_flops() // 2, params, owned)
