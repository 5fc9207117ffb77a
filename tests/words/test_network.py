"""Contracts of the network words: convolutions, norms, positions, tokens, resampling."""

from __future__ import annotations

from metamixer.testing import WordContract


class TestFullConv(WordContract):
    word = "fconv"
    examples = (
        ("fconv(3,6)", 4, (7,)),
        ("fconv(3,6,b=0)", 4, (5, 3)),
        ("fconv(3,6)", 4, (3, 2, 4)),
        ("fconv(3,6,s=2)", 4, (5, 4)),
        ("fconv(7,6,s=4,pad=2)", 3, (9, 8)),
        ("fconv(3,6,s=2,pad=1,g=2)", 4, (8, 8)),
        ("fconv(4,6)", 4, (5, 4)),
        ("fconv(2,6,s=3)", 4, (6, 3)),
        ("fconv(3x1,6,s=2x1)", 4, (5, 4)),
        ("fconv(1,8,g=4)", 4, (5, 3)),
        ("fconv(3,5,pad=0)", 4, (5, 4)),
        ("fconv(3,5,lin(2))", 4, (5, 4)),
    )


class TestPatch(WordContract):
    word = "patch"
    examples = (
        ("patch(2,6)", 3, (8,)),
        ("patch(2,6,b=0)", 3, (4, 6)),
        ("patch(2x3,6)", 3, (4, 6)),
        ("patch(2,6)", 3, (4, 2, 2)),
        ("patch(1,6)", 1, (3, 3)),
    )


class TestDown(WordContract):
    word = "down"
    examples = (
        ("down(2,2C)", 3, (8,)),
        ("down(2,6,b=0)", 3, (4, 6)),
        ("down(1x2,6,norm)", 3, (3, 6)),
        ("down(2,6)", 3, (4, 2, 2)),
    )


class TestLayerNorm(WordContract):
    word = "norm"
    examples = (
        ("norm", 4, (7,)),
        ("norm(lin(6),b=0)", 4, (5, 3)),
        ("norm", 4, (2, 3, 2)),
        ("norm@T", 4, (5, 3)),
        ("cls >> norm", 4, (3, 3)),
        ("norm(eps=.5)", 4, (5,)),
    )


class TestRootMeanSquareNorm(WordContract):
    word = "rms"
    examples = (
        ("rms", 4, (7,)),
        ("rms(lin(6))", 4, (5, 3)),
        ("rms", 4, (2, 3, 2)),
        ("rms@T", 4, (5, 3)),
        ("cls >> rms", 4, (3, 3)),
        ("rms(eps=.5)", 4, (5,)),
    )


class TestBatchNorm(WordContract):
    word = "bn"
    examples = (
        ("bn", 4, (7,)),
        ("bn(lin(6),b=0)", 4, (5, 3)),
        ("bn >> lin >> bn", 4, (2, 3, 2)),
        ("bn@T", 4, (5, 3)),
        ("bn(sets=2)", 4, (5, 3)),
        ("cls >> bn", 4, (3, 3)),
        ("bn(eps=1e-3,m=.01)", 4, (5, 3)),
    )


class TestGroupNorm(WordContract):
    word = "gn"
    examples = (
        ("gn", 4, (7,)),
        ("gn(2)", 4, (5, 3)),
        ("gn(4,lin(8),b=0)", 4, (5, 3)),
        ("lin >> gn(2)", 4, (2, 3, 2)),
        ("[gn | x] >> lin", 4, (8, 8)),
        ("cls >> gn(2)", 4, (3, 3)),
        ("gn(2)@win(3)", 4, (6, 3)),
        ("gn(2,eps=.5)", 4, (5, 3)),
    )


class TestAffine(WordContract):
    word = "aff"
    examples = (
        ("aff", 4, (7,)),
        ("aff(lin(6),b=0)", 4, (5, 3)),
        ("aff", 4, (2, 3, 2)),
        ("aff@T", 4, (5, 3)),
        ("cls >> aff", 4, (3, 3)),
    )


