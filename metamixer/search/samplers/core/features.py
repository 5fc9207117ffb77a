"""What the model sees of a derivation: families of features, each a sparse vector; and the distances between them.

`choices`  one coordinate for each name and value, absence of a conditional name included: what flat samplers see.
`rules`    the same choices counted by the rules they were taken under, at three depths of the path of references, so
           that a choice teaches about the same choice elsewhere in the tree.
`labels`   how often each label stands in the tree that a derivation makes, where it makes one: a sentence's phrases.
`graph`    Weisfeiler-Lehman subtree features (Shervashidze et al. 2011) of that tree: labels refined by those around
           them. Phrases are nodes, sub-phrases and neighbours in sequence are edges.
`known`    the logarithms of what is known exactly: objectives, and a sentence's other costs.

Labels and their refinements are two families, so that the marginal likelihood says how much what stands around counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csr_array, vstack

from metamixer.language.spaces.path import ChoicePath
from metamixer.search.samplers.core.pareto import Floats

Features = Mapping[str, Mapping[Any, float]]


class Featured(Protocol):
    """What has features, and a key by which they are remembered."""

    @property
    def key(self) -> Hashable: ...
    @property
    def features(self) -> Features: ...


DEPTH = 3  # rounds of relabelling: phrases are seen with what is up to two edges away
PART, WHOLE, NEXT, PREVIOUS = range(4)  # kinds of edges
HALF = math.sqrt(0.5)  # two different values of a choice are at distance 1


@lru_cache(maxsize=100_000)
def suffixes(name: str) -> tuple[str, ...]:
    """The last one, two, three rules of a choice's name, without which occurrence each is.

    >>> suffixes("network[2]/block~2/mixer#1")
    ('mixer#1', 'block/mixer#1', 'network/block/mixer#1')
    """
    path = ChoicePath.find(name)
    if path is None:  # a name that somebody else gave: layer1/kind
        rules, number = tuple(name.split("/")), ""
    else:
        rules, number = path.rules, f"#{path.number}"
    return tuple("/".join(rules[-depth:]) + number for depth in range(1, min(DEPTH, len(rules)) + 1))


def of_choices(choices: Mapping[str, Any], scaled: Mapping[str, float] | None = None) -> dict[Any, float]:
    """One coordinate a name and value; a name in `scaled` is a number, given as its place in its range, 0 to 1."""
    found: dict[Any, float] = {}
    for name, value in choices.items():
        if scaled is not None and name in scaled:
            found[name, "at"] = scaled[name]
            found[name] = HALF
        else:
            found[name, value] = HALF
    return found


def of_rules(choices: Mapping[str, Any]) -> dict[Any, float]:
    """Damped counts of (rules, value)."""
    counts: Counter[Any] = Counter()
    for name, value in choices.items():
        for suffix in suffixes(name):
            counts[suffix, value] += 1
    return _damped(counts)


def of_known(known: Mapping[Any, float]) -> dict[Any, float]:
    """The logarithm of each value that is known exactly; as it is where it has none."""
    return {name: math.log(value) if value > 0 else value for name, value in known.items()}


Tree = tuple[Any, tuple[Any, ...]]  # (label, its parts), parts in order


def of_tree(tree: Tree) -> dict[str, dict[Any, float]]:
    """Both families of a tree: damped counts of its labels, and of labels refined by those around them.

    Args:
        tree: nested (label, parts). A part's neighbours are its parent, its own parts, and the parts before and after
            it; the kind of edge belongs to the refined label.
    """
    labels: list[int] = []
    plain: Counter[Any] = Counter()
    refined: Counter[Any] = Counter()
    around: list[list[tuple[int, int]]] = []
    stack: list[tuple[Tree, int]] = [(tree, -1)]
    last: dict[int, int] = {}
    while stack:
        (label, parts), parent = stack.pop()
        number = len(labels)
        labels.append(hash(label))
        plain[label] += 1
        around.append([])
        if parent >= 0:
            around[parent].append((PART, number))
            around[number].append((WHOLE, parent))
            before = last.get(parent)
            if before is not None:
                around[before].append((NEXT, number))
                around[number].append((PREVIOUS, before))
            last[parent] = number
        stack += [(part, number) for part in reversed(parts)]
    for depth in range(1, DEPTH):
        labels = [
            hash((label, *sorted([hash((kind, labels[other])) for kind, other in edges])))
            for label, edges in zip(labels, around, strict=True)
        ]
        refined.update((depth, label) for label in labels)
    return {"labels": _damped(plain), "graph": _damped(refined)}


def _damped(counts: Mapping[Any, int]) -> dict[Any, float]:
    """The fourth of a kind says less than the first."""
    return {token: math.log1p(count) for token, count in counts.items()}


class Distances:
    """Squared Euclidean distances between the features of candidates, one matrix a family.

    Those among candidates that were evaluated are remembered: a proposal works out the rows of new ones alone.
    """

    def __init__(self, families: Sequence[str]) -> None:
        self.families = tuple(families)
        self._columns: dict[str, dict[Any, int]] = {family: {} for family in self.families}
        self._numbers: dict[Hashable, int] = {}
        self._names: list[str] = []
        self._rows: dict[str, csr_array] = {}
        self._known = np.zeros((len(self.families), 0, 0))

    def among(self, items: Sequence[Featured]) -> list[Floats]:
        """(n, n) for each family, in the order of the items."""
        new = []
        for item in items:
            if item.key not in self._numbers:
                self._numbers[item.key] = len(self._numbers)
                self._names.append(str(item.key))
                new.append(item)
        if new:
            self._extend(new)
        order = [self._numbers[item.key] for item in items]
        where = np.ix_(order, order)
        return [known[where] for known in self._known]

    def to(self, left: Sequence[Featured], right: Sequence[Featured]) -> list[Floats]:
        """(left, right) for each family."""
        self.among(right)
        order = [self._numbers[item.key] for item in right]
        return [
            _squares(self._matrix(family, left), self._rows[family][order]) if order else np.zeros((len(left), 0))
            for family in self.families
        ]

    def _extend(self, new: Sequence[Featured]) -> None:
        before, count = self._known.shape[1], self._known.shape[1] + len(new)
        grown = np.zeros((len(self.families), count, count))
        grown[:, :before, :before] = self._known
        for number, family in enumerate(self.families):
            rows = self._matrix(family, new)
            if family in self._rows:
                old = self._rows[family]
                old.resize((old.shape[0], rows.shape[1]))
                rows = vstack([old, rows], format="csr")
            self._rows[family] = rows
            # A sum's last bit depends on its order, which is that of the left one's features. Which one is on the left
            # follows from their keys, not from which came first: a search that is continued meets them all at once.
            later, earlier = _squares(rows[before:], rows), _squares(rows, rows[before:]).T
            for i in range(before, count):
                left = np.array([self._names[i] >= name for name in self._names[: i + 1]])
                row = np.where(left, later[i - before, : i + 1], earlier[i - before, : i + 1])
                grown[number, i, : i + 1] = grown[number, : i + 1, i] = row
            grown[number][np.diag_indices(count)] = 0.0
        self._known = grown

    def _matrix(self, family: str, items: Sequence[Featured]) -> csr_array:
        columns = self._columns[family]
        data: list[float] = []
        indices: list[int] = []
        starts = [0]
        for item in items:
            features = item.features.get(family, {})
            indices += [columns.setdefault(token, len(columns)) for token in features]
            data += features.values()
            starts.append(len(indices))
        return csr_array((np.array(data, dtype=float), indices, starts), shape=(len(items), max(1, len(columns))))


def _squares(left: csr_array, right: csr_array) -> Floats:
    width = max(left.shape[1], right.shape[1])
    left.resize((left.shape[0], width))
    right.resize((right.shape[0], width))
    inner = np.asarray((left @ right.T).todense())
    return np.maximum(_norms(left)[:, None] + _norms(right)[None, :] - 2 * inner, 0.0)


def _norms(rows: csr_array) -> Floats:
    """Squared lengths, each summed in the order of its own features: columns are numbered as a search meets them."""
    of = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
    return np.bincount(of, weights=rows.data**2, minlength=rows.shape[0]).astype(float)
