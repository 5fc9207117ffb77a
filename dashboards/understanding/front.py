"""Why is this on the front? Every choice of a front member, and what is expected had it been taken otherwise.

Expected by a model of the study's own trainings (`surrogate`), of the alternative with the *member's costs* in place of
its own: what the choice is worth at equal cost, apart from what it spends. Intervals are of the posterior, and of what
hangs on the alternative and was drawn. A change whose interval holds zero is `undecided`: the data do not say. Nor do
they where the alternative costs several times more or less (`COMPARABLE`): there is no such architecture of equal cost.
The member is taken as the model believes it to be, not as its seeds happened to fall, so one that is on the front by
luck does not pass its luck on.

How far such signs can be trusted is measured by `benchmarks/understanding.py` on a table of recorded trainings.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from metamixer.dashboards.understanding.otherwise import Derived, Otherwise, Taken, otherwise, slot, taken
from metamixer.dashboards.understanding.surrogate import Floats, Surrogate, fitted, interval, verdict
from metamixer.dashboards.understanding.trained import Architecture, Study, features
from metamixer.errors import LanguageError
from metamixer.language import parse
from metamixer.search.samplers.core.features import Features

EVIDENCE = 5  # trials that are named for one expectation
COMPARABLE = 3.0  # times the cost, up to which there is an architecture of equal cost to think of
TOO_FEW = "too few trainings differ for a model of them"


@dataclass
class Model:
    """A study's trainings with a model of them; counterfactuals are remembered. Make a new one when trials are added.

    Attributes:
        study: the trainings.
        surrogate: the model; None where there are too few trainings.
    """

    study: Study
    surrogate: Surrogate | None
    _otherwise: dict[int, list[Otherwise]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, study: Study) -> Model:
        ones = study.architectures
        return cls(study, fitted([features_of(one) for one in ones], [one.accuracies for one in ones]))

    def otherwise(self, one: Architecture) -> list[Otherwise]:
        """See `otherwise.otherwise`; empty for what the space does not derive."""
        if one.number not in self._otherwise:
            try:
                self._otherwise[one.number] = list(otherwise(one, self.study.context))
            except LanguageError:
                self._otherwise[one.number] = []
        return self._otherwise[one.number]


def features_of(one: Architecture) -> Features:
    """What the model sees of a trained architecture."""
    return features(parse(one.sentence).node, one.choices, one.cost)


def at_cost(derived: Derived, cost: Mapping[str, int]) -> Features:
    """What the model sees of an architecture as if it had these costs."""
    return features(derived.sentence.node, derived.choices, cost)


def why(model: Model, number: int) -> dict[str, Any]:
    """Why an architecture is where it is.

    Returns a dict with ``number``, ``on_front``, ``accuracy`` (mean over seeds, 0..1), ``macs``, ``reason`` (a sentence
    where nothing can be said, else None), and ``choices``, one dict a choice in the order in which they are met:

    - ``name``, ``slot`` (by its rule), ``taken``, ``viable`` (all that could be taken there);
    - ``verdict``: ``best`` (every alternative is expected to be worse), ``improvable`` (one is expected to be better),
      ``only`` (there was no alternative) or ``undecided``;
    - ``alternatives``, the best first: ``value``; ``change`` of accuracy at equal cost (``mean``, ``low``, ``high`` of
      the 95 % interval, ``probability`` that it is a gain); its ``verdict``: ``better``, ``worse`` or ``undecided``;
      ``cost_ratio`` of MACs at its own cost to the member's, and whether that is ``comparable``; ``derived``, how many
      architectures it was averaged over; ``tried``, trained architectures that took it anywhere under this rule;
      ``evidence``, the trials that the
      expectation rests on most (``number``, ``share`` of all weight, ``says``: ``better`` or ``worse``, ``took``:
      ``instead``, ``taken``, ``both`` or ``neither``); ``measured``, trials that differ from it in this choice alone
      (``number``, ``change`` of mean accuracy, ``cost_ratio``).

    Raises:
        KeyError: no trained architecture has this number.
    """
    one = {a.number: a for a in model.study.architectures}[number]
    answer: dict[str, Any] = {
        "number": number,
        "on_front": any(member.number == number for member in model.study.front()),
        "accuracy": one.accuracy,
        "macs": one.cost["macs"],
        "reason": TOO_FEW if model.surrogate is None else None,
        "choices": [],
    }
    try:
        choices = taken(one, model.study.context)
    except LanguageError:
        return answer | {"reason": "the study's space does not derive this architecture, so it has no choices"}
    expected = _expected(model, one) if model.surrogate is not None else {}
    counts = tried(model.study.architectures)
    for choice in choices:
        alternatives = expected.get(choice.name, [])
        for alternative in alternatives:
            alternative["tried"] = counts[choice.slot][alternative["value"]]
            alternative["measured"] = _measured(model.study, one, choice, alternative["value"])
        answer["choices"].append(
            {
                "name": choice.name,
                "slot": choice.slot,
                "taken": choice.value,
                "viable": list(choice.choice.viable),
                "verdict": _choice_verdict(choice, alternatives),
                "alternatives": sorted(alternatives, key=lambda item: -item["change"]["mean"]),
            }
        )
    return answer


def effects(model: Model) -> dict[str, Any]:
    """Which choices move the front at equal cost, over the whole study.

    Returns a dict with ``members`` (front members that were looked at), ``reason`` (None, or why nothing is said) and
    ``effects``, those that are decided first, then by the size of the mean. Each has ``slot`` (a choice by its rule),
    ``value``; ``change``, the mean change of accuracy of the front members that took something else there, had they
    taken it at equal cost (as in `why`); ``verdict``; ``members``, how many those are; ``instead_of``, what they took,
    with counts; ``tried``, trained architectures that took it.
    """
    members = model.study.front()
    if model.surrogate is None:
        return {"members": 0, "reason": TOO_FEW, "effects": []}
    groups: dict[tuple[str, Any], list[tuple[Architecture, Otherwise]]] = defaultdict(list)
    for one in members:
        for item in filter(partial(_comparable, one), model.otherwise(one)):
            groups[item.taken.slot, item.value].append((one, item))
    counts = tried(model.study.architectures)
    found = []
    for (where, value), items in groups.items():
        change = interval(_mean_change(model.surrogate, items))
        found.append(
            {
                "slot": where,
                "value": value,
                "change": change,
                "verdict": verdict(change),
                "members": len({one.number for one, _ in items}),
                "instead_of": [
                    {"value": v, "count": n} for v, n in Counter(i.taken.value for _, i in items).most_common()
                ],
                "tried": counts[where][value],
            }
        )
    found.sort(key=lambda e: (e["verdict"] == "undecided", -abs(e["change"]["mean"])))
    return {"members": len(members), "reason": None, "effects": found}


def change_samples(
    surrogate: Surrogate, reference: Features, alternatives: Sequence[Sequence[Features]]
) -> tuple[Floats, Floats]:
    """Changes of accuracy (samples, alternatives) and weights, see `changes` and `differences`.

    The weights (alternatives, trainings) say how much each training's transformed error adds to an expected change.
    """
    flat = [reference, *(one for group in alternatives for one in group)]
    mean, covariance, weights = surrogate.joint(flat)
    sizes = [len(group) for group in alternatives]
    return changes(surrogate.samples(mean, covariance), sizes), differences(sizes) @ weights


def changes(samples: Floats, sizes: Sequence[int]) -> Floats:
    """Changes (samples, alternatives) of accuracy from samples (samples, 1 + all derivations), the reference first.

    An alternative of several derivations is any one of them: each has its share of the samples, so that an interval
    holds what they differ by as well.
    """
    begins = np.cumsum([1, *sizes[:-1]])
    turn = np.arange(len(samples))
    columns = [samples[turn, begin + turn % size] for begin, size in zip(begins, sizes, strict=True)]
    return np.stack(columns, axis=1) - samples[:, :1]


def differences(sizes: Sequence[int]) -> Floats:
    """(alternatives, 1 + all derivations): takes the mean of each alternative's derivations less the reference."""
    found = np.zeros((len(sizes), 1 + sum(sizes)))
    found[:, 0] = -1.0
    at = 1
    for row, size in enumerate(sizes):
        found[row, at : at + size] = 1.0 / size
        at += size
    return found


