"""What a record holds of trained architectures, as the other modules of this room read it.

Everything here is of one input and one space: those of the study. Nothing is trained and nothing is written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import log1p
from pathlib import Path
from typing import Any

import numpy as np

from metamixer import record
from metamixer.language import Sentence, Space
from metamixer.language.syntax.nodes import Node, Power, count_of, label, size, word
from metamixer.record import Trial
from metamixer.record.front import efficient
from metamixer.search.samplers.core.features import Features, of_known, of_rules

Value = int | str
COSTS = ("macs", "params", "elementwise", "activations")


@dataclass(frozen=True)
class Architecture:
    """One trained architecture with all its seeds.

    Attributes:
        number: the trial that trained it first.
        sentence: without the task's head.
        choices: its derivation; empty for one that the space does not derive, such as a baseline.
        cost: macs, params, elementwise, activations of one input, head included.
        accuracies: validation accuracy in 0..1, one a seed.
        searched: whether it may stand on the front; a baseline teaches, and does not.
    """

    number: int
    sentence: str
    choices: Mapping[str, Value]
    cost: Mapping[str, int]
    accuracies: tuple[float, ...]
    searched: bool = True

    @property
    def accuracy(self) -> float:
        """Mean over its seeds."""
        return float(np.mean(self.accuracies))


@dataclass(frozen=True)
class Context:
    """What architectures of one study are looked at with.

    Attributes:
        space: what was searched.
        channels, grid: the input.
        classes: of the head ``mean >> lin(classes)`` that costs include; 0 for none.
    """

    space: Space = field(repr=False)
    channels: int
    grid: tuple[int, ...]
    classes: int

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Context:
        """From a record's settings, or a recorded table's header."""
        task, space = settings["task"], settings["space"]
        kept = {key: space[key] for key in ("name", "start", "max_depth", "rules") if key in space}
        return cls(Space.from_dict(kept), int(task["channels"]), tuple(task["grid"]), int(task.get("classes") or 0))

    def network(self, sentence: Sentence) -> Sentence:
        """The sentence with its head."""
        return sentence.then(word("mean"), word("lin", size(self.classes))) if self.classes else sentence


@dataclass(frozen=True)
class Study:
    """A record's trained architectures by number, and what they are looked at with."""

    context: Context
    architectures: tuple[Architecture, ...]

    def front(self) -> list[Architecture]:
        """Those that no other dominates by mean accuracy and macs, by rising macs; baselines left out."""
        searched = [one for one in self.architectures if one.searched]
        return [searched[i] for i in efficient([(one.accuracy, 2.0 * one.cost["macs"]) for one in searched])]


def load(path: str | Path) -> Study:
    """The trained architectures of a record.

    Raises:
        RecordError: there is no such record, it is locked or out of reach, or it is something else.
    """
    return Study(Context.of(record.settings(path)), architectures(record.read(path)))


def architectures(trials: Iterable[Trial]) -> tuple[Architecture, ...]:
    """Those that were trained to the end, each with its replicates; of one key trained twice, the first."""
    firsts: list[Trial] = []
    seeds: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        if trial.state != "complete" or trial.accuracy is None or trial.cost is None:
            continue
        if trial.searched or trial.kind == "baseline":
            firsts.append(trial)
            seeds[trial.number].insert(0, trial.accuracy)
        elif trial.kind == "replicate" and trial.replicate_of is not None:
            seeds[trial.replicate_of].append(trial.accuracy)
    return tuple(
        Architecture(t.number, t.sentence, t.choices, t.cost or {}, tuple(seeds[t.number]), t.searched) for t in firsts
    )


def features(sentence: Node, choices: Mapping[str, Value], cost: Mapping[str, int]) -> Features:
    """What a model sees of an architecture: its choices by the rules they were taken under, its words, its cost."""
    return {"rules": of_rules(choices), "words": of_words(sentence), "known": of_known(cost)}


def of_words(sentence: Node) -> dict[str, float]:
    """Damped counts of words, and of words with their sizes, repetitions written out."""
    counts: Counter[str] = Counter()
    _count(sentence, 1, counts)
    return {token: log1p(count) for token, count in counts.items()}


def _count(node: Node, times: int, counts: Counter[str]) -> None:
    if isinstance(node, Power) and (copies := count_of(node.count)) is not None:
        _count(node.operand, times * copies, counts)
        return
    counts[label(node)] += times
    for kid in node.kids:
        _count(kid, times, counts)
