"""Banks: slots and kernels that do not depend on the input.

The word that reads a bank owns its weights: ``dot(lin,#16)`` its keys, ``mm(#16)`` its values, ``conv(x,#7)`` its
kernel. A bank that is bound (``let c=#16 in ..``), or that begins a read, is a value of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Combinator, Evaluate, PerHead, Standalone
from metamixer.language.checking.types import Bank, Context, Field, Mismatch, Score, Slots, Type
from metamixer.language.checking.vocabulary import (
    Demand,
    Done,
    KindOf,
    Plain,
    Spans,
    Weight,
    Word,
    on_grid,
    one,
    register,
    words,
)
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, size, word
from metamixer.words import supports


@register
class BankSource(Word, Combinator):
    """``#M``: a learned bank of M slots, or of the positions of a kernel; the word that reads it owns its weights."""

    name = "#"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if not done:
            return Demand(0, ctx._replace(kind="bank"))
        value = done[0]
        if isinstance(value, Bank):
            return Done(value)
        return Done(Bank(_slots(value)))

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        bank: Bank = t.out
        inner = word(bank.how, *(size(value) for value in bank.values)) if bank.how else size(bank.size)
        return nodes.Bank(inner)

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return None


def _slots(value: Any) -> tuple[int, ...]:
    if not isinstance(value, tuple) or value[0] == "/" or min(value) < 1:
        raise Mismatch("a bank has at least one slot, or a kernel size", "write #16, #3C or #7x1")
    return value


class SpecialBank(Word):
    """A word behind ``#``: sizes -> a bank that is not merely learned.

    Attributes:
        trained: whether its numbers are trained.
        coded: whether its keys follow from its sizes; see ``keys`` and ``nearest``.
        kernel: whether it can be the kernel of a convolution.
    """

    kinds = ("bank",)
    trained = True
    coded = False
    kernel = False

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if isinstance(node, nodes.Word) and any(node.keys):
            raise Mismatch(f"{self.name} takes sizes only")
        if len(done) < len(node.kids):
            return Demand(len(done), ctx._replace(kind="size"))
        return Done(self.bank(done))

    def bank(self, sizes: tuple[Any, ...]) -> Bank:
        """The bank of these sizes."""
        raise NotImplementedError

    def keys(self, bank: Bank) -> Any:
        """Of a coded bank: array (slots, channels of a head) of its keys, the same in every head."""
        raise NotImplementedError

    def nearest(self, bank: Bank, q: Any) -> tuple[Any, Any]:
        """Of a coded bank: for queries (.., channels of a head) the slot with the largest <q, key>, and its softmax
        over all slots.
        """
        raise NotImplementedError


def special(bank: Bank) -> SpecialBank | None:
    """The word that makes a bank special."""
    if not bank.how:
        return None
    found = words()[bank.how]
    assert isinstance(found, SpecialBank)
    return found


def frozen(value: Any) -> int | None:
    """What ``fix=`` says: 1, or nothing where weights are trained."""
    return None if value is None or not one(value, "fix") else 1


def trained(bank: Bank) -> bool:
    """Whether a bank's numbers are trained."""
    word = special(bank)
    return word is None or word.trained


@register
class Rep(SpecialBank):
    """``#rep(k1,k2,..)``: a kernel that is a sum of batch-normed kernels while training, one after fusion."""

    name = "rep"
    kernel = True

    def bank(self, sizes: tuple[Any, ...]) -> Bank:
        if not sizes or any(min(k) < 1 or k[0] == "/" for k in sizes):
            raise Mismatch("rep takes kernel sizes", "write #rep(7,3)")
        largest = max(sizes, key=lambda k: (max(k), k))
        return Bank(largest, "rep", sizes)


@register
class Fixed(SpecialBank):
    """``#fix(M)``: a bank that keeps the random numbers it starts with (RandFormer, arXiv 2210.13452)."""

    name = "fix"
    trained = False
    kernel = True

    def bank(self, sizes: tuple[Any, ...]) -> Bank:
        if len(sizes) != 1:
            raise Mismatch("fix takes one size", "write #fix(N)")
        return Bank(_slots(sizes[0]), "fix", sizes)


