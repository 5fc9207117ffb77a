"""A placed picture as SVG text: self-contained, escaped, light or dark by the reader's preference."""

from __future__ import annotations

from html import escape

from metamixer.report.picture import CHARACTER, PAD, SMALL, TITLE, Box, Label, Picture, Wire

MARGIN = 12.0

# Colours are custom properties, so that a page can give its own; the values after them stand alone in a file.
STYLE = """
.mm-drawing{--i:var(--mm-ink,#1c1e21);--s:var(--mm-soft,#666b73);--w:var(--mm-wire,#50555c);
--f:var(--mm-paper,#fff);--a:var(--mm-frame,#f4f5f7);--b:var(--mm-weights,#dcebf7);
--g:var(--mm-join,#fdf0cf);--r:var(--mm-role,#a34700);background:var(--f)}
@media (prefers-color-scheme:dark){.mm-drawing{--i:var(--mm-ink,#e8eaed);--s:var(--mm-soft,#a2a9b3);
--w:var(--mm-wire,#aab1bb);--f:var(--mm-paper,#16181c);--a:var(--mm-frame,#1e2126);
--b:var(--mm-weights,#1f3a52);--g:var(--mm-join,#4a3c14);--r:var(--mm-role,#ffb070)}}
.mm-drawing text{font-family:ui-monospace,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:11px;fill:var(--i)}
.mm-drawing .box{fill:var(--f);stroke:var(--w);stroke-width:1.1}
.mm-drawing .weights{fill:var(--b)}
.mm-drawing .join{fill:var(--g);stroke:var(--w);stroke-width:1.1}
.mm-drawing .frame{fill:var(--a);stroke:var(--s);stroke-width:1;stroke-dasharray:4 3}
.mm-drawing .odd{fill:var(--f)}
.mm-drawing .repeat{stroke-dasharray:none;stroke-width:1.3}
.mm-drawing .wire{fill:none;stroke:var(--w);stroke-width:1.3}
.mm-drawing .skip{stroke-dasharray:none;stroke-width:1.3}
.mm-drawing .return{stroke-dasharray:1.5 3;stroke-linecap:round}
.mm-drawing .tip{fill:var(--w)}
.mm-drawing .small{font-size:9.5px;fill:var(--s)}
.mm-drawing .role{font-size:9.5px;font-style:italic;font-weight:700;fill:var(--r)}
.mm-drawing .badge{font-weight:700}
"""


def svg(picture: Picture, title: str) -> str:
    """The picture as one ``<svg>`` element of its natural size; ``title`` is read out by screen readers."""
    width, height = picture.width + 2 * MARGIN, picture.height + 2 * MARGIN
    placed = picture.moved(MARGIN, MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="mm-drawing" role="img" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {_n(width)} {_n(height)}">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
    ]
    # Frames first, outer before inner; then wires; then what must stay readable above them.
    parts += [_frame(b) for b in sorted(placed.boxes, key=lambda b: b.depth) if b.kind in FRAMES]
    parts += [_wire(w) for w in placed.wires]
    parts += [_box(b) for b in placed.boxes if b.kind not in FRAMES]
    parts += [_label(t) for t in placed.labels]
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


FRAMES = ("frame", "repeat")


def _frame(box: Box) -> str:
    classes = "frame" + (" repeat" if box.kind == "repeat" else "") + (" odd" if box.depth % 2 else "")
    rect = f'width="{_n(box.width)}" height="{_n(box.height)}" rx="7"'
    parts = [f'<g class="nest"><title>{escape(box.title)}</title>']
    if box.kind == "repeat":
        parts.append(f'<rect class="{classes}" x="{_n(box.x + 4)}" y="{_n(box.y - 4)}" {rect}/>')
    parts.append(f'<rect class="{classes}" x="{_n(box.x)}" y="{_n(box.y)}" {rect}/>')
    y = box.y + TITLE - 3
    if box.label:
        parts.append(f'<text class="small" x="{_n(box.x + PAD)}" y="{_n(y)}">{escape(box.label)}</text>')
    if box.badge:
        x = box.x + box.width - PAD
        parts.append(f'<text class="badge" text-anchor="end" x="{_n(x)}" y="{_n(y)}">{escape(box.badge)}</text>')
    return "".join(parts) + "</g>"


def _box(box: Box) -> str:
    x, y = box.x + box.width / 2, box.y + box.height / 2
    if box.kind == "join":
        shape = f'<circle class="join" cx="{_n(x)}" cy="{_n(y)}" r="{_n(box.width / 2)}"/>'
    else:
        shape = (
            f'<rect class="box{" weights" if box.weights else ""}" x="{_n(box.x)}" y="{_n(box.y)}" '
            f'width="{_n(box.width)}" height="{_n(box.height)}" rx="4"/>'
        )
    # textLength keeps the label inside its box whatever monospace font the reader has.
    room = box.width - 10
    fit = f' textLength="{_n(room)}" lengthAdjust="spacingAndGlyphs"' if len(box.label) * CHARACTER > room else ""
    text = f'<text text-anchor="middle" x="{_n(x)}" y="{_n(y + 4)}"{fit}>{escape(box.label)}</text>'
    return f"<g><title>{escape(box.title or box.label)}</title>{shape}{text}</g>"


def _wire(wire: Wire) -> str:
    path = " ".join(command + " ".join(_n(n) for n in numbers) for command, numbers in wire.path)
    line = f'<path class="wire {wire.kind}" d="{path}"/>'
    if not wire.arrow:
        return line
    # The tip is drawn by hand: markers need ids, and many drawings share one page.
    x, y = wire.points[-1]
    if wire.kind == "flow":
        tip = f"M{_n(x)} {_n(y)} l-6.5 -3.2 v6.4 z"
    else:
        tip = f"M{_n(x)} {_n(y)} " + ("l-3.2 -6.5 h6.4 z" if wire.kind == "skip" else "l-3.2 6.5 h6.4 z")
    return f'{line}<path class="tip" d="{tip}"/>'


def _label(label: Label) -> str:
    length = f' textLength="{_n(len(label.text) * SMALL)}" lengthAdjust="spacingAndGlyphs"'
    css = "role" if label.kind == "role" else "small shape"
    return f'<text class="{css}" x="{_n(label.x)}" y="{_n(label.y)}"{length}>{escape(label.text)}</text>'


def _n(value: float) -> str:
    """A coordinate with at most two decimals."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
