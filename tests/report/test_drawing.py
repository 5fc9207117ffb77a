"""Drawings: what is on them, and that a person can read them."""

from __future__ import annotations

import itertools
import random
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import metamixer as mm
from metamixer.report.drawing import _broken, draw, picture
from metamixer.report.picture import Box, Picture
from metamixer.report.sketch import Part, sketch

ATTENTION = "res(norm >> att(lin,lin,lin)@h(4) >> lin)"
VIT = f"patch(16,192) >> cls >> pos >> ({ATTENTION} >> res(norm >> ffn(4)))^12 >> norm >> first"
NINFORMER = (
    "patch(4,256) >> (tie n = norm in res(n >> lin * (res(norm >> ffn(8)@T) >> res(norm >> ffn(2))))"
    " >> res(n >> ffn(2)))^4"
)
FFNET = "fconv(3,64,s=2,b=0) >> bn >> gelu >> res(conv(lin(b=0) >> bn, #3, b=1) -> gelu -> conv(#3, b=1)) >> ffn(3)"
MAXVIT = (
    "patch(2,64) >> (res(norm >> lin(4C) >> gelu >> dw(3) >> gelu >> se >> lin(D))"
    " >> res(norm >> att(lin,lin,lin)@h(4)@win(7) >> lin) >> res(norm >> ffn(4))"
    " >> res(norm >> att(lin,lin,lin)@h(4)@grid(7) >> lin) >> res(norm >> ffn(4)))^2 >> norm"
)
UNET = (
    "let a = fconv(3,32) >> res(dw(3) >> ffn(2)), b = a >> down(2,64) >> res(dw(3) >> ffn(2))"
    " in (b >> lin(32)) * (a >> pool(/2)) ++ (a >> pool(/2)) >> lin(32)"
)
AGENT = "let q=lin,k=lin,v=lin,a=pool(7,q) in att(q,a,att(a,k,v))@h(4) + dw(3,v) >> lin"
GMLP = "patch(16,128) >> res(norm >> ((lin(3C) >> gelu) * (lin(3C) >> gelu >> norm >> lin@T)) >> lin(D))^30 >> norm"
SHVIT = "res([.25: gn >> att(lin(16),lin(16),lin) | x] >> relu >> lin) >> res(gn >> ffn(2))"
SENTENCES = {
    "vit": (VIT, 3, (224, 224)),
    "ninformer": (NINFORMER, 3, (32, 32)),
    "ffnet": (FFNET, 3, (32, 32)),
    "maxvit": (MAXVIT, 3, (56, 56)),
    "unet": (UNET, 3, (32, 32)),
    "agent": (AGENT, 64, (28, 28)),
    "gmlp": (GMLP, 3, (224, 224)),
    "shvit": (SHVIT, 64, (8, 8)),
    "linear attention": ("(dot(lin >> sig, lin >> sig) -> l1 -> mm(lin))@h(4) >> lin", 64, (8, 8)),
    "minus": ("x + dw(3) >> res(gn >> (lin - x) >> scale(.1)) >> .5 * x", 64, (8, 8)),
    "growing": ("(res(norm >> ffn(2)) >> down(2,2C))^3", 8, (16, 16)),
    "one word": ("lin", 8, (4,)),
    "nothing": ("x", 8, (4,)),
}


def sketched(name: str) -> Part:
    text, channels, grid = SENTENCES[name]
    return sketch(mm.parse(text).typed(channels, grid))


@pytest.fixture(params=list(SENTENCES))
def drawn(request: pytest.FixtureRequest) -> tuple[Part, Picture]:
    part = sketched(request.param)
    return part, picture(part)


def words_of(part: Part) -> Iterator[str]:
    if part.kind in ("word", "bank"):
        yield part.label
    for inner in part.parts:
        yield from words_of(inner)


def inside(inner: Box, outer: Box) -> bool:
    return (
        inner.x >= outer.x
        and inner.y >= outer.y
        and inner.x + inner.width <= outer.x + outer.width
        and inner.y + inner.height <= outer.y + outer.height
    )


def apart(a: Box, b: Box) -> bool:
    return (
        a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
    )  # fmt: skip


def is_frame(box: Box) -> bool:
    return box.kind in ("frame", "repeat")


