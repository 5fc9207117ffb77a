"""What re-parameterisation knows of an occurrence: that it is an affine map of its source, or a scaling of channels.

Words say so (``Word.as_affine``, ``Word.as_scaling``, ``PlaceWord.around``), and ``metamixer.compile`` puts such maps
together. Free of torch: tensors are functions, called only where there is a network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from metamixer.language.syntax.nodes import Node, size

Tensors = Callable[[], Mapping[str, Any]]  # the weights of one occurrence, by name


@dataclass(frozen=True)
class Scaling:
    """A factor and a shift for each channel: ``vectors()`` of ``rows`` numbers each; channel i uses i mod rows.

    ``shifts`` tells whether the shift may be other than 0.
    """

    rows: int
    vectors: Callable[[], tuple[Any, Any]]
    shifts: bool = True


@dataclass(frozen=True)
class Affine:
    """A projection or convolution of one source.

    Attributes:
        kind: maps of one kind can be added up.
        spelled: ``(map, arguments) -> phrase``: how such a map is written, its source in the arguments unless that is
            x. None for the match of a read with a bank, which stays what it is and takes other weights only.
        names: of its weight and its bias.
        channels: width of the source and of the result.
        groups: channel groups; as many as channels where each is alone.
        rows: rows of the weight, axis 0; fewer than channels where some share theirs.
        grid: the source's.
        tensors: ``() -> (weight, bias or None)``.
        bias: whether there is one.
        kernel, stride, pads: a number, or a pair for ``pads``, for each axis; none for projections.
        sets: above 1 a projection with that many matrices, one for a token, which only views know what to do with.
        over_tokens: whether it is a matrix over all tokens, for each row one.
        as_matrix: ``(map) -> (weight, bias or None)``: the same over all tokens, (rows, to, from) and (rows,).
        pointwise: whether it maps every token by itself, so that it is a convolution of one position too.
        anew: whether it is shorter written anew than as it stands.
        of_x: whether its source is x itself.
    """

    kind: str
    spelled: Callable[[Affine, tuple[Node, ...]], Node] | None
    names: tuple[str, str]
    channels: tuple[int, int]
    groups: int
    rows: int
    grid: tuple[int, ...]
    tensors: Callable[[], tuple[Any, Any | None]]
    bias: bool
    kernel: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()
    sets: int = 1
    over_tokens: bool = False
    as_matrix: Callable[[Affine], tuple[Any, Any | None]] | None = None
    pointwise: bool = False
    anew: bool = False
    of_x: bool = False


def same(k: int) -> tuple[int, int]:
    """Padding in front and behind that keeps an axis: one less in front for even kernels."""
    return (k - 1) // 2, k // 2


def held(tensors: Tensors, weight: str = "weight") -> Callable[[], tuple[Any, Any | None]]:
    """A word's weight and bias in double precision."""

    def read() -> tuple[Any, Any | None]:
        found = tensors()
        return found[weight].double(), found["bias"].double() if "bias" in found else None

    return read


def sized(value: int | tuple[int, ...]) -> Node:
    """A size; one number where all axes have the same."""
    return size(value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value)
