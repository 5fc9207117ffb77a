"""Placed pictures, and what is made of them: pictures in frames, in rows, with wires led in and out.

Units are SVG user units (pixels at natural size).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

CHARACTER = 6.9  # width of one character of the 11 px monospace labels; generous, fonts differ
SMALL = 5.9  # the same for the 9.5 px labels on wires
TURN = 9.0  # radius of corners
BEND = 24.0  # length of the S in which a wire changes height
PAD = 10.0  # between a frame and what is in it
TITLE = 17.0  # height of a frame's title
ROWS = 26.0  # between two rows
MARGIN = 14.0  # beside rows, where the wire turns


@dataclass(frozen=True)
class Box:
    """A placed box; ``depth`` counts the frames around it."""

    kind: str
    label: str
    title: str
    x: float
    y: float
    width: float
    height: float
    depth: int = 0
    badge: str = ""
    weights: bool = False


@dataclass(frozen=True)
class Wire:
    """A placed wire: SVG path commands with absolute coordinates."""

    kind: str
    path: tuple[tuple[str, tuple[float, ...]], ...]
    arrow: bool

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """The corner points, in the direction of the data."""
        return tuple((numbers[-2], numbers[-1]) for _, numbers in self.path)


@dataclass(frozen=True)
class Label:
    """Text on a wire: a ``role`` (q, k, v) or a ``shape`` (grid x channels); ``x`` is its left end."""

    kind: str
    text: str
    x: float
    y: float


@dataclass(frozen=True)
class Picture:
    """A placed graph in its own coordinates; ``entry``, ``exit`` and ``taps`` are heights at its sides."""

    width: float
    height: float
    entry: float
    exit: float
    boxes: tuple[Box, ...] = ()
    wires: tuple[Wire, ...] = ()
    labels: tuple[Label, ...] = ()
    taps: dict[str, float] = field(default_factory=dict)

    def moved(self, dx: float, dy: float, deeper: int = 0) -> Picture:
        """The same picture with everything shifted (its own width and height stay)."""

        def shift(wire: Wire) -> Wire:
            path = tuple(
                (command, tuple(n + (dy if i % 2 else dx) for i, n in enumerate(numbers)))
                for command, numbers in wire.path
            )
            return replace(wire, path=path)

        return replace(
            self,
            entry=self.entry + dy,
            exit=self.exit + dy,
            boxes=tuple(replace(b, x=b.x + dx, y=b.y + dy, depth=b.depth + deeper) for b in self.boxes),
            wires=tuple(shift(w) for w in self.wires),
            labels=tuple(replace(t, x=t.x + dx, y=t.y + dy) for t in self.labels),
            taps={name: y + dy for name, y in self.taps.items()},
        )


Route = list[tuple[str, tuple[float, ...]]]


def begin(start: tuple[float, float], x: float) -> Route:
    """A wire from a point, level to ``x``."""
    path: Route = [("M", start)]
    line(path, x, start[1])
    return path


def line(path: Route, x: float, y: float) -> None:
    """Go straight to (x, y)."""
    if path[-1][1][-2:] != (x, y):
        path.append(("L", (x, y)))


def bend(path: Route, x: float, y: float, straight: float = 0.0) -> None:
    """Go to (x, y), changing height in an S; the last ``straight`` units are level."""
    x0, y0 = path[-1][1][-2:]
    if abs(y - y0) < 0.01:
        line(path, x, y0)
        return
    end = max(x0 + 1.0, x - straight)
    # A short S: a wire changes height at once, so that wires of one source part where they leave it.
    end = min(end, x0 + BEND)
    middle = (x0 + end) / 2
    path.append(("C", (middle, y0, middle, y, end, y)))
    line(path, x, y)


def framed(
    picture: Picture, kind: str, title: str, badge: str = "", tooltip: str = "", room: float = float("inf")
) -> Picture:
    """The picture inside a frame with a title at its upper left and a badge (``x 12``) at its upper right."""
    head = TITLE if title or badge else 0.0
    need = len(title) * SMALL + (len(badge) * CHARACTER + 14 if badge else 0.0) + 16
    width = max(picture.width + 2 * PAD, min(need, room))
    if need > width:
        keep = int((width - 16 - (len(badge) * CHARACTER + 14 if badge else 0.0)) / SMALL)
        title = shorten(title, max(keep, 1))
    stack = 4.0 if kind == "repeat" else 0.0  # a repeated frame shows a second sheet behind it
    side = (width - picture.width) / 2
    inner = picture.moved(side, head + PAD + stack, deeper=1)
    height = head + PAD * 2 + picture.height
    frame = Box(kind, title, tooltip, 0.0, stack, width, height, badge=badge)
    # Short level pieces join the frame's sides to the picture inside.
    wires = list(inner.wires)
    for y in (inner.entry, *inner.taps.values()):
        wires.append(Wire("flow", (("M", (0.0, y)), ("L", (side, y))), False))
    wires.append(Wire("flow", (("M", (side + picture.width, inner.exit)), ("L", (width + stack, inner.exit))), False))
    return replace(inner, width=width + stack, height=height + stack, boxes=(frame, *inner.boxes), wires=tuple(wires))


def stacked(rows: Sequence[Picture], whole: bool = False) -> Picture:
    """Rows under each other, read like lines of text; the wire goes from each row's end back to the next one's start.

    Inside a frame the last wire runs on to the frame's side; a ``whole`` picture ends where its last row ends.
    """
    if len(rows) == 1:
        return rows[0]
    width = max(row.width for row in rows) + 2 * MARGIN
    boxes: list[Box] = []
    wires: list[Wire] = []
    labels: list[Label] = []
    y = 0.0
    ends: list[tuple[float, float, float]] = []  # entry, exit, right end
    for row in rows:
        placed = row.moved(MARGIN, y)
        boxes += placed.boxes
        wires += placed.wires
        labels += placed.labels
        ends.append((placed.entry, placed.exit, MARGIN + row.width))
        y += row.height + ROWS
    for i in range(len(rows) - 1):
        _, leave, right = ends[i]
        arrive = ends[i + 1][0]
        between = sum(row.height for row in rows[: i + 1]) + ROWS * i + ROWS / 2
        r = TURN
        path = (
            ("M", (right, leave)),
            ("Q", (right + r, leave, right + r, leave + r)),
            ("L", (right + r, between - r)),
            ("Q", (right + r, between, right, between)),
            ("L", (MARGIN, between)),
            ("Q", (MARGIN - r, between, MARGIN - r, between + r)),
            ("L", (MARGIN - r, arrive - r)),
            ("Q", (MARGIN - r, arrive, MARGIN, arrive)),
        )
        wires.append(Wire("return", path, False))
    wires.append(Wire("flow", (("M", (0.0, ends[0][0])), ("L", (MARGIN, ends[0][0]))), False))
    if not whole:
        wires.append(Wire("flow", (("M", (ends[-1][2], ends[-1][1])), ("L", (width, ends[-1][1]))), False))
    return Picture(width, y - ROWS, ends[0][0], ends[-1][1], tuple(boxes), tuple(wires), tuple(labels), {})


def led(picture: Picture, before: str, after: str) -> Picture:
    """The picture with a wire in at its left and one out at its right, labelled with what flows there."""
    room = max(16.0, len(before) * SMALL + 10)
    inner = picture.moved(room, 0.0)
    end = max((x for wire in inner.wires for x, y in wire.points[-1:] if abs(y - inner.exit) < 0.01), default=room)
    tail = max(24.0, len(after) * SMALL + 16)
    wires = (
        Wire("flow", (("M", (0.0, inner.entry)), ("L", (room, inner.entry))), False),
        *inner.wires,
        Wire("flow", (("M", (end, inner.exit)), ("L", (end + tail, inner.exit))), True),
    )
    labels = [Label("shape", before, 2.0, inner.entry - 5), Label("shape", after, end + 4, inner.exit - 5)]
    return replace(
        inner,
        width=max(room + picture.width, end + tail),
        wires=wires,
        labels=(*inner.labels, *(label for label in labels if label.text)),
    )


def shorten(text: str, length: int) -> str:
    """The text, cut with an ellipsis where it is longer than ``length`` characters."""
    return text if len(text) <= length else text[: max(1, length - 1)].rstrip() + "…"