def tried(ones: Sequence[Architecture]) -> dict[str, Counter[Any]]:
    """For each choice by its rule, how many architectures took each value at least once."""
    found: dict[str, Counter[Any]] = defaultdict(Counter)
    for one in ones:
        for where, value in {(slot(name), value) for name, value in one.choices.items()}:
            found[where][value] += 1
    return found


def _expected(model: Model, one: Architecture) -> dict[str, list[dict[str, Any]]]:
    """Alternatives of each choice by its name."""
    assert model.surrogate is not None
    items = model.otherwise(one)
    if not items:
        return {}
    groups = [[at_cost(derived, one.cost) for derived in item.derived] for item in items]
    samples, weights = change_samples(model.surrogate, features_of(one), groups)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for item, sample, weight in zip(items, samples.T, weights, strict=True):
        change = interval(sample)
        comparable = _comparable(one, item)
        found[item.taken.name].append(
            {
                "value": item.value,
                "change": change,
                "verdict": verdict(change) if comparable else "undecided",
                "cost_ratio": item.cost_ratio(one.cost["macs"]),
                "comparable": comparable,
                "derived": len(item.derived),
                "evidence": _evidence(model, item, weight),
            }
        )
    return found


def _comparable(one: Architecture, item: Otherwise) -> bool:
    return 1 / COMPARABLE <= item.cost_ratio(one.cost["macs"]) <= COMPARABLE


