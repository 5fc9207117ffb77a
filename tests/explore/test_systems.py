"""The derived attributes of published mixers against what their modules do.

Every token of an input is disturbed in turn to see where it matters; tokens are permuted and a pattern is shifted;
coefficients are caught where they meet values; causal and crossed forms are written down, built and tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import log, prod
from typing import Any

import pytest
import torch
from systems import SYSTEMS
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import metamixer as mm
from metamixer.compile.plan import stages
from metamixer.errors import LanguageError
from metamixer.explore import attributes
from metamixer.explore.attributes import GROWTH, grown
from metamixer.language import Sentence
from metamixer.language.checking.inference import Typed
from metamixer.language.checking.protocols import Match, WeightedSum
from metamixer.language.checking.vocabulary import words
from metamixer.language.syntax import nodes
from metamixer.language.syntax.nodes import Node, X, chain, joined, name_of, place, size, walk, word, word_name
from metamixer.testing.checks import deviation, randomise

DATA_DEPENDENT = ("top", "sort", "clus", "rand")  # which tokens are read follows from the input


def network(sentence: Sentence, channels: int, grid: tuple[int, ...]) -> torch.nn.Module:
    torch.manual_seed(0)
    net = mm.build(sentence, channels, grid)
    randomise(net)
    return net.eval().double()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=SYSTEMS)
def system(request):
    text, channels, grid = SYSTEMS[request.param]
    sentence = mm.parse(text)
    try:
        return sentence, channels, grid, attributes(sentence, channels, grid)
    except LanguageError as error:
        pytest.skip(f"cannot be said yet: {error.message}")


def data_dependent(sentence: Sentence) -> bool:
    return any(word_name(phrase) in DATA_DEPENDENT for phrase in walk(sentence.node))


def same_tokens(sentence: Sentence, channels: int, grid: tuple[int, ...]) -> bool:
    return mm.check(sentence, channels, grid).grid == grid


def touched(net: torch.nn.Module, channels: int, grid: tuple[int, ...]) -> Tensor:
    """(tokens of the input, tokens of the result): whether the one matters to the other."""
    n = prod(grid)
    found = torch.zeros(n, n, dtype=torch.bool)
    for seed in range(3):
        x = noise(n, channels, seed=seed)
        disturbed = x.repeat(n, 1, 1)
        disturbed[torch.arange(n), torch.arange(n)] += noise(n, channels, seed=seed + 10)
        with torch.no_grad():
            y = net(torch.cat([x[None], disturbed]).reshape(n + 1, *grid, channels)).reshape(n + 1, n, -1)
        found |= (y[1:] - y[:1]).abs().amax(-1) > 1e-12
    return found


def test_the_receptive_field(system):
    sentence, channels, grid, found = system
    if not same_tokens(sentence, channels, grid):
        pytest.skip("its tokens are others than the input's")
    source, to = touched(network(sentence, channels, grid), channels, grid).nonzero(as_tuple=True)
    there = torch.stack(torch.unravel_index(source, grid)) - torch.stack(torch.unravel_index(to, grid))
    if "roll" in str(sentence):  # distances are those around the edge
        there = torch.minimum(there.abs(), torch.tensor(grid)[:, None] - there.abs())
    far = there.abs().amax(1).tolist() if there.numel() else [0] * len(grid)
    for axis, length in enumerate(grid):
        declared = length - 1 if found.receptive_field[axis] is None else found.receptive_field[axis]
        assert far[axis] <= declared
        assert far[axis] == declared or data_dependent(sentence)


def test_permutations(system):
    sentence, channels, grid, found = system
    if not same_tokens(sentence, channels, grid):
        pytest.skip("its tokens are others than the input's")
    net, n = network(sentence, channels, grid), prod(grid)
    x, order = noise(2, n, channels), torch.randperm(n, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        moved = net(x[:, order].reshape(2, *grid, channels)).reshape(2, n, -1)
        y = net(x.reshape(2, *grid, channels)).reshape(2, n, -1)[:, order]
    assert (deviation(moved, y) < 1e-9) == found.permutation


def test_shifts(system):
    """A pattern in the middle of a wide grid, shifted: far from the borders the result shifts with it, or does not."""
    sentence, channels, grid, found = system
    if not same_tokens(sentence, channels, grid):
        pytest.skip("its tokens are others than the input's")
    if "@grid" in str(sentence) and "dw" in str(sentence):
        pytest.skip("a grid joins the middle with borders, where convolutions read zeros")
    times = 1 if found.locked else 5 if len(grid) < 3 else 3
    wide = tuple(times * length for length in grid)
    found, net = attributes(sentence, channels, wide), network(sentence, channels, wide)
    x = torch.zeros(1, *wide, channels, dtype=torch.float64)
    x[(0, *(slice(length // 2 - 1, length // 2 + 1) for length in wide))] = noise(*[2] * len(wide), channels)
    inside = (0, *(slice(2 * length // 5, 3 * length // 5 + 1) for length in wide))
    with torch.no_grad():
        y = net(x)
        for axis in range(len(wide)):
            step = found.translation[axis] if found.translation else None
            for shift in range(1, min(step or 3, max(1, wide[axis] // 5)) + 1):
                moved, shifted = net(x.roll(shift, axis + 1))[inside], y.roll(shift, axis + 1)[inside]
                whole = deviation(moved, shifted) < 1e-9
                assert whole == (shift == step) or (whole and data_dependent(sentence)), (axis, shift)


def test_growth(system):
    """Costs are products that torch counts, and the exponent lies among those from one size to the next."""
    sentence, channels, grid, found = system
    if found.growth is None:
        assert found.locked or not mm.cost(sentence, channels, grid).macs
        return
    larger = grown(grid, GROWTH[0])
    net = mm.build(sentence, channels, larger, counted=True).to("meta")
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, *larger, channels, device="meta"))
    assert counter.get_total_flops() == mm.cost(sentence, channels, larger).flops
    sizes = [grown(grid, factor) for factor in GROWTH]
    sizes = [size for size in sizes if fits(sentence, channels, size)]
    points = [(log(prod(size)), log(mm.cost(sentence, channels, size).macs)) for size in sizes]
    steps = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(points)]
    assert min(steps) - 1e-9 <= found.growth <= max(steps) + 1e-9


def fits(sentence: Sentence, channels: int, grid: tuple[int, ...]) -> bool:
    try:
        mm.check(sentence, channels, grid)
    except LanguageError:
        return False
    return True


def tensors(net: torch.nn.Module) -> dict[Any, dict[str, torch.Size]]:
    owned = {path: weights.state_dict() for path, weights in net.store.weights.items()}
    return {path: {name: value.shape for name, value in state.items()} for path, state in owned.items() if state}


def test_a_lock(system):
    """What is not locked takes its weights to a larger grid, unchanged."""
    sentence, channels, grid, found = system
    net = network(sentence, channels, grid)
    fits = []
    for times in (2, 3):
        larger = tuple(times * length for length in grid)
        try:
            other = network(sentence, channels, larger)
        except LanguageError:
            continue
        fits.append(tensors(other) == tensors(net))
        if fits[-1]:
            for path in tensors(net):
                other.store.weights[path].load_state_dict(net.store.weights[path].state_dict())
            assert other(noise(1, *larger, channels)).isfinite().all()
    assert found.locked != any(fits)


# -- coefficients ------------------------------------------------------------------------------------------------------


@pytest.fixture
def caught(monkeypatch):
    """What meets values, while the reference runs: (the stage of the read, coefficients, width of keys of a head)."""
    seen: list[tuple[Typed, Tensor]] = []
    for one in words().values():
        if isinstance(one, WeightedSum):
            kind = type(one)

            def dense(self, t, w, state, v, *more, original=kind.dense):
                if not t.settings["score"].as_field:
                    score = t.settings["score"]
                    if state.ndim != 4 or state.shape[-1] != score.slots:
                        state = state.reshape(len(state), -1, score.heads, score.slots).transpose(1, 2)
                    seen.append((t, state))
                return original(self, t, w, state, v, *more)

            monkeypatch.setattr(kind, "dense", dense)
    return seen


STRENGTH = ("signed", "positive", "convex")


def test_coefficients(system, caught):
    """Their values are as declared, some are as good, and those called dynamic change with the input."""
    sentence, channels, grid, found = system
    net = network(sentence, channels, grid)
    mm.reference(net, noise(1, *grid, channels))
    first = list(caught)
    caught.clear()
    mm.reference(net, noise(1, *grid, channels, seed=1))
    if not first:
        return
    assert "dynamic" in found.coefficients
    changes = [a.shape == b.shape and not torch.allclose(a, b) for (_, a), (_, b) in zip(first, caught, strict=True)]
    assert any(changes)
    measured = []
    for _, state in first:
        convex = torch.allclose(state.sum(-1), torch.ones_like(state.sum(-1)))
        measured.append(2 if bool((state >= 0).all()) and convex else int((state >= 0).all()))
    declared = [STRENGTH.index(name) for name in found.weights]
    assert min(measured) >= min(declared)
    assert "convex" not in found.weights or "static" in found.coefficients or max(measured) == 2


def test_values_can_be_summed_first(system, caught):
    """Rule 3.5: then a matrix of coefficients has the rank of its keys, and one more; else it has a higher one."""
    sentence, channels, grid, found = system
    grid = grid if found.locked else grown(grid, 4)
    net = network(sentence, channels, grid)
    mm.reference(net, noise(1, *grid, channels))
    widths = dict(global_reads(net.typed))
    verdicts = []
    for t, state in caught:
        score = t.settings["score"]
        if t in widths and min(score.tokens, score.slots) > widths[t] + 1:
            verdicts.append(int(torch.linalg.matrix_rank(state[0], rtol=1e-11).max()) <= widths[t] + 1)
    if found.linear is None:
        assert not widths
    elif verdicts:
        assert all(verdicts) == found.linear


def global_reads(t: Typed) -> Iterator[tuple[Typed, int]]:
    """The aggregating stage of each read of scores over all tokens, and the width of a key."""
    if t.word.form == "read":
        steps = [step for _, step in stages(t)]
        score = steps[0].out
        if isinstance(steps[0].word, Match) and not score.as_field and not any(part.place for part in score.parts):
            width = max(getattr(source, "channels", 0) for source in steps[0].inputs)
            yield steps[-1], width // score.heads
    levels = t.settings.get("levels", ()) if t.word.form == "place" else ()
    if not any(getattr(words()[level.place.word], "tokens", "") for level in levels):  # tokens are tokens inside
        for kid in t.kids:
            yield from global_reads(kid)


# -- other forms -------------------------------------------------------------------------------------------------------


def reads_tokens(node: Node) -> bool:
    """Whether a phrase is a read by content; those of banks alone read no token."""
    match node:
        case nodes.Word("att" | "att0", sources) | nodes.Read(
            (nodes.Word("att" | "att0" | "dot" | "dot0", sources), *_)
        ):
            return not (len(sources) > 1 and isinstance(sources[1], nodes.Bank))
    return False


def causal_form(node: Node) -> Node:
    """Every read of tokens at @causal, behind the supports that it has."""
    places: list[Node] = []
    while isinstance(node, nodes.At):
        node, where = node.kids
        if word_name(where) != "rand":  # all tokens, but for training
            places.insert(0, where)
    inner = joined(node, tuple(causal_form(kid) for kid in node.kids))
    if reads_tokens(node):
        supports = [i for i, where in enumerate(places) if words()[word_name(where)].supports]
        places.insert(supports[-1] + 1 if supports else 0, word("causal"))
    for where in places:
        inner = place(inner, where)
    return inner


def test_a_causal_form(system):
    """Reads at @causal and kernels without what comes later, in the order of memory."""
    sentence, channels, grid, found = system
    if not same_tokens(sentence, channels, grid):
        pytest.skip("its tokens are others than the input's")
    try:
        masked = "@causal" in str(sentence)  # as it stands
        net = network(sentence if masked else Sentence(causal_form(sentence.node)), channels, grid)
    except LanguageError:
        assert not found.causal
        return
    for weights in net.store.weights.values():
        for name, tensor in weights.state_dict().items():
            if name.startswith("kernel") or (name == "weight" and tensor.ndim > 2):
                taps = tensor.flatten(2)
                taps[..., (taps.shape[-1] - 1) // 2 + 1 :] = 0
    later = touched(net, channels, grid).tril(-1).any()  # a token of the input, of the result: the first stands later
    assert bool(later) != found.causal


def crossed_form(node: Node, memory: frozenset[str]) -> Node:
    """Keys and values of every read from ``other``; names in ``memory`` stand for such values already."""
    kids = tuple(crossed_form(kid, memory) for kid in node.kids)
    if isinstance(node, nodes.Let) and node.name in memory:
        return nodes.Let(node.name, chain(nodes.Sequence, [word("other"), kids[0]]), kids[1])
    wanted = MEMORIES.get(word_name(node), ())
    if not wanted:
        return joined(node, kids)
    given = [*kids, *[X] * (max(wanted) + 1 - len(kids))]
    return word(word_name(node), *(_from_other(kid, memory) if i in wanted else kid for i, kid in enumerate(given)))


MEMORIES = {"att": (1, 2), "att0": (1, 2), "dot": (1,), "dot0": (1,), "mm": (0,)}  # which sources are memories


def _from_other(node: Node, memory: frozenset[str]) -> Node:
    if isinstance(node, nodes.Memory):
        return chain(nodes.Memory, [_from_other(kid, memory) for kid in node.kids])
    if isinstance(node, nodes.Bank) or name_of(node) in memory:
        return node
    return chain(nodes.Sequence, [word("other"), node])


def bound_memories(node: Node) -> frozenset[str]:
    """Bound names that stand in keys or values, and those that their values are made from."""
    bindings = {phrase.name: phrase.value for phrase in walk(node) if isinstance(phrase, nodes.Let)}
    found: set[str] = set()
    waiting = [
        phrase.kids[i] for phrase in walk(node) for i in MEMORIES.get(word_name(phrase), ()) if i < len(phrase.kids)
    ]
    while waiting:
        names = (waiting.pop().names & bindings.keys()) - found
        found |= names
        waiting += [bindings[name] for name in names]
    return frozenset(found)


def test_a_cross_form(system):
    """Keys and values of half as many tokens of another field: the same type comes out, and it feels that field."""
    sentence, channels, grid, found = system
    if not found.cross:
        return
    crossed = crossed_form(sentence.node, bound_memories(sentence.node))
    axes = [length // 2 if length % 2 == 0 else 1 for length in grid]
    other = chain(nodes.Sequence, [word("pool", size(axes)), word("lin"), word("gelu")])
    whole = Sentence(nodes.Let("other", other, crossed))
    assert mm.check(whole, channels, grid) == mm.check(sentence, channels, grid)
    net, x = network(whole, channels, grid), noise(1, *grid, channels)
    before = net(x)
    with torch.no_grad():  # `other` comes first: its projection
        next(iter(w for w in net.store.weights.values() if w.state_dict())).state_dict()["bias"].add_(1.0)
    assert deviation(net(x), before) > 1e-6
    scores = [t.out for t in walk_typed(net.typed) if isinstance(t.word, Match) and not t.out.as_field]
    assert scores
    assert all(part.memory[0] != grid for score in scores for part in score.parts if part.memory)


def walk_typed(t: Typed) -> Iterator[Typed]:
    yield t
    for kid in t.kids:
        yield from walk_typed(kid)
