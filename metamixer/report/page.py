"""The page of a run: one self-contained HTML file that opens without a network."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from plotly.offline import get_plotlyjs

from metamixer import files
from metamixer.cost import Cost, cost
from metamixer.errors import LanguageError
from metamixer.language import parse
from metamixer.record.front import Point
from metamixer.record.run import Run, load, reason
from metamixer.report import figure
from metamixer.report.costs import MASKED, stages
from metamixer.report.drawing import draw
from metamixer.report.html import Cell, bar, code, embedded, facts, number, plot, table, text
from metamixer.report.sketch import sketch

MARKS = "◆ on the front, ○ dominated, ■ published design, ▽ stopped early, × failed"
# Nothing may be fetched: a page that asked for something would fail in its author's browser, not only offline.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


def write(run_path: str | Path, out: str | Path | None = None) -> Path:
    """Write a run's page.

    Args:
        run_path: the run's folder, or its ``study.db``.
        out: where to write; ``report.html`` in the run's folder if not given.

    Raises:
        RecordError: there is no record, or it cannot be read.
        ResourceError: the page cannot be written.
    """
    run = load(run_path)
    target = Path(out) if out is not None else run.path / "report.html"
    files.write(target, page(run))
    return target


def page(run: Run) -> str:
    """The page as HTML text."""
    assets = resources.files("metamixer.report")
    style, script = (assets.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    body = "\n".join(_body(run))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="color-scheme" content="light dark">
<title>{escape(run.name)}: front of accuracy against FLOPs</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="config">{embedded(figure.CONFIG)}</script>
<script>{get_plotlyjs()}</script>
<script>{script}</script>
</body>
</html>
"""


def _body(run: Run) -> Iterator[str]:
    yield from _head(run)
    yield from _front(run)
    yield from _baselines(run)
    yield from _all(run)
    yield '<section><h2 id="members">The front, one by one</h2>'
    for point in run.front:
        yield _architecture(run, point)
    if not run.front:
        yield "<p>No architecture has finished training yet.</p>"
    yield "</section>"
    yield from _failures(run)
    yield from _settings(run)


def _head(run: Run) -> Iterator[str]:
    study, task = run.settings["study"], run.settings["task"]
    grid = "×".join(str(n) for n in (*task["grid"], task["channels"]))
    trained = [row for row in run.trials if row.kind == "searched" and (row.state == "complete" or row.stopped)]
    stopped = sum(row.stopped for row in trained)
    best = max(run.front, key=lambda p: p.accuracy, default=None)
    yield f"<header><h1>{escape(run.name)}</h1>"
    yield (
        f'<p class="lead">Accuracy against FLOPs of architectures searched in the space '
        f"<b>{escape(str(run.settings['space']['name']))}</b> on the task <b>{escape(task['name'])}</b> "
        f"(inputs {grid}, {task['classes']} classes). All accuracies are on the validation part.</p>"
    )
    counts = {kind: sum(row.kind == kind for row in run.trials) for kind in ("rejected", "replicate")}
    running = sum(row.state == "running" for row in run.trials)
    yield facts(
        [
            ("architectures trained", f"{len(trained)} of {study['budget']}"),
            *([("of these stopped early", stopped)] if stopped else []),
            *([("known from an earlier run", len(run.earlier))] if run.earlier else []),
            ("on the front", len(run.front)),
            ("published designs trained", len(run.baselines)),
            ("more seeds", counts["replicate"]),
            ("proposals refused", counts["rejected"]),
            ("failed", len(run.failed)),
            *([("still running", running)] if running else []),
            ("training time", _duration(sum(row.seconds or 0.0 for row in run.trials))),
        ]
    )
    if best is not None:
        link = f'<a href="#architecture-{best.number}">trial {best.number}</a>'
        yield f"<p>Best mean accuracy: <b>{_accuracy(best)}</b> over {_seeds(best.seeds)}, {link}."
        judged = [
            f"{escape(name)} {accuracy:.4f} ({'beaten' if best.accuracy > accuracy else 'not beaten'})"
            for name, accuracy in sorted(run.references.items(), key=lambda item: item[1])
        ]
        yield f" Reference classifiers on the same images: {', '.join(judged)}.</p>" if judged else "</p>"
    yield "</header>"


