"""A searched recipe: keys of `[training]` written as alternatives, `learning_rate = "{1e-3|3e-3|1e-2}"`.

What is chosen for a key is a choice of the trial, `training.learning_rate`, beside those that its architecture was
drawn by. An architecture that is trained under two recipes is two trials of one key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from metamixer.training.recipe import Recipe

PREFIX = "training."
MOST = 1000  # alternatives of one key
Value = int | str

_ALTERNATIVES = re.compile(r"\{(.*)\}", re.DOTALL)
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})")
# Keys that are one for all trials of a study, and why.
ONE_FOR_ALL = {
    "epochs": "accuracies after different numbers of epochs are not compared",
    "preset": "a preset is many keys; write alternatives of those that are to be searched",
}


class RecipeError(ValueError):
    """What is written for a key is no choice; `advice` says what to write instead."""

    def __init__(self, message: str, advice: str) -> None:
        super().__init__(message)
        self.advice = advice


def domain(key: str, text: Any) -> tuple[Value, ...] | None:
    """The alternatives that are written for a key: integers where all are, else texts; None if it is no choice.

    Raises:
        RecipeError: It is one that cannot be searched.
    """
    found = _ALTERNATIVES.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        return None
    example = f'write {key} = "{{a|b}}", or for integers "{{1..4}}"'
    if key in ONE_FOR_ALL:
        raise RecipeError(f"training.{key} cannot be searched: {ONE_FOR_ALL[key]}", f"write one {key}")
    bounds = _RANGE.fullmatch(found[1].strip())
    values: tuple[Value, ...]
    if bounds:
        first, last = int(bounds[1]), int(bounds[2])
        if not first < last < first + MOST:
            raise RecipeError(f"training.{key}: the range {first}..{last} is not of 2 to {MOST} integers", example)
        values = tuple(range(first, last + 1))
    else:
        texts = tuple(part.strip() for part in found[1].split("|"))
        if not all(texts):
            raise RecipeError(f"training.{key}: an alternative is empty", example)
        values = tuple(map(int, texts)) if all(re.fullmatch(r"-?\d{1,9}", part) for part in texts) else texts
    if not 2 <= len(values) <= MOST:
        raise RecipeError(f"training.{key}: a choice has 2 to {MOST} alternatives, this one {len(values)}", example)
    if len(set(values)) < len(values):
        raise RecipeError(f"training.{key}: an alternative stands twice", example)
    return values


def domains(training: Mapping[str, Any]) -> dict[str, tuple[Value, ...]]:
    """The keys of a `[training]` table that are choices, and their alternatives, each of which makes a recipe.

    Raises:
        RecipeError: One cannot be searched, or an alternative is none; the message names the key.
    """
    found: dict[str, tuple[Value, ...]] = {}
    for key, text in training.items():
        values = domain(key, text)
        if values is not None and key in Recipe.model_fields:
            found[key] = values
    fixed = {key: value for key, value in training.items() if key not in found}
    firsts = {key: values[0] for key, values in found.items()}
    for key, values in found.items():
        for value in values:
            try:
                Recipe.model_validate({**fixed, **firsts, key: value})
            except ValidationError as error:
                first = error.errors()[0]
                if first["loc"][:1] == (key,):
                    raise RecipeError(f"training.{key}: {value} is none: {first['msg']}", "leave it out") from None
                break  # the rest of the table is at fault, which its own message says better
    return found


def written(values: tuple[Value, ...]) -> str:
    """Alternatives as a study file has them."""
    return "{" + "|".join(map(str, values)) + "}"


def chosen(choices: Mapping[str, Value]) -> dict[str, Value]:
    """Of a trial's choices those of its recipe, by key of `[training]`."""
    return {name.removeprefix(PREFIX): value for name, value in choices.items() if name.startswith(PREFIX)}


def recipe(base: Recipe, choices: Mapping[str, Value]) -> Recipe:
    """The recipe with what a trial has chosen."""
    return Recipe.model_validate({**base.model_dump(), **chosen(choices)}) if chosen(choices) else base