@register
class Cube(SpecialBank):
    """``#cube(t)``: the 2^t corners of {-1, 1}^t as keys of every head of t channels (MemoryFormer, arXiv 2411.12992).

    Slot s has 1 in channel i where bit i of s is set. With ``-> softmax -> top(1) -> mm(#M)@hsum(C/t)`` the corner
    is found by signs and its weight is ``prod 1 / (1 + exp(-2|z|))``: no product with the keys is formed.
    """

    name = "cube"
    coded = True
    trained = False

    def bank(self, sizes: tuple[Any, ...]) -> Bank:
        t = one(sizes[0], "the number of channels") if len(sizes) == 1 else 0
        if not 1 <= t <= 16:
            raise Mismatch("cube takes the channels of a head, 1 to 16", "write #cube(8)")
        return Bank((2**t,), "cube", ((t,),))

    def keys(self, bank: Bank) -> Any:
        import numpy as np

        t = bank.values[0][0]
        return (np.arange(2**t)[:, None] >> np.arange(t) & 1) * 2.0 - 1.0

    def nearest(self, bank: Bank, q: Any) -> tuple[Any, Any]:
        import torch

        bits = 2 ** torch.arange(q.shape[-1], device=q.device)
        return ((q > 0) * bits).sum(-1), (2 * q.abs()).sigmoid().prod(-1)


class BankValue(Plain):
    """A bank as a value of its own; it owns its weights. Its second source tells the size of the batch."""

    sources = ("bank", "x")

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        return kids[0]

    def spans(self, t: Typed) -> tuple[Spans, ...]:
        return (None, None)


def alone(name: str, bank: Node) -> Node:
    """A bank as the value that the word ``name`` makes of it."""
    return word(name, nodes.Slot(0, bank))


@register
class BoundBank(BankValue, Standalone):
    """``let c=#M``: M tokens of the width of x."""

    name = "bank tokens"

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        bank: Bank = sources[0]
        if special(bank) not in (None, words()["fix"]):
            raise Mismatch(f"#{bank.how} cannot be bound", "bind #16 or #fix(16)")
        return Done(Field(bank.size, ctx.x.channels))

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        shape = (*t.out.grid, t.out.channels)
        return (Weight("tokens", shape, "normal", t.out.channels**-0.5, trained(t.inputs[0])),)

    def dense(self, t: Typed, w: Any, bank: Any, x: Any) -> Any:
        return w.tokens.repeat(x.shape[0], *(1 for _ in w.tokens.shape))


@register
class PositionScores(BankValue, PerHead):
    """``#J -> .. -> mm(v)``: coefficients that belong to positions, the same for every input.

    Under a support, J for each head, one for each slot: the same for all tokens. Over all of the memory (see
    ``PlacedScores``), J for each head and token.
    """

    name = "position scores"
    reads = True

    def type(self, ctx: Context, settings: dict[str, Any], sources: tuple[Type, ...]) -> Done:
        bank, x = sources[0], on_grid(ctx.x, "a bank of coefficients")
        if special(bank) not in (None, words()["fix"]):
            raise Mismatch(f"#{bank.how} holds no coefficients", "write #9 or #fix(9)")
        grid = tuple(1 for _ in x.grid) if supports.lasting(ctx.place) else x.grid
        return Done(Score(grid, 0, ctx.heads, (Slots(prod(bank.size)),), static=True))

    def weights(self, t: Typed) -> tuple[Weight, ...]:
        learned = trained(t.inputs[0])
        return (Weight("scores", (*t.out.grid, t.out.channels), "normal", 0.02 if learned else 1.0, learned),)

    def dense(self, t: Typed, w: Any, bank: Any, x: Any) -> Any:
        return w.scores.repeat(x.shape[0], *(1 for _ in w.scores.shape))


@register
class PlacedScores(PositionScores):
    """``#J -> .. -> mm(v)`` over all of the memory: every token has coefficients of its own."""

    name = "token scores"
    positional = True