def assert_readable(drawing: Picture) -> None:
    """No two boxes overlap unless one is a frame around the other; wires run one way and through no box."""
    for a, b in itertools.combinations(drawing.boxes, 2):
        outer, inner = (a, b) if a.depth <= b.depth else (b, a)
        assert apart(a, b) or (is_frame(outer) and inside(inner, outer) and inner.depth > outer.depth), (a, b)
    for box in drawing.boxes:
        assert box.x >= -0.01
        assert box.y >= -0.01
        assert box.x + box.width <= drawing.width + 0.01
        assert box.y + box.height <= drawing.height + 0.01
    for wire in drawing.wires:
        if wire.kind == "return":  # from a row's end to the next one's start, as in a text
            continue
        xs = [x for x, _ in wire.points]
        assert all(b >= a - 0.01 for a, b in itertools.pairwise(xs)), wire
        for (x0, y0), (x1, y1) in itertools.pairwise(wire.points):
            if abs(y0 - y1) < 0.01:  # level pieces; the bends lie in the gaps between columns
                for box in drawing.boxes:
                    crossed = box.x + 1 < x1 and x0 < box.x + box.width - 1 and box.y + 1 < y0 < box.y + box.height - 1
                    assert not crossed or is_frame(box), (wire, box)


def test_no_two_boxes_overlap_and_data_flows_one_way(drawn: tuple[Part, Picture]) -> None:
    assert_readable(drawn[1])


def test_every_word_is_drawn_once(drawn: tuple[Part, Picture]) -> None:
    part, drawing = drawn
    labels = sorted(box.label for box in drawing.boxes if box.kind == "word" and box.label != "split")
    expected = sorted(words_of(part))
    assert [a.split("(")[0] for a in labels] == [b.split("(")[0] for b in expected]


def test_every_join_and_word_is_reached_by_a_wire(drawn: tuple[Part, Picture]) -> None:
    _, drawing = drawn
    tips = [wire.points[-1] for wire in drawing.wires if wire.arrow]
    for box in drawing.boxes:
        if box.kind == "join" or (box.kind == "word" and box.label != ".5"):
            touched = [
                (x, y)
                for x, y in tips
                if box.x - 0.6 <= x <= box.x + box.width + 0.6 and box.y - 0.6 <= y <= box.y + box.height + 0.6
            ]
            assert len(touched) >= (2 if box.kind == "join" else 1), box


def test_queries_keys_and_values_are_named_from_top_to_bottom() -> None:
    drawing = picture(sketched("vit"))
    roles = {label.text: label for label in drawing.labels if label.kind == "role"}
    assert set(roles) == {"q", "k", "v"}
    assert roles["q"].y < roles["k"].y < roles["v"].y
    attention = next(box for box in drawing.boxes if box.label == "att")
    assert all(label.x < attention.x for label in roles.values())


def test_a_repetition_is_one_frame_with_its_count() -> None:
    drawing = picture(sketched("vit"))
    (repeat,) = [box for box in drawing.boxes if box.kind == "repeat"]
    assert repeat.badge == "× 12"
    held = [box.label for box in drawing.boxes if inside(box, repeat) and box.kind == "word"]
    assert sorted(held) == ["att", "ffn(4)", "lin", "lin", "lin", "lin", "norm", "norm"]


def test_copies_that_change_the_type_stand_one_after_the_other() -> None:
    drawing = picture(sketched("growing"))
    assert not [box for box in drawing.boxes if box.kind == "repeat"]
    assert [box.label for box in drawing.boxes].count("down(2,2C)") == 3
    assert [t.text for t in drawing.labels if t.kind == "shape"] == ["8×8×16", "4×4×32", "16×16×8", "2×2×64"]


def test_nested_mixers_are_nested_frames() -> None:
    drawing = picture(sketched("ninformer"))
    frames = sorted((box for box in drawing.boxes if is_frame(box)), key=lambda box: box.depth)
    assert [frame.depth for frame in frames] == [0, 1, 2]
    assert frames[0].badge == "× 4"
    assert inside(frames[1], frames[0])
    assert inside(frames[2], frames[1])
    assert frames[2].label == "@T"
    ffn = next(box for box in drawing.boxes if box.label == "ffn(8)")
    assert ffn.depth == 3
    assert inside(ffn, frames[2])


