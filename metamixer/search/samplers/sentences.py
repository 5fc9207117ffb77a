"""Our optimizers as samplers of a study: candidates are sentences of its space, and its trials what was observed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any

from metamixer.record import Trial
from metamixer.search.pruning.extrapolation import predictions
from metamixer.search.samplers.core.evolution import Evolution
from metamixer.search.samplers.core.features import Tree, of_choices, of_known, of_rules, of_tree
from metamixer.search.samplers.core.observations import Observation
from metamixer.search.samplers.core.optimizer import KnownCost, Optimizer, Settings
from metamixer.search.samplers.core.variation import PRIOR, Candidate
from metamixer.search.samplers.protocol import Parts, SampleSpace, Setup, Suggestion
from metamixer.search.samplers.single_thread import in_one_thread

if TYPE_CHECKING:
    from metamixer.language.spaces.choice import Choose
    from metamixer.language.syntax.nodes import Node
    from metamixer.search.storage.trial_store import Parameters

NOTE = "derivation"  # of a trial: what its proposal depended on, and why it was made
COPIES = 8  # of a repetition that the graph shows
OBJECTIVES = 2  # error, and flops, which are known
POOL = (60, 90, 30, 40)  # from the prior, mutated, crossed over, refined: they are most of a proposal's time


def known_cost(setup: Setup, parse: Callable[[str], Node] | None = None) -> SentenceSampler:
    """By expected gain of hypervolume, FLOPs known."""
    parts = replace(setup.parts, unseen=not setup.repeats)
    worst = None if setup.reference is None else (1 - setup.reference[0], setup.reference[1])
    settings = Settings(parts.families, setup.startup, *POOL, parts.unseen, setup.per_second)
    return SentenceSampler(KnownCost(OBJECTIVES, settings, worst), parts, parse)


def evolution(setup: Setup, parse: Callable[[str], Node] | None = None) -> SentenceSampler:
    """By mutation and crossover of an archive."""
    return SentenceSampler(Evolution(OBJECTIVES, setup.startup), setup.parts, parse)


class SentenceSampler:
    """Proposes sentences of a space from the trials of a record.

    Architectures that were trained, baselines among them, are what the model knows; each with the mean of its
    replicates. A trial that was stopped early counts for less: with the error that those which went on let expect of
    it, see `metamixer.search.pruning.extrapolation`, and never for the front. One that failed has no value here. None
    is proposed again.

    Args:
        optimizer: What chooses among candidates.
        parts: Which features it sees, and whether costs are known.
        parse: A sentence's tree from its text, for trials that were not proposed here.
    """

    def __init__(self, optimizer: Optimizer, parts: Parts, parse: Callable[[str], Node] | None = None) -> None:
        self.optimizer, self._parts, self._parse = optimizer, parts, parse or _parsed
        self._firsts: dict[int, tuple[Candidate, Trial]] = {}
        self._replicates: dict[int, dict[int, float]] = {}
        self._keys: set[str] = set()
        self._proposed: Candidate | None = None

    def observe(self, trial: Trial, parameters: Parameters | None = None) -> None:
        if trial.kind == "replicate" and trial.replicate_of is not None:
            if trial.state == "complete" and trial.accuracy is not None:
                self._replicates.setdefault(trial.replicate_of, {})[trial.number] = trial.accuracy
        elif (trial.searched or trial.kind == "baseline") and trial.key is not None:
            before = self._firsts.get(trial.number)
            self._firsts[trial.number] = (self._of_trial(trial) if before is None else before[0], trial)
            self._keys.add(trial.identity or "")

    def _of_trial(self, trial: Trial) -> Candidate:
        """The candidate that was proposed here a moment ago, or else one from the record."""
        proposed, self._proposed = self._proposed, None
        if proposed is not None and proposed.key == trial.identity and str(proposed.sample.sentence) == trial.sentence:
            return replace(proposed, number=trial.number, sample=None)
        node = self._parse(trial.sentence)
        candidate = self.candidate(node, trial.choices, trial.identity or "", trial.cost or {})
        return replace(candidate, origin=trial.origin or PRIOR, parents=trial.parents, number=trial.number)

    def propose(
        self, number: int, space: SampleSpace, known: Mapping[str, int], rng: random.Random
    ) -> Suggestion | None:
        running = [
            (number, candidate)
            for number, (candidate, trial) in sorted(self._firsts.items())
            if trial.searched and not trial.finished
        ]
        chosen, reasons = in_one_thread(self.optimizer.propose)(
            self.observations(),
            [candidate for _, candidate in running],
            lambda key: key in known or key in self._keys,
            SentenceSpace(space, self.candidate),
            rng,
        )
        self._proposed = chosen
        if chosen is None:
            return None
        notes = {NOTE: {**reasons, "running": [number for number, _ in running]}}
        return Suggestion(chosen.sample, chosen.origin, chosen.parents, notes)

    def observations(self, replicates: bool = True) -> list[Observation]:
        """What was trained to the end, by number, and what is expected of those that were stopped early."""
        errors = {number: self._errors(number, replicates) for number in self._complete()}
        whole = {number: self._observation(number, seeds) for number, seeds in errors.items()}
        trials = [trial for _, (_, trial) in sorted(self._firsts.items())]
        early = [
            Observation(self._firsts[number][0], (error, float(self._firsts[number][1].flops)), share, eligible=False)
            for number, (error, share) in predictions(trials, errors).items()
        ]
        return [*whole.values(), *early]

    def recommend(self, replicates: bool = True) -> list[int]:
        """Numbers of the trials that are the front: by posterior mean, if the optimizer has a model."""
        complete = self._complete()
        return [complete[i] for i in in_one_thread(self.optimizer.recommend)(self.observations(replicates))]

    def _complete(self) -> list[int]:
        return [number for number, (_, trial) in sorted(self._firsts.items()) if trial.state == "complete"]

    def _observation(self, number: int, errors: list[float]) -> Observation:
        candidate, trial = self._firsts[number]
        spread = (variance(errors), 0.0) if len(errors) > 1 else ()
        values = (fmean(errors), float(trial.flops))
        # Those of an earlier study took their time on its machines.
        seconds = trial.seconds if trial.kind in ("searched", "baseline") else None
        return Observation(candidate, values, len(errors), spread, eligible=trial.searched, seconds=seconds)

    def _errors(self, number: int, replicates: bool) -> list[float]:
        more = self._replicates.get(number, {}) if replicates else {}
        return [1 - float(self._firsts[number][1].accuracy or 0.0), *(1 - more[other] for other in sorted(more))]

    def candidate(self, node: Node, choices: Mapping[str, int | str], key: str, cost: Mapping[str, int]) -> Candidate:
        """A sentence as the optimizer sees it."""
        known = {1: 2.0 * cost.get("macs", 0)} if self._parts.cost else {}
        features = {family: _features(family, node, choices, cost) for family in self._parts.families}
        return Candidate(choices, key, known, features)


class SentenceSpace:
    """A study's space as one of candidates, see `metamixer.search.samplers.core.variation.CandidateSpace`.

    Args:
        space: What is sampled.
        candidate: A candidate of a sentence's tree, its choices, key and cost.
    """

    def __init__(self, space: SampleSpace, candidate: Callable[..., Candidate]) -> None:
        self._space, self._candidate = space, candidate

    def derive(self, choose: Choose, origin: str = PRIOR, parents: tuple[int, ...] = ()) -> Candidate | None:
        """The candidate whose choices `choose` answers; None if it is ill-typed or over a limit."""
        sample = self._space.sample(choose)
        if sample.reason is not None or sample.sentence is None:
            return None
        candidate = self._candidate(sample.sentence.node, sample.choices, sample.key, sample.cost)
        return replace(candidate, origin=origin, parents=parents, sample=sample)


@lru_cache(maxsize=2048)  # searches on a table meet the same ones again and again
def _parsed(sentence: str) -> Node:
    from metamixer.language import parse

    return parse(sentence).node


def _features(
    family: str, node: Node, choices: Mapping[str, int | str], cost: Mapping[str, int]
) -> Mapping[Any, float]:
    if family == "known":
        return of_known(cost)
    if family == "choices":
        return of_choices(choices)
    if family == "rules":
        return _rules(tuple(choices.items()))
    return _of_sentence(node)[family]


@lru_cache(maxsize=4096)
def _of_sentence(node: Node) -> Mapping[str, Mapping[Any, float]]:
    """Nodes are interned: equal sentences are one node."""
    return of_tree(tree_of(node))


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
