"""The drawing of an architecture: parts of a sentence -> data-flow graph -> picture.

A :class:`~metamixer.report.sketch.Part` says what is to be drawn, not how a sentence is made, so drawing knows no
operator: a word is a box with its sources wired in, a chain runs on one line, sums and products are joins, a residual
goes around its operand.
Frames (places, views, repetitions, a mixer nested in another) are graphs of their own, drawn inside a box of the
graph around them.  A chain that is too wide is broken into rows, read like lines of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import networkx as nx

from metamixer.report.layout import Edge, Node, arrange
from metamixer.report.picture import PAD, Picture, framed, led, shorten, stacked
from metamixer.report.sketch import Part
from metamixer.report.svg import svg

WIDTH = 1150.0  # a picture is broken into rows where it would be wider
SLACK = 1.12
LONGEST = 30  # characters of a label; the tooltip has all


@dataclass(frozen=True)
class _Value:
    """Something a wire can start from."""

    node: int
    shape: str
    role: str = ""


def picture(part: Part, width: float = WIDTH) -> Picture:
    """The placed picture of a whole architecture, in rows of about ``width`` pixels at most."""
    return led(_rows(part, part.before, width - 2 * PAD, whole=True), part.before, part.shape)


def draw(part: Part, width: float = WIDTH) -> str:
    """The picture as SVG text."""
    return svg(picture(part, width), f"drawing of {part.text}")


# -- frames and rows ---------------------------------------------------------------------------------------------------


def _rows(part: Part, shape: str, width: float, whole: bool = False, main: str = "") -> Picture:
    """The part as a picture of its own, in as many rows as the width asks for.

    ``shape`` is known to the reader; where something else flows in (in a view), the first wire tells.
    """
    one = _flat((part,), shape, width, main)
    # A little too wide is better than a row of one word.
    if one.width <= width * (SLACK if whole else 1.0) or part.kind != "chain" or _names(part):
        return one
    shapes = [shape, *(p.shape for p in part.parts[:-1])]
    widths = [_flat((p,), s, width, "").width for p, s in zip(part.parts, shapes, strict=True)]
    rows = []
    for first, end in _broken(widths, width):
        # What the row before made of the shape is told at the start of this one.
        known = part.parts[first - 1].before if first else shape
        rows.append(_flat(part.parts[first:end], known, width, ""))
    return stacked(rows, whole)


def _broken(widths: Sequence[float], width: float) -> list[tuple[int, int]]:
    """(first, end) of rows of things so wide: the fewest rows that hold them, and those as equal as may be."""
    best: list[tuple[int, float, list[tuple[int, int]]]] = [(0, 0.0, [])]  # for the first n things
    for end in range(1, len(widths) + 1):
        options = []
        for first in range(end):
            row = sum(widths[first:end])
            if row <= width or first == end - 1:
                rows, squares, breaks = best[first]
                options.append((rows + 1, squares + row**2, [*breaks, (first, end)]))
        best.append(min(options))
    return best[-1][2]


def _flat(parts: Sequence[Part], shape: str, width: float, main: str) -> Picture:
    """A chain of parts on one line.  ``main`` names the bound value that enters at the left instead of x."""
    chain = parts[0] if len(parts) == 1 else Part("chain", parts=tuple(parts))
    graph = _Graph(width)
    before = shape if main else chain.parts[0].before if len(parts) > 1 else chain.before
    x = graph.start(Node("entry"), before)
    if before != shape:
        graph.fresh[x.node] = before
    names = [name for name in _names(chain) if name != main]
    env = {name: graph.start(Node("tap", name, order=(i + 1,)), "") for i, name in enumerate(names)}
    if main:
        env[main] = x
    value = graph.part(chain, x, env, ())
    end = graph.node(Node("exit"))
    graph.edge(value, end, Edge(straight=True), show="")
    return arrange(graph.graph)


def _names(part: Part) -> list[str]:
    """Bound values that the part uses and does not bind itself, in the order of use."""
    found: dict[str, None] = {}

    def look(p: Part, bound: frozenset[str]) -> None:
        if p.kind == "name" and p.label not in bound:
            found[p.label] = None
        for i, inner in enumerate(p.parts):
            look(inner, bound | set(p.roles[:i]) if p.kind == "let" else bound)

    look(part, frozenset())
    return list(found)


def _reads_input(part: Part) -> bool:
    """Whether the part reads the x it is given, not bound values and banks alone."""
    if part.kind == "input":
        return True
    if part.kind in ("name", "bank"):
        return False
    if part.kind in ("chain", "frame", "repeat"):
        return _reads_input(part.parts[0])
    if part.kind == "word" and not part.parts:
        return True
    if part.kind == "residual":
        return True
    if part.kind == "read":  # the stages read what runs through, their sources read x
        return _reads_input(part.parts[0]) or any(_reads_input(s) for p in part.parts[1:] for s in p.parts)
    return any(_reads_input(p) for p in part.parts)


def words(part: Part) -> Iterator[Part]:
    """All words of the part, sources included."""
    if part.kind in ("word", "bank"):
        yield part
    for inner in part.parts:
        yield from words(inner)


def _is_mixer(part: Part) -> bool:
    """Whether a source or an operand is so much of a network itself that it deserves a frame."""
    return part.kind in ("chain", "read", "join", "let", "residual") and sum(1 for _ in words(part)) >= 3


# -- the graph ---------------------------------------------------------------------------------------------------------


@dataclass
class _Graph:
    """A graph under construction; every method adds nodes and returns where the result comes out."""

    width: float
    graph: nx.MultiDiGraph = field(default_factory=nx.MultiDiGraph)
    fresh: dict[int, str] = field(default_factory=dict)  # nodes whose shape is not yet written on a wire

    def node(self, node: Node) -> int:
        number: int = self.graph.number_of_nodes()
        self.graph.add_node(number, data=node)
        return number

    def start(self, node: Node, shape: str) -> _Value:
        return _Value(self.node(node), shape)

    def edge(self, value: _Value, target: int, edge: Edge, show: str | None = None) -> None:
        shape = self.fresh.pop(value.node, "") if show is None else show
        if show is not None:
            self.fresh.pop(value.node, None)
        # A role inside the wire's value (a share of a split) stands where the reader gives none.
        edge = Edge(edge.kind, edge.order, edge.straight, edge.role or value.role, shape, edge.tap)
        self.graph.add_edge(value.node, target, data=edge, number=self.graph.number_of_edges())

    def out(self, number: int, shape: str, before: str) -> _Value:
        if shape and shape != before:
            self.fresh[number] = shape
        return _Value(number, shape)

    def part(self, part: Part, x: _Value, env: dict[str, _Value], order: tuple[int, ...]) -> _Value:
        match part.kind:
            case "input":
                return x
            case "name":
                return env[part.label]
            case "word" | "bank":
                return self.word(part, x, None, x, env, order)
            case "chain":
                value = x
                for inner in part.parts:
                    value = self.part(inner, value, env, order)
                return value
            case "read":
                return self.read(part, x, env, order)
            case "join":
                return self.join(part, x, env, order)
            case "residual":
                around = self.part(part.parts[0], x, env, (*order, 0))
                number = self.node(Node("join", "+", part.text, order=(*order, 0)))
                self.edge(around, number, Edge(order=(*order, 0), straight=True))
                self.edge(x, number, Edge("skip", order=(*order, -1)), show="")
                return self.out(number, part.shape, around.shape)
            case "split":
                return self.split(part, x, env, order)
            case "let":
                inner_env = dict(env)
                for i, (name, bound) in enumerate(zip(part.roles, part.parts[:-1], strict=True)):
                    inner_env[name] = self.operand(bound, x, inner_env, (*order, i))
                return self.part(part.parts[-1], x, inner_env, order)
            case "frame" | "repeat":
                return self.frame(part, part.parts[0], part.kind, part.label, x, env, order)
        raise AssertionError(f"a part of unknown kind {part.kind}")

    def operand(self, part: Part, x: _Value, env: dict[str, _Value], order: tuple[int, ...]) -> _Value:
        """A source, an operand or a bound value: in a frame of its own where it is a mixer itself."""
        if not _is_mixer(part):
            return self.part(part, x, env, order)
        return self.frame(part, part, "frame", shorten(part.text, LONGEST), x, env, order)

    def frame(
        self, part: Part, inside: Part, kind: str, title: str, x: _Value, env: dict[str, _Value], order: tuple[int, ...]
    ) -> _Value:
        names = _names(inside)
        main = "" if _reads_input(inside) else names[0] if names else None
        if main is None:  # banks alone
            return self.part(inside, x, env, order)
        source = env[main] if main else x
        body = _rows(inside, source.shape, self.width - 2 * PAD, main=main)
        badge, title = (title, "") if kind == "repeat" else ("", title)
        placed = framed(body, kind, title, badge, part.text, self.width)
        number = self.node(Node("frame", title, part.text, order, placed))
        self.edge(source, number, Edge(order=(*order, 0), straight=True, role=main))
        for i, name in enumerate(n for n in names if n != main):
            self.edge(env[name], number, Edge(order=(*order, i + 1), role=name, tap=name))
        return self.out(number, part.shape, source.shape)

    def word(
        self,
        part: Part,
        x: _Value,
        running: _Value | None,
        source_x: _Value,
        env: dict[str, _Value],
        order: tuple[int, ...],
        stage: int = 0,
    ) -> _Value:
        """A box: what runs through a read enters first, then the sources, which see the input of the read."""
        inputs: list[tuple[_Value, str, tuple[int, ...]]] = []
        if running is not None:
            inputs.append((running, "", order))
        for i, (inner, role) in enumerate(zip(part.parts, part.roles, strict=True)):
            at = (*order, stage + i)
            inputs.append((self.operand(inner, source_x, env, at), role, at))
        if not inputs and part.kind == "word":
            inputs.append((x, "", order))
        label = shorten(part.label, LONGEST)
        number = self.node(Node("word", label, part.text, order, weights=part.weights))
        for i, (value, role, at) in enumerate(inputs):
            shown = role if len(inputs) > 1 else ""
            self.edge(value, number, Edge(order=at, straight=i == 0, role=shown))
        return self.out(number, part.shape, inputs[0][0].shape if inputs else "")

    def read(self, part: Part, x: _Value, env: dict[str, _Value], order: tuple[int, ...]) -> _Value:
        value = self.part(part.parts[0], x, env, (*order, 0))
        below = 1
        for stage in part.parts[1:]:
            if stage.kind == "word":
                value = self.word(stage, x, value, x, env, (*order, 0), stage=below * 10)
            else:
                value = self.part(stage, value, env, (*order, 0))
            below += 1
        return value

    def join(self, part: Part, x: _Value, env: dict[str, _Value], order: tuple[int, ...]) -> _Value:
        # An input that is only added goes around the other terms like a residual.
        terms = list(zip(part.parts, part.roles, strict=True))
        around = part.label == "+" and any(p.kind != "input" for p, _ in terms)
        skips = [i for i, (p, role) in enumerate(terms) if around and p.kind == "input" and not role]
        main = next(i for i in range(len(terms)) if i not in skips)
        values = {
            i: self.operand(p, x, env, (*order, i if i > main else 0))
            for i, (p, _) in enumerate(terms)
            if i not in skips
        }
        number = self.node(Node("join", part.label, part.text, order=(*order, 0)))
        self.edge(values[main], number, Edge(order=(*order, 0), straight=True))
        for i, (p, role) in enumerate(terms):
            if i in skips:
                self.edge(x, number, Edge("skip", order=(*order, -1)), show="")
            elif i != main:
                name = role or (p.label if p.kind == "name" else "")
                self.edge(values[i], number, Edge("side", order=(*order, i), role=name))
        return self.out(number, part.shape, values[main].shape)

    def split(self, part: Part, x: _Value, env: dict[str, _Value], order: tuple[int, ...]) -> _Value:
        cut = x
        if _reads_input(part):
            fork = self.node(Node("word", "split", part.text, order=(*order, 0)))
            self.edge(x, fork, Edge(order=(*order, 0), straight=True))
            cut = _Value(fork, "")
        values = []
        for i, (inner, share) in enumerate(zip(part.parts, part.roles, strict=True)):
            values.append(self.operand(inner, replace(cut, shape=inner.before, role=share), env, (*order, i)))
        number = self.node(Node("join", "++", part.text, order=(*order, 0)))
        for i, value in enumerate(values):
            self.edge(value, number, Edge("side" if i else "flow", order=(*order, i), straight=i == 0))
        return self.out(number, part.shape, x.shape)
