"""Our samplers in plain Optuna: `KnownCostSampler` and `EvolutionSampler`."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from metamixer.search.samplers.core.evolution import ARCHIVE, Evolution
from metamixer.search.samplers.core.features import Tree
from metamixer.search.samplers.core.optimizer import KnownCost, Settings
from metamixer.search.samplers.define_by_run import DerivationSampler, Known


class KnownCostSampler(DerivationSampler):
    """Proposes by expected hypervolume gain, taking objectives that are functions of the parameters as known.

        sampler = KnownCostSampler(known={1: lambda params: macs_of(params)}, seed=0)
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

    A Gaussian process models each other objective; its kernel sees which conditional parameters are there, paths in
    their names (`network/block#1`) if they have some, and the graph that `tree` makes of them. The first `startup`
    trials are spread over the range of the first known objective. Trials that run count as if their mean had come. How
    configurations are made, and what can be wrong with them, is said in `DerivationSampler`.

    `recommend(study)` is the front by posterior mean: under noise the luckiest trials are not the best ones.

    Args:
        known: function of the parameters for each objective index that is known exactly; empty to model them all.
        seed: of everything random.
        key: what is equal for parameters that mean the same (they are then proposed once); by default the parameters.
        tree: nested (label, (part, ..)) that the parameters stand for, with parts of the same form.
        legal: whether parameters may be proposed at all, for limits that are known beforehand.
        startup: trials before the model takes over.
        reference: for each objective the value beyond which nothing counts; by default the worst seen.
        families: features the model sees, see `metamixer.search.samplers.core.features`.
        unseen: whether parameters are proposed once only.
        per_second: whether what is expected to gain most per second is proposed instead of per trial: how long a trial
            takes is learned from the durations of those that finished, as a function of what is known exactly.
    """

    def __init__(
        self,
        known: Known | None = None,
        seed: int | None = None,
        *,
        key: Callable[[dict[str, Any]], Hashable] | None = None,
        tree: Callable[[dict[str, Any]], Tree] | None = None,
        legal: Callable[[dict[str, Any]], bool] | None = None,
        startup: int = Settings.startup,
        reference: Sequence[float] | None = None,
        families: Sequence[str] = Settings.families,
        unseen: bool = True,
        per_second: bool = False,
    ) -> None:
        super().__init__(known, seed, key, tree, legal)
        self.reference = reference
        self.settings = Settings(families=tuple(families), startup=startup, unseen=unseen, per_second=per_second)

    def _make(self, signs: Sequence[int]) -> KnownCost:
        reference = self.reference
        if reference is not None:
            reference = tuple(sign * value for sign, value in zip(signs, reference, strict=True))
        return KnownCost(len(signs), self.settings, reference)


class EvolutionSampler(DerivationSampler):
    """Evolves an archive of non-dominated derivations by mutation and crossover; never repeats one.

    Where names are paths (`network/block~2/mixer#1`), subtrees are redrawn and exchanged between places of one rule.

    Args:
        known: function of the parameters for each objective index that is known exactly.
        seed: of everything random.
        key: what is equal for parameters that mean the same (they are then proposed once); by default the parameters.
        legal: whether parameters may be proposed at all.
        startup: random trials before the first child.
        archive: how many trials may become parents.
    """

    def __init__(
        self,
        known: Known | None = None,
        seed: int | None = None,
        *,
        key: Callable[[dict[str, Any]], Hashable] | None = None,
        legal: Callable[[dict[str, Any]], bool] | None = None,
        startup: int = 12,
        archive: int = ARCHIVE,
    ) -> None:
        super().__init__(known, seed, key, None, legal)
        self.startup, self.archive = startup, archive

    def _make(self, signs: Sequence[int]) -> Evolution:
        return Evolution(len(signs), self.startup, self.archive)