class TestBias(WordContract):
    word = "bias"
    examples = (
        ("bias", 4, (7,)),
        ("lin(b=0) >> bias", 4, (5, 3)),
        ("bias(lin(6))", 4, (2, 3, 2)),
        ("bias@T", 4, (5, 3)),
        ("cls >> bias", 4, (3, 3)),
    )


class TestScale(WordContract):
    word = "scale"
    examples = (
        ("scale", 4, (7,)),
        ("lin >> scale(1e-6)", 4, (5, 3)),
        ("scale(.1,lin(6))", 4, (2, 3, 2)),
        ("scale(2)", 4, (3, 3)),
        ("cls >> scale(.5)", 4, (3, 3)),
    )


class TestSqueezeExcite(WordContract):
    word = "se"
    examples = (
        ("se", 4, (7,)),
        ("se(2)", 4, (5, 3)),
        ("se(2,gate=hsig)", 4, (2, 3, 2)),
        ("dw(3) >> se(2,lin(6))", 4, (3, 3)),
        ("cls >> se", 4, (3, 3)),
    )


class TestAverage(WordContract):
    word = "avg"
    examples = (
        ("avg(3)", 4, (7,)),
        ("avg(3) - x", 4, (5, 3)),
        ("avg(5x1)", 4, (5, 3)),
        ("avg(3,lin)", 4, (2, 3, 2)),
        ("avg(9)", 4, (5, 5)),
    )


class TestMaximum(WordContract):
    word = "maxpool"
    examples = (
        ("maxpool(3)", 4, (7,)),
        ("maxpool(3,s=2)", 4, (5, 6)),
        ("maxpool(5x1)", 4, (5, 3)),
        ("maxpool(3,lin)", 4, (2, 3, 2)),
        ("maxpool(9)", 4, (5, 5)),
        ("maxpool(1,s=2)", 4, (5, 4)),
    )


class TestUp(WordContract):
    word = "up"
    examples = (
        ("up(2)", 4, (3,)),
        ("lin >> up(2x3)", 4, (3, 2)),
        ("unit(down(2,6) >> up)", 4, (4, 6)),
        ("up(2)", 4, (2, 1, 2)),
    )


class TestShuffle(WordContract):
    word = "shuffle"
    examples = (
        ("shuffle(2)", 4, (3,)),
        ("lin(12) >> shuffle(2)", 4, (3, 2)),
        ("shuffle(2x1)", 4, (3, 2)),
        ("shuffle(2)", 8, (2, 1, 2)),
    )


class TestUnshuffle(WordContract):
    word = "unshuffle"
    examples = (
        ("unshuffle(2)", 4, (6,)),
        ("lin(3) >> unshuffle(2x3)", 4, (4, 6)),
        ("unshuffle(1x2) >> gelu >> shuffle(1x2)", 4, (3, 2)),
        ("unshuffle(2)", 3, (2, 4, 2)),
    )


class TestFourier(WordContract):
    word = "fourier"
    examples = (
        ("fourier", 4, (7,)),
        ("lin * fourier(norm)", 6, (3, 4)),
        ("fourier", 3, (2, 3, 2)),
        ("cls >> fourier", 4, (3, 3)),
    )


class TestPositions(WordContract):
    word = "pos"
    examples = (
        ("pos", 4, (7,)),
        ("lin(6) >> pos", 4, (5, 3)),
        ("pos(lin)", 4, (2, 3, 2)),
        ("cls >> pos >> att(lin,lin,lin)", 4, (3, 3)),
    )


class TestClassToken(WordContract):
    word = "cls"
    examples = (
        ("cls", 4, (7,)),
        ("cls(3) >> lin", 4, (5, 3)),
        ("cls >> cls(2)", 4, (2, 3, 2)),
        ("cls(2,lin(6)) >> att(lin,lin,lin)", 4, (3, 3)),
    )


class TestFirst(WordContract):
    word = "first"
    examples = (
        ("first", 4, (7,)),
        ("lin >> first(3)", 4, (5, 3)),
        ("cls(2) >> att(lin,lin,lin) >> first(2)", 4, (2, 3, 2)),
        ("first(4,lin(6))", 4, (2, 2)),
    )
