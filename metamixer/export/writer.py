"""Writing one class of plain torch source: its members, its statements, and which tensor each parameter is."""

from __future__ import annotations

import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from metamixer.errors import UserError


class NoSourceError(UserError):
    """A word, or a use of it, has no plain torch source."""

    def __init__(self, word: str, phrase: str, why: str = "") -> None:
        self.word = word
        super().__init__(
            f"the word {word} has no plain torch source{f' {why}' if why else ''}",
            phrase,
            "take model.pt2 or model.onnx, or build the sentence of config.json with metamixer.build",
        )


@dataclass(frozen=True)
class Held:
    """One tensor of the source: the network's own, and whether it is transposed."""

    tensor: Tensor
    transposed: bool = False

    def value(self) -> Tensor:
        """The numbers as the source's module holds them."""
        return (self.tensor.mT if self.transposed else self.tensor).detach().clone().contiguous()


@dataclass(frozen=True)
class Written:
    """A class that was written: its name, and the tensors of one instance by their names in it."""

    name: str
    tensors: Mapping[str, Held]


@dataclass
class Module:
    """The source of all classes, equal ones written once."""

    classes: dict[str, str] = field(default_factory=dict)  # body -> name
    helpers: set[str] = field(default_factory=set)

    def add(self, base: str, body: str) -> str:
        """The name of the class with this body; a body that is new gets ``base``, or base and a number."""
        if body not in self.classes:
            taken = set(self.classes.values())
            name, number = base, 1
            while name in taken:
                number += 1
                name = f"{base}{number}"
            self.classes[body] = name
        return self.classes[body]


class Writer:
    """One class while it is written.

    Attributes:
        module: what all classes share.
    """

    def __init__(self, module: Module) -> None:
        self.module = module
        self.init: list[str] = []
        self.forward: list[str] = []
        self.tensors: dict[str, Held] = {}
        self._members: set[str] = set()
        self._shared: dict[object, str] = {}
        self._variables: set[str] = {"x", "self", "block", "torch", "nn", "F"}

    def member(self, name: str, value: str, tensors: Mapping[str, Held]) -> str:
        """``self.name = value``; returns the expression of it. A name that is taken gets a number.

        Tied weights that this class has already are the same member.
        """
        key = (value, *((inner, h.tensor.data_ptr(), h.tensor.shape) for inner, h in tensors.items()))
        if tensors and key in self._shared:
            return self._shared[key]
        name = _free(name, self._members)
        self._shared[key] = f"self.{name}"
        self.init.append(f"self.{name} = {value}")
        self.tensors |= {f"{name}.{inner}" if inner else name: held for inner, held in tensors.items()}
        return f"self.{name}"

    def variable(self, name: str) -> str:
        """A local name that nothing else has."""
        return _free(name, self._variables)

    def assign(self, name: str, value: str) -> None:
        """``name = value``."""
        if name != value:
            self.forward.append(f"{name} = {bare(value)}")

    def named(self, expression: str, name: str = "y") -> str:
        """The expression, given a name first unless it is one, so that it can be used more than once."""
        if expression.isidentifier():
            return expression
        name = self.variable(name)
        self.assign(name, expression)
        return name

    def body(self, result: str, doc: str) -> str:
        """The class's source behind its first line."""
        return "\n".join(self._lines(result, doc)) + "\n"

    def _lines(self, result: str, doc: str) -> Iterator[str]:
        yield f'    """{doc}"""'
        if self.init:
            yield ""
            yield "    def __init__(self) -> None:"
            yield "        super().__init__()"
            yield from (f"        {line}" for line in self.init)
        yield ""
        yield "    def forward(self, x: torch.Tensor) -> torch.Tensor:"
        yield from (f"        {line}" for line in self.forward)
        yield f"        return {bare(result)}"


def _free(name: str, taken: set[str]) -> str:
    name = f"{name}_" if keyword.iskeyword(name) else name
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}{number}"
    taken.add(found)
    return found


def held(weights: Any, names: Mapping[str, str], transposed: frozenset[str] = frozenset()) -> dict[str, Held]:
    """Tensors of an occurrence under the names that torch's own modules use."""
    return {new: Held(getattr(weights, old), old in transposed) for new, old in names.items()}


def bare(expression: str) -> str:
    """An expression without parentheses around the whole."""
    if not (expression.startswith("(") and expression.endswith(")")):
        return expression
    depth = 0
    for i, sign in enumerate(expression):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and i < len(expression) - 1:
            return expression
    return expression[1:-1] if "," not in expression or "(" in expression[1:] else expression
