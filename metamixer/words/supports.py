"""Supports together: what a read under several of them looks at, and which of its slots are absent.

Supports that stand behind one another intersect. A stack of them is a tuple of places, the outermost first; an index
table has one row of slots for each head and token, in which an absent slot is -1.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

from metamixer.language.checking.types import Mismatch, Place
from metamixer.language.checking.vocabulary import Span, Spans, place_word
from metamixer.language.syntax.nodes import Node

Stack = tuple[Place, ...]
Ground = tuple[tuple[int, ...], int]  # a grid and the extra tokens in front of it
BY_HEAD = "a support that differs by head cannot meet one that depends on the data"
BY_HEAD_ADVICE = "leave one of them out; stride differs by head"
CHOSEN = "@slots"  # under this name a support that depends on the data hands its slots to the stages of its read
NEVER = 10**9  # a shift larger than any axis: no shift moves the slots alike


def tokens_of(ground: Ground) -> int:
    """Tokens on the grid and in front of it."""
    return prod(ground[0]) + ground[1]


def stacked(stack: Stack | None, place: Place) -> Stack:
    """A stack with one more support inside.

    Raises:
        Mismatch: they cannot be combined.
    """
    if not stack:
        return (place,)
    word = place_word(place)
    if any(place_word(outer).chooses(outer) for outer in stack):
        raise Mismatch(
            f"{place.word} stands inside of a support that depends on the data",
            "write the support that depends on the data first: att(..)@top(..)@causal",
        )
    if any(place_word(one).trains for one in (*stack, place)):
        raise Mismatch("rand stands alone", "leave out the other support, or rand")
    for one in (*stack, place):
        if not place_word(one).distinct(one):
            raise Mismatch("slots of zeros outside the grid cannot meet another support", "write N(..,mask)")
    if place in stack:
        return stack
    if word.chooses(place) and by_head(stack):
        raise Mismatch(BY_HEAD, BY_HEAD_ADVICE)
    return (*stack, place) if word.chooses(place) else (*sorted((*stack, place), key=repr),)


def chosen(stack: Stack | None) -> bool:
    """Whether the slots depend on the data: kernels then receive them when they run."""
    return any(place_word(place).chooses(place) for place in stack or ())


def by_head(stack: Stack) -> bool:
    """Whether the slots differ by head."""
    return any(place_word(place).by_head(place) for place in stack)


def made_for(stack: Stack | None, heads: int) -> None:
    """Raises Mismatch if a support tells heads apart that a read of so many does not have."""
    for place in stack or ():
        wanted = place_word(place).made_for(place)
        if wanted not in (1, heads):
            raise Mismatch(f"the support {place.word} is made for {wanted} heads, the read has {heads}")


def drawn(stack: Stack | None) -> bool:
    """Whether some of the slots are left out while training."""
    return any(place_word(place).trains for place in stack or ())


def lasting(stack: Stack | None) -> Stack | None:
    """The supports that say which slots there are, in evaluation too."""
    words = ((place, place_word(place)) for place in stack or ())
    return tuple(place for place, word in words if not word.trains and word.stage(place) is None) or None


def stages(stack: Stack | None) -> list[Node]:
    """The stages behind the match that supports stand for, the innermost first."""
    found = (place_word(place).stage(place) for place in reversed(stack or ()))
    return [stage for stage in found if stage is not None]


def whole(stack: Stack, memory: Ground) -> bool:
    """Whether all of the memory are slots, some of them absent; else slots are taken out one by one."""
    return all(place_word(place).whole(place, memory) for place in _deciding(stack))


def _deciding(stack: Stack) -> Stack:
    """The supports that slots are taken by: one that depends on the data leaves out what the others do itself."""
    return stack[-1:] if place_word(stack[-1]).chooses(stack[-1]) else stack


def number(stack: Stack, memory: Ground) -> int:
    """How many slots a token has."""
    taken = [place for place in _deciding(stack) if not place_word(place).whole(place, memory)]
    return min((place_word(place).width(place, memory) for place in taken), default=tokens_of(memory))


def absents(stack: Stack) -> bool:
    """Whether some slots take no part in a normaliser."""
    return len(stack) > 1 or place_word(stack[0]).absents(stack[0])


def distinct(stack: Stack) -> bool:
    """Whether the slots of a token are different tokens of the memory, and nothing else."""
    return all(place_word(place).distinct(place) for place in stack)


@lru_cache(maxsize=256)
def table(stack: Stack, asks: Ground, memory: Ground, heads: int) -> Any:
    """Array (1 or heads, 1 or tokens, slots) of indices into the memory, -1 where a slot is absent."""
    import numpy as np

    found = [place_word(place).table(place, asks, memory, heads) for place in stack]
    if len(found) == 1:
        return found[0]
    size = number(stack, memory)
    base = next(i for i, one in enumerate(found) if one.shape[-1] == size)
    rows = found[base]
    for i, other in enumerate(found):
        if i != base:
            rows = kept(rows, present(other, tokens_of(memory)))
    return np.ascontiguousarray(rows)


def present(rows: Any, tokens: int) -> Any:
    """Array (1 or heads, 1 or tokens, memory): which tokens of the memory an index table names."""
    import numpy as np

    mask = np.zeros((*rows.shape[:2], tokens + 1), dtype=bool)
    np.put_along_axis(mask, np.where(rows < 0, tokens, rows), True, -1)
    return mask[..., :-1]


def kept(rows: Any, mask: Any) -> Any:
    """An index table without the slots that a mask leaves out."""
    import numpy as np

    shape = np.broadcast_shapes(rows.shape[:2], mask.shape[:2])
    rows = np.broadcast_to(rows, (*shape, rows.shape[-1]))
    mask = np.broadcast_to(mask, (*shape, mask.shape[-1]))
    return np.where(np.take_along_axis(mask, np.maximum(rows, 0), -1), rows, -1)


def merged(tables: list[Any], asks: int) -> Any:
    """One index table for several; a slot that an earlier one names already is absent."""
    import numpy as np

    heads = max(len(one) for one in tables)
    tables = [np.broadcast_to(one, (heads, max(asks, one.shape[1]), one.shape[2])) for one in tables]
    rows = np.concatenate(tables, -1)
    order = np.argsort(rows, -1, kind="stable")
    ranked = np.take_along_axis(rows, order, -1)
    again = np.zeros_like(ranked, dtype=bool)
    again[..., 1:] = ranked[..., 1:] == ranked[..., :-1]
    twice = np.zeros_like(again)
    np.put_along_axis(twice, order, again, -1)
    return np.where(twice, -1, rows)


def own(stack: Stack) -> bool:
    """Whether every token is a slot of itself."""
    return all(place_word(place).own(place) for place in stack)


def full(stack: Stack) -> bool:
    """Whether it is sure that every token has a slot."""
    return own(stack) or (len(stack) == 1 and place_word(stack[0]).full(stack[0]))


def grouped(stack: Stack, memory: Ground) -> bool:
    """Whether the tokens fall into groups of one size, of several tokens, that share their slots."""
    return len(stack) == 1 and place_word(stack[0]).grouped(stack[0], memory)


def offsets(stack: Stack, grid: tuple[int, ...]) -> Spans:
    """How far the slots of a token lie from it along each axis; None where that is not bounded."""
    found = [place_word(place).offsets(place, grid) or () for place in stack]
    spans: list[Span | None] = []
    for axis in zip(*found, strict=True):
        near = [span for span in axis if span is not None]
        spans.append(Span(1, max(s.low for s in near), min(s.high for s in near)) if near else None)
    return tuple(spans)


def distances(stack: Stack | None, grid: tuple[int, ...]) -> list[Any]:
    """For each axis, array (tokens, slots) of how far slots lie from tokens; without a stack all tokens are slots."""
    import numpy as np

    if stack and len(stack) == 1:
        return list(place_word(stack[0]).distances(stack[0], grid))
    here = np.indices(grid).reshape(len(grid), -1)
    rows = table(stack, (grid, 0), (grid, 0), 1)[0] if stack else np.arange(prod(grid))[None]
    return [np.where(rows >= 0, axis[np.maximum(rows, 0)] - axis[:, None], 0) for axis in here]


def steps(stack: Stack, grid: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Of each support the shifts along each axis that shift its slots alike; () for any."""
    return [place_word(place).steps(place, grid) for place in stack]


