"""Affine maps put together: with the scaling before or behind them, and added up (RepVGG arXiv 2101.03697)."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import TYPE_CHECKING, Any

from metamixer.language.checking.affine import Affine, Scaling, same
from metamixer.words.convolutions import centred

if TYPE_CHECKING:
    from torch import Tensor


def then_scaled(a: Affine, scaling: Scaling) -> Affine | None:
    """The map and the scaling behind it as one map with a bias."""
    if a.rows % scaling.rows or a.sets > 1:
        return None

    def tensors() -> tuple[Tensor, Tensor | None]:
        weight, bias = a.tensors()
        scale, shift = (v.repeat(a.rows // scaling.rows) for v in scaling.vectors())
        scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
        if bias is None and not scaling.shifts:
            return scaled, None
        bias = weight.new_zeros(a.rows, *([weight.shape[1]] if a.over_tokens else [])) if bias is None else bias
        moved = bias.reshape(a.rows, -1) * scale[:, None] + shift[:, None]
        return scaled, moved.reshape(bias.shape)

    return replace(a, tensors=tensors, bias=a.bias or scaling.shifts)


def of_scaled(a: Affine, scaling: Scaling) -> Affine | None:
    """The map and the scaling before it as one map with a bias, where no zeros are read in place of scaled values."""
    if not a.of_x or a.rows != a.channels[1] or a.sets > 1 or a.over_tokens:
        return None
    if scaling.shifts and any(map(any, a.pads)):
        return None

    def tensors() -> tuple[Tensor, Tensor | None]:
        weight, bias = a.tensors()
        scale, shift = (v.repeat(a.channels[0] // scaling.rows) for v in scaling.vectors())
        grouped = weight.reshape(a.groups, -1, *weight.shape[1:])
        tail = [1] * len(a.kernel)
        added = (grouped * shift.reshape(a.groups, 1, -1, *tail)).flatten(2).sum(-1).flatten()
        scaled = (grouped * scale.reshape(a.groups, 1, -1, *tail)).reshape(weight.shape)
        if not scaling.shifts:
            return scaled, bias
        return scaled, added if bias is None else bias + added

    return replace(a, tensors=tensors, bias=a.bias or scaling.shifts)


def unscaled(channels: int) -> Scaling:
    """The input itself as a scaling."""

    def vectors() -> tuple[Tensor, Tensor]:
        import torch

        return torch.ones(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)

    return Scaling(channels, vectors, False)


def composed(first: Scaling, second: Scaling) -> Scaling | None:
    """One scaling behind another as one."""
    if first.rows != second.rows:
        return None

    def vectors() -> tuple[Tensor, Tensor]:
        (scale, shift), (factor, moved) = first.vectors(), second.vectors()
        return scale * factor, shift * factor + moved

    return Scaling(first.rows, vectors, first.shifts or second.shifts)


def added(a: Scaling, b: Scaling, sign: int) -> Scaling | None:
    """The sum (or difference) of two scalings of x as one."""
    if a.rows != b.rows:
        return None

    def vectors() -> tuple[Tensor, Tensor]:
        (scale, shift), (other, moved) = a.vectors(), b.vectors()
        other, moved = other.to(scale.device), moved.to(scale.device)
        return scale + sign * other, shift + sign * moved

    return Scaling(a.rows, vectors, a.shifts or b.shifts)


def plus_scaled(a: Affine, scaling: Scaling, sign: int) -> Affine | None:
    """The sum of a map of x and a scaling of x (or their difference) as one map: RepVGG's identity branch."""
    keeps = all(s == 1 for s in a.stride) and a.pads == tuple(map(same, a.kernel))
    if a.sets > 1 or not a.of_x or not keeps or a.channels[0] != a.channels[1] or a.rows % scaling.rows:
        return None
    if a.over_tokens:  # one matrix over tokens for all channels knows no factor of each
        return None

    def tensors() -> tuple[Tensor, Tensor | None]:
        weight, bias = a.tensors()
        scale, shift = (v.to(weight).repeat(a.rows // scaling.rows) for v in scaling.vectors())
        around = _identity(a, weight) * scale.reshape(-1, *[1] * (weight.ndim - 1))
        if scaling.shifts:
            bias = sign * shift + (0 if bias is None else bias)
        return weight + sign * around, bias

    return replace(a, tensors=tensors, bias=a.bias or scaling.shifts)


def plus_x(a: Affine, sign: int) -> Affine | None:
    """The sum of a map of x and x itself (or their difference) as one map."""
    if not a.over_tokens:
        return plus_scaled(a, unscaled(1), sign)
    if a.sets > 1 or not a.of_x or a.channels[0] != a.channels[1]:
        return None

    def tensors() -> tuple[Tensor, Tensor | None]:
        weight, bias = a.tensors()
        return weight + sign * _identity(a, weight), bias

    return replace(a, tensors=tensors)


def as_kernel(a: Affine, like: Affine) -> Affine | None:
    """A projection as a convolution of one position, of the kind of ``like``."""
    if not a.pointwise or len(a.grid) != len(like.kernel) or not like.kernel:
        return None
    if (a.channels, a.groups, a.rows) != (like.channels, like.groups, like.rows):
        return None

    def tensors() -> tuple[Tensor, Tensor | None]:
        weight, bias = a.tensors()
        return weight.reshape(*weight.shape, *[1] * len(like.kernel)), bias

    ones = (1,) * len(like.kernel)
    return replace(
        a, kind=like.kind, spelled=like.spelled, names=like.names, tensors=tensors, kernel=ones, stride=ones,
        pads=tuple(map(same, ones)), pointwise=False,
    )  # fmt: skip


def plus(a: Affine, b: Affine, sign: int) -> Affine | None:
    """The sum (or difference) of two maps of x as one: of one kind, or a matrix over tokens and what can be one."""
    if a.sets > 1 or b.sets > 1 or not a.of_x or not b.of_x:
        return None
    if a.over_tokens and b.as_matrix is not None and a.rows == b.rows:
        return _plus_matrix(a, b, sign)
    if a.pointwise != b.pointwise:  # RepVGG's 1x1 branch
        first, second = (as_kernel(a, b), b) if a.pointwise else (a, as_kernel(b, a))
        return None if first is None or second is None else plus(first, second, sign)
    kernel, pads = tuple(map(max, a.kernel, b.kernel)), a.pads
    if (a.kind, a.channels, a.groups, a.rows, a.stride) != (b.kind, b.channels, b.groups, b.rows, b.stride):
        return None
    if (a.kernel, a.pads) != (b.kernel, b.pads):
        around = all(part.pads == tuple(map(same, part.kernel)) for part in (a, b))
        if not around or prod(kernel) > prod(a.kernel) + prod(b.kernel):
            return None  # one kernel around both would cost more than the two
        pads = tuple(map(same, kernel))

    def tensors() -> tuple[Tensor, Tensor | None]:
        weight, bias = a.tensors()
        other, shift = b.tensors()
        weight, other = (centred(w, p.kernel, kernel) if kernel else w for w, p in ((weight, a), (other, b)))
        if shift is not None:
            bias = sign * shift + (0 if bias is None else bias)
        return weight + sign * other, bias

    return replace(a, kernel=kernel, pads=pads, tensors=tensors, bias=a.bias or b.bias)


def _plus_matrix(a: Affine, b: Affine, sign: int) -> Affine:
    """RepMLPNet, arXiv 2112.11081: a convolution over all of the grid is a matrix over its tokens."""

    def tensors() -> tuple[Tensor, Tensor | None]:
        assert b.as_matrix is not None
        weight, bias = a.tensors()
        matrix, shift = b.as_matrix(b)
        if shift is not None:
            shift = sign * shift[:, None].expand(-1, matrix.shape[1])
            bias = shift if bias is None else bias.reshape(shift.shape) + shift
        return weight.reshape(matrix.shape) + sign * matrix, bias

    return replace(a, tensors=tensors, bias=a.bias or b.bias)


def _identity(a: Affine, weight: Tensor) -> Tensor:
    """The weight that keeps the input, in the shape of ``weight``."""
    import torch

    if a.over_tokens:
        return torch.eye(weight.shape[-1], dtype=weight.dtype, device=weight.device)
    eye = torch.zeros_like(weight)
    rows, columns = torch.arange(len(weight)), torch.arange(len(weight)) % weight.shape[1]
    middle: list[Any] = [(k - 1) // 2 for k in a.kernel]
    eye[(rows, columns, *middle)] = 1
    return eye
