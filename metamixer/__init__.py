"""metamixer: search for neural architectures written as sentences of query-key-value mixers.

    import metamixer as mm

    sentence = mm.parse("att(lin,lin,lin)@h(4) >> lin")
    mm.check(sentence, channels=64, grid=(8, 8))  # its output type, or LanguageError
    mm.cost(sentence, channels=64, grid=(8, 8)).macs  # exact, before anything is built
    net = mm.build(sentence, channels=64, grid=(8, 8))  # torch module, (B, 8, 8, 64) -> (B, 8, 8, 64)

    other = mm.Field(grid=(4, 4), channels=64)  # a second input, ctx in the sentence
    cross = mm.build("att(lin,lin(ctx),lin(ctx))@h(4) >> lin", 64, (8, 8), context=other)  # cross(x, y)

Public names load their module on first use, so `import metamixer` costs milliseconds and imports no torch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metamixer import catalog
    from metamixer.catalog.models import create_model, list_models
    from metamixer.compile import build, fuse
    from metamixer.cost import Cost, cost
    from metamixer.errors import LanguageError
    from metamixer.language import Field, Sentence, Space, check, parse
    from metamixer.loading import load
    from metamixer.reference import reference
    from metamixer.search import Study

__version__ = "0.1.0"

__all__ = [
    "Cost",
    "Field",
    "LanguageError",
    "Sentence",
    "Space",
    "Study",
    "__version__",
    "build",
    "catalog",
    "check",
    "cost",
    "create_model",
    "fuse",
    "list_models",
    "load",
    "parse",
    "reference",
]

_HOMES = {
    "Cost": "metamixer.cost",
    "Field": "metamixer.language",
    "LanguageError": "metamixer.errors",
    "Sentence": "metamixer.language",
    "Space": "metamixer.language",
    "Study": "metamixer.search",
    "build": "metamixer.compile",
    "check": "metamixer.language",
    "create_model": "metamixer.catalog.models",
    "list_models": "metamixer.catalog.models",
    "load": "metamixer.loading",
    "cost": "metamixer.cost",
    "fuse": "metamixer.compile",
    "parse": "metamixer.language",
    "reference": "metamixer.reference",
}


def __getattr__(name: str) -> Any:
    if name == "catalog":
        return import_module("metamixer.catalog")
    if name not in _HOMES:
        raise AttributeError(f"module 'metamixer' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _function(name: str) -> property:
    # The import system binds a submodule to its package's attribute. `mm.cost` and `mm.reference` are functions that
    # live in rooms of the same name: the property ignores that binding. `from metamixer.cost import ...` still works.
    return property(
        lambda self: getattr(import_module(f"metamixer.{name}"), name),
        lambda self, submodule: None,
    )


class _Package(ModuleType):
    cost = _function("cost")
    reference = _function("reference")


sys.modules[__name__].__class__ = _Package
