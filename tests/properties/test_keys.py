"""Equal architectures share a key, unequal ones never do: random sentences, respelled and changed.

docs/language.md#canonical-form says what makes them equal.

A respelling keeps the architecture: other names, other orders where the order does not matter, other groupings, neutral
parts, abbreviations written out. A change may or may not keep it; where the key stays, everything else must.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import pytest
import torch

import metamixer as mm
from metamixer.errors import LanguageError
from metamixer.language import Sentence, Space, parse
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import (
    Node,
    X,
    chain,
    count_of,
    joined,
    name_of,
    place,
    size,
    walk,
    word,
    word_name,
)
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
    return any((isinstance(n, nodes.Size) and "D" in n.text) or word_name(n) == "up" for n in walk(node))


@everywhere
def other_order(node: Node, rng: random.Random) -> Node:
    match node:
        case nodes.Product(kids):
            return chain(nodes.Product, rng.sample(kids, len(kids)))
        case nodes.Sum(signs, kids) if set(signs) == {"+"}:
            return nodes.Sum(signs, tuple(rng.sample(kids, len(kids))))
    return node


@everywhere
def other_grouping(node: Node, rng: random.Random) -> Node:
    if isinstance(node, nodes.Sequence | nodes.Product | nodes.Concatenation) and len(node.kids) > 2:
        group, cut = type(node), rng.randrange(1, len(node.kids) - 1)
        if rng.random() < 0.5:
            return group((group(node.kids[: cut + 1]), *node.kids[cut + 1 :]))
        return group((*node.kids[:cut], group(node.kids[cut:])))
    return node


@everywhere
def neutral_parts(node: Node, rng: random.Random) -> Node:
    if isinstance(node, nodes.Sequence | nodes.Read) and rng.random() < 0.5:
        at = rng.randrange(1, len(node.kids))
        return type(node)((*node.kids[:at], word("id"), *node.kids[at:]))
    if isinstance(node, nodes.Sequence) and rng.random() < 0.5:
        return chain(nodes.Sequence, [X, *node.kids, X])
    if isinstance(node, nodes.Read) and rng.random() < 0.5:
        return place(node, word("all"))
    return node


@everywhere
def written_out(node: Node, rng: random.Random) -> Node:
    match node:
        case nodes.Word("att", kids):
            q, k, v = (*kids, *[X] * (3 - len(kids)))
            return chain(nodes.Read, [word("dot", q, k), word("softmax"), word("mm", v)])
        case nodes.Word("dw", (kernel,), (None,)):
            return word("conv", X, nodes.Bank(kernel), b=size(1))
        case nodes.Word("patch" | "down", (step, channels), (None, None)):
            return word("fconv", step, channels, s=step)
        case nodes.Word("res", (other,)) if not scoped(node):
            return nodes.Sum("++", rng.choice([(X, other), (other, X)]))
        case nodes.Power(operand, count) if count_of(count):
            return chain(nodes.Sequence, [operand] * count_of(count))
    return node


@everywhere
def abbreviated(node: Node, rng: random.Random) -> Node:
    match node:
        case nodes.Sum("++", kids) if X in kids and not scoped(node):
            (other,) = [kid for kid in kids if kid is not X] or [X]
            return word("res", other)
        case nodes.Read((nodes.Word("dot", q_and_k), nodes.Word("softmax", scope=None), nodes.Word("mm", v))):
            return word("att", *q_and_k, *[X] * (2 - len(q_and_k)), *v)
        case nodes.Sequence(kids) if kids[: len(kids) // 2] == kids[len(kids) // 2 :]:
            return nodes.Power(chain(nodes.Sequence, kids[: len(kids) // 2]), size(2))
    return node


def other_names(node: Node, rng: random.Random) -> Node:
    bound = sorted({n.name for n in walk(node) if isinstance(n, nodes.Let | nodes.Tie)})
    fresh = dict(zip(bound, rng.sample([f"name_{i}" for i in range(99)], len(bound)), strict=True))

    def rename(node: Node) -> Node:
        kids = tuple(rename(kid) for kid in node.kids)
        if isinstance(node, nodes.Let | nodes.Tie):
            return type(node)(fresh[node.name], *kids)
        return word(fresh[name_of(node)]) if name_of(node) in fresh else joined(node, kids)

    return rename(node)


def bound_whole(node: Node, rng: random.Random) -> Node:
    """The whole behind a name that is used once, or a name that is not used."""
    if rng.random() < 0.5:
        return nodes.Let("unused", word("lin"), node)
    return node if scoped(node) else rng.choice([nodes.Let, nodes.Tie])("whole", node, word("whole"))


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
    "win": "grid", "grid": "win", "dot": "dot0", "dot0": "dot", "x": "gelu",
}  # fmt: skip


def changed(node: Node, rng: random.Random) -> Node:
    """One phrase of a sentence changed: swapped, dropped, doubled, shared, or another word."""
    spots = list(walk(node))
    target = rng.choice(spots)

    def change(node: Node) -> Node:
        kids, how = node.kids, rng.randrange(6)
        if how == 0 and len(kids) > 1 and not isinstance(node, nodes.Binder | nodes.At | nodes.Power):
            i, j = rng.sample(range(len(kids)), 2)
            order = list(kids)
            order[i], order[j] = order[j], order[i]
            return node.with_kids(tuple(order))
        if how == 1 and isinstance(node, nodes.Sequence | nodes.Product | nodes.Concatenation) and len(kids) > 2:
            gone = rng.randrange(len(kids))
            return chain(type(node), [kid for i, kid in enumerate(kids) if i != gone])
        if how == 2 and isinstance(node, nodes.Word):
            return node.renamed(SWAPS.get(node.name, node.name))
        if how == 3 and count_of(node) is not None:
            return size(count_of(node) + rng.choice([-1, 1, 2]))
        if how == 4 and isinstance(node, nodes.Sum):
            return nodes.Sum("+" + "".join(rng.choice("+-") for _ in kids[1:]), kids)
        if how == 5 and not isinstance(node, nodes.Size | nodes.Bank | nodes.Number):
            double = rng.choice([partial(nodes.Sum, "++"), nodes.Product, nodes.Sequence])
            return rng.choice(
                [
                    double((node, node)),
                    rng.choice([nodes.Let, nodes.Tie])("twice", node, double((word("twice"), word("twice")))),
                    nodes.At(node, word("h", size(2))),
                ]
            )
        return node

    done = False

    def rebuilt(node: Node) -> Node:
        nonlocal done
        if node is target and not done:
            done = True
            return change(node)
        return node.with_kids(tuple(rebuilt(kid) for kid in node.kids))

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
