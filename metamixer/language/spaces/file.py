"""A space file: its keys, their checks and their JSON Schema, from one model."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from metamixer.errors import SpaceError
from metamixer.language.syntax.parser import nearest

Rules = Annotated[
    dict[str, str],
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": "^[a-z_][a-z_0-9]*$"},
            "additionalProperties": {
                "type": "string",
                "description": "a sentence with choices, such as conv(lin,#{3|5|7}) -> {gelu|relu} -> conv(#{3|5|7})",
            },
        }
    ),
]
START = "the rule an architecture is derived from; by default the first"


class SpaceFile(BaseModel):
    """What stands in a space file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, title="metamixer search space")

    name: str = Field("space", description="what the space is called")
    start: Annotated[str | None, WithJsonSchema({"type": "string", "description": START})] = None
    max_depth: int = Field(3, description="how often a recursive rule may stand on one path from the root", ge=1)
    rules: Rules


def schema() -> dict[str, Any]:
    """The JSON Schema of space files, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **SpaceFile.model_json_schema()}


def read(path: Path) -> SpaceFile:
    """The content of a space file.

    Raises:
        SpaceError: it is no TOML, or no space.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpaceError(
            f"this is no TOML: {error}", str(path), "see search_spaces/digits.toml for an example"
        ) from None
    return checked(content, str(path))


def checked(content: Mapping[str, Any], place: str | None = None) -> SpaceFile:
    """The content of a space file, from its tables.

    Raises:
        SpaceError: a key is unknown, missing, or of another type.
    """
    try:
        return SpaceFile.model_validate(dict(content))
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
    key = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        close = nearest(key, SpaceFile.model_fields)
        known = f"known: {', '.join(SpaceFile.model_fields)}"
        raise SpaceError(f"unknown key {key}", place, f"did you mean {close}?" if close else known)
    if key == "rules":
        example = "write [rules] and lines such as network = 'patch(2,48) >> block^4 >> norm'"
        raise SpaceError("a space has a table [rules] of sentences", place, example)
    if first["type"] == "greater_than_equal":
        raise SpaceError(f"max_depth = {first['input']} allows no rule at all", place, "write max_depth = 1 or more")
    raise SpaceError("max_depth is an integer, start and name are texts", place)
