"""A network's feature maps at each resolution, as timm's ``features_only`` returns them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from metamixer.compile.model import Model
from metamixer.errors import UserError
from metamixer.language.checking.inference import Typed


class Level(NamedTuple):
    """One resolution of a network.

    Attributes:
        stage: index of the last stage of the network that makes a map of it.
        channels: width of that map.
        reduction: how many pixels of the image along each axis one of its tokens stands for.
    """

    stage: int
    channels: int
    reduction: int


class FeatureInfo:
    """What the maps are, as timm's class of this name tells: ``channels()``, ``reduction()``, ``module_name()``."""

    def __init__(self, levels: Sequence[Level], out_indices: Sequence[int]) -> None:
        self.out_indices = tuple(out_indices)
        self.info = [
            {"num_chs": level.channels, "reduction": level.reduction, "module": f"network.body.parts.{level.stage}"}
            for level in levels
        ]

    def channels(self, idx: int | None = None) -> Any:
        return self._of("num_chs", idx)

    def reduction(self, idx: int | None = None) -> Any:
        return self._of("reduction", idx)

    def module_name(self, idx: int | None = None) -> Any:
        return self._of("module", idx)

    def _of(self, key: str, idx: int | None) -> Any:
        return [self.info[i][key] for i in self.out_indices] if idx is None else self.info[idx][key]

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.info[index]

    def __len__(self) -> int:
        return len(self.info)


class Features(nn.Module):
    """A classifier without its read-out: images ``(B, in_chans, *grid)`` to a list of maps ``(B, C, *grid')``.

    There is one map for each resolution that the network's stages stand on, the last that it makes there. Tokens
    outside the grid (a class token) are left out of the maps.

    Args:
        model: the classifier; its network is shared, not copied.
        out_indices: which of the resolutions, from the finest (0) on; negative ones count from the coarsest; one
            number for as many of the coarsest; None for all.

    Raises:
        UserError: there is no such resolution.
    """

    def __init__(self, model: Model, out_indices: Sequence[int] | int | None = None) -> None:
        super().__init__()
        self.model = model
        model.reset_classifier(0)
        found = levels(model.network.typed, model.readout)
        wanted = range(-out_indices, 0) if isinstance(out_indices, int) else out_indices
        wanted = range(len(found)) if wanted is None else wanted
        known = isinstance(wanted, Sequence) and all(
            isinstance(i, int) and -len(found) <= i < len(found) for i in wanted
        )
        if not known or not len(wanted):
            raise UserError(
                f"out_indices={out_indices!r}: the network has {len(found)} resolutions",
                None,
                f"take some of {', '.join(map(str, range(len(found))))}",
            )
        self.feature_info = FeatureInfo(found, [i % len(found) for i in wanted])
        self.levels = [found[i] for i in wanted]
        self.default_cfg = self.pretrained_cfg = model.default_cfg

    def forward(self, x: Tensor) -> list[Tensor]:
        made = self.model.forward_stages(x, max(level.stage for level in self.levels) + 1)
        kids = self.model.network.typed.kids
        maps = []
        for level in self.levels:
            value, out = made[level.stage], kids[level.stage].out
            if out.extra:
                value = value[:, out.extra :].unflatten(1, out.grid)
            maps.append(value.movedim(-1, 1))
        return maps


def levels(t: Typed, readout: int) -> list[Level]:
    """The resolutions of a network's stages, the finest first; that of the image itself is left out."""
    found: dict[tuple[int, ...], Level] = {}
    for i, kid in enumerate(t.kids[:readout]):
        if kid.out.grid != t.x.grid and len(kid.out.grid) == len(t.x.grid):
            found[kid.out.grid] = Level(i, kid.out.channels, -(-t.x.grid[0] // kid.out.grid[0]))
    if not found and readout:  # it stands on the grid of the image
        found[t.x.grid] = Level(readout - 1, t.kids[readout - 1].out.channels, 1)
    if not found:
        raise UserError("the network has no stage before its read-out", None, "leave out features_only=True")
    return sorted(found.values(), key=lambda level: level.stage)
