"""Equal architectures share a key, unequal ones never do: random sentences, respelled and changed.

docs/language.md#canonical-form says what makes them equal.

A respelling keeps the architecture: other names, other orders where the order does not matter, other groupings, neutral
parts, abbreviations written out. A change may or may not keep it; where the key stays, everything else must.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.language import Sentence, Space, parse
from metamixer.language.syntax.nodes import Node, X, chain, joined, make, place, size, walk, word
from metamixer.language.syntax.printer import text
from metamixer.testing.checks import deviation, fill_by_shape

_spec = importlib.util.spec_from_file_location("sentences", Path(__file__).parent / "test_sentences.py")
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)

SPACES = {  # space, channels, grid, draws
    "digits": ("digits", 1, (8, 8), 16),
    "vision": ("vision", 3, (32, 32), 5),
    "wild": (_module.WILD, 8, (4, 4), 60),
}


@cache
def drawn(name: str) -> list[tuple[Sentence, int, tuple[int, ...]]]:
    source, channels, grid, draws = SPACES[name]
    space = Space(source, "network", max_depth=2) if isinstance(source, dict) else Space.load(source)
    rng = random.Random(name)
    return [(space.draw(rng, channels, grid).sentence, channels, grid) for _ in range(draws)]


# -- respellings -------------------------------------------------------------------------------------------------------

Rewrite = Callable[[Node, random.Random], Node]


def everywhere(change: Rewrite) -> Rewrite:
    """A change of single phrases, tried on every phrase from the inside out."""

    def rewrite(node: Node, rng: random.Random) -> Node:
        return change(joined(node, tuple(rewrite(kid, rng) for kid in node.kids)), rng)

    return rewrite


def scoped(node: Node) -> bool:
    """Whether a phrase has a letter that depends on its scope, or names that would be caught."""
    return any(n.op == "size" and "D" in n.data for n in walk(node)) or any(
        n.op == "word" and n.data[0] == "up" for n in walk(node)
    )


@everywhere
def other_order(node: Node, rng: random.Random) -> Node:
    if node.op == "prod" or (node.op == "sum" and set(node.data) == {"+"}):
        kids = rng.sample(node.kids, len(node.kids))
        if node.op == "sum":
            return make("sum", node.data, tuple(kids))
        return chain("prod", kids)
    return node


@everywhere
def other_grouping(node: Node, rng: random.Random) -> Node:
    if node.op in ("seq", "prod", "cat") and len(node.kids) > 2:
        cut = rng.randrange(1, len(node.kids) - 1)
        if rng.random() < 0.5:
            return make(node.op, None, (make(node.op, None, node.kids[: cut + 1]), *node.kids[cut + 1 :]))
        return make(node.op, None, (*node.kids[:cut], make(node.op, None, node.kids[cut:])))
    return node


@everywhere
def neutral_parts(node: Node, rng: random.Random) -> Node:
    if node.op in ("seq", "read") and rng.random() < 0.5:
        at = rng.randrange(1, len(node.kids))
        return make(node.op, None, (*node.kids[:at], word("id"), *node.kids[at:]))
    if node.op == "seq" and rng.random() < 0.5:
        return chain("seq", [X, *node.kids, X])
    if node.op == "read" and rng.random() < 0.5:
        return place(node, word("all"))
    return node


@everywhere
def written_out(node: Node, rng: random.Random) -> Node:
    name = node.data[0] if node.op == "word" else ""
    if name == "att":
        q, k, v = (*node.kids, *[X] * (3 - len(node.kids)))
        return chain("read", [word("dot", q, k), word("softmax"), word("mm", v)])
    if name == "dw" and node.data[1] == (None,):
        return word("conv", X, make("bank", None, node.kids), b=size(1))
    if name in ("patch", "down") and node.data[1] == (None, None):
        return word("fconv", *node.kids, s=node.kids[0])
    if name == "res" and not scoped(node):
        return make("sum", "++", rng.choice([(X, node.kids[0]), (node.kids[0], X)]))
    if node.op == "power" and node.kids[1].data.isdigit() and int(node.kids[1].data) > 0:
        return chain("seq", [node.kids[0]] * int(node.kids[1].data))
    return node


@everywhere
def abbreviated(node: Node, rng: random.Random) -> Node:
    if node.op == "sum" and node.data == "++" and X in node.kids and not scoped(node):
        (other,) = [kid for kid in node.kids if kid is not X] or [X]
        return word("res", other)
    if (
        node.op == "read"
        and [kid.data[0] for kid in node.kids] == ["dot", "softmax", "mm"]
        and not node.kids[1].data[2]
    ):
        return word("att", *(*node.kids[0].kids, *[X] * (2 - len(node.kids[0].kids))), *node.kids[2].kids)
    if (
        node.op == "seq"
        and len(node.kids) % 2 == 0
        and node.kids[: len(node.kids) // 2] == node.kids[len(node.kids) // 2 :]
    ):
        return make("power", None, (chain("seq", node.kids[: len(node.kids) // 2]), size(2)))
    return node


def other_names(node: Node, rng: random.Random) -> Node:
    bound = sorted({n.data[0] for n in walk(node) if n.op in ("let", "tie")})
    fresh = dict(zip(bound, rng.sample([f"name_{i}" for i in range(99)], len(bound)), strict=True))

    def rename(node: Node) -> Node:
        kids = tuple(rename(kid) for kid in node.kids)
        if node.op in ("let", "tie"):
            return make(node.op, (fresh[node.data[0]],), kids)
        if node.op == "word" and not kids and node.data[0] in fresh:
            return word(fresh[node.data[0]])
        return joined(node, kids)

    return rename(node)


def bound_whole(node: Node, rng: random.Random) -> Node:
    """The whole behind a name that is used once, or a name that is not used."""
    if rng.random() < 0.5:
        return make("let", ("unused",), (word("lin"), node))
    return node if scoped(node) else make(rng.choice(["let", "tie"]), ("whole",), (node, word("whole")))


RESPELLINGS = (
    other_order, other_grouping, neutral_parts, written_out, abbreviated, other_names, bound_whole
)  # fmt: skip


def respelled(node: Node, rewrite: Rewrite, rng: random.Random) -> Sentence:
    """Another spelling, as a user writes it."""
    return parse(text(rewrite(node, rng)))


@pytest.mark.parametrize("space", SPACES)
def test_respelled_sentences_keep_their_key(space):
    rng, changed = random.Random(space), dict.fromkeys(RESPELLINGS, 0)
    for sentence, channels, grid in drawn(space):
        key = sentence.key(channels, grid)
        for rewrite in RESPELLINGS:
            other = respelled(sentence.node, rewrite, rng)
            changed[rewrite] += other != sentence
            assert other.key(channels, grid) == key, f"{rewrite.__name__}: {sentence}\n{other}"
        mixed = sentence.node
        for rewrite in rng.sample(RESPELLINGS, 4):
            mixed = respelled(mixed, rewrite, rng).node
        assert Sentence(mixed).key(channels, grid) == key, f"{sentence}\n{Sentence(mixed)}"
    assert min(changed[neutral_parts], changed[bound_whole]) > SPACES[space][3] // 4
    if space == "wild":  # it has something of everything; the parser groups by itself
        assert all(changed[rewrite] for rewrite in RESPELLINGS if rewrite is not other_grouping)


# -- changes -----------------------------------------------------------------------------------------------------------

SWAPS = {
    "gelu": "relu", "relu": "gelu", "silu": "tanh", "softmax": "sig", "norm": "aff", "bn": "norm", "lin": "norm",
    "win": "grid", "grid": "win", "dot": "dot0", "dot0": "dot", "let": "tie", "x": "gelu",
}  # fmt: skip


def changed(node: Node, rng: random.Random) -> Node:
    """One phrase of a sentence changed: swapped, dropped, doubled, shared, or another word."""
    spots = list(walk(node))
    target = rng.choice(spots)

    def change(node: Node) -> Node:
        kids, how = node.kids, rng.randrange(6)
        if how == 0 and len(kids) > 1 and node.op not in ("let", "tie", "at", "power"):
            i, j = rng.sample(range(len(kids)), 2)
            order = list(kids)
            order[i], order[j] = order[j], order[i]
            return make(node.op, node.data, tuple(order))
        if how == 1 and node.op in ("seq", "prod", "cat") and len(kids) > 2:
            gone = rng.randrange(len(kids))
            return chain(node.op, [kid for i, kid in enumerate(kids) if i != gone])
        if how == 2 and node.op == "word":
            name = SWAPS.get(node.data[0])
            return node if name is None else make("word", (name, *node.data[1:]), kids)
        if how == 3 and node.op == "size" and node.data.isdigit():
            return size(int(node.data) + rng.choice([-1, 1, 2]))
        if how == 4 and node.op == "sum":
            signs = "".join(rng.choice("+-") for _ in kids[1:])
            return make("sum", "+" + signs, kids)
        if how == 5 and node.op not in ("size", "bank", "num"):
            doubled = rng.choice(["sum", "prod", "seq"])
            return rng.choice(
                [
                    make(doubled, "++" if doubled == "sum" else None, (node, node)),
                    make(
                        rng.choice(["let", "tie"]),
                        ("twice",),
                        (node, make(doubled, "++" if doubled == "sum" else None, (word("twice"),) * 2)),
                    ),
                    make("at", None, (node, word("h", size(2)))),
                ]
            )
        return node

    done = False

    def rebuilt(node: Node) -> Node:
        nonlocal done
        if node is target and not done:
            done = True
            return change(node)
        return make(node.op, node.data, tuple(rebuilt(kid) for kid in node.kids))

    return rebuilt(node)


def function(sentence: Sentence, channels: int, grid: tuple[int, ...]) -> torch.Tensor:
    net = mm.build(sentence, channels, grid).double().eval()
    fill_by_shape(net)
    x = torch.randn(1, *grid, channels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return net(x)


@pytest.mark.parametrize("space", SPACES)
def test_sentences_that_differ_never_share_a_key(space):
    """Output type, parameters, MACs, and the function with equal weights wherever their shapes are equal."""
    rng, tried, shared = random.Random(space), 0, 0
    for sentence, channels, grid in drawn(space):
        key, made = sentence.key(channels, grid), None
        for _ in range(10):
            try:
                other = parse(text(changed(sentence.node, rng)))
                found = other.key(channels, grid)
            except LanguageError:
                continue
            if other == sentence:
                continue
            tried += 1
            if found != key:
                continue
            shared += 1
            before, after = (mm.cost(s, channels, grid) for s in (sentence, other))
            assert (before.macs, before.params) == (after.macs, after.params), f"{sentence}\n{other}"
            assert mm.check(sentence, channels, grid) == mm.check(other, channels, grid)
            made = function(sentence, channels, grid) if made is None else made
            assert deviation(function(other, channels, grid), made) < 1e-9, f"{sentence}\n{other}"
    assert tried > SPACES[space][3]
    assert shared > 0
