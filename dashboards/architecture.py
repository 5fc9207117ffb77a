"""All that is known of one trial: what the card and the page of an architecture show."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pprint import pformat
from typing import Any

from metamixer.cost import cost
from metamixer.cost.count import counts, repeats
from metamixer.dashboards.columns import status
from metamixer.dashboards.insight import roles
from metamixer.dashboards.understanding import atlas as atlases
from metamixer.dashboards.understanding import lineage
from metamixer.errors import LanguageError
from metamixer.explore import attributes
from metamixer.language import parse
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.types import Field, Score
from metamixer.record import Trial
from metamixer.record.retrained import Tested
from metamixer.report.costs import stages
from metamixer.report.drawing import draw
from metamixer.report.sketch import shape, sketch
from metamixer.report.svg import STYLE

DEEPEST = 400  # lines of the tree that are sent
CURVE = ("epoch", "train_accuracy", "validation_accuracy", "train_loss", "validation_loss")


def described(
    trials: Sequence[Trial],
    settings: Mapping[str, Any],
    drawn: bool = True,
    parents: Sequence[Trial] = (),
    children: Sequence[int] = (),
    tested: Tested | None = None,
) -> dict[str, Any]:
    """One trial with its replicates as plain values.

    Args:
        trials: The trial, then its replicates.
        settings: Of the record, see `metamixer.record.settings`.
        drawn: Whether to draw it and to work out its types and costs; it takes some tenths of a second.
        parents: Those of its parents that the record holds.
        children: Numbers of the trials that name it as a parent.
        tested: What retraining said of it.
    """
    trial = trials[0]
    found = {
        "number": trial.number,
        "key": trial.key,
        "kind": trial.kind,
        "status": status(trial),
        "reason": trial.reason,
        "name": trial.name,
        "sentence": trial.sentence,
        "roles": roles(trial.sentence) if trial.sentence else [],
        "choices": {str(name): value for name, value in trial.choices.items()},
        "cost": trial.cost,
        "seeds": [seed(one) for one in trials],
        "source": trial.source,
        "origin": lineage.origin(vars(trial)),
        "parents": [descent(parent, trial, settings["task"]) for parent in parents],
        "children": list(children),
        "duplicate_of": trial.duplicate_of,
        "original": trial.replicate_of,
        "retrains": trial.retrains,
        "test": trial.test,
        "tested": None if tested is None else asdict(tested),
        "attempts": trial.attempts,
        "batch": trial.batch,
        "versions": trial.versions,
        "weights": trial.weights,
        "traceback": trial.traceback,
        "commands": commands(trial, settings),
    }
    if drawn and trial.sentence:
        found |= built(trial.sentence, settings["task"])
    return found


def descent(parent: Trial, child: Trial, task: Mapping[str, Any]) -> dict[str, Any]:
    """A parent's number, and what differs from it; None where one of the two cannot be read."""
    channels, grid = int(task["channels"]), tuple(task["grid"])
    try:
        difference = lineage.structural_difference(vars(parent), vars(child), channels, grid)
    except LanguageError:
        difference = None
    return {"number": parent.number, "difference": difference}


def seed(trial: Trial) -> dict[str, Any]:
    """One training of the architecture."""
    curve = {name: [epoch.get(name) for epoch in trial.curve] for name in CURVE}
    return {
        "number": trial.number,
        "seed": trial.seed,
        "status": status(trial),
        "accuracy": trial.accuracy,
        "loss": trial.loss,
        "seconds": trial.seconds,
        "epochs": trial.epochs,
        "device": trial.device,
        "worker": trial.worker,
        "started": trial.started,
        "curve": curve,
    }


