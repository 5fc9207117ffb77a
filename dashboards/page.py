"""The page's files: as they are for the server, and as one text for the offline file."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from pathlib import Path

from metamixer.report.svg import STYLE

STATIC = (Path(__file__).parent / "static").resolve()
ENTRY = "main.js"
TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}
_IMPORT = re.compile(r'^import\s+(?:\{[^}]*\}\s+from\s+)?"(\.[^"]+)";\n', re.M)


def asset(name: str) -> tuple[str, str] | None:
    """The text of a file of the page and its media type, by its name below `static`; None where there is none."""
    if name not in names():
        return None
    text = (STATIC / name).read_text(encoding="utf-8")
    return (stylesheet() if name == "page.css" else text), TYPES[Path(name).suffix]


@cache
def names() -> frozenset[str]:
    """The files there are: what is asked for is looked up here, never on the disk."""
    found = (path for path in STATIC.rglob("*") if path.suffix in TYPES)
    return frozenset(path.relative_to(STATIC).as_posix() for path in found)


def index() -> str:
    """The page as the server sends it: its modules are asked for at once, not each when another one names it."""
    modules = sorted(name for name in names() if name.endswith(".js"))
    links = "".join(f'<link rel="modulepreload" href="/static/{name}">\n' for name in modules)
    links += f'<meta name="plotly" content="/plotly.js?v={version("plotly")}">\n'
    return (STATIC / "index.html").read_text(encoding="utf-8").replace("</head>", f"{links}</head>")


def stylesheet() -> str:
    """The page's style with that of drawings."""
    return (STATIC / "page.css").read_text(encoding="utf-8") + STYLE


@cache
def plotly() -> str:
    """plotly.js, out of the installed package."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def script() -> str:
    """All modules as one, each after those that it imports; names at the top of modules differ from each other."""
    ordered: dict[str, str] = {}

    def take(path: Path) -> None:
        name = path.relative_to(STATIC).as_posix()
        if name in ordered:
            return
        text = path.read_text(encoding="utf-8")
        ordered[name] = ""  # a circle of imports ends here
        for imported in _IMPORT.findall(text):
            take((path.parent / imported).resolve())
        del ordered[name]
        ordered[name] = re.sub(r"^export ", "", _IMPORT.sub("", text), flags=re.M)

    take((STATIC / ENTRY).resolve())
    return "\n".join(ordered.values())
