"""Plotly figures of a run: pure functions from what was recorded to ``go.Figure``, for the page and for notebooks.

States and kinds differ by shape and outline, not by colour alone; colours are those of Okabe and Ito 2008.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from html import escape

import plotly.graph_objects as go

from metamixer.record import Trial
from metamixer.record.front import Point

BLUE, SKY, ORANGE, VERMILION, GREEN, PURPLE, GREY = (
    "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#808488",
)  # fmt: skip
FLOPS_AXIS = "FLOPs per image = 2 × MACs of matrix products and convolutions, closed form"
ACCURACY_AXIS = "validation accuracy (mean over seeds ± standard error)"
VERDICT_SYMBOLS = {"dominated": "square-open", "undecided": "square-open-dot", "not dominated": "square"}
DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot")


def front(
    points: Sequence[Point],
    failed: Sequence[Trial] = (),
    references: Mapping[str, float] | None = None,
    title: str | None = None,
    stopped: Sequence[Trial] = (),
) -> go.Figure:
    """Accuracy against FLOPs, with the front as a step line.

    Args:
        points: architectures that finished, see ``metamixer.record.front.summary``.
        failed: trials whose training failed; those with a known cost stand as crosses on the lower edge.
        references: accuracy of reference classifiers on the same images, drawn as level lines.
        title: a title inside the picture, for pictures that stand alone.
        stopped: trials that were stopped early; they stand on the lower edge, too, as they have no final value.
    """
    figure = go.Figure()
    members = sorted((p for p in points if p.on_front), key=lambda p: p.flops)
    dominated = [p for p in points if p.kind == "searched" and not p.on_front]
    baselines = [p for p in points if p.kind == "baseline"]
    failures = [trial for trial in failed if trial.cost]
    flops = [p.flops for p in points if p.flops] + [trial.flops for trial in [*failures, *stopped] if trial.flops]
    low, high = (min(flops), max(flops)) if flops else (1e5, 1e7)
    low, high = low / 1.25, high * 1.25
    for i, (name, accuracy) in enumerate(sorted((references or {}).items(), key=lambda item: -item[1])):
        figure.add_scatter(
            x=[low, high],
            y=[accuracy, accuracy],
            mode="lines",
            name=f"{escape(name)} {accuracy:.4f}",
            line={"color": GREY, "width": 1.3, "dash": DASHES[i % len(DASHES)]},
            hoverinfo="name",
            meta="reference",
        )
    if members:
        figure.add_scatter(
            x=[p.flops for p in members] + [high],
            y=[p.accuracy for p in members] + [members[-1].accuracy],
            mode="lines",
            name="front",
            line={"color": BLUE, "width": 2, "shape": "hv"},
            hoverinfo="skip",
            meta="front line",
        )
    figure.add_scatter(**_markers("searched, dominated", dominated, "circle-open", SKY, 8))
    # What matters fills the picture; the rest is one double click away, and said to be there.
    matters = [p.accuracy for p in [*members, *baselines]] + list((references or {}).values()) or [0.0, 1.0]
    span = max(max(matters) - min(matters), 0.02)
    bottom, top = min(matters) - 0.14 * span, max(matters) + 0.1 * span
    floor = bottom + 0.04 * span
    beside = _places(baselines, [*members, *dominated], (low, high), (bottom, top))
    for verdict, symbol in VERDICT_SYMBOLS.items():
        some = [p for p in baselines if p.verdict == verdict]
        if some:
            trace = _markers(f"published design, {verdict}", some, symbol, VERMILION, 10)
            figure.add_scatter(
                **trace | {"mode": "markers+text"},
                text=[f" {escape(p.name or '')} " for p in some],
                textposition=[beside[p.number] for p in some],
                cliponaxis=False,
                textfont={"size": 10},
            )
    figure.add_scatter(**_markers("searched, on the front", members, "diamond", BLUE, 11))
    below = sum(p.accuracy < bottom for p in dominated)
    if below:
        figure.add_annotation(
            text=f"{below} more below: double-click shows all",
            xref="paper", yref="paper", x=1, y=0, xanchor="right", yanchor="bottom", showarrow=False,
            font={"size": 11},
        )  # fmt: skip
    for trials, what, symbol in (
        (stopped, "stopped early (no final accuracy; shown at their cost)", "triangle-down-open"),
        (failures, "failed (no accuracy; shown at their cost)", "x-thin"),
    ):
        if trials:
            figure.add_scatter(
                x=[trial.flops for trial in trials],
                y=[floor] * len(trials),
                mode="markers",
                name=what,
                marker={"symbol": symbol, "size": 9, "color": GREY, "line": {"width": 2, "color": GREY}},
                customdata=[trial.number for trial in trials],
                hovertext=[_unfinished_text(trial) for trial in trials],
                hovertemplate="%{hovertext}<extra></extra>",
                meta="points",
            )
    ticks = _ticks(low, high)
    figure.update_xaxes(
        type="log", title=FLOPS_AXIS, tickmode="array", tickvals=list(ticks), ticktext=list(ticks.values())
    )
    figure.update_yaxes(title=ACCURACY_AXIS, tickformat=".3~f", range=[bottom, top])
    return _styled(figure, 600, title)


def curve(trials: Sequence[Trial]) -> go.Figure:
    """Learning curves of one architecture, all its seeds: accuracy and loss, training and validation, per epoch."""
    figure = go.Figure()
    for part, column in (("accuracy", ""), ("loss", "2")):
        for kind, colour, dash, symbol in (
            ("train", ORANGE, "dot", "triangle-up-open"),
            ("validation", BLUE, "solid", "circle"),
        ):
            for i, trial in enumerate(trials):
                epochs = [e for e in trial.curve if e.get(f"{kind}_{part}") is not None]
                figure.add_scatter(
                    x=[e["epoch"] for e in epochs],
                    y=[e[f"{kind}_{part}"] for e in epochs],
                    mode="lines+markers" if i == 0 else "lines",
                    name="training" if kind == "train" else "validation",
                    legendgroup=kind,
                    showlegend=i == 0 and part == "accuracy",
                    line={"color": colour, "dash": dash, "width": 2 if i == 0 else 1},
                    marker={"symbol": symbol, "size": 6},
                    opacity=1 if i == 0 else 0.55,
                    hovertemplate=f"{kind} {part}, seed {trial.seed}: %{{y:.4f}}, epoch %{{x}}<extra></extra>",
                    xaxis=f"x{column}",
                    yaxis=f"y{column}",
                )
    figure.update_layout(
        xaxis={"domain": [0, 0.46], "title": "epoch", "anchor": "y"},
        xaxis2={"domain": [0.56, 1], "title": "epoch", "anchor": "y2"},
        yaxis={"title": "accuracy", "anchor": "x"},
        yaxis2={"title": "loss", "anchor": "x2", "rangemode": "tozero"},
    )
    return _styled(figure, 280, None)


def _places(
    named: Sequence[Point], others: Sequence[Point], across: tuple[float, float], up: tuple[float, float]
) -> dict[int, str]:
    """Where each name stands beside its point: where it hides least of other points and names, and is not cut off."""

    def at(point: Point) -> tuple[float, float]:
        x = math.log(max(point.flops, across[0]) / across[0]) / math.log(across[1] / across[0])
        return x, (point.accuracy - up[0]) / (up[1] - up[0])

    def box(point: Point, place: str) -> tuple[float, float, float, float]:
        # In shares of a picture of about 900 x 450 pixels, with letters of 10 pixels.
        (x, y), width = at(point), 0.0065 * (len(point.name or "") + 2)
        dx, dy = {"right": (0.01, 0.0), "left": (-0.01 - width, 0.0)}.get(place, (-width / 2, 0.0))
        dy += {"top": 0.035, "bottom": -0.035}.get(place, 0.0)
        return x + dx, x + dx + width, y + dy - 0.015, y + dy + 0.015

    def apart(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        return a[1] < b[0] or b[1] < a[0] or a[3] < b[2] or b[3] < a[2]

    taken = [(x - 0.008, x + 0.008, y - 0.015, y + 0.015) for x, y in map(at, [*named, *others])]
    found = {}
    written = {"right": "middle right", "left": "middle left", "top": "top center", "bottom": "bottom center"}
    for point in sorted(named, key=lambda point: -point.flops):
        boxes = {place: box(point, place) for place in written}
        hidden = {p: sum(not apart(b, other) for other in taken) + 9 * (b[1] > 1.04) for p, b in boxes.items()}
        best = min(written, key=lambda place: hidden[place])
        taken.append(boxes[best])
        found[point.number] = written[best]
    return found


def _ticks(low: float, high: float) -> dict[float, str]:
    """1, 2, 5 times the powers of ten in a range (over wide ranges only the powers), written with k, M, G, T."""
    digits = (1, 2, 5) if high / low < 1e3 else (1,)
    ticks = {}
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for digit in digits:
            value = float(digit * 10**power) if power >= 0 else digit / 10**-power
            if low <= value <= high:
                thousands = min(max(power, 0) // 3, 4)
                ticks[value] = f"{value / 1000**thousands:g}{('', 'k', 'M', 'G', 'T')[thousands]}"
    return ticks


def _markers(name: str, points: Sequence[Point], symbol: str, colour: str, size: int) -> dict[str, object]:
    return {
        "x": [p.flops for p in points],
        "y": [p.accuracy for p in points],
        "error_y": {
            "type": "data",
            "array": [p.error or 0.0 for p in points],
            "visible": any(p.error for p in points),
            "thickness": 1.2,
            "width": 3,
        },
        "mode": "markers",
        "name": name,
        "marker": {"symbol": symbol, "size": size, "color": colour, "line": {"width": 1.4, "color": colour}},
        "customdata": [p.number for p in points],
        "hovertext": [_point_text(p) for p in points],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "meta": "points",
    }


def _point_text(point: Point) -> str:
    what = point.name or ("on the front" if point.on_front else "dominated")
    spread = f" ± {point.error:.4f} ({point.seeds} seeds)" if point.error is not None else " (1 seed)"
    lines = [
        f"<b>trial {point.number}</b>, {escape(what)}" + (f", {point.verdict}" if point.verdict else ""),
        f"accuracy {point.accuracy:.4f}{spread}",
        f"{point.flops:,} FLOPs = 2 × {point.cost['macs']:,} MACs; {point.cost['params']:,} parameters",
        *_wrapped(point.sentence),
    ]
    return "<br>".join(lines)


def _unfinished_text(trial: Trial) -> str:
    why = escape(trial.reason or "no reason recorded")
    lines = [f"<b>trial {trial.number}</b>, " + (f"{why}, with {_last(trial)}" if trial.stopped else f"failed: {why}")]
    return "<br>".join([*lines, f"{trial.flops:,} FLOPs", *_wrapped(trial.sentence)])


def _last(trial: Trial) -> str:
    return f"{trial.curve[-1]['validation_accuracy']:.4f}" if trial.curve else "nothing"


def _wrapped(sentence: str) -> list[str]:
    return [escape(line) for line in textwrap.wrap(sentence, 90, break_on_hyphens=False)]


def _styled(figure: go.Figure, height: int, title: str | None) -> go.Figure:
    """Plain and transparent: the page gives the colours of its theme to text and grid."""
    figure.update_layout(
        template="none",
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 70, "r": 30, "t": 50 if title else 20, "b": 60},
        font={"family": "system-ui, sans-serif", "size": 13},
        hoverlabel={"align": "left", "font": {"family": "ui-monospace, Menlo, Consolas, monospace", "size": 12}},
        hovermode="closest",
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": GREY, "activecolor": BLUE},
        legend={"orientation": "h", "y": -75 / max(height - 120, 60), "yanchor": "top", "x": 0},
    )
    if title:
        figure.update_layout(title={"text": title, "x": 0.01, "font": {"size": 16}})
    axis = {"showgrid": True, "gridcolor": "rgba(128,132,136,.25)", "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis, title_standoff=8)
    figure.update_yaxes(**axis, title_standoff=8)
    return figure