def _evidence(model: Model, item: Otherwise, weight: Floats) -> list[dict[str, Any]]:
    assert model.surrogate is not None
    if len(weight) != len(model.study.architectures):  # the model stands on some of very many trainings
        return []
    # A training with a large error and a positive weight speaks against the alternative.
    says = -weight * (model.surrogate.targets - model.surrogate.targets.mean())
    total = float(np.abs(says).sum()) or 1.0
    found = []
    for i in np.argsort(-np.abs(says), kind="stable")[:EVIDENCE]:
        one = model.study.architectures[int(i)]
        values = {value for name, value in one.choices.items() if slot(name) == item.taken.slot}
        took = (item.value in values, item.taken.value in values)
        found.append(
            {
                "number": one.number,
                "share": float(abs(says[i]) / total),
                "says": "better" if says[i] > 0 else "worse",
                "took": {(1, 1): "both", (1, 0): "instead", (0, 1): "taken"}.get(took, "neither"),
            }
        )
    return found


def _measured(study: Study, one: Architecture, choice: Taken, value: Any) -> list[dict[str, Any]]:
    """Trials that differ in one choice, and in what hangs on it."""
    found = []
    for other in study.architectures:
        if other.choices.get(choice.name) == value and differ_in_one(one.choices, other.choices) == choice.name:
            found.append(
                {
                    "number": other.number,
                    "change": other.accuracy - one.accuracy,
                    "cost_ratio": other.cost["macs"] / one.cost["macs"],
                }
            )
    return found


def differ_in_one(a: Mapping[str, Any], b: Mapping[str, Any], shared: float = 0.25) -> str | None:
    """The name of the one choice that both derivations met and took differently, if there is just one.

    Choices that only one of them met hang on it. Derivations that agree in less than ``shared`` of their choices are
    two architectures rather than one that was changed.
    """
    different = [name for name, value in a.items() if name in b and b[name] != value]
    same = sum(name in b for name in a) - len(different)
    return different[0] if len(different) == 1 and same >= shared * max(len(a), len(b)) else None


def _choice_verdict(choice: Taken, alternatives: Sequence[Mapping[str, Any]]) -> str:
    if not choice.others:
        return "only"
    verdicts = [item["verdict"] for item in alternatives]
    if "better" in verdicts:
        return "improvable"
    return "best" if verdicts and len(verdicts) == len(choice.others) and set(verdicts) == {"worse"} else "undecided"


def _mean_change(surrogate: Surrogate, items: Sequence[tuple[Architecture, Otherwise]]) -> Floats:
    """Samples of the mean over members; of one that met the choice several times, of the mean of these."""
    members = {one.number: one for one, _ in items}
    flat = [features_of(one) for one in members.values()]
    row = {number: index for index, number in enumerate(members)}
    met = Counter(one.number for one, _ in items)
    averages: list[float] = [0.0] * len(flat)
    for one, item in items:
        share = 1.0 / (len(members) * met[one.number])
        averages[row[one.number]] -= share
        flat += [at_cost(derived, one.cost) for derived in item.derived]
        averages += [share / len(item.derived)] * len(item.derived)
    mean, covariance, _ = surrogate.joint(flat)
    return surrogate.samples(mean, covariance) @ np.array(averages)
