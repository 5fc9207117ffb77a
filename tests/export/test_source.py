"""model.py computes what the network does, imports torch alone, and says which word it cannot write."""

from __future__ import annotations

import ast
import importlib.util
import random
import sys
from pathlib import Path

import pytest
import torch

from metamixer.compile import build
from metamixer.export.folder import instance
from metamixer.export.source import source
from metamixer.export.writer import NoSourceError
from metamixer.language import parse
from metamixer.language.spaces.space import Space

spec = importlib.util.spec_from_file_location(
    "export_benchmark", Path(__file__).resolve().parents[2] / "benchmarks" / "export.py"
)
assert spec is not None
assert spec.loader is not None
benchmark = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = benchmark
spec.loader.exec_module(benchmark)

SENTENCES = (
    "res(norm >> att(lin,lin,lin)@h(2) >> lin)^2 >> bn",
    "res(norm >> ffn(2) >> scale(.1))",
    "att(lin,lin,lin)@N(3)@h(2)",
    "att(lin,lin,lin)@win(2)@h(2) >> lin",
    "att(lin,lin,lin)@grid(2)@h(2) >> lin",
    "att(lin,lin(b=0),lin >> gelu)@hsum(2)",
    "(dot0(lin >> relu,lin >> relu) -> l1 -> mm(lin))@h(2)",
    "(dot(lin,lin) -> sig -> mm(lin))@h(2)",
    "(let q = lin, k = lin, v = lin in att(q,k,v)@T@h(2)) >> lin",
    "let s = lin in s * (s >> sig) + x",
    "tie f = lin in f >> gelu >> f",
    "lin(12,g=2) >> starrelu >> lin(8,g=4)",
    "lin@T >> lin(sets=4)",
    "conv(lin,#3) -> silu -> conv(#5)",
    "conv(lin,#rep(5,3))",
    "fconv(2,16) >> gn(4) >> gn(b=0) >> aff",
    "pool(/2) >> up(2) >> pos",
    "[.25: norm | x] >> gelu",
    "dw(3) >> se(2) >> lin",
    "avg(3) - x",
    "lin ++ dw(3)",
    "cls >> norm >> res(att(lin,lin,lin)@h(2)) >> first",
    "lin@seg(2)",
    "bn(sets=4) >> shuffle(2)",
)


@pytest.mark.parametrize("text", SENTENCES)
def test_the_source_agrees_with_the_network_in_training_and_evaluation_forward_and_backward(text):
    assert benchmark.disagreement(benchmark.roughened(build(parse(text), channels=8, grid=(4, 4)))) < 1e-5


def test_whole_draws_of_the_digits_space_agree_or_name_the_word_without_source():
    space, rng, agreed = Space.load("digits"), random.Random(1), 0
    for _ in range(4):
        net = benchmark.roughened(build(space.draw(rng, 1, (8, 8)).sentence, channels=1, grid=(8, 8)))
        try:
            assert benchmark.disagreement(net) < 1e-5
            agreed += 1
        except NoSourceError:
            continue
    assert agreed >= 3


def test_a_lost_bias_would_be_seen():
    net = benchmark.roughened(build(parse("lin"), channels=8, grid=(4, 4)))
    made = source(net)
    wrong = type(made)(made.text.replace("self.lin(x)", "F.linear(x, self.lin.weight)"), made.tensors)
    model, _ = instance(wrong)
    x = benchmark.images(net, 1)
    assert benchmark.deviation(model(x), benchmark.OnImages(net)(x)) > 1e-3


def test_the_source_imports_torch_alone_and_says_the_sentence():
    text = "patch(2,8) >> res(norm >> ffn(2))^3 >> mean >> lin(10)"
    tree = ast.parse(source(build(parse(text), channels=3, grid=(8, 8))).text)
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported == {"torch", "torch.nn.functional"}
    assert ast.get_docstring(tree).startswith(text)


def test_a_repetition_is_one_class_and_a_loop():
    made = source(build(parse("res(norm >> ffn(2))^3"), channels=8, grid=(4, 4)))
    assert made.text.count("class Block") == 1
    assert "nn.ModuleList([Block() for _ in range(3)])" in made.text
    assert "for block in self.blocks:" in made.text


def test_equal_phrases_that_stand_elsewhere_have_parameters_of_their_own():
    net = build(parse("ffn(1) >> ffn(1)"), channels=8, grid=(4, 4))
    model, _ = instance(source(net))
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in net.parameters())


def test_a_word_without_source_is_named():
    with pytest.raises(NoSourceError, match="fourier") as error:
        source(build(parse("fourier"), channels=8, grid=(4, 4)))
    assert error.value.word == "fourier"
    assert "model.pt2" in (error.value.advice or "")


def test_weights_that_are_tied_across_blocks_are_refused_rather_than_untied():
    net = build(parse("tie f = lin in res(f >> ffn(1))^2 >> f"), channels=8, grid=(4, 4))
    with pytest.raises(NoSourceError, match="tie"):
        source(net)


def test_the_numbers_of_the_weights_are_copies():
    net = build(parse("lin"), channels=8, grid=(4, 4))
    _, state = instance(source(net))
    state["lin.weight"].zero_()
    assert torch.count_nonzero(net.body.weights.weight) > 0
