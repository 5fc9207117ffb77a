"""The picture as lines of text."""

from __future__ import annotations

import pytest

from metamixer import catalog
from metamixer.language import parse
from metamixer.report.drawing import words
from metamixer.report.lines import lines
from metamixer.report.picture import shorten
from metamixer.report.sketch import sketch


def picture(sentence: str, channels: int, grid: tuple[int, ...]) -> list[str]:
    return lines(sketch(parse(sentence).typed(channels, grid)))


def test_a_residual_goes_around_and_operands_meet():
    found = picture("patch(2,8) >> (res(norm >> lin * (dw(3) >> sig))^2)", 3, (8, 8))
    assert found == [
        "              8×8×3",
        "patch(2,8)    4×4×8",
        "┌ × 2",
        "│ ├─╮",
        "│ │ norm",
        "│ │ ├─ lin",
        "│ │ ├─ dw(3)",
        "│ │ │  sig",
        "│ │ ╰─ *",
        "│ +─╯",
        "└",
    ]


def test_bound_values_places_and_shares():
    found = "\n".join(
        picture("let q = lin in [.5: att(q,q,lin)@h(2) | x] >> dot(lin,#4) -> softmax -> mm(#4)", 8, (4,))
    )
    for piece in ("q = lin", "├─ .5 ┌ @h(2)", "q: q", "├─ rest x", "╰─ ++", "→ softmax", "→ mm(#4)"):
        assert piece in found


@pytest.mark.parametrize("name", catalog.names())
def test_every_word_of_an_entry_is_there(name):
    entry = catalog.get(name)
    part = sketch(entry.network.typed(entry.channels, entry.grid))
    found = lines(part)
    text = "\n".join(found)
    assert all(shorten(word.label, 72) in text for word in words(part) if word.kind == "word")
    assert not entry.classes or found[-1].startswith(f"lin({entry.classes})")
