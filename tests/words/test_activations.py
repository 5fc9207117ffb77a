"""Contracts of the activations: as a term on a field, as a stage on coefficients of every kind."""

from __future__ import annotations

from metamixer.testing import WordContract
from metamixer.testing.contract import Example


def activation(word: str) -> tuple[Example, ...]:
    return (
        (f"lin >> {word}", 4, (7,)),
        (f"{word}(lin(6))", 4, (5, 3)),
        (f"(dot(lin,lin) -> {word} -> mm(lin))@h(2)", 4, (2, 3, 2)),
        (f"(dot0(x,#6) -> {word} -> mm(#6))@h(2)", 4, (5, 3)),
        (f"conv(lin,#3) -> {word} -> conv(#3)", 4, (5, 3)),
        (f"(dot(lin,lin) -> {word} -> mm(lin))@N(3)@h(2)", 4, (5, 4)),
        (f"cls >> lin >> {word}", 4, (3, 3)),
        (f"(lin >> {word})@T", 4, (3, 3)),
    )


class TestGelu(WordContract):
    word = "gelu"
    examples = activation(word)


class TestTanhGelu(WordContract):
    word = "gelu_tanh"
    examples = activation(word)


class TestRelu(WordContract):
    word = "relu"
    examples = activation(word)


class TestRelu6(WordContract):
    word = "relu6"
    examples = activation(word)


class TestSilu(WordContract):
    word = "silu"
    examples = activation(word)


class TestSigmoid(WordContract):
    word = "sig"
    examples = activation(word)


class TestExp(WordContract):
    word = "exp"
    examples = activation(word)


class TestHardSwish(WordContract):
    word = "hswish"
    examples = activation(word)


class TestHardSigmoid(WordContract):
    word = "hsig"
    examples = activation(word)


class TestTanh(WordContract):
    word = "tanh"
    examples = activation(word)


class TestPositiveElu(WordContract):
    word = "elu1"
    examples = (*activation(word), ("(dot0(lin >> elu1,lin >> elu1) -> l1 -> mm(lin))@h(2)", 4, (5, 5)))


class TestSquare(WordContract):
    word = "sq"
    examples = activation(word)


class TestNegative(WordContract):
    word = "neg"
    examples = activation(word)


class TestStarRelu(WordContract):
    word = "starrelu"
    examples = activation(word)


class TestIdentity(WordContract):
    word = "id"
    examples = activation(word)


class TestSoftmax(WordContract):
    word = "softmax"
    examples = (
        *activation(word),
        ("(dot(lin,lin) -> softmax -> mm(lin))@N(3,mask)@h(2)", 4, (5, 4)),
        ("(dot(lin,lin) -> softmax -> mm(lin))@N(3,zero)@h(2)", 4, (5, 4)),
        ("(dot(lin,lin) -> relu -> softmax -> mm(lin))@h(2)", 4, (3, 3)),
        ("(dot(lin,lin) -> softmax -> softmax -> mm(lin))@h(2)", 4, (3, 3)),
        ("(conv(lin,#3) -> softmax -> conv(#3))@h(2)", 4, (3, 3)),
    )


class TestL1(WordContract):
    word = "l1"
    examples = (
        ("lin >> exp >> l1", 4, (7,)),
        ("lin >> l1", 4, (5, 3)),
        ("(dot(lin,lin) -> sig -> l1 -> mm(lin))@h(2)", 4, (2, 3, 2)),
        ("(dot(lin >> exp,lin >> exp) -> l1 -> mm(lin))@h(2)", 4, (5, 5)),
        ("(dot(lin >> exp,lin >> exp) -> l1 -> mm(lin))@h(2)", 8, (2, 2)),
        ("cls >> (dot0(lin >> sig,lin >> sig) -> l1 -> mm(lin))@h(2)", 4, (5, 5)),
        ("(dot0(x,#6) -> exp -> l1 -> mm(#6))@h(2)", 4, (3, 3)),
        ("(dot(lin,lin) -> sig -> l1 -> mm(lin))@N(3,mask)@h(2)", 4, (5, 4)),
        ("(dot(lin,lin) -> exp -> l1 -> mm(lin))@N(3)@h(2)", 4, (5, 4)),
        ("(conv(lin,#3) -> exp -> l1 -> conv(#3))@h(2)", 4, (3, 3)),
    )
