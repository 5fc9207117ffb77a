"""What MkDocs asks while it builds the site."""

import html
import re
from pathlib import Path

CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"


def on_page_markdown(markdown: str, page, config, files) -> str:
    """The page as the site shows it: that about contributing is `CONTRIBUTING.md`, whose links start at the root."""
    if page.file.src_uri == "contributing.md":
        markdown = CONTRIBUTING.read_text(encoding="utf-8").replace("](docs/", "](")
        markdown = re.sub(r"\[(`[^`]+`)\]\([^)]*\)", r"\1", markdown)  # files that the site does not show
    return "\n".join(_bars(line) if line.startswith("|") else line for line in markdown.splitlines())


def _bars(row: str) -> str:
    r"""A table's row in which code may hold a bar, which GitHub wants as `\|` and MkDocs would show so."""

    def shown(code: re.Match[str]) -> str:
        return f"<code>{html.escape(code[1].replace(chr(92) + '|', '|')).replace('|', '&#124;')}</code>"

    return re.sub(r"`([^`]*\\\|[^`]*)`", shown, row)
