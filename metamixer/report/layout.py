"""Layered layout of a data-flow graph, so that a person can read it.

The graph is a ``networkx.MultiDiGraph``; its nodes and edges carry the attributes of :class:`Node` and
:class:`Edge` under the key ``"data"``.  Data flows from left to right: nodes get columns by longest path, edges over
several columns get a lane of their own (so no wire ever runs through a box), the order in a column follows the order
of the text, and everything joined by *straight* edges is put on one height.  Heights are then packed towards the main
line.  After Sugiyama, Tagawa, Toda 1981 (columns, lanes) and Brandes, Koepf 2001 (blocks of aligned nodes), with the
order given by the sentence instead of by crossing minimisation.

Units are SVG user units (pixels at natural size).  Everything is deterministic.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx

from metamixer.report.picture import CHARACTER, SMALL, TURN, Box, Label, Picture, Wire, begin, bend, line

LINE = 26.0  # height of a box with one input
PORT = 15.0  # distance of the inputs of one box
JOIN = 22.0  # diameter of a join
GAP = 24.0  # least distance of two columns
AIR = 11.0  # least distance of two boxes of one column
LANE = 5.0  # half height of a lane


@dataclass(frozen=True)
class Node:
    """A thing to be placed: ``word``, ``join``, ``frame`` (has a picture), ``entry``, ``tap`` or ``exit``."""

    kind: str
    label: str = ""
    title: str = ""
    order: tuple[int, ...] = ()
    picture: Picture | None = None
    weights: bool = False


@dataclass(frozen=True)
class Edge:
    """A wire: ``flow`` enters at the left, ``skip`` enters a join from above, ``side`` enters it from below."""

    kind: str = "flow"
    order: tuple[int, ...] = ()
    straight: bool = False
    role: str = ""
    shape: str = ""
    tap: str = ""


def arrange(graph: nx.MultiDiGraph) -> Picture:
    """Place a graph with one ``entry``, one ``exit`` and any number of ``tap`` nodes."""
    return _Arrangement(graph).picture()


class _Arrangement:
    """One run of the layout; the steps share the tables of columns, lanes and heights."""

    def __init__(self, graph: nx.MultiDiGraph) -> None:
        self.node: dict[int, Node] = {n: data["data"] for n, data in graph.nodes(data=True)}
        self.edge: list[tuple[int, int, Edge]] = [
            (u, v, data["data"]) for u, v, data in sorted(graph.edges(data=True), key=lambda e: e[2]["number"])
        ]
        self.column = _columns(self.node, self.edge)
        self.ports = self._ports()
        # Wires of one source part behind the label that tells what flows there.
        self.trunk = {u: len(edge.shape) * SMALL + 6 for u, _, edge in self.edge if edge.shape}
        self._lanes()
        self._order()

    # -- sizes ---------------------------------------------------------------------------------------------------

    def _ports(self) -> list[float]:
        """Height of every edge's end relative to its node's main height."""
        used: dict[int, int] = {}
        ports = [0.0] * len(self.edge)
        # The straight input keeps the main height, the others follow below it.
        for i in sorted(range(len(self.edge)), key=lambda i: (not self.edge[i][2].straight, i)):
            _, v, edge = self.edge[i]
            picture = self.node[v].picture
            if picture is not None:
                ports[i] = picture.taps[edge.tap] - picture.entry if edge.tap else 0.0
            elif self.node[v].kind == "word" and edge.kind == "flow":
                ports[i] = used.get(v, 0) * PORT
                used[v] = used.get(v, 0) + 1
        self.inputs = used
        return ports

    def _size(self, n: int) -> tuple[float, float, float, float]:
        """Width, extent above and below the main height, and the exit's height relative to the main height."""
        if n not in self.node:
            return 0.0, LANE, LANE, 0.0
        node = self.node[n]
        if node.picture is not None:
            picture = node.picture
            return picture.width, picture.entry, picture.height - picture.entry, picture.exit - picture.entry
        if node.kind == "word":
            more = PORT * max(0, self.inputs.get(n, 0) - 1)
            return len(node.label) * CHARACTER + 18, LINE / 2, LINE / 2 + more, 0.0
        if node.kind == "join":
            return JOIN, JOIN / 2, JOIN / 2, 0.0
        return 0.0, LANE, LANE, 0.0

    # -- columns, lanes, order -------------------------------------------------------------------------------------

    def _lanes(self) -> None:
        """Break edges over several columns into steps of one column, through lane nodes of no width."""
        self.lane_of: dict[int, int] = {}  # lane node -> edge
        self.chain: list[list[int]] = []  # per edge: source, lanes, and (flow only) target
        fresh = max(self.node) + 1
        for i, (u, v, edge) in enumerate(self.edge):
            # A wire into the top or bottom of a join needs a lane in the join's column too, where it turns.
            last = self.column[v] + (0 if edge.kind == "flow" else 1)
            chain = [u]
            for column in range(self.column[u] + 1, last):
                self.column[fresh] = column
                self.lane_of[fresh] = i
                chain.append(fresh)
                fresh += 1
            self.chain.append(chain + ([v] if edge.kind == "flow" else []))

    def _rank(self, n: int) -> tuple[int, ...]:
        if n in self.node:
            return self.node[n].order
        return self.edge[self.lane_of[n]][2].order

    def _order(self) -> None:
        """Order inside the columns: as the text says, then neighbours change places where that saves crossings."""
        count = max(self.column.values()) + 1
        self.columns: list[list[int]] = [[] for _ in range(count)]
        for n in sorted(self.column, key=lambda n: (self._rank(n), n)):
            self.columns[self.column[n]].append(n)
        steps: dict[int, list[tuple[int, int]]] = {}
        for chain in self.chain:
            for a, b in pairwise(chain):
                steps.setdefault(self.column[a], []).append((a, b))
        for _ in range(4):
            better = False
            for c, column in enumerate(self.columns):
                for i in range(len(column) - 1):
                    if self._fixed(column[i], column[i + 1]):
                        continue
                    before = self._crossings(steps, c)
                    column[i], column[i + 1] = column[i + 1], column[i]
                    if self._crossings(steps, c) < before:
                        better = True
                    else:
                        column[i], column[i + 1] = column[i + 1], column[i]
            if not better:
                break

    def _fixed(self, a: int, b: int) -> bool:
        """A lane that turns into a join stays on its side of the join."""
        for lane, other in ((a, b), (b, a)):
            if lane in self.lane_of and other == self.edge[self.lane_of[lane]][1]:
                return True
        return False

    def _crossings(self, steps: dict[int, list[tuple[int, int]]], c: int) -> int:
        place = {n: i for column in self.columns[max(0, c - 1) : c + 2] for i, n in enumerate(column)}
        total = 0
        for left in (c - 1, c):
            pairs = [(place[a], place[b]) for a, b in steps.get(left, [])]
            for i, (a, b) in enumerate(pairs):
                total += sum((a - e) * (b - f) < 0 for e, f in pairs[i + 1 :])
        return total

    # -- heights -----------------------------------------------------------------------------------------------------

    def _heights(self) -> dict[int, float]:
        """Main height of every node and lane."""
        wishes: list[tuple[int, int, int, float]] = []  # priority, a, b, height of b relative to a
        for i, chain in enumerate(self.chain):
            edge = self.edge[i][2]
            for a, b in pairwise(chain):
                leave = self._size(a)[3]
                arrive = self.ports[i] if b in self.node else 0.0
                inner = a in self.lane_of and b in self.lane_of
                wishes.append((0 if edge.straight else 1 if inner else 2, a, b, leave - arrive))
        block = {n: n for n in self.column}
        offset = dict.fromkeys(self.column, 0.0)
        members = {n: [n] for n in self.column}
        taken_out: set[int] = set()
        taken_in: set[int] = set()
        for _, a, b, step in sorted(wishes, key=lambda w: w[0]):
            if a in taken_out or b in taken_in or block[a] == block[b]:
                continue
            old, new = block[b], block[a]
            saved = {n: offset[n] for n in members[old]}
            shift = offset[a] + step - offset[b]
            for n in members[old]:
                block[n], offset[n] = new, offset[n] + shift
            if self._constraints(block, offset) is None:
                for n in members[old]:
                    block[n], offset[n] = old, saved[n]
                continue
            members[new] += members.pop(old)
            taken_out.add(a)
            taken_in.add(b)
        height = self._pack(block, offset, members)
        return {n: height[block[n]] + offset[n] for n in self.column}

    def _constraints(self, block: dict[int, int], offset: dict[int, float]) -> nx.DiGraph | None:
        """Least distances between blocks, or None where they contradict each other."""
        rules = nx.DiGraph()
        rules.add_nodes_from(dict.fromkeys(block.values()))
        for column in self.columns:
            for a, b in pairwise(column):
                lanes = (a in self.lane_of) + (b in self.lane_of)
                apart = self._size(a)[2] + self._size(b)[1] + (AIR, AIR / 2, 0.0)[lanes] + offset[a] - offset[b]
                u, v = block[a], block[b]
                if u == v:
                    return None
                if not rules.has_edge(u, v) or rules.edges[u, v]["apart"] < apart:
                    rules.add_edge(u, v, apart=apart)
        return rules if nx.is_directed_acyclic_graph(rules) else None

    def _pack(self, block: dict[int, int], offset: dict[int, float], members: dict[int, list[int]]) -> dict[int, float]:
        """Heights of the blocks: the main line at 0, the rest as close to it as the distances allow."""
        rules = self._constraints(block, offset)
        assert rules is not None, "blocks were only joined where the constraints stayed free of cycles"
        main = block[next(n for n, node in self.node.items() if node.kind == "exit")]
        above = nx.ancestors(rules, main)
        topological = list(nx.lexicographical_topological_sort(rules))
        height = {main: 0.0}
        for b in reversed(topological):
            if b in above:
                height[b] = min(height[s] - rules.edges[b, s]["apart"] for s in rules.successors(b) if s in height)
        for b in topological:
            if b not in height:
                bounds = [height[p] + rules.edges[p, b]["apart"] for p in rules.predecessors(b)]
                height[b] = max(bounds) if bounds else 0.0
        # A residual's lane lies close above what it goes around, not close below what happens to be over it.
        for b in reversed(topological):
            lanes = [self.lane_of.get(n) for n in members[b]]
            if b not in above and b != main and all(i is not None and self.edge[i][2].kind == "skip" for i in lanes):
                below = [height[s] - rules.edges[b, s]["apart"] for s in rules.successors(b)]
                height[b] = max([height[b], *([min(below)] if below else [])])
        return height

    # -- the picture ---------------------------------------------------------------------------------------------------

    def _gaps(self) -> list[float]:
        """Width of the space after every column: room for the labels of its wires."""
        gaps = [GAP] * (len(self.columns) - 1)
        for u, v, edge in self.edge:
            first, last = self.column[u], self.column[v] - 1
            shape = len(edge.shape) * SMALL + 12 if edge.shape else 0.0
            role = len(edge.role) * SMALL + 12 if edge.role else 0.0
            room = {first: shape, last: role} if first != last else {first: shape + role}
            for gap, width in room.items():
                gaps[gap] = max(gaps[gap], width + GAP * 0.75 if width else 0.0)
        for u, v, _ in self.edge:  # the sides of a frame need little room
            for side, gap in ((u, self.column[u]), (v, self.column[v] - 1)):
                if self.node[side].kind in ("entry", "exit", "tap") and gaps[gap] == GAP:
                    gaps[gap] = GAP * 0.75
        return gaps

    def picture(self) -> Picture:
        height = self._heights()
        gaps = self._gaps()
        widths = [max((self._size(n)[0] for n in column), default=0.0) for column in self.columns]
        left = [0.0]
        for c in range(len(gaps)):
            left.append(left[-1] + widths[c] + gaps[c])
        top = min(height[n] - self._size(n)[1] for n in self.column)
        height = {n: h - top for n, h in height.items()}
        bottom = max(height[n] + self._size(n)[2] for n in self.column)

        boxes: list[Box] = []
        wires: list[Wire] = []
        labels: list[Label] = []
        corner: dict[int, tuple[float, float]] = {}  # node -> its left and right end
        for n, node in self.node.items():
            width, up, down, _ = self._size(n)
            c = self.column[n]
            x = left[c] + (widths[c] - width) / 2
            corner[n] = (x, x + width)
            if node.picture is not None:
                inner = node.picture.moved(x, height[n] - up)
                boxes += inner.boxes
                wires += inner.wires
                labels += inner.labels
            elif node.kind in ("word", "join"):
                box = Box(node.kind, node.label, node.title, x, height[n] - up, width, up + down, weights=node.weights)
                boxes.append(box)
        for i, (u, v, edge) in enumerate(self.edge):
            start = (corner[u][1], height[u] + self._size(u)[3])
            lanes = [
                (left[self.column[n]], widths[self.column[n]], height[n]) for n in self.chain[i] if n in self.lane_of
            ]
            if edge.kind == "flow":
                wires.append(self._flow(u, v, start, (corner[v][0], height[v] + self.ports[i]), lanes, left, widths))
            else:
                wires.append(self._turn(edge.kind, u, start, corner[v], height[v], lanes, left, widths))
            labels += self._labels(i, u, v, start, corner[v][0], height, lanes, left, widths)
        entry = next(n for n, node in self.node.items() if node.kind == "entry")
        exit_ = next(n for n, node in self.node.items() if node.kind == "exit")
        taps = {node.label: height[n] for n, node in self.node.items() if node.kind == "tap"}
        return Picture(
            left[-1] + widths[-1], bottom - top if top > 0 else bottom, height[entry], height[exit_],
            tuple(boxes), tuple(wires), tuple(labels), taps,
        )  # fmt: skip

    def _flow(
        self,
        u: int,
        v: int,
        start: tuple[float, float],
        end: tuple[float, float],
        lanes: list[tuple[float, float, float]],
        left: list[float],
        widths: list[float],
    ) -> Wire:
        c = self.column[u]
        path = begin(start, left[c] + widths[c] + self.trunk.get(u, 0.0))
        for x, width, y in lanes:
            bend(path, x, y)
            line(path, x + width, y)
        bend(path, left[self.column[v]], end[1], straight=7.0)
        line(path, *end)
        arrow = self.node[v].kind in ("word", "join")
        return Wire("flow", tuple(path), arrow)

    def _turn(
        self,
        kind: str,
        u: int,
        start: tuple[float, float],
        end: tuple[float, float],
        y_end: float,
        lanes: list[tuple[float, float, float]],
        left: list[float],
        widths: list[float],
    ) -> Wire:
        """A wire that goes over (``skip``) or under (``side``) its target and turns into it."""
        c = self.column[u]
        middle = (end[0] + end[1]) / 2
        path = begin(start, left[c] + widths[c] + self.trunk.get(u, 0.0))
        for x, width, y in lanes[:-1]:
            bend(path, x, y)
            line(path, x + width, y)
        x, _, y = lanes[-1]
        sign = 1.0 if kind == "skip" else -1.0
        bend(path, x, y)
        line(path, middle - TURN, y)
        path.append(("Q", (middle, y, middle, y + sign * TURN)))
        line(path, middle, y_end - sign * JOIN / 2)
        return Wire(kind, tuple(path), True)

    def _labels(
        self,
        i: int,
        u: int,
        v: int,
        start: tuple[float, float],
        x_end: float,
        height: dict[int, float],
        lanes: list[tuple[float, float, float]],
        left: list[float],
        widths: list[float],
    ) -> Iterable[Label]:
        edge = self.edge[i][2]
        if edge.shape:
            yield Label("shape", edge.shape, start[0] + 4, start[1] - 5)
        if edge.role:
            if edge.kind == "flow":
                x, y = left[self.column[v]], height[v] + self.ports[i]
            else:
                x, y = lanes[-1][0], lanes[-1][2]
            yield Label("role", edge.role, x - 9 - len(edge.role) * SMALL, y - 4)


def _columns(node: dict[int, Node], edge: Sequence[tuple[int, int, Edge]]) -> dict[int, int]:
    """Column of every node: longest path; what has no input stands next to its reader; the exit stands last."""
    before: dict[int, list[int]] = {n: [] for n in node}
    after: dict[int, list[int]] = {n: [] for n in node}
    for u, v, _ in edge:
        before[v].append(u)
        after[u].append(v)
    graph = nx.DiGraph((u, v) for u, v, _ in edge)
    graph.add_nodes_from(node)
    column: dict[int, int] = {}
    for n in nx.lexicographical_topological_sort(graph):
        start = 0 if node[n].kind in ("entry", "tap") else 1
        column[n] = max([start, *(column[p] + 1 for p in before[n])])
    for n in node:
        if not before[n] and node[n].kind not in ("entry", "tap") and after[n]:
            column[n] = max(column[n], min(column[s] for s in after[n]) - 1)
    last = max(column[n] for n in node if node[n].kind != "exit") + 1
    return {n: last if node[n].kind == "exit" else c for n, c in column.items()}
