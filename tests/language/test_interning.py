"""Syntax nodes: one object for equal phrases, frozen, told apart by their classes, freed once nothing holds them."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
import random

import pytest

from metamixer.language import parse
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, walk

SENTENCE = (
    "let k = lin in tie f = ffn(2) in res(norm >> att(k,k,lin)@h(2)@N(3)) >> f^2 >> [.5: x | dw(3) * sig] >> pool(2)"
    " >> (dot(x,#8 & lin) -> softmax[blk(2)] -> mm(#8 & lin)) >> x - .5 * gelu ++ each({lin|dw({3..7 step 2})},2)"
    " >> (pick n = {2|4} in lin(n)@(win(2) | grid(2)))"
)


def kinds(cls: type[Node] = Node) -> list[type[Node]]:
    below = [kind for sub in cls.__subclasses__() for kind in (sub, *kinds(sub))]
    return [kind for kind in below if dataclasses.is_dataclass(kind) and "_interned" in vars(kind)]


def alive() -> int:
    while gc.collect() > 100:  # a phrase is found to be free once those around it are
        pass
    return sum(len(kind._interned) for kind in kinds())


@pytest.fixture(scope="module")
def everything() -> list[Node]:
    return list(walk(parse(SENTENCE).node))


def test_a_node_is_frozen(everything: list[Node]) -> None:
    for node in everything:
        for field in dataclasses.fields(node):  # type: ignore[arg-type]
            with pytest.raises(AttributeError):
                setattr(node, field.name, None)


def test_a_copy_is_the_node_itself(everything: list[Node]) -> None:
    for node in everything:
        assert pickle.loads(pickle.dumps(node)) is node
        assert copy.deepcopy(node) is node
        assert node.with_kids(node.kids) is node


def test_the_sentence_has_most_kinds(everything: list[Node]) -> None:
    leave_out = {nodes.Taken, nodes.Slot, nodes.Chain, nodes.Repetition, nodes.Binder}
    missing = {kind for kind in kinds() if kind.__module__ == nodes.__name__} - {type(node) for node in everything}
    assert missing <= leave_out


def test_nodes_are_freed_with_what_was_found_out_about_them() -> None:
    """Parsed, checked, keyed and counted: nothing of that keeps a sentence that nobody holds.

    `benchmarks/cost.py` does this 200,000 times and prints the process's memory.
    """
    import metamixer as mm

    rng = random.Random(0)

    def look(number: int) -> None:
        width = 8 * rng.randrange(1, 9)
        sentence = parse(f"lin({width}) >> res(norm >> dw({2 * number + 1})) >> gelu >> lin({number + 1}) >> mean")
        mm.check(sentence, 8, (64, 64))
        sentence.key(8, (64, 64))
        mm.cost(sentence, 8, (64, 64))

    look(0)
    before = alive()
    for number in range(60):
        look(number)
    assert alive() - before < 30  # without freeing it is several hundred