def test_residuals_go_around_and_gates_come_from_below() -> None:
    drawing = picture(sketched("ninformer"))
    kinds = [wire.kind for wire in drawing.wires]
    assert kinds.count("skip") == 4  # two in the block, two in the gate
    signs = [box.label for box in drawing.boxes if box.kind == "join"]
    assert sorted(signs) == ["*", "+", "+", "+", "+"]
    gate = next(box for box in drawing.boxes if box.label == "*")
    (side,) = [wire for wire in drawing.wires if wire.kind == "side"]
    assert side.points[-1] == pytest.approx((gate.x + gate.width / 2, gate.y + gate.height))


def test_a_wide_chain_is_broken_into_rows() -> None:
    drawing = picture(sketched("maxvit"))
    assert [wire.kind for wire in drawing.wires].count("return") >= 2
    assert drawing.width < 1300


def test_sources_that_read_nothing_are_drawn_beside_their_reader() -> None:
    drawing = picture(sketched("minus"))
    assert "−" in [box.label for box in drawing.boxes if box.kind == "join"]
    half = next(box for box in drawing.boxes if box.label == ".5")
    gate = next(box for box in drawing.boxes if box.label == "*")
    assert 0 < gate.x - (half.x + half.width) < 60


def test_svg_is_well_formed_escaped_and_always_the_same() -> None:
    part = Part("word", "a<b&c", 'a <b> & "c"', shape="8×8×64")
    root = ElementTree.fromstring(draw(part))
    texts = ["".join(e.itertext()) for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a<b&c" in texts
    for name in SENTENCES:
        once = draw(sketched(name))
        ElementTree.fromstring(once)
        assert once == draw(sketched(name))


BLOCKS = [
    "lin", "x", "norm >> ffn(2)", "att(lin,lin,lin)@h(2)", "dot(lin,lin) -> softmax -> mm(lin)", "dw(3)",
    "conv(lin,#3) -> gelu -> conv(#3)", "att(lin,lin >> gelu >> lin,lin)@win(4)", "ffn(2)@T",
]  # fmt: skip


def grown(rng: random.Random, depth: int) -> str:
    """A random sentence that keeps grid and width, out of every kind of combination."""
    if depth == 0 or rng.random() < 0.15:
        return rng.choice(BLOCKS)

    def inner() -> str:
        return grown(rng, depth - 1)

    form = rng.randrange(8)
    if form == 0:
        return " >> ".join(f"({inner()})" for _ in range(rng.randint(2, 4)))
    if form == 1:
        return f"res({inner()})"
    if form == 2:
        return f"({inner()}) * ({inner()})"
    if form == 3:
        return " + ".join(f"({inner()})" for _ in range(rng.randint(2, 3)))
    if form == 4:
        return f"[.5: {rng.choice(['lin', 'dw(3)'])} | {rng.choice(['x', 'lin >> gelu'])}]"
    if form == 5:
        return f"({inner()})^{rng.randint(2, 3)}"
    if form == 6:
        a, b, c = rng.sample(["p", "q", "r", "s"], 3)
        values = f"{a} = {inner()}, {b} = lin({a}), {c} = {inner()}"
        return f"(let {values} in att({b},{a},{c})@h(2) + {a} >> ({inner()}) * {b})"
    return f"(({inner()}) ++ ({inner()})) >> lin(8)"


@given(st.integers(0, 10**9))
def test_random_networks_are_readable(seed: int) -> None:
    text = grown(random.Random(seed), 3)
    part = sketch(mm.parse(f"unit({text})").typed(8, (8, 8)))
    assert_readable(picture(part))


def test_rows_are_few_and_even() -> None:
    assert _broken([300, 300, 300, 100], 700) == [(0, 2), (2, 4)]
    assert _broken([300, 300, 100], 700) == [(0, 3)]
    assert _broken([900, 100], 700) == [(0, 1), (1, 2)]  # what is too wide stands alone


def test_a_row_begins_with_the_shape_that_the_one_before_ended_with() -> None:
    part = sketch(mm.parse("(res(norm >> ffn(4)) >> res(norm >> ffn(4)) >> down(2,2C))^3").typed(8, (16, 16)))
    drawing = picture(part, 500)
    assert {"16×16×8", "8×8×16", "4×4×32", "2×2×64"} == {t.text for t in drawing.labels if t.kind == "shape"}
