"""Whether tensors have the shapes that a network was built for.

A reshape takes (32, 16) tokens for (16, 32) without complaint, and the numbers that come out are wrong in silence: so
shapes are compared before anything is computed. Only sizes that are known are compared, so that exported programs keep
a batch of any size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from metamixer.errors import InputError
from metamixer.language.checking.types import Field


def check_tensor(x: Any, wanted: tuple[int, ...], what: str, advice: str = "") -> None:
    """Refuses a tensor that is not (B, *wanted) with B at least 1.

    Args:
        x: the tensor.
        wanted: its shape behind the batch.
        what: what the tensor is called in the message.
        advice: what else to say; a channels-first tensor is recognised.

    Raises:
        InputError: another shape, an empty batch, or no tensor.
    """
    if not isinstance(x, Tensor):
        raise InputError(f"{what} is a {type(x).__name__}, not a tensor", None, f"pass {_shape(wanted)}")
    if torch.jit.is_tracing():  # type: ignore[attr-defined]  # comparing sizes would warn there
        return
    if tuple(x.shape[1:]) != wanted or x.ndim != len(wanted) + 1:
        raise InputError(
            f"{what} has the shape {tuple(x.shape)}, the network was built for {_shape(wanted)}",
            None,
            _turned(tuple(x.shape), wanted) or advice or "build a network for that grid, or resize the input",
        )
    if not torch.compiler.is_compiling() and x.shape[0] == 0:
        raise InputError(f"{what} is empty: {tuple(x.shape)}", None, "a batch has at least one row")


def check_further(x: Tensor, given: Mapping[str, Tensor], wanted: Mapping[str, Field], used: frozenset[str]) -> None:
    """Refuses further inputs of a network that are missing, unknown, or of another shape.

    Raises:
        InputError: see above.
    """
    for name in given:
        if name not in wanted:
            known = ", ".join(wanted) or "none"
            raise InputError(f"the network has no input {name}", None, f"it was built with context: {known}")
    for name, field in wanted.items():
        if name not in given:
            if name in used:
                raise InputError(
                    f"the input {name} is missing", None, f"net(x, {{'{name}': {_shape(shape_of(field))}}})"
                )
            continue
        check_tensor(given[name], shape_of(field), f"the input {name}")
        if not torch.compiler.is_compiling() and given[name].shape[0] != x.shape[0]:
            raise InputError(
                f"the input {name} has a batch of {given[name].shape[0]}, x one of {x.shape[0]}",
                None,
                "give each row of x its own",
            )


def shape_of(field: Field) -> tuple[int, ...]:
    """The shape of a field's tensor behind the batch."""
    return (field.tokens, field.channels) if field.extra else (*field.grid, field.channels)


def _shape(wanted: tuple[int, ...]) -> str:
    return f"(B, {', '.join(map(str, wanted))})"


def _turned(shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What to write where channels stand on the wrong side, or the batch is missing."""
    if shape == wanted:
        return "the batch comes first: x.unsqueeze(0)"
    if len(shape) == len(wanted) + 1 and len(wanted) > 1:
        if (*shape[2:], shape[1]) == wanted:
            return "this network takes channels last: x.movedim(1, -1)"
        if (shape[-1], *shape[1:-1]) == wanted:
            return "this network takes channels first: x.movedim(-1, 1)"
    return ""
