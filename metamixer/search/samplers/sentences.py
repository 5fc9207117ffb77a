"""Our engines inside a study: candidates are sentences of its space, and the record's rows what was observed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any

from metamixer.errors import LanguageError
from metamixer.record import Trial
from metamixer.search.pruning.extrapolation import predictions
from metamixer.search.samplers.core.features import Tree, of_choices, of_known, of_rules, of_tree
from metamixer.search.samplers.core.observations import Observation
from metamixer.search.samplers.core.optimizer import KnownCost, Settings
from metamixer.search.samplers.core.variation import Candidate
from metamixer.search.samplers.derivations import NOTE, Engine
from metamixer.search.samplers.evolution import Evolution
from metamixer.search.samplers.named import Choice

if TYPE_CHECKING:
    from metamixer.language.syntax.nodes import Node

COPIES = 8  # of a repetition that the graph shows
OBJECTIVES = 2  # error, and flops, which are known
POOL = (60, 90, 30, 40)  # fresh, mutated, crossed, refined: drawing them is most of a proposal's time
OWN = ("known-cost", "evolution")

# A drawn sentence with its derivation, its key and its cost; None if it is refused.
Drawn = tuple["Node", dict[str, int | str], str, Mapping[str, int]]
Draw = Callable[[Callable[[str, Choice], Any]], Drawn | None]


@dataclass(frozen=True)
class Parts:
    """What `known-cost` is made of; benchmarks take parts away to see what each is worth.

    Attributes:
        cost: FLOPs are known; else they are learned from trials, as the error is.
        families: features the model sees; on recorded trainings the choices by name add nothing to these.
        unseen: an architecture is proposed once only.
    """

    cost: bool = True
    families: tuple[str, ...] = ("rules", "labels", "graph", "known")
    unseen: bool = True


class Sentences:
    """Proposes derivations of a space from the rows of a record.

    Rows are shown by `see` as they are added and as they end. Architectures that were trained, baselines among them,
    are what the model knows; each with the mean of its replicates. A trial that was stopped early counts for less: with
    the error that those which went on let expect of it, see `metamixer.search.pruning.extrapolation`, and never for
    the front. One that failed has no value here. None is proposed again.

    Args:
        sampler: `known-cost` or `evolution`.
        startup: architectures before the model, or the archive, takes over.
        draw: the space: a sentence from answers to its choices, or None if it is ill-typed or over a limit.
        parse: a sentence's tree from its text.
        reference: accuracy and flops beyond which nothing counts.
        parts: of `known-cost`.
        per_second: `known-cost` goes by what is gained in a second, not in a training.
    """

    def __init__(
        self,
        sampler: str,
        startup: int,
        draw: Draw,
        parse: Callable[[str], Node],
        reference: tuple[float, float] | None = None,
        parts: Parts | None = None,
        per_second: bool = False,
    ) -> None:
        self._draw, self._parse, self._parts = draw, parse, parts or Parts()
        worst = None if reference is None else (1 - reference[0], reference[1])
        self.engine: Engine = (
            KnownCost(OBJECTIVES, Settings(self._parts.families, startup, *POOL, self._parts.unseen, per_second), worst)
            if sampler == "known-cost"
            else Evolution(OBJECTIVES, startup)
        )
        self._firsts: dict[int, tuple[Candidate, Trial]] = {}
        self._replicates: dict[int, dict[int, float]] = {}
        self._keys: set[str] = set()

    def see(self, row: Trial) -> None:
        """A row of the record as it stands now."""
        if row.kind == "replicate" and row.replicate_of is not None:
            if row.state == "complete" and row.accuracy is not None:
                self._replicates.setdefault(row.replicate_of, {})[row.number] = row.accuracy
        elif (row.searched or row.kind == "baseline") and row.key is not None:
            seen = self._firsts.get(row.number)
            if seen is None:
                candidate = self._candidate(self._parse(row.sentence), row.choices, row.key, row.cost or {}, "row")
            else:
                candidate = seen[0]
            self._firsts[row.number] = (candidate, row)
            self._keys.add(row.key)

    def propose(self, known: Mapping[str, int], rng: random.Random) -> tuple[dict[str, int | str], dict[str, Any]]:
        """Choices of the next architecture, empty where none was found, and notes for the record.

        Args:
            known: keys that are not to be proposed.
            rng: source of randomness.
        """
        observed = self.observed()
        firsts = sorted(self._firsts.items())
        running = [(number, c) for number, (c, row) in firsts if row.searched and not row.finished]
        found, why = self.engine.propose(
            observed,
            [candidate for _, candidate in running],
            lambda key: key in known or key in self._keys,
            self,
            rng,
        )
        if found is None:
            return {}, {}
        return dict(found.choices), {NOTE: {**why, "running": [number for number, _ in running]}}

    def observed(self, replicates: bool = True) -> list[Observation]:
        """What was trained to the end, by number, and what is expected of those that were stopped early."""
        errors = {number: self._errors(number, replicates) for number in self._done()}
        whole = {number: self._observation(number, of) for number, of in errors.items()}
        rows = [row for _, (_, row) in sorted(self._firsts.items())]
        early = [
            Observation(self._firsts[number][0], (error, float(self._firsts[number][1].flops)), share, eligible=False)
            for number, (error, share) in predictions(rows, errors).items()
        ]
        return [*whole.values(), *early]

    def recommend(self, replicates: bool = True) -> list[int]:
        """Numbers of the rows that are the front: by posterior mean, if the sampler has a model.

        Args:
            replicates: False for the view from first seeds alone, which later replicates do not change.
        """
        done = self._done()
        return [done[i] for i in self.engine.recommend(self.observed(replicates))]

    def _done(self) -> list[int]:
        return [number for number, (_, row) in sorted(self._firsts.items()) if row.state == "complete"]

    def _observation(self, number: int, errors: list[float]) -> Observation:
        candidate, row = self._firsts[number]
        spread = (variance(errors), 0.0) if len(errors) > 1 else ()
        values = (fmean(errors), float(row.flops))
        here = row.kind in ("searched", "baseline")  # not on the machines of an earlier study
        seconds = row.seconds if here else None
        return Observation(candidate, values, len(errors), spread, eligible=row.searched, seconds=seconds)

    def _errors(self, number: int, replicates: bool) -> list[float]:
        more = self._replicates.get(number, {}) if replicates else {}
        return [1 - float(self._firsts[number][1].accuracy or 0.0), *(1 - more[other] for other in sorted(more))]

    # -- as a space of candidates, see `metamixer.search.samplers.core.variation.Draws`

    def derive(self, choose: Callable[[str, Choice], Any], source: str) -> Candidate | None:
        """The candidate whose choices `choose` answers."""
        try:
            drawn = self._draw(choose)
        except LanguageError:  # weights tied over unequal grids: seen only when the whole is drawn
            return None
        return None if drawn is None else self._candidate(*drawn, source)

    def _candidate(
        self, node: Node, choices: Mapping[str, int | str], key: str, cost: Mapping[str, int], source: str
    ) -> Candidate:
        known = {1: 2.0 * cost.get("macs", 0)} if self._parts.cost else {}
        seen = {family: _features(family, node, choices, cost) for family in self._parts.families}
        return Candidate(choices, key, known, seen, source)


def _features(
    family: str, node: Node, choices: Mapping[str, int | str], cost: Mapping[str, int]
) -> Mapping[Any, float]:
    if family == "known":
        return of_known(cost)
    if family == "choices":
        return of_choices(choices)
    if family == "rules":
        return _rules(tuple(choices.items()))
    both = node.cache.get("features")
    if both is None:
        both = node.cache["features"] = of_tree(tree_of(node))
    return both[family]


@lru_cache(maxsize=4096)
def _rules(choices: tuple[tuple[str, int | str], ...]) -> Mapping[Any, float]:
    """Mutations of a front meet the same derivations again and again."""
    return of_rules(dict(choices))


def tree_of(node: Node) -> Tree:
    """A sentence as labelled tree: phrases and their parts, repetitions written out up to some copies."""
    if node.op == "power" and node.kids[1].op == "size" and node.kids[1].data.isdigit():
        copy = tree_of(node.kids[0])
        parts_of_copy = copy[1] if copy[0] == "seq" else (copy,)
        return ("seq", parts_of_copy * min(COPIES, int(node.kids[1].data)))
    parts: list[Tree] = []
    for kid in node.kids:
        tree = tree_of(kid)
        if kid.op == "power" and node.op == "seq" and tree[0] == "seq":
            parts += tree[1]
        else:
            parts.append(tree)
    return (f"{node.op} {node.data}" if node.data is not None else node.op, tuple(parts))