def _front(run: Run) -> Iterator[str]:
    yield '<section><h2 id="front">Front</h2>'
    label = f"Accuracy against FLOPs of {len(run.points)} architectures; the table of all has the same data."
    yield plot(figure.front(run.points, run.failed, run.references, stopped=run.stopped), "front-plot", label)
    yield (
        '<div class="steps"><button type="button" id="previous">previous on the front</button>'
        '<button type="button" id="next">next on the front</button><span id="said" aria-live="polite"></span></div>'
        '<p class="note">A click on a point leads to its architecture. FLOPs count 2 × the multiply-accumulates of '
        "matrix products and convolutions for one input; activations, norms, gates and pooling are listed as "
        "elementwise. The front is that of the means over seeds.</p></section>"
    )


def _baselines(run: Run) -> Iterator[str]:
    if not run.baselines:
        return
    yield '<section><h2 id="baselines">Published designs under the same training</h2><div class="scroll">'
    heads = _heads("name|text", "verdict|text", "accuracy", "± s.e.", "seeds", "FLOPs", "parameters", "sentence|text")
    yield table(
        heads,
        [
            (
                text(p.name),
                text(p.verdict),
                number(p.accuracy, ".4f"),
                number(p.error, ".4f"),
                number(p.seeds),
                number(p.flops),
                number(p.cost["params"]),
                code(p.sentence),
            )
            for p in run.baselines
        ],
        caption="dominated: a front member costs no more and is better by more than one standard error of the "
        "difference; undecided: the nearest lies within it",
    )
    yield "</div>"
    for point in run.baselines:
        summary = f"{escape(point.name or '')}: drawing, cost and curve"
        yield f"<details><summary>{summary}</summary>{_architecture(run, point)}</details>"
    yield "</section>"


def _all(run: Run) -> Iterator[str]:
    yield '<section><h2 id="table">All architectures</h2>'
    heads = _heads(
        "trial", "|text", "what|text", "accuracy", "± s.e.", "seeds", "FLOPs", "parameters", "elementwise", "seconds",
        "sentence|text",
    )  # fmt: skip
    rows, attributes = [], []
    for point in sorted(run.points, key=lambda p: p.number):
        mark, what = _what(point)
        row = run.trials[point.number]
        link = f'<a href="#architecture-{point.number}">{point.number}</a>' if mark in "◆■" else str(point.number)
        rows.append(
            (
                Cell(link, point.number),
                Cell(mark, None, "text mark"),
                text(what),
                number(point.accuracy, ".4f"),
                number(point.error, ".4f"),
                number(point.seeds),
                number(point.flops),
                number(point.cost["params"]),
                number(point.cost["elementwise"]),
                number(row.seconds, ".1f"),
                code(point.sentence),
            )
        )
        attributes.append(
            f'id="row-{point.number}" data-number="{point.number}" data-accuracy="{point.accuracy:.4f}" '
            f'data-flops="{point.flops}"' + (' class="front"' if point.on_front else "")
        )
    for row in [*run.stopped, *run.failed]:
        what = reason(row) if row.stopped else f"failed: {reason(row)}"
        known = row.cost or {}
        rows.append(
            (
                Cell(str(row.number), row.number),
                Cell("▽" if row.stopped else "×", None, "text mark"),
                text(what),
                number(None),
                number(None),
                number(None),
                number(row.flops if known else None),
                number(known.get("params")),
                number(known.get("elementwise")),
                number(row.seconds, ".1f"),
                code(row.sentence),
            )
        )
        attributes.append(f'id="row-{row.number}" data-number="{row.number}"')
    yield (
        '<div id="all" tabindex="0" role="region" aria-label="All architectures">'
        + table(heads, rows, attributes, MARKS, sortable=True)
        + "</div></section>"
    )


