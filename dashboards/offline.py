"""A run's page as one file that opens without a network: the same page, its data and plotly.js inside."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from metamixer import files
from metamixer.dashboards import page
from metamixer.dashboards.architecture import described
from metamixer.dashboards.columns import KINDS, STATUSES
from metamixer.dashboards.published import compared
from metamixer.dashboards.view import View
from metamixer.record import feed, location

# Nothing may be fetched: a page that asked for something would fail in its author's browser, not only offline.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"
DRAWN = 40  # architectures beside the front and the baselines that are drawn
TOLD = 2_000  # trials whose curves and failures are inside
LESS = "\\u003c"  # inside a script element only "<" can end it or open a comment


def write(run: str | Path, out: str | Path | None = None) -> Path:
    """Write a run's page.

    Args:
        run: the run's folder, or its ``study.db``.
        out: where to write; ``report.html`` in the run's folder if not given.

    Raises:
        RecordError: there is no record, or it cannot be read.
        ResourceError: the file cannot be written.
    """
    run = Path(run)
    folder = run.parent if run.is_file() else run
    view = View(location.find(run), folder.resolve().name)
    view.refresh()
    target = Path(out) if out is not None else folder / "report.html"
    files.write(target, html(view))
    return target


def html(view: View) -> str:
    """The page of a run as text."""
    text = (page.STATIC / "index.html").read_text(encoding="utf-8")
    text = re.sub(r"<(link|script)[^>]*data-live[^>]*>(</script>)?\n?", "", text)
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>metamixer: {escape(view.name)}</title>\n<style>\n{page.stylesheet()}</style>\n"
    )
    data = json.dumps(embedded(view), separators=(",", ":"), allow_nan=False).replace("<", LESS)
    tail = (
        f'<script type="application/json" id="embedded">{data}</script>\n'
        f'<script>{page.plotly()}</script>\n<script type="module">\n{page.script()}</script>\n'
    )
    # Not by re.sub: the texts hold backslashes.
    before, _, after = text.partition("<title>metamixer</title>\n")
    inside, _, end = after.rpartition("</body>")
    return before + head + inside + tail + "</body>" + end


def embedded(view: View) -> dict[str, Any]:
    """What the server would be asked for."""
    data = view.since(-1)
    data["texts"] = view.texts()
    table, means = view.table()
    number = table["number"]
    replicate = np.isin(table["kind"], [KINDS.index("replicate"), KINDS.index("retrained")])
    front = number[means["front"] == 1]
    baselines = number[(table["kind"] == KINDS.index("baseline")) & ~replicate]
    # Of the others the best: what a reader looks at next.
    others = number[np.isfinite(means["mean"]) & (means["front"] == 0)]
    others = others[np.argsort(-means["mean"][others], kind="stable")]
    drawn = [*front.tolist(), *baselines.tolist()]
    drawn += [n for n in others.tolist() if n not in set(drawn)][:DRAWN]
    failed = number[(table["status"] == STATUSES.index("failed")) & ~replicate].tolist()
    told = dict.fromkeys([*drawn, *failed, *number[~replicate].tolist()])
    architectures = {}
    for one in list(told)[:TOLD]:
        trials = feed.some(view.place, view.seeds_of(one))
        parents, children = view.kin_of(one)
        architectures[str(one)] = described(
            trials,
            view.attributes["settings"],
            drawn=one in set(drawn),
            parents=feed.some(view.place, parents) if one in set(drawn) else (),
            children=children,
            tested=view.tested(one),
        )
    return {
        "run": view.name,
        "data": data,
        "runs": [view.summary()],
        "architectures": architectures,
        "more": {"/published": compared(view.attributes["settings"]["task"])},
    }