def cells(fine: Ground, coarse: Ground, what: str) -> Any:
    """For each token of ``fine`` the token of ``coarse`` that stands for it, an array (tokens,).

    Raises:
        Mismatch: the coarse tokens do not stand for equal parts of the fine ones.
    """
    import numpy as np

    grid, small = fine[0], coarse[0]
    if fine == coarse:
        return np.arange(tokens_of(fine))
    if not fine[1] and not coarse[1]:
        if len(grid) == len(small) and all(a % b == 0 for a, b in zip(grid, small, strict=True)):
            axes = np.indices(grid).reshape(len(grid), -1)
            sizes = np.asarray([a // b for a, b in zip(grid, small, strict=True)])
            return np.ravel_multi_index(tuple(axes // sizes[:, None]), small)
        if len(small) == 1 and prod(grid) % small[0] == 0:
            return np.arange(prod(grid)) // (prod(grid) // small[0])
    raise Mismatch(
        f"{what}: {_shown(coarse)} tokens do not stand for equal parts of {_shown(fine)}",
        "its grid must divide that of the tokens along each axis",
    )


def _shown(ground: Ground) -> str:
    return ("x".join(map(str, ground[0])) or "no") + (f" + {ground[1]}" if ground[1] else "")


def united(tables: list[Any], whole: bool, ground: Ground) -> Any:
    """As ``merged``, of tensors (batch or 1, 1 or heads, tokens, slots) or of which tokens are present (bool).

    With ``whole`` the result is which tokens of the memory are present.
    """
    import torch

    memory = tokens_of(ground)
    if whole:
        masks = [one if one.dtype == torch.bool else named(one, memory) for one in tables]
        mask = masks[0]
        for other in masks[1:]:
            mask = mask | other
        return mask
    shape = torch.broadcast_shapes(*(one.shape[:-1] for one in tables))
    rows = torch.cat([one.expand(*shape, -1) for one in tables], -1)
    ranked, order = rows.sort(dim=-1, stable=True)
    again = torch.zeros_like(ranked, dtype=torch.bool)
    again[..., 1:] = ranked[..., 1:] == ranked[..., :-1]
    return rows.masked_fill(torch.zeros_like(again).scatter(-1, order, again), -1)


def named(rows: Any, memory: int) -> Any:
    """Which tokens of the memory an index tensor names, (batch, heads, tokens, memory)."""
    import torch

    mask = torch.zeros(*rows.shape[:-1], memory + 1, dtype=torch.bool, device=rows.device)
    return mask.scatter(-1, rows.where(rows >= 0, rows.new_full((), memory)), True)[..., :-1]
