"""The tensors of a network: one occurrence's own, the rows of a joint matrix, and the store of all by their paths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from metamixer.compile.plan import Path
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Projection
from metamixer.language.checking.vocabulary import Weight

Ties = Mapping[str, Path]


class Weights(nn.Module):
    """The tensors that one occurrence of a word owns. Tied occurrences hold the same object."""

    def __init__(self, weights: tuple[Weight, ...], constants: Mapping[str, Any]) -> None:
        super().__init__()
        for weight in weights:
            if weight.init == "fill":
                value = torch.full(weight.shape, weight.value)
            else:  # truncated at two deviations
                value = nn.init.trunc_normal_(
                    torch.empty(weight.shape), std=weight.value, a=-2 * weight.value, b=2 * weight.value
                )
            if weight.trained:
                self.register_parameter(weight.name, nn.Parameter(value))
            else:
                self.register_buffer(weight.name, value)
        for name, table in constants.items():
            self.register_buffer(name, torch.as_tensor(table), persistent=False)


class Joint(nn.Module):
    """The projections of one input that run as one matrix product; each occurrence owns some of the rows."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, owned: list[Weights]) -> None:
        super().__init__()
        states = [weights.state_dict() for weights in owned]
        self.rows = [len(state["weight"]) for state in states]
        self.weight = nn.Parameter(torch.cat([state["weight"] for state in states]))
        self.bias = nn.Parameter(torch.cat([state["bias"] for state in states])) if "bias" in states[0] else None

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return nn.functional.linear(x, self.weight, self.bias).split(self.rows, -1)


class Share:
    """One occurrence's rows of a ``Joint``; to the outside it is as ``Weights`` are."""

    def __init__(self, joint: Joint, index: int) -> None:
        self.joint, self.start, self.stop = joint, sum(joint.rows[:index]), sum(joint.rows[: index + 1])

    @property
    def weight(self) -> Tensor:
        return self.joint.weight[self.start : self.stop]

    @property
    def bias(self) -> Tensor | None:
        return None if self.joint.bias is None else self.joint.bias[self.start : self.stop]

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        yield "weight", self.weight
        if self.bias is not None:
            yield "bias", self.bias

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        return iter(())

    def state_dict(self, keep_vars: bool = False) -> dict[str, Tensor]:
        """The rows, as views: what is copied into them arrives in the network."""
        return {name: value if keep_vars else value.detach() for name, value in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.named_parameters():
                value.copy_(state[name])


class Store:
    """All weights of a network by the path of their occurrence: a second use of a tied name finds the tensors of
    the first. ``counted`` asks for modules in which every counted product runs through a kernel that torch's
    counter knows at its true size.

    Args:
        make: Builds the module of one occurrence; reads ask for those of their sources.
        counted: As above.
    """

    def __init__(self, make: Callable[[Typed, Path, Store, Ties], nn.Module], counted: bool = False) -> None:
        self._make = make
        self.weights: dict[Path, Weights | Share] = {}
        self.joints: dict[tuple[Path, ...], Joint] = {}
        self.counted = counted

    def make(self, t: Typed, path: Path, ties: Ties) -> nn.Module:
        """The module of an occurrence whose weights lie here."""
        return self._make(t, path, self, ties)

    def joint(self, found: list[tuple[Typed, Path]]) -> Joint | None:
        """One matrix for projections of the same input, unless some of them already has its own (tied reads)."""
        paths = tuple(path for _, path in found)
        if paths not in self.joints:
            biased = {bool(t.settings["b"]) for t, _ in found if _projects_x(t)}
            if not all(_projects_x(t) for t, _ in found) or len(biased) > 1 or any(p in self.weights for p in paths):
                return None
            joint = self.joints[paths] = Joint([Weights(t.word.weights(t), {}) for t, _ in found])
            self.weights |= {path: Share(joint, i) for i, path in enumerate(paths)}
        return self.joints[paths]

    def of(self, t: Typed, path: Path) -> Weights | Share:
        weights, constants = t.word.weights(t), t.word.constants(t)
        if path not in self.weights:
            self.weights[path] = Weights(weights, constants)
        return self.weights[path]


def _projects_x(t: Typed) -> bool:
    """Whether an occurrence is a plain projection of x itself."""
    plain = isinstance(t.word, Projection) and t.settings["g"] == 1 and not t.settings["sets"]
    return plain and not t.settings["fix"] and t.kids[0].word.form == "input"