def _what(point: Point) -> tuple[str, str]:
    if point.kind == "baseline":
        return "■", f"{point.name}, {point.verdict}"
    return ("◆", "on the front") if point.on_front else ("○", "dominated")


def _architecture(run: Run, point: Point) -> str:
    """Drawing, derivation, cost by stage and learning curve of one architecture."""
    rows = run.seeds(point.number)
    title = f"Trial {point.number}" + (f": {escape(point.name)}" if point.name else "")
    parts = [
        f'<article class="architecture" id="architecture-{point.number}">',
        f"<h3>{title}: {_accuracy(point)}, {point.flops:,} FLOPs</h3>",
        f'<p class="sentence">{escape(point.sentence)}</p>',
        facts(
            [
                ("accuracy", f"{_accuracy(point)}, {_seeds(point.seeds)}"),
                ("seeds", ", ".join(f"{row.seed}: {row.accuracy:.4f}" for row in rows if row.accuracy is not None)),
                ("MACs", f"{point.cost['macs']:,}"),
                ("parameters", f"{point.cost['params']:,}"),
                ("elementwise", f"{point.cost['elementwise']:,}"),
                ("activations", f"{point.cost['activations']:,}"),
                ("training time", _duration(rows[0].seconds)),
                ("device", rows[0].device or "not recorded"),
                ("weights", rows[0].weights or "not kept"),
            ]
        ),
        *_network(run, point),
    ]
    curve = figure.curve(rows)
    parts.append(f"<h4>Learning curves, {_seeds(len(rows))}</h4>")
    parts.append(plot(curve, f"curve-{point.number}", f"Accuracy and loss per epoch of trial {point.number}."))
    parts.append(f'<p class="note">key <code>{escape(point.key or "")}</code></p></article>')
    return "\n".join(parts)


def _network(run: Run, point: Point) -> Iterator[str]:
    channels, grid = run.input
    try:
        network = parse(run.network(point.sentence))
        tree, counted = network.typed(channels, grid), cost(network, channels, grid)
    except LanguageError as error:  # a word of another version, or of a plug-in that is not installed here
        yield '<p class="note">This sentence cannot be read here, so it has no drawing and no breakdown:</p>'
        yield f"<pre>{escape(str(error))}</pre>"
        return
    label = f"drawing of trial {point.number}"
    yield f'<div class="drawing" tabindex="0" role="region" aria-label="{label}">{draw(sketch(tree))}</div>'
    choices = run.trials[point.number].choices
    yield '<div class="side"><div>'
    yield "<h4>Cost by stage, for one input</h4>" + breakdown(counted)
    if counted.macs != point.cost["macs"]:
        yield f'<p class="note">The record has {point.cost["macs"]:,} MACs: it was counted by another version.</p>'
    executed = cost(network, channels, grid, "executed").macs
    if executed != counted.macs:
        yield f'<p class="note">{executed:,} MACs run in the module: {MASKED}.</p>'
    yield "</div><div>"
    if choices:
        yield f"<details open><summary>Derivation: {len(choices)} choices</summary>"
        yield '<div class="derivation" tabindex="0" role="region" aria-label="derivation">'
        yield table(
            _heads("choice|text", "value|text"),
            [(Cell(f"<code>{escape(name)}</code>", None, "text"), code(str(value))) for name, value in choices.items()],
        )
        yield "</div></details>"
    yield "</div></div>"


