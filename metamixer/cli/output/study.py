"""What `metamixer study` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence

from metamixer.search import configuration, keys


def print_study(name: str, changes: Sequence[str]) -> int:
    """The study with all of its keys, as TOML.

    Raises:
        UserError: There is none of this name, or a key or value is refused.
    """
    print(configuration.to_toml(configuration.load(name, changes)), end="")
    return 0


def print_schema() -> int:
    """The JSON Schema of study files."""
    print(json.dumps(keys.schema(), indent=1))
    return 0


def print_keys() -> int:
    """The page docs/study-keys.md."""
    print(keys.page(), end="")
    return 0
