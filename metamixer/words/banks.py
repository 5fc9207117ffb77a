"""Banks: learned or fixed slots, and kernels; the word that reads a bank owns its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metamixer.language.nodes import Node, make, size, word
from metamixer.language.typed import Typed
from metamixer.language.types import Bank, Context, Mismatch, Type
from metamixer.language.vocabulary import Demand, Done, Evaluate, KindOf, Word, register, words


@register
class BankSource(Word):
    """``#M``: a learned bank of M slots, or of the positions of a kernel; the word that reads it owns its weights."""

    name = "#"

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if not done:
            kid = node.kids[0]
            special = kid.op == "word" and kid.data[0] in words() and "bank" in words()[kid.data[0]].kinds
            return Demand(0, ctx._replace(kind="bank" if special else "size"))
        value = done[0]
        if isinstance(value, Bank):
            return Done(value)
        if not isinstance(value, tuple) or value[0] == "/" or min(value) < 1:
            raise Mismatch("a bank has at least one slot, or a kernel size", "write #16, #3C or #7x1")
        return Done(Bank(value))

    def written(self, t: Typed, kids: tuple[Node, ...]) -> Node:
        bank: Bank = t.out
        inner = word(bank.how, *(size(value) for value in bank.values)) if bank.how else size(bank.size)
        return make("bank", None, (inner,))

    def run(self, t: Typed, evaluate: Evaluate, x: Any, env: Mapping[str, Any], state: Any, dense: bool) -> Any:
        return None


@register
class Rep(Word):
    """``#rep(k1,k2,..)``: a kernel that is a sum of batch-normed kernels while training, one after fusion."""

    name, kinds = "rep", ("bank",)

    def step(self, node: Node, ctx: Context, done: tuple[Type, ...], kind_of: KindOf) -> Demand | Done:
        if len(done) < len(node.kids):
            return Demand(len(done), ctx._replace(kind="size"))
        if not done or any(key is not None for key in node.data[1]) or any(min(k) < 1 or k[0] == "/" for k in done):
            raise Mismatch("rep takes kernel sizes", "write #rep(7,3)")
        largest = max(done, key=lambda k: (max(k), k))
        return Done(Bank(largest, "rep", tuple(done)))
