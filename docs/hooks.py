"""What MkDocs asks while it builds the site."""

import re
from pathlib import Path

CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"


def on_page_markdown(markdown: str, page, config, files) -> str:
    """The page about contributing is the repository's `CONTRIBUTING.md`, whose links start at the root."""
    if page.file.src_uri != "contributing.md":
        return markdown
    text = CONTRIBUTING.read_text(encoding="utf-8").replace("](docs/", "](")
    return re.sub(r"\[(`[^`]+`)\]\([^)]*\)", r"\1", text)  # files that the site does not show
