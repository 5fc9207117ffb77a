"""A search space without training: its rules, its exact size, what its networks cost, which known systems it holds."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from metamixer import catalog
from metamixer.cost import cost
from metamixer.cost.count import counts
from metamixer.dashboards.understanding.trained import Context
from metamixer.errors import UserError
from metamixer.language import Space
from metamixer.language.syntax.nodes import Choice, Range, walk
from metamixer.language.syntax.printer import domain_of, weights_of

DRAWS = 100_000
BINS = 60
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SLICE = 50  # draws between two looks at the clock


@dataclass
class Profile:
    """Costs of draws from a space, made as time allows and kept: the first so many are always the same ones.

    Attributes:
        context: the space and its input; costs include the head.
        seed: of the draws.
    """

    context: Context
    seed: int = 0
    macs: list[int] = field(default_factory=list, repr=False)
    params: list[int] = field(default_factory=list, repr=False)
    _rng: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def extend(self, draws: int = DRAWS, seconds: float | None = None) -> int:
        """Draw until there are so many, or the seconds are over; returns how many there are.

        Raises:
            SpaceError: no sentence of the space fits the input.
        """
        end = None if seconds is None else time.monotonic() + seconds
        context = self.context
        while len(self.macs) < draws and (end is None or time.monotonic() < end):
            for _ in range(min(SLICE, draws - len(self.macs))):
                drawn = context.space.draw(self._rng, context.channels, context.grid).sentence
                macs, params, _, _ = counts(context.network(drawn).typed(context.channels, context.grid))
                self.macs.append(macs)
                self.params.append(params)
        return len(self.macs)

    def described(self) -> dict[str, Any]:
        """``draws``; and for ``macs`` and ``params`` ``histogram`` (see `histogram`) and ``quantiles``."""
        answer: dict[str, Any] = {"draws": len(self.macs)}
        for name in ("macs", "params"):
            values = getattr(self, name)
            answer[name] = {"histogram": histogram(values), "quantiles": quantiles(values)}
        return answer

    def rank(self, name: str, value: float) -> float | None:
        """The share of draws whose ``macs`` or ``params`` are smaller; None without draws."""
        values = np.array(getattr(self, name))
        return float((values < value).mean()) if len(values) else None


def histogram(values: ArrayLike, bins: int = BINS) -> dict[str, list[float]]:
    """``edges`` (bins + 1, evenly spaced by logarithm) and ``counts`` (bins); zeros count in the first bin."""
    array = np.asarray(values, dtype=float)
    if not len(array):
        return {"edges": [], "counts": []}
    positive = array[array > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    edges = np.geomspace(low, high if high > low else 2 * low, bins + 1)
    edges[0], edges[-1] = low, max(edges[-1], high)  # rounding leaves no value out
    found, _ = np.histogram(np.maximum(array, low), edges)
    return {"edges": edges.tolist(), "counts": found.tolist()}


def quantiles(values: ArrayLike) -> dict[str, float]:
    """The values below which shares of ``QUANTILES`` lie, by the share as text."""
    array = np.asarray(values, dtype=float)
    return {str(q): float(np.quantile(array, q)) for q in QUANTILES} if len(array) else {}


def described(context: Context) -> dict[str, Any]:
    """A space for one input.

    Returns:
        ``name``, ``start``, ``max_depth``, ``fingerprint``; ``input``: ``channels``, ``grid``, ``classes``; ``size``:
        the exact number of derivations as text (it may have hundreds of digits), ``digits`` of it; ``rules``, see
        `rules`; ``tree``, see `tree`.

    Raises:
        SpaceError: no sentence of the space fits the input.
    """
    space = context.space
    size = space.size(context.channels, context.grid)
    return {
        "name": space.name,
        "start": space.start,
        "max_depth": space.max_depth,
        "fingerprint": space.fingerprint,
        "input": {"channels": context.channels, "grid": list(context.grid), "classes": context.classes},
        "size": str(size),
        "digits": len(str(size)),
        "rules": rules(space),
        "tree": tree(space),
    }


def rules(space: Space) -> list[dict[str, Any]]:
    """Rules in the file's order: ``name``, ``body``, ``recursive``, ``uses`` (rule -> how often it is named),
    ``choices`` (each ``values`` and ``weights``, prior shares of these).
    """
    found = []
    for name, body in space.rules.items():
        node = space.reach.rules[name]
        found.append(
            {
                "name": name,
                "body": body,
                "recursive": name in space.reach.recursive,
                "uses": dict(space.reach.references(node)),
                "choices": [_choice(inner) for inner in walk(node) if isinstance(inner, (Choice, Range))],
            }
        )
    return found


def tree(space: Space) -> dict[str, Any]:
    """The rules as a tree from the start: ``rule``, ``choices`` (how many its body has), ``again``, ``children``.

    A rule is opened where it is met first, nearest to the root; where it stands again it has no children and ``again``
    is true.
    """
    root: dict[str, Any] = {"rule": space.start, "choices": 0, "again": False, "children": []}
    opened, layer = {space.start}, [root]
    while layer:
        following = []
        for item in layer:
            node = space.reach.rules[item["rule"]]
            item["choices"] = node.choices
            for name in space.reach.references(node):
                choices = space.reach.rules[name].choices
                child = {"rule": name, "choices": choices, "again": name in opened, "children": []}
                item["children"].append(child)
                if name not in opened:
                    opened.add(name)
                    following.append(child)
        layer = following
    return root


def members(context: Context, profile: Profile | None = None) -> list[dict[str, Any]]:
    """Where the catalogue's systems lie in a space: those that read the same input.

    Returns:
        For each system: ``name``, ``family``, ``sentence``; ``macs``, ``params`` with the task's head; ``member``;
        ``choices``, its derivation if it is one, and ``reason``, where it leaves the space if it is none;
        ``share_below``: for ``macs`` and ``params`` the share of draws that cost less (None without draws).
    """
    found = []
    for name in catalog.names():
        entry = catalog.get(name)
        if (entry.channels, entry.grid) != (context.channels, context.grid):
            continue
        counted = cost(context.network(entry.sentence), context.channels, context.grid)
        choices, reason = None, None
        try:
            choices = dict(context.space.derivation(entry.sentence, context.channels, context.grid).choices)
        except UserError as error:
            reason = str(error.message)
        found.append(
            {
                "name": name,
                "family": entry.family,
                "sentence": str(entry.sentence),
                "macs": counted.macs,
                "params": counted.params,
                "member": choices is not None,
                "choices": choices,
                "reason": reason,
                "share_below": {
                    item: profile.rank(item, getattr(counted, item)) if profile else None for item in ("macs", "params")
                },
            }
        )
    return found


def _choice(node: Choice | Range) -> dict[str, Any]:
    if isinstance(node, Range):
        return {"values": list(node.values), "weights": [1 / len(node.values)] * len(node.values)}
    weights = [float(weight) if weight else 1.0 for weight in weights_of(node)]
    return {"values": list(domain_of(node)), "weights": [weight / math.fsum(weights) for weight in weights]}
