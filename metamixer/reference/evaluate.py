"""One walk over the checked sentence, every word by its ``dense`` formula, in float64."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Combinator, EnvironmentReader

Path = tuple[int, ...]


class Store(Protocol):
    """Where a network keeps the tensors of each occurrence, by path."""

    @property
    def weights(self) -> Mapping[Path, nn.Module]: ...


class Network(Protocol):
    """What a built network tells about itself."""

    @property
    def typed(self) -> Typed: ...

    @property
    def store(self) -> Store: ...

    def check_inputs(self, x: Tensor, context: Tensor | Mapping[str, Tensor] | None) -> Mapping[str, Tensor]: ...


class Watched(Protocol):
    """Told of every leaf: the occurrence, its tensors, and what its ``dense`` takes."""

    def __call__(self, t: Typed, w: SimpleNamespace, inputs: tuple[Any, ...]) -> None: ...


def evaluate(
    net: Network, x: Tensor, context: Tensor | Mapping[str, Tensor] | None = None, watch: Watched | None = None
) -> Tensor:
    """See ``metamixer.reference.reference``; ``watch`` sees every word with a formula of its own at work."""
    store = net.store.weights

    def weights(t: Typed, path: Path) -> SimpleNamespace:
        held = store.get(path)
        named = [*held.named_parameters(), *held.named_buffers()] if held is not None else []
        tables = {name: torch.as_tensor(table, device=x.device) for name, table in t.word.constants(t).items()}
        return SimpleNamespace(
            **{name: value.detach().double() for name, value in named if name not in tables}, **tables
        )

    def value(t: Typed, path: Path, ties: Mapping[str, Path], x: Tensor, env: Mapping[str, Tensor], state: Any) -> Any:
        names = {**ties, t.settings["name"]: (*path, -1)} if t.word.form == "tie" else ties

        def kid(i: int, x: Tensor, env: Mapping[str, Tensor], state: Any) -> Any:
            where = ties[t.settings["name"]] if t.word.form == "tied" else (*path, i)
            return value(t.kids[i], where, names, x, env, state)

        if isinstance(t.word, Combinator):
            return t.word.run(t, kid, x, env, state, True)
        sources = [kid(i, x, env, None) for i in range(len(t.kids))]
        inputs = (state, *sources) if t.context.kind == "stage" else sources
        needs = t.word.needs(t) if isinstance(t.word, EnvironmentReader) else ()
        taken = (*inputs, *(env[name] for name in needs))
        held = weights(t, path)
        if watch is not None:
            watch(t, held, taken)
        return t.word.dense(t, held, *taken)

    with torch.no_grad():
        env = {name: tensor.double() for name, tensor in net.check_inputs(x, context).items()}
        return value(net.typed, (), {}, x.double(), env, None)
