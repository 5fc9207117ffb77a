"""All keys of a study file, from the models that check it: as a JSON Schema for editors, and as a page."""

from __future__ import annotations

from typing import Any

from metamixer.search.configuration import StudyConfig
from metamixer.training import searched

_SECTIONS = {
    "study": "What is searched, on what, and how much may be spent.",
    "data": "Images of yours, in place of a task; see [Your own data](data.md).",
    "training": "How every architecture is trained; see [Training](training.md). Keys may be searched choices.",
    "limits": "Bounds for one input, of the whole network with the task's head; what is over one is never trained.",
    "search": "How proposals are made and where they are trained.",
    "pruning": "Which trainings are stopped early.",
    "baselines": "Catalogue entries trained under the same recipe; they do not count against the budget.",
}


def schema() -> dict[str, Any]:
    """The JSON Schema of a study file; editors that know TOML check and complete by it."""
    document = StudyConfig.model_json_schema()
    document["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    document["title"] = "metamixer study"
    for key, facts in document["$defs"]["Recipe"]["properties"].items():
        if key not in searched.ONE_FOR_ALL:
            choice = {"type": "string", "pattern": r"^\s*\{.*\}\s*$"}
            kept = {name: facts.pop(name) for name in ("title", "description", "default") if name in facts}
            document["$defs"]["Recipe"]["properties"][key] = {**kept, "anyOf": [facts, choice]}
    return document


def page() -> str:
    """docs/study-keys.md: a table of each section."""
    document = StudyConfig.model_json_schema()
    lines = [
        "# All keys of a study",
        "",
        "<!-- Written by `metamixer study --keys`; what is written here by hand is lost. -->",
        "",
        "A study is a TOML file of these sections. Every key may be set on the command line, too: `--set",
        "training.epochs=3`. `metamixer study --schema` writes the same as a JSON Schema, for editors;",
        "`metamixer study NAME` prints a study with all of its keys.",
    ]
    for section, facts in document["properties"].items():
        kind = _resolved(document, facts)
        required = kind.get("required", [])
        lines += ["", f"## [{section}]", "", _SECTIONS[section], "", "| key | value | default | meaning |"]
        lines.append("|---|---|---|---|")
        for key, item in kind["properties"].items():
            default = "required" if key in required else _default(item.get("default"))
            cells = (f"`{key}`", _values(document, item), default, item.get("description", ""))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


def _resolved(document: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    """What a reference, or the only alternative beside null, points to."""
    for one in (facts, *facts.get("anyOf", ())):
        if "$ref" in one:
            found: dict[str, Any] = document["$defs"][one["$ref"].rpartition("/")[2]]
            return found
    return facts


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if value in ("", [], ()):
        return "nothing"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _values(document: dict[str, Any], item: dict[str, Any]) -> str:
    """What a key takes, in words."""
    if "anyOf" in item:
        kinds = [_values(document, one) for one in item["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in item:
        return ", ".join(f"`{value}`" for value in item["enum"])
    if "const" in item:
        return f"`{item['const']}`"
    if "$ref" in item:
        return "a table"
    name = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
    if item.get("type") == "array":
        return "a list"
    bounds = [
        f"{sign} {item[bound]:g}"
        for bound, sign in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if bound in item
    ]
    return " ".join([name.get(item.get("type", ""), "a value"), *bounds])
