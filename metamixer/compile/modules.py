"""The modules that networks are made of: one for any word, and one of `metamixer.compile.reads` for each read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metamixer.compile.chunks import Chunked
from metamixer.compile.groups import Grouped
from metamixer.compile.inputs import check_further, check_tensor, shape_of
from metamixer.compile.plan import Path, needed, plan
from metamixer.compile.reads import Env, FusedRead, LookedUp, ValuesFirst
from metamixer.compile.weights import Store, Ties
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Combinator


class Part(nn.Module):
    """Any word: a combinator asks its parts, a leaf computes its kernel from its sources.

    Attributes:
        drop: chance that a sample leaves out a part while training, by the part's index (stochastic depth).
    """

    def __init__(self, t: Typed, path: Path, store: Store, ties: Ties) -> None:
        super().__init__()
        self.t = t
        self.stage = t.context.kind == "stage"
        self.drop: dict[int, float] = {}
        self.parts = nn.ModuleList(make(kid, where, store, names) for kid, where, names in kids_of(t, path, ties))
        self.plain = tuple(kid.word.form == "input" for kid in t.kids)
        self.combinator = t.word if isinstance(t.word, Combinator) else None
        self.weights = store.of(t, path) if self.combinator is None else None
        self.needs = needed(t)

    def forward(self, x: Tensor, env: Env, state: Any = None) -> Any:
        t = self.t
        parts = tuple(self._modules["parts"]._modules.values())  # type: ignore[union-attr]  # by attribute it is slow
        if self.combinator is not None:
            drop = self.drop if self.training else {}

            def evaluate(i: int, x: Tensor, env: Env, state: Any) -> Any:
                value = parts[i](x, env, state)
                return dropped(value, drop[i]) if i in drop else value

            return self.combinator.run(t, evaluate, x, env, state, False)
        sources = [x if plain else part(x, env) for plain, part in zip(self.plain, parts, strict=True)]
        inputs = (state, *sources) if self.stage else sources
        weights = self._modules.get("weights") or self.weights  # a share of joint weights is no module
        return t.word.apply(t, weights, *inputs, *[env[name] for name in self.needs])

    def extra_repr(self) -> str:
        return f"{self.t.text} : {self.t.out}"


def dropped(x: Tensor, rate: float) -> Tensor:
    """Each sample zero at this rate, else divided by the chance of being kept."""
    if not rate:
        return x
    kept = torch.rand(x.shape[0], *([1] * (x.ndim - 1)), device=x.device) >= rate
    return x * kept.to(x.dtype) / (1 - rate)


READS: dict[str, Callable[..., nn.Module]] = {
    "chunked": Chunked,
    "fused": FusedRead,
    "grouped": Grouped,
    "looked up": LookedUp,
    "masked": FusedRead,
    "values first": ValuesFirst,
}


def make(t: Typed, path: Path, store: Store, ties: Ties) -> nn.Module:
    """The module of one occurrence."""
    if t.word.form == "read":
        chosen = plan(t)
        if chosen.order in READS and not (store.counted and chosen.order == "masked"):
            return READS[chosen.order](t, chosen, path, store, ties)
    return Part(t, path, store, ties)


def kids_of(t: Typed, path: Path, ties: Ties) -> list[tuple[Typed, Path, Mapping[str, Path]]]:
    """Each sub-phrase with the path of its weights and the tied names it sees."""
    if t.word.form == "tie":
        ties = {**ties, t.settings["name"]: (*path, -1)}
    elif t.word.form == "tied":  # a use: its weights lie with the binding
        return [(kid, ties[t.settings["name"]], ties) for kid in t.kids]
    return [(kid, (*path, i), ties) for i, kid in enumerate(t.kids)]


class Network(nn.Module):
    """The module of a whole sentence, (B, *grid, channels) -> (B, *grid', channels'); it may take further inputs.

    Attributes:
        typed: the checked sentence.
        store: weights by the path of their occurrence; the dense reference reads them there.
    """

    def __init__(self, t: Typed, counted: bool = False) -> None:
        super().__init__()
        self.typed = t
        self.store = Store(make, counted)
        self.body = make(t, (), self.store, {})
        self.takes = shape_of(t.x)
        self.reads = read_by(t) if t.further else frozenset()

    def check_inputs(self, x: Tensor, context: Tensor | Mapping[str, Tensor] | None = None) -> Mapping[str, Tensor]:
        """Further inputs by name.

        Raises:
            InputError: a tensor has not the shape that the network was built for.
        """
        check_tensor(x, self.takes, "the input")
        further, given = self.typed.further, named(context)
        if further or given:
            check_further(x, given, further, self.reads)
        return given

    def forward(self, x: Tensor, context: Tensor | Mapping[str, Tensor] | None = None) -> Tensor:
        return self.body(x, self.check_inputs(x, context))


def read_by(t: Typed) -> frozenset[str]:
    """The further inputs that a sentence reads."""
    if t.word.form == "bound":
        return frozenset((t.settings["name"],)) & t.further.keys()
    return frozenset().union(*(read_by(kid) for kid in t.kids))


def named(context: Tensor | Mapping[str, Tensor] | None) -> Mapping[str, Tensor]:
    """Further inputs by name; a tensor alone is ``ctx``."""
    return {} if context is None else {"ctx": context} if isinstance(context, Tensor) else context
