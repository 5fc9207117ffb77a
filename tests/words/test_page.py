"""docs/words.md: written from the words, up to date, and right about what counts."""

from __future__ import annotations

import pytest

import metamixer as mm
from metamixer.cli.output.words import counts, page, vocabulary
from metamixer.language import parse
from metamixer.language.checking.registry import packages
from metamixer.language.checking.vocabulary import Plain, Word, words


@pytest.mark.skipif(bool(packages()), reason="a package here adds words")
def test_the_page_is_up_to_date(repository):
    written = (repository / "docs" / "words.md").read_text(encoding="utf-8")
    assert written == page(), "run: metamixer words --table > docs/words.md"


def test_no_cell_is_blank():
    rows = [line for line in page().splitlines() if line.startswith("| ")]
    assert len(rows) == 2 * (2 + len(vocabulary()))
    for row in rows:
        cells = [cell.strip() for cell in row.replace("\\|", "/").strip("|").split("|")]
        assert len(cells) in (4, 6)
        assert all(cells), row


# A sentence, and of each of its words with MACs the letters of the word's formula.
COUNTED = [
    ("lin(6,g=2)", 4, (5, 3), {"lin": {"tokens": 15, "C": 4, "c": 6, "g": 2}}),
    ("fconv(3,8,s=2,g=2)", 4, (5, 3), {"fconv": {"tokens": 6, "C": 4, "c": 8, "g": 2, "k": 9}}),
    ("clin(6,g=2)@fft", 4, (5, 3), {"clin": {"4": 4, "frequencies": 10, "C": 4, "c": 6, "g": 2}}),
    ("conv(x,#3x1,c=2C)", 4, (5, 3), {"conv": {"tokens": 15, "c": 8, "k": 3}}),
    (
        "(dot(x,pool(2)) -> softmax -> mm(pool(2)))@h(2)", 4, (4, 4),
        {"dot": {"tokens": 16, "slots": 4, "C": 4}, "mm": {"tokens": 16, "slots": 4, "c": 4}},
    ),
    (
        "dot0(x,#7) -> gelu -> mm(#7,c=5)", 4, (5,),
        {"dot0": {"tokens": 5, "slots": 7, "C": 4}, "mm": {"tokens": 5, "slots": 7, "c": 5}},
    ),
    (
        "(dot(x,x) -> relq(x) -> softmax -> mm(x))@h(2)", 4, (9,),
        {
            "relq": {"tokens": 9, "distances": 17, "C": 4}, "dot": {"tokens": 9, "slots": 9, "C": 4},
            "mm": {"tokens": 9, "slots": 9, "c": 4},
        },
    ),
    ("let c = pool(3) in gelu@sort(c)", 4, (9,), {"sort": {"tokens": 9, "centres": 3, "C": 4}}),
    (
        "let c = pool(3) in att(x,x,x)@clus(c,2)", 4, (9,),
        {
            "clus": {"tokens": 9, "centres": 3, "C": 4}, "dot": {"tokens": 9, "slots": 2, "C": 4},
            "mm": {"tokens": 9, "slots": 2, "c": 4},
        },
    ),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "channels", "grid", "letters"), COUNTED, ids=[case[0] for case in COUNTED])
def test_formulas_are_those_of_the_words(sentence, channels, grid, letters):
    expected = 0.0
    for name, values in letters.items():
        value, sign = 1.0, "*"
        for part in words()[name].counted.partition(",")[0].split():
            if part in "*/":
                sign = part
            else:
                value = value * values[part] if sign == "*" else value / values[part]
        expected += value
    assert mm.cost(parse(sentence), channels, grid).macs == expected


def test_every_formula_is_tried():
    tried = {name for *_, letters in COUNTED for name in letters}
    assert {word.name for word in vocabulary() if word.counted and word.name not in packages()} == tried


def test_a_word_that_refuses_a_grid_is_refused_there(monkeypatch):
    """What the table says is what the checker does."""
    monkeypatch.setattr(type(words()["avg"]), "refuses", {3: "there is no mean of volumes"})
    assert mm.check("avg(5)", 3, (9, 9)).tokens == 81
    with pytest.raises(mm.LanguageError, match="avg on a grid of 3 axes: there is no mean of volumes"):
        mm.check("avg(5)", 3, (9, 9, 9))
    assert "| yes | yes | no: there is no mean of volumes |" in page()


def test_counts_follow_from_the_methods_of_a_word():
    class Silent(Plain):
        name = "silent"

    class Loud(Silent):
        counted = "tokens"

        def macs(self, t):
            return 1

    assert counts(Silent()) == {}
    assert counts(Loud()) == {"MACs": "tokens"}
    assert isinstance(Loud(), Word)