def breakdown(counted: Cost) -> str:
    """Cost by stage as a table with bars."""
    rows: list[tuple[Cell, ...]] = [
        (
            code(stage.text + (f"   × {stage.times}" if stage.times > 1 else "")),
            number(stage.macs),
            bar(stage.share),
            number(stage.params),
            number(stage.elementwise),
            number(stage.activations),
        )
        for stage in stages(counted)
    ]
    total = (counted.macs, None, counted.params, counted.elementwise, counted.activations)
    rows.append((Cell("<b>whole network</b>", None, "text"), *(number(value) for value in total)))
    heads = _heads("stage|text", "MACs", "share of MACs|text", "parameters", "elementwise", "activations")
    return f'<div class="scroll stages">{table(heads, rows)}</div>'


def _heads(*titles: str) -> list[tuple[str, str]]:
    """``title|CSS class`` of each column."""
    return [(title.partition("|")[0], title.partition("|")[2]) for title in titles]


def _failures(run: Run) -> Iterator[str]:
    if not run.reasons:
        return
    yield '<section><h2 id="failures">Failed, stopped and refused</h2>'
    yield table(
        _heads("what|text", "reason|text", "rows"),
        [(text(what), text(why, "wide"), number(n)) for what, why, n in run.reasons],
        caption="failed: training was tried; stopped: trained for some epochs, then given up for better ones; "
        "refused: not trained at all (ill-typed, over a limit, or known)",
    )
    traces = [row for row in run.failed if row.traceback]
    for row in traces:
        summary = f"trial {row.number}: {escape(reason(row))}"
        yield f"<details><summary>{summary}</summary><pre>{escape(row.traceback or '')}</pre></details>"
    lost = [row for row in run.trials if row.kind == "rejected" and row.state == "pruned"]
    if lost:
        yield f"<details><summary>The {len(lost)} refused proposals</summary><div class=scroll>"
        yield table(
            _heads("trial", "reason|text", "FLOPs", "sentence|text"),
            [(number(r.number), text(r.reason), number(r.flops if r.cost else None), code(r.sentence)) for r in lost],
        )
        yield "</div></details>"
    yield "</section>"


def _settings(run: Run) -> Iterator[str]:
    settings = run.settings
    yield '<section><h2 id="settings">How it was made</h2>'
    started = [row.started for row in run.trials if row.started is not None]
    devices = sorted({row.device for row in run.trials if row.device})
    seeds = sorted({row.seed for row in run.trials if row.seed is not None})
    versions = {**settings.get("versions", {}), **next((r.versions for r in reversed(run.trials) if r.versions), {})}
    git = settings.get("git") or versions.pop("git", None)
    pairs: list[tuple[str, object]] = [
        ("study seed", settings["study"].get("seed")),
        ("training seeds", _list(seeds)),
        ("devices", ", ".join(devices) or "not recorded"),
        ("first trial", f"{datetime.fromtimestamp(min(started), UTC):%Y-%m-%d %H:%M} UTC" if started else "none"),
        ("git", git if isinstance(git, str) else json.dumps(git) if git else "not recorded"),
    ]
    yield facts(pairs)
    yield "<h4>Versions</h4>" + facts(sorted(versions.items()))
    yield "<details><summary>All settings</summary><div class=scroll>"
    flat = list(_flat({k: v for k, v in settings.items() if k not in ("versions", "references", "space")}))
    yield table(_heads("setting|text", "value|text"), [(text(name), code(value)) for name, value in flat])
    yield "</div></details><details><summary>The space's rules</summary><div class=scroll>"
    rules = settings["space"]["rules"]
    yield table(_heads("rule|text", "sentence|text"), [(text(name), code(rule)) for name, rule in rules.items()])
    yield "</div></details></section>"


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, value if isinstance(value, str) else json.dumps(value)


def _list(seeds: list[int]) -> str:
    few = [str(seed) for seed in seeds[:12]]
    return ", ".join(few) + (f" and {len(seeds) - 12} more" if len(seeds) > 12 else "") or "none"


def _accuracy(point: Point) -> str:
    return f"{point.accuracy:.4f}" + (f" ± {point.error:.4f}" if point.error is not None else "")


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "not recorded"
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