def built(sentence: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """Drawing, types along the way, costs by stage and by word, attributes; or why there are none."""
    channels, grid = int(task["channels"]), tuple(task["grid"])
    # Parentheses end the body of a leading let, which would otherwise reach over the head.
    text = f"({sentence}) >> mean >> lin({task['classes']})" if task.get("classes") else sentence
    try:
        network = parse(text)
        tree, counted = network.typed(channels, grid), cost(network, channels, grid)
        derived = attributes(network, channels, grid)
    except LanguageError as error:  # ill-typed, of another version, or of a plug-in that is not installed here
        return {"unreadable": str(error)}
    return {
        "network": text,
        "input": shape(tree.x),
        "drawing": drawing(tree),
        "tree": list(_lines(tree)),
        "stages": [stage._asdict() for stage in stages(counted)],
        "words": by_word(tree),
        "attributes": derived.rows(),
        "counted": {name: getattr(counted, name) for name in ("macs", "params", "elementwise", "activations")},
    }


def drawing(tree: Typed) -> str:
    """The picture as SVG without its own style, which the page has once for all pictures."""
    return draw(sketch(tree)).replace(f"<style>{STYLE}</style>", "")


def drawn_mixer(name: str) -> str:
    """The drawing of a catalogue's mixer alone.

    Raises:
        LanguageError: The catalogue has no such mixer.
    """
    return atlases.drawing(name).replace(f"<style>{STYLE}</style>", "")


def by_word(tree: Typed) -> list[dict[str, Any]]:
    """MACs and parameters that each word adds over those of the phrases inside it, the dearest first."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    _add(tree, 1, sums)
    rows = [{"word": word, "n": n, "macs": macs, "params": params} for word, (n, macs, params) in sums.items()]
    return sorted((row for row in rows if row["macs"] or row["params"]), key=lambda row: (-row["macs"], row["word"]))


def _add(tree: Typed, times: int, sums: dict[str, list[int]]) -> None:
    macs, params, _, _ = counts(tree)
    inner = [counts(kid) for kid in tree.kids]
    within = repeats(tree)
    own = macs - within * sum(kid[0] for kid in inner), params - sum(kid[1] for kid in inner)
    entry = sums[tree.word.name]
    entry[0] += times
    entry[1] += times * own[0]
    entry[2] += own[1]
    for kid in tree.kids:
        _add(kid, times * within, sums)


def _lines(tree: Typed) -> list[dict[str, Any]]:
    """The checked tree, line by line: depth, how often in a row, phrase, what comes out of it, and its costs."""
    lines: list[dict[str, Any]] = []

    def visit(t: Typed, depth: int, times: int) -> None:
        if len(lines) >= DEEPEST:
            return
        macs, params, _, _ = counts(t)
        lines.append(
            {"depth": depth, "times": times, "text": t.text, "type": _type(t), "macs": macs, "params": params}
        )  # fmt: skip
        kids = [kid for kid in t.kids if isinstance(kid.out, (Field, Score)) and kid.text != "x"]
        for kid, same in groupby(kids):
            visit(kid, depth + 1, len(list(same)))

    visit(tree, 0, 1)
    return lines


def _type(tree: Typed) -> str:
    if isinstance(tree.out, Score):
        heads = f" × {tree.out.heads} heads" if tree.out.heads > 1 else ""
        return f"{tree.out.tokens}→{tree.out.slots} scores{heads}"
    return shape(tree.out)


def commands(trial: Trial, settings: Mapping[str, Any]) -> dict[str, str]:
    """The architecture as it can be taken home: TOML and Python, and what trains it again."""
    if not trial.sentence:
        return {}
    task = settings["task"]
    channels, grid = int(task["channels"]), tuple(task["grid"])
    network = f"({trial.sentence}) >> mean >> lin({task['classes']})"
    return {
        "reproduce": _reproduce(trial, settings) if trial.seed is not None and trial.cost else "",
        "toml": f"name = {json.dumps(_name(trial, settings))}\nstart = 'network'\n\n[rules]\n"
        f"network = {_literal(trial.sentence)}\n",
        "python": f"import metamixer as mm\n\nnetwork = mm.build(\n    {network!r},\n    channels={channels},\n"
        f"    grid={grid},\n)\n",
    }


def _reproduce(trial: Trial, settings: Mapping[str, Any]) -> str:
    """A shell command that does what the search's worker did."""
    task, search = settings["task"], settings.get("search") or {}
    final = trial.kind == "retrained"
    training = {**((trial.training if final else settings.get("training")) or {}), **trial.recipe}
    if trial.batch is not None:
        training["batch_size"] = trial.batch
    # The images of `[data]` lie in a folder, which is the task's name; that in the record is a title.
    job: dict[str, Any] = {
        "sentence": trial.sentence,
        "task": {"name": f"stored:{task['stored']}" if task.get("stored") else task["name"]},
        "training": training,
        "seed": trial.seed,
        "threads": search.get("threads", 1),
        "device": "cuda" if search.get("gpus") else "cpu",
        **({"final": True} if final else {}),
    }
    evaluate = str(search.get("evaluate") or "metamixer.training.evaluate:evaluate")
    module, _, function = evaluate.partition(":")
    program = f"from {module} import {function}\n\njob = {pformat(_plain(job), sort_dicts=False, width=100)}\n"
    program += f"print({function}(job, print)['accuracy'])\n"
    return f"python - <<'END'\n{program}END\n"


def _name(trial: Trial, settings: Mapping[str, Any]) -> str:
    return f"{(settings.get('study') or {}).get('name', 'run')}_{trial.number}"


def _literal(text: str) -> str:
    """A TOML string: literal where it can be."""
    return f"'{text}'" if "'" not in text and "\n" not in text else json.dumps(text)


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))
