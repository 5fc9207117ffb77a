"""Where an architecture came from: its source and parents as recorded, and what differs from a parent.

A record tells them by the fields ``source``, ``origin`` and ``parents`` of its trials, where it has them; a record
written before there were such fields tells nothing, and ``origin`` says so rather than guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metamixer.dashboards.understanding.otherwise import slot
from metamixer.dashboards.understanding.trained import COSTS
from metamixer.explore.diff import Pair, Stage, diff
from metamixer.language import parse

OPERATIONS = {
    "prior": "drawn from the space's prior",
    "initial": "spread over the range of costs before the model took over",
    "fresh": "a fresh draw that the model proposed",
    "model": "proposed by a sampler's model",
    "mutation": "a mutation",
    "crossover": "a crossover",
    "sampler": "proposed by an Optuna sampler",
    "initial point": "named by the study as an initial point",
    "warm start": "taken over from an earlier run",
    "baseline": "a baseline of the study",
}
DEEPEST = 50  # generations


def structural_difference(
    parent: Mapping[str, Any], child: Mapping[str, Any], channels: int, grid: tuple[int, ...]
) -> dict[str, Any]:
    """What differs between two architectures, as stages and as choices.

    Args:
        parent: with ``sentence`` and, where it has a derivation, ``choices``.
        child: likewise.
        channels: of the study's input; sentences and costs are compared without the head.
        grid: of the study's input.

    Returns:
        ``same``: whether they are one architecture. ``stages``: rows of the outermost sequence side by side, each with
        ``verdict`` (``same``, ``changed``, ``added``, ``dropped``), and ``parent`` and ``child`` (None where there is
        none) with ``text``, ``macs``, ``params``. ``choices``: ``changed`` (``name``, ``slot``, ``from``, ``to``),
        ``dropped`` and ``added`` (``name``, ``slot``, ``value``); equal rules at other places have other names.
        ``costs`` (macs, params, elementwise, activations) and ``attributes`` (see `metamixer.explore.Attributes`), of
        the parent, then of the child.

    Raises:
        LanguageError: one of them does not fit the input.
    """
    found = diff(parse(parent["sentence"]), parse(child["sentence"]), channels, grid)
    before, after = parent.get("choices") or {}, child.get("choices") or {}
    return {
        "same": found.same,
        "stages": [
            {"verdict": _verdict(pair), "parent": _stage(pair.a), "child": _stage(pair.b)} for pair in found.pairs
        ],
        "choices": {
            "changed": [
                {"name": name, "slot": slot(name), "from": value, "to": after[name]}
                for name, value in before.items()
                if name in after and after[name] != value
            ],
            "dropped": [_one(name, value) for name, value in before.items() if name not in after],
            "added": [_one(name, value) for name, value in after.items() if name not in before],
        },
        "costs": [{name: int(getattr(one, name)) for name in COSTS} for one in found.costs],
        "attributes": [one.described() for one in found.attributes],
    }


def origin(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Where one trial came from, as its record tells.

    Args:
        trial: with ``kind`` and, where recorded, ``origin`` (see ``OPERATIONS``), ``parents`` (numbers) and
            ``source`` (``run#number`` for what was taken over).

    Returns:
        ``operation`` (None where it is not recorded), ``text`` to show, ``parents`` (numbers), ``source``.
    """
    operation = trial.get("origin")
    if operation is None and trial.get("kind") == "imported":
        operation = "warm start"
    if operation is None and trial.get("kind") == "baseline":
        operation = "baseline"
    parents = [int(number) for number in trial.get("parents") or ()]
    text = "the record does not tell" if operation is None else OPERATIONS.get(operation, str(operation))
    if parents:
        text += f" of {' and '.join(f'trial {number}' for number in parents)}"
    if trial.get("source"):
        text += f" ({trial['source']})"
    return {"operation": operation, "text": text, "parents": parents, "source": trial.get("source")}


def ancestors(number: int, trials: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The tree of a trial's ancestors, each once.

    Args:
        number: the trial.
        trials: all trials by number, with what ``origin`` reads.

    Returns:
        ``nodes``, breadth first from the trial: ``number``, ``generation`` (0 for the trial itself) and what ``origin``
        returns; ``edges``: pairs (parent, child); ``cut``: whether there are generations beyond ``DEEPEST``.
    """
    nodes: list[dict[str, Any]] = []
    edges: list[tuple[int, int]] = []
    seen, layer, generation = {number}, [number], 0
    while layer and generation <= DEEPEST:
        following: list[int] = []
        for one in layer:
            told = origin(trials.get(one, {}))
            nodes.append({"number": one, "generation": generation, **told})
            for parent in told["parents"]:
                edges.append((parent, one))
                if parent not in seen:
                    seen.add(parent)
                    following.append(parent)
        layer, generation = following, generation + 1
    return {"nodes": nodes, "edges": edges, "cut": bool(layer)}


def _verdict(pair: Pair) -> str:
    if pair.a is None or pair.b is None:
        return "added" if pair.a is None else "dropped"
    return "same" if pair.same else "changed"


def _stage(stage: Stage | None) -> dict[str, Any] | None:
    return stage and {"text": stage.text, "macs": stage.macs, "params": stage.params}


def _one(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "slot": slot(name), "value": value}


def children(number: int, trials: Sequence[Mapping[str, Any]]) -> list[int]:
    """Numbers of the trials that name this one as a parent."""
    return [int(trial["number"]) for trial in trials if number in (trial.get("parents") or ())]
